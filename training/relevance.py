"""How well texts go with photos, by any contrastive model: cosines, in a process of its own.

    python -m training.relevance MODEL --pairs in.parquet --out out.parquet [--cache DIR]

MODEL is a model directory of ``uniqa-train``, or a CLIP- or SigLIP-like model (a directory or hub
id). The pairs have the columns `image` (path or address), `text` and perhaps `image_id`; the
result has the same rows in the same order with `relevance`, −1 to 1, or null with `error` where a
photo cannot be read. The model's name stands in the file's metadata under ``model``.

Speaks to programs: stdout has one JSON object per line, ``{"stage", "done", "total"}`` while it
works and, if it fails, ``{"error", "remedy", "exit_code"}``. Every distinct photo and text is
encoded once and kept in the feature cache, photos one at a time, so that neighbours never matter.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from training.encoders import MAX_SIDE, Block, Features, ImageTower, TextTower, quiet_transformers
from training.features import default_cache, photo_features, text_features
from uniqa.errors import InputError, UniqaError
from uniqa.photos import Pixels

Tell = Callable[[str, int, int], None]
"""Hears the stage, and how many of how many are done."""

_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class Related:
    """Cosines of pairs, −1 to 1, NaN where `errors` (by position) says why; the model's name."""

    values: NDArray[np.float64]
    errors: dict[int, str]
    model: str


class Contrastive:
    """Two towers and the maps from their features into the shared space."""

    def __init__(
        self,
        image: ImageTower,
        text: TextTower,
        name: str,
        embed_images: Callable[[torch.Tensor], torch.Tensor],
        embed_texts: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        self.image = image
        self.text = text
        self.name = name
        self.embed_images = embed_images
        self.embed_texts = embed_texts


class _Whole:
    """The image tower of a Hugging Face model on the whole photo alone, as its authors use it."""

    def __init__(self, towers: Any, name: str) -> None:
        self.towers = towers
        self.name = f"{name}/image"
        self.policy = f"side{MAX_SIDE}-whole-unit-v1"
        self.dim: int = towers.dim
        self.blocks: tuple[Block, ...] = (Block("whole", 0, self.dim),)
        self.families: dict[str, tuple[str, ...]] = {"whole": ("whole",)}

    def prepare(self, pixels: Pixels) -> torch.Tensor:
        """(1, 3, side, side)."""
        prepared: torch.Tensor = self.towers.pixels([pixels])
        return prepared

    def encode(self, prepared: torch.Tensor) -> Features:
        """(d,), unit length."""
        with torch.inference_mode():
            embedded = normalize(self.towers.embed_pixels(prepared), dim=-1)[0].cpu()
        values: Features = embedded.float().numpy()
        return values


class _Telling:
    """An image tower that tells after every photo how many it has seen."""

    def __init__(self, tower: ImageTower, tell: Callable[[int], None]) -> None:
        self.name, self.policy, self.dim = tower.name, tower.policy, tower.dim
        self.blocks, self.families = tower.blocks, tower.families
        self.prepare = tower.prepare
        self._tower = tower
        self._tell = tell
        self._seen = 0

    def encode(self, prepared: Any) -> Features:
        """What the tower gives."""
        values = self._tower.encode(prepared)
        self._seen += 1
        self._tell(self._seen)
        return values


def open_model(source: str) -> Contrastive:
    """A contrastive model: a directory that ``uniqa-train`` wrote, or a Hugging Face one.

    Raises:
        InputError: neither, damaged, without text and image towers, or pickled.
    """
    folder = Path(source)
    if (folder / "model.json").is_file():
        from training.model import load_model

        model = load_model(folder)
        maps = model.projections
        digest = _fingerprint(maps)
        return Contrastive(
            model.image,
            model.text,
            f"{folder.resolve().name}@{digest}",
            lambda features: normalize(maps.embed_images(features), dim=-1),
            maps.embed_texts,
        )
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise InputError(
            f"{source} holds no model",
            "Name a directory that uniqa-train wrote, or a CLIP or SigLIP model",
        )
    from training.huggingface import load_towers

    image, text = load_towers(source)
    towers: Any = image
    name = image.name.removesuffix("/image")
    return Contrastive(
        _Whole(towers.towers, name), text, name, lambda features: features, lambda texts: texts
    )


def _fingerprint(maps: torch.nn.Module) -> str:
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(maps.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def relate(
    model: Contrastive,
    images: Sequence[str],
    texts: Sequence[str],
    cache: Path,
    *,
    ids: Sequence[str] | None = None,
    tell: Tell = lambda _stage, _done, _total: None,
) -> Related:
    """Cosine of every photo with its text.

    Args:
        model: see `open_model`.
        images: paths or addresses, one per pair; repeats are encoded once.
        texts: as many; repeats are encoded once.
        cache: folder of the feature store.
        ids: SHA-256 of the photos' bytes where known; a photo that changed since is an error.
        tell: hears of the progress.
    """
    firsts = {path: at for at, path in reversed(list(enumerate(images)))}
    paths = sorted(firsts)
    known = [ids[firsts[path]] for path in paths] if ids is not None else None
    tower = _Telling(model.image, lambda done: tell("photos", done, len(paths)))
    found = photo_features([Path(path) for path in paths], tower, cache, ids=known)
    tell("photos", len(paths), len(paths))
    distinct = sorted(set(texts))
    encoded = text_features(distinct, model.text, cache)
    tell("texts", len(distinct), len(distinct))
    with torch.inference_mode():
        seen = _mapped(model.embed_images, found.values)
        said = _mapped(model.embed_texts, encoded)
    row_of = {path: int(found.rows[at]) for at, path in enumerate(paths)}
    reason = {paths[at]: message for at, message in found.errors.items()}
    place = {text: at for at, text in enumerate(distinct)}
    rows = np.array([row_of[path] for path in images], dtype=np.int64)
    columns = np.array([place[text] for text in texts], dtype=np.int64)
    values = np.full(len(images), np.nan)
    good = np.flatnonzero(rows >= 0)
    for start in range(0, len(good), _BLOCK):
        part = good[start : start + _BLOCK]
        values[part] = np.einsum("nd,nd->n", seen[rows[part]], said[columns[part]])
    errors = {at: reason[images[at]] for at in np.flatnonzero(rows < 0).tolist()}
    return Related(np.clip(values, -1.0, 1.0), errors, model.name)


def _mapped(
    embed: Callable[[torch.Tensor], torch.Tensor], features: Features
) -> NDArray[np.float64]:
    """(n, d) embeddings of unit length; features come out of half precision."""
    if not len(features):
        return np.zeros((0, 1))
    values = np.asarray(embed(torch.from_numpy(features)).numpy(), dtype=np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit: NDArray[np.float64] = values / np.maximum(lengths, 1e-12)
    return unit


def read_pairs(path: Path) -> pa.Table:
    """The pairs of a Parquet file.

    Raises:
        InputError: unreadable, columns missing, or empty cells.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read as Parquet ({reason})") from error
    for name in ("image", "text"):
        if name not in table.column_names:
            raise InputError(f"{path} has no column '{name}'", "Pairs have image and text")
        if table[name].null_count:
            raise InputError(f"{path}: {table[name].null_count} rows without {name}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Relate the pairs of a file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.relevance")
    parser.add_argument("model")
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args(arguments)
    try:
        _run(options.model, options.pairs, options.out, options.cache or default_cache())
    except UniqaError as error:
        _say({"error": error.message, "remedy": error.remedy, "exit_code": error.exit_code})
        return error.exit_code
    return 0


def _run(source: str, pairs: Path, out: Path, cache: Path) -> None:
    table = read_pairs(pairs)
    quiet_transformers()
    model = open_model(source)

    def tell(stage: str, done: int, total: int) -> None:
        _say({"stage": stage, "done": done, "total": total})

    images, texts = table["image"].to_pylist(), table["text"].to_pylist()
    ids = table["image_id"].to_pylist() if "image_id" in table.column_names else None
    related = relate(model, images, texts, cache, ids=ids, tell=tell)
    result = table.append_column("relevance", pa.array(related.values, from_pandas=True))
    messages = [related.errors.get(at) for at in range(len(images))]
    result = result.append_column("error", pa.array(messages, pa.string()))
    result = result.replace_schema_metadata({"model": related.model})
    scratch = out.with_name(f".{out.name}.{os.getpid()}.part")
    pq.write_table(result, scratch)
    scratch.replace(out)


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
