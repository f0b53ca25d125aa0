"""Training pictures: crops of the photographs, damaged, measured, and brought to canvas size.

Several pictures are made of each crop, so that the same scene is seen with and without a fault.
Kept as one array file on disk, so that training reads it without copying it into memory.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from curation.measuring.measure import Measurements, measure
from curation.pocket.damage import apply_damage, draw_damage, without
from curation.pocket.shape import CANVAS
from curation.pocket.targets import target_of
from uniqa import console
from uniqa.photos import Pixels, read_photo

VARIANTS = 3

_SHAPES = ((1, 1), (1, 1), (4, 3), (3, 2), (3, 2), (2, 3), (3, 4), (16, 9))


def canvas_of(pixels: Pixels) -> Pixels:
    """A photo as the models' image processor brings it to its canvas: (CANVAS, CANVAS, 3).

    The longer side to `CANVAS`, then both sides to `CANVAS` (photos lose their proportions; what
    there is to see of faults stays). Photos more than twice as long as wide get half a canvas
    from the processor; here they get a whole one.
    """
    height, width = pixels.shape[:2]
    scale = CANVAS / max(height, width)
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    image = Image.fromarray(pixels)
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    if size != (CANVAS, CANVAS):
        image = image.resize((CANVAS, CANVAS), Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.uint8)


def make_pictures(
    photographs: Sequence[Path],
    folder: Path,
    *,
    crops: int,
    seed: int,
    workers: int,
    others: Sequence[Path] = (),
    last: int = 0,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Make, or find, the training set.

    Args:
        photographs: files of the source photographs.
        folder: where the set is kept; an unfinished one is gone on with.
        crops: how many; each gives `VARIANTS` pictures.
        seed: decides every crop and every damage.
        workers: processes.
        others: further photographs, for the last crops alone.
        last: how many crops these are.

    Returns:
        Canvases, shape (crops · VARIANTS, CANVAS, CANVAS, 3), 0–255, memory-mapped, and what is
        to be read in them, shape (crops · VARIANTS, `targets.WIDTH`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = crops * VARIANTS
    images = np.lib.format.open_memmap(
        folder / "canvases.npy", mode="r+" if (folder / "canvases.npy").exists() else "w+",
        dtype=np.uint8, shape=(total, CANVAS, CANVAS, 3),
    )  # fmt: skip
    log = folder / "targets.jsonl"
    rows: dict[int, list[list[float]]] = {}
    if log.exists():
        for line in log.read_text("utf-8").splitlines():
            try:
                crop, targets = json.loads(line)
            except ValueError:
                continue  # cut off by a kill
            rows[crop] = targets
    todo = [crop for crop in range(crops) if crop not in rows]
    jobs = [(photographs if crop < crops - last else others, seed, crop) for crop in todo]
    with (
        log.open("a", encoding="utf-8") as out,
        ProcessPoolExecutor(workers) as pool,
        console.progress() as bar,
    ):
        task = bar.add_task("training pictures", total=len(jobs), note="")
        for crop, (canvases, targets) in zip(
            todo, pool.map(_pictures_of, jobs, chunksize=4), strict=True
        ):
            images[crop * VARIANTS : (crop + 1) * VARIANTS] = canvases
            rows[crop] = targets
            out.write(json.dumps([crop, targets]) + "\n")
            bar.advance(task)
    images.flush()
    table = np.array([target for crop in range(crops) for target in rows[crop]], dtype=np.float32)
    return images, table


def _pictures_of(job: tuple[Sequence[Path], int, int]) -> tuple[NDArray[np.uint8], Any]:
    photographs, seed, crop = job
    rng = np.random.default_rng([seed, crop])
    clean = _crop(photographs, rng)
    grey = measure(clean).coloured < 0.05
    canvases, targets = [], []
    for _ in range(VARIANTS):
        damage = draw_damage(rng)
        if grey:
            damage = without(damage, "desaturation", "oversaturation")
        picture = apply_damage(clean, damage)
        canvases.append(canvas_of(picture))
        targets.append(target_of(measure(picture), damage).round(5).tolist())
    return np.stack(canvases), targets


def _crop(photographs: Sequence[Path], rng: np.random.Generator) -> Pixels:
    """A crop that has something in focus, 360 to 760 pixels long."""
    best: tuple[float, Pixels] | None = None
    for _ in range(6):
        source = _pixels(photographs[int(rng.integers(len(photographs)))])
        pixels = _varied(_cut(source, rng), rng)
        blur = _softness(measure(pixels))
        if best is None or blur < best[0]:
            best = (blur, pixels)
        if blur < 0.75:
            break
    assert best is not None
    return best[1]


def _softness(m: Measurements) -> float:
    """How unfit a crop is to stand for a clean photo: above 0.75 it has nothing crisp in it."""
    empty = 0.6 if m.contrast < 0.06 or m.edges < 0.03 else 0.0
    return m.sharpest_blur + empty


def _cut(source: Pixels, rng: np.random.Generator) -> Pixels:
    height, width = source.shape[:2]
    across, down = _SHAPES[int(rng.integers(len(_SHAPES)))]
    # Photos come in all sizes: what is done to them is stretched or shrunk before it is seen.
    long_side = CANVAS if rng.random() < 0.35 else int(np.exp(rng.uniform(*np.log((360, 760)))))
    # A small photograph gives smaller crops: enlarging would blur them.
    room = min(width / min(1.0, across / down), height / min(1.0, down / across))
    long_side = min(long_side, int(room / 1.1))
    out_width = round(long_side * min(1.0, across / down))
    out_height = round(long_side * min(1.0, down / across))
    # Backgrounds are seldom sharp pixel by pixel: shrinking makes them what a clean photo is.
    most = min(width / out_width, height / out_height)
    least = min(most, 1.6 if max(height, width) > 2000 else 1.25)
    shrink = float(np.exp(rng.uniform(np.log(least), np.log(most))))
    cut_width, cut_height = int(out_width * shrink), int(out_height * shrink)
    left = int(rng.integers(width - cut_width + 1))
    top = int(rng.integers(height - cut_height + 1))
    image = Image.fromarray(source[top : top + cut_height, left : left + cut_width])
    resized = image.resize((out_width, out_height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(resized, dtype=np.uint8)


def _varied(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """What differs between clean photos anyway: which way round, how light, how colourful."""
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    image = pixels.astype(np.float32) / 255
    image = image ** float(np.exp(rng.normal(0, 0.12)))
    grey = image.mean(axis=-1, keepdims=True)
    image = grey + (image - grey) * float(np.exp(rng.normal(0, 0.1)))
    varied: Pixels = np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    return _stored(varied, rng)


def _stored(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """As cameras and people keep clean photos: sharpened a little, and through a good JPEG."""
    image = Image.fromarray(pixels)
    if rng.random() < 0.3:
        percent = int(rng.integers(25, 90))
        image = image.filter(ImageFilter.UnsharpMask(float(rng.uniform(0.6, 1.4)), percent, 0))
    if rng.random() < 0.55:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(82, 97)))
        with Image.open(buffer) as stored:
            return np.asarray(stored.convert("RGB"), dtype=np.uint8)
    return np.asarray(image, dtype=np.uint8)


@cache
def _pixels(path: Path) -> Pixels:
    pixels = read_photo(path).pixels
    if max(pixels.shape) > 3200:
        image = Image.fromarray(pixels)
        image.thumbnail((3200, 3200), Image.Resampling.LANCZOS)
        pixels = np.asarray(image, dtype=np.uint8)
    return pixels
