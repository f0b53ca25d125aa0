"""Tiny real photos, a manifest on them, and one pre-trained model that tests share."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageFilter

# Idle OpenMP threads spin otherwise, as the console knows too; must be set before torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SAYINGS = {
    "bad": ["An extremely blurry picture without detail.", "Bad quality, nothing is sharp."],
    "poor": ["A blurry picture, edges are soft.", "Low quality with lost detail."],
    "fair": ["Acceptable, a little soft.", "Medium quality."],
    "good": ["A sharp picture with fine detail.", "Good quality."],
    "perfect": ["An extremely sharp picture.", "Perfect quality, every texture is crisp."],
}
LEVELS = list(SAYINGS)


def photo(name: str, size: int = 160) -> Image.Image:
    from skimage import data

    pixels = getattr(data, name)()
    image = Image.fromarray(pixels).convert("RGB")
    return image.crop((80, 40, 80 + size, 40 + size))


def degrade(image: Image.Image, strength: int) -> Image.Image:
    """0 leaves the photo; 1 … 4 blur and compress it ever more."""
    if strength == 0:
        return image
    blurred = image.filter(ImageFilter.GaussianBlur(0.7 * strength))
    buffer = io.BytesIO()
    blurred.save(buffer, "JPEG", quality=80 - 18 * strength)
    return Image.open(buffer).convert("RGB")


def manifest_rows(folder: Path) -> list[dict]:
    rows = []
    splits = {"astronaut": "train", "coffee": "train", "chelsea": "val", "camera": "test"}
    for name, split in splits.items():
        for number in range(6):
            strength = number % 5
            image = photo(name)
            if number == 5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            path = folder / f"{name} {number}.png"
            degrade(image, strength).save(path)
            score = 0.95 - 0.2 * strength - 0.004 * len(name)
            level = LEVELS[min(4, int(score * 5))]
            rows.append(
                {
                    "image": path.name,
                    "image_id": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "dataset": "tiny",
                    "task": "quality",
                    "mos": 1 + 4 * score,
                    "mos_std": 0.5,
                    "score": score,
                    "level": level,
                    "scale": "linear[1,5]",
                    "split": split,
                    "group": name,
                    "captions": [
                        {
                            "text": text,
                            "weight": weight,
                            "task": "quality",
                            "cue": "overall",
                            "source": "model",
                            "model": "toy@1",
                        }
                        for text, weight in zip(SAYINGS[level], (1.0, 0.5), strict=True)
                    ],
                }
            )
    return rows


def write_manifest(rows: list[dict], path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """Folder with 24 photos and `tiny.parquet`."""
    folder = tmp_path_factory.mktemp("tiny")
    write_manifest(manifest_rows(folder), folder / "tiny.parquet")
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def model_dir(tiny, cache, tmp_path_factory) -> Path:
    """A compact model pre-trained on the tiny manifest."""
    from training.commands import pretrain
    from training.config import PretrainConfig
    from training.data import read_manifest
    from training.model import save_model

    out = tmp_path_factory.mktemp("models") / "compact"
    config = PretrainConfig(epochs=3, dim=32)
    model, _ = pretrain(read_manifest(tiny / "tiny.parquet"), config, cache)
    save_model(model, out)
    return out


@pytest.fixture
def uniqa_train(capsys, cache):
    """Run the console in this process: (exit code, stdout, stderr)."""

    def call(*words: object) -> tuple[int, str, str]:
        import sys

        from training.cli import app
        from uniqa.console import run

        arguments = [str(word) for word in words]
        command = arguments[0] if arguments else ""
        if command in ("pretrain", "adapt", "evaluate", "score") and "--help" not in arguments:
            arguments += ["--cache", str(cache)]
        before, sys.argv = sys.argv, ["uniqa-train", *arguments]
        try:
            with pytest.raises(SystemExit) as stop:
                run(app, "uniqa-train")
        finally:
            sys.argv = before
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def toy_views():
    """Call it with a number of photos: their views, unified scores, and groups of two."""

    def make(count: int, seed: int = 0):
        import torch

        from training.cues import cue_prompts
        from training.encoders import Block
        from training.projections import Projections
        from training.views import make_views

        rng = np.random.default_rng(seed)
        features = rng.normal(size=(count, 12)).astype(np.float32)
        weights = rng.normal(size=12)
        noise = 0.08 * rng.normal(size=count)
        scores = np.clip(0.5 + 0.12 * features @ weights / np.linalg.norm(weights) + noise, 0, 1)
        torch.manual_seed(seed)
        projections = Projections(12, 10, 8).eval().requires_grad_(False)
        prompts = rng.normal(size=(len(cue_prompts("quality")), 10)).astype(np.float32)
        blocks = (Block("a", 0, 6), Block("b", 6, 12))
        views = make_views(
            features,
            np.zeros((count, 0), dtype=np.float32),
            projections,
            prompts,
            "quality",
            blocks,
            {"all": ("a", "b")},
        )
        return views, scores, [f"g{k // 2}" for k in range(count)]

    return make
