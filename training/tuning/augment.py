"""Views of a photo that do not change its rating.

For quality: a mirror image, and the whole or one of the native crops that scoring sees too. No
blur, no colour change, no rescaling: they are what is rated. For aesthetics the whole may also lose
a narrow margin. A view is a pure function of seed, step and photo, whatever stands beside it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from training.encoders import GRID, fixed_crops
from uniqa.photos import Pixels

KEPT = 0.9
"""The least share of each side that an aesthetic view of the whole keeps."""


@dataclass(frozen=True, slots=True)
class View:
    """Which part of a photo is seen, and whether mirrored."""

    whole: bool
    crop: int
    """Number in `GRID`, also where the whole is seen: some models look at both."""
    flip: bool
    kept: float = 1.0
    """Share of each side of the whole that is kept, and where it lies in the free rest (0–1)."""
    left: float = 0.0
    top: float = 0.0


def stream(seed: int, step: int, key: str) -> np.random.Generator:
    """Random numbers for one purpose: the same for the same three, and unlike any other three."""
    digest = hashlib.sha256(f"{seed}\x1f{step}\x1f{key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def draw_view(seed: int, step: int, image_id: str, task: str) -> View:
    """The view of a photo at a step; one of six is of the whole, as in scoring."""
    rng = stream(seed, step, image_id)
    place = int(rng.integers(0, 1 + len(GRID)))
    crop, flip = int(rng.integers(0, len(GRID))), bool(rng.integers(0, 2))
    kept, left, top = (float(one) for one in rng.random(3))
    if task != "aesthetic":
        return View(place == 0, crop, flip)
    return View(place == 0, crop, flip, KEPT + (1 - KEPT) * kept, left, top)


def see_whole(pixels: Pixels, view: View) -> Pixels:
    """The whole photo as the view has it."""
    height, width = pixels.shape[:2]
    high, wide = max(1, round(height * view.kept)), max(1, round(width * view.kept))
    top, left = round((height - high) * view.top), round((width - wide) * view.left)
    return _flipped(pixels[top : top + high, left : left + wide], view)


def see_crop(pixels: Pixels, view: View, side: int) -> Pixels:
    """The view's native crop, (side, side, 3)."""
    return _flipped(fixed_crops(pixels, side)[view.crop], view)


def see(pixels: Pixels, view: View, side: int) -> Pixels:
    """The whole or the crop, whichever the view says."""
    return see_whole(pixels, view) if view.whole else see_crop(pixels, view, side)


def _flipped(pixels: Pixels, view: View) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1] if view.flip else pixels)
