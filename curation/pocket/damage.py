"""Faults of continuous strength, alone and together, for the pocket models to learn from.

`curation.demo.distort` has ten kinds at five steps; a model that is to grade needs everything in
between, more codecs than JPEG, faults that come in pairs, and two kinds more (banding,
oversaturation). Kinds are those of `curation.pocket.reading.FAULTS`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, signal

from curation.demo import distort as steps
from curation.pocket.reading import FAULTS
from uniqa.photos import Pixels

# kind → amounts at severities 0 to 5; between them, straight lines. Those of `distort`, with the
# amount that changes nothing in front.
_AMOUNTS: dict[str, tuple[float, ...]] = {
    "blur": (0.0, *steps.SEVERITIES["blur"]),
    "motion_blur": (0.0, *steps.SEVERITIES["motion_blur"]),
    "downscale": (1.0, *steps.SEVERITIES["downscale"]),
    "noise": (0.0, *steps.SEVERITIES["noise"]),
    "compression": (75.0, *steps.SEVERITIES["jpeg"]),
    "banding": (64.0, 24.0, 16.0, 11.0, 7.5, 5.0),  # grey levels left per channel
    "underexposure": (0.0, *steps.SEVERITIES["underexposure"]),
    "overexposure": (0.0, *steps.SEVERITIES["overexposure"]),
    "low_contrast": (1.0, *steps.SEVERITIES["contrast"]),
    "desaturation": (1.0, *steps.SEVERITIES["desaturation"]),
    "oversaturation": (1.0, 1.35, 1.7, 2.1, 2.7, 3.5),  # chroma gain
    "colour_cast": (0.0, *steps.SEVERITIES["colour_cast"]),
}

# Mean opinion (1 to 5) of the like kind of KADID-10k (Lin, Hosu & Saupe 2019) at its strongest.
_WORST = {
    "blur": 1.30, "motion_blur": 1.67, "downscale": 1.50, "noise": 2.30, "compression": 1.35,
    "banding": 2.60, "underexposure": 2.22, "overexposure": 1.81, "low_contrast": 2.01,
    "desaturation": 2.03, "oversaturation": 1.90, "colour_cast": 1.86,
}  # fmt: skip

# What happens to a photo in this order: light and colour, optics, sensor, storage.
_ORDER = (
    "underexposure", "overexposure", "low_contrast", "desaturation", "oversaturation",
    "colour_cast", "blur", "motion_blur", "downscale", "noise", "banding", "compression",
)  # fmt: skip
TASTE = (
    "underexposure",
    "overexposure",
    "low_contrast",
    "desaturation",
    "oversaturation",
    "colour_cast",
)
"""Kinds that a photographer may mean, when they are weak."""
_FAMILIES = (
    ("blur", "motion_blur", "downscale"), ("noise",), ("compression",), ("banding",),
    ("underexposure", "overexposure", "low_contrast"),
    ("desaturation", "oversaturation", "colour_cast"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Damage:
    """Faults of one picture: kind → severity above 0, up to 5.2; empty is a clean picture."""

    faults: dict[str, float]
    seed: int

    @property
    def quality(self) -> float:
        """What the faults leave of the quality, 0 to 1; see `quality_left`."""
        return quality_left(self.faults)


def quality_left(faults: Mapping[str, float]) -> float:
    """What faults leave of the quality, 0 to 1.

    Each costs in proportion to its severity what the like kind of KADID-10k costs at its
    strongest; shares multiply.

    Args:
        faults: kind → severity, 0 to 5.2.
    """
    left = 1.0
    for kind, severity in faults.items():
        left *= 1 - (5.0 - _WORST[kind]) / 4 * min(severity, 5.2) / 5
    return max(0.0, left)


def draw_damage(rng: np.random.Generator) -> Damage:
    """A clean picture in one of six cases, one fault in most, two of different families else."""
    count = int(rng.choice(3, p=(0.17, 0.58, 0.25)))
    families = rng.choice(len(_FAMILIES), size=count, replace=False, p=_family_odds())
    faults = {
        str(rng.choice(_FAMILIES[family])): float(rng.uniform(0.6, 5.2)) for family in families
    }
    if faults.get("desaturation") and rng.random() < 0.2:
        faults["desaturation"] = 5.0
    return Damage(faults, int(rng.integers(1 << 31)))


def without(damage: Damage, *kinds: str) -> Damage:
    """The same without some kinds, which would leave the picture as it is."""
    left = {kind: value for kind, value in damage.faults.items() if kind not in kinds}
    return Damage(left, damage.seed)


def apply_damage(pixels: Pixels, damage: Damage) -> Pixels:
    """A damaged copy; the same for the same damage.

    Args:
        pixels: RGB, shape (h, w, 3), 0–255.
        damage: which faults, how strong, and the seed of noise, directions, tints and codecs.
    """
    for kind in _ORDER:
        if kind in damage.faults:
            rng = np.random.default_rng([damage.seed, FAULTS.index(kind)])
            pixels = _one(pixels, kind, amount(kind, damage.faults[kind]), rng)
    return pixels


def amount(kind: str, severity: float) -> float:
    """The parameter of a fault at a severity from 0 to 5.2."""
    steps_of_kind = _AMOUNTS[kind]
    return float(np.interp(min(severity, 5.0), range(6), steps_of_kind))


def _family_odds() -> list[float]:
    # Kinds shall come equally often, whatever family they are of.
    counts = [len(family) for family in _FAMILIES]
    return [count / sum(counts) for count in counts]


def _one(pixels: Pixels, kind: str, value: float, rng: np.random.Generator) -> Pixels:
    if kind == "compression":
        return _coded(pixels, value, rng)
    if kind == "downscale":
        return _rescaled(pixels, value, rng)
    image: NDArray[Any] = pixels.astype(np.float32)
    if kind == "blur":
        image = ndimage.gaussian_filter(image, (value, value, 0), mode="reflect")
    elif kind == "motion_blur":
        path = steps.motion_path(max(value, 1.0), angle=float(rng.uniform(0, np.pi)))
        half = path.shape[0] // 2
        padded = np.pad(image, ((half, half), (half, half), (0, 0)), mode="reflect")
        image = signal.fftconvolve(padded, path[..., None], mode="valid", axes=(0, 1))
    elif kind == "noise":
        image = image + _grain(image.shape, value, rng)
    elif kind == "banding":
        step = 255 / (value - 1)
        image = np.rint(image / step) * step
    elif kind in ("underexposure", "overexposure"):
        stops = -value if kind == "underexposure" else value
        image = steps.encode(steps.decode(image) * 2.0**stops)
    elif kind == "low_contrast":
        # Flat photos are veiled, sunk or centred: the level they gather round differs.
        middle = image.mean() if rng.random() < 0.6 else float(rng.uniform(70, 190))
        image = middle + (image - middle) * value
    elif kind in ("desaturation", "oversaturation"):
        grey = image @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        image = grey[..., None] + (image - grey[..., None]) * value
    else:
        image = image * (1 + value * _tint(rng))
    clipped: Pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return clipped


def _tint(rng: np.random.Generator) -> NDArray[np.float32]:
    if rng.random() < 0.6:
        tint = np.array(steps.TINTS[int(rng.integers(len(steps.TINTS)))], dtype=np.float32)
    else:
        tint = rng.normal(size=3).astype(np.float32)
        tint -= tint.mean()
        tint /= np.abs(tint).max()
    return tint


def _grain(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> NDArray[np.float32]:
    if rng.random() < 0.75:
        return rng.normal(0, sigma, shape).astype(np.float32)
    # Grain of light alone, the same in every channel.
    return np.repeat(rng.normal(0, sigma, (*shape[:2], 1)), 3, axis=2).astype(np.float32)


def _rescaled(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    height, width = pixels.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    up = Image.Resampling.BICUBIC if rng.random() < 0.7 else Image.Resampling.BILINEAR
    image = Image.fromarray(pixels).resize(small, Image.Resampling.BICUBIC)
    return np.asarray(image.resize((width, height), up), dtype=np.uint8)


def _coded(pixels: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    """Through JPEG mostly, else through WebP or AVIF at a quality that hurts about as much."""
    codec = str(rng.choice(("JPEG", "WEBP", "AVIF"), p=(0.7, 0.18, 0.12)))
    # Newer codecs keep more at the same number: these curves bring like damage together.
    options: dict[str, Any] = {
        "JPEG": {"quality": round(quality), "subsampling": 2},
        "WEBP": {"quality": max(0, round(quality * 0.55 - 2)), "method": 2},
        "AVIF": {"quality": max(1, round(quality * 0.55)), "speed": 9},
    }[codec]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, codec, **options)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)
