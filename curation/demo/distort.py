"""Known distortions of known strength, for demo photos, tests and benchmarks.

Ten kinds with five severities each; 1 is just noticeable on a 512-pixel photo, 5 is severe.

| kind | parameter | 1 | 2 | 3 | 4 | 5 |
| --- | --- | --- | --- | --- | --- | --- |
| blur | Gaussian standard deviation, pixels | 0.8 | 1.3 | 2.0 | 3.0 | 4.5 |
| motion_blur | path length, pixels (angle from the seed) | 4 | 7 | 11 | 16 | 24 |
| noise | Gaussian standard deviation, grey levels | 4 | 8 | 13 | 19 | 27 |
| jpeg | JPEG quality, 4:2:0 | 50 | 32 | 20 | 11 | 5 |
| underexposure | stops less light | 0.7 | 1.2 | 1.8 | 2.5 | 3.3 |
| overexposure | stops more light, then clipped | 0.5 | 0.9 | 1.3 | 1.8 | 2.4 |
| contrast | remaining share of the contrast | 0.75 | 0.58 | 0.43 | 0.30 | 0.20 |
| desaturation | remaining share of the colour | 0.65 | 0.45 | 0.28 | 0.13 | 0 |
| colour_cast | gain between channels, ± (tint from the seed) | .06 | .11 | .17 | .24 | .32 |
| downscale | factor down and up again, bicubic | 1.5 | 2.1 | 3.0 | 4.3 | 6.2 |

Must not know who uses the result.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from uniqa.photos import Pixels

SEVERITIES: dict[str, tuple[float, float, float, float, float]] = {
    "blur": (0.8, 1.3, 2.0, 3.0, 4.5),
    "motion_blur": (4, 7, 11, 16, 24),
    "noise": (4, 8, 13, 19, 27),
    "jpeg": (50, 32, 20, 11, 5),
    "underexposure": (0.7, 1.2, 1.8, 2.5, 3.3),
    "overexposure": (0.5, 0.9, 1.3, 1.8, 2.4),
    "contrast": (0.75, 0.58, 0.43, 0.30, 0.20),
    "desaturation": (0.65, 0.45, 0.28, 0.13, 0.0),
    "colour_cast": (0.06, 0.11, 0.17, 0.24, 0.32),
    "downscale": (1.5, 2.1, 3.0, 4.3, 6.2),
}
"""kind → the parameter at severities 1 to 5 (the table above)."""

KINDS = tuple(SEVERITIES)

# KADID-10k (Lin, Hosu & Saupe 2019) has 10,125 rated images of 25 distortions at 5 severities.
# Averaged over all of its kinds, its MOS falls in almost equal steps: 4.08, 3.52, 3.06, 2.50,
# 2.01. So ours fall in equal steps from 5, down to the mean MOS of the like kind at severity 5:
# blurs and compression are forgiven least, darkness and noise most.
_WORST: dict[str, float] = {
    "blur": 1.30,  # Gaussian blur: 4.61 4.38 2.91 1.87 1.30
    "motion_blur": 1.67,  # motion blur: 4.60 4.10 2.85 2.18 1.67
    "noise": 2.30,  # additive white noise: 3.89 3.39 3.05 2.71 2.30
    "jpeg": 1.35,  # JPEG: 4.34 4.25 3.87 1.95 1.35
    "underexposure": 2.22,  # darken: 4.60 4.53 4.23 3.53 2.22
    "overexposure": 1.81,  # brighten: 4.51 4.29 3.63 2.70 1.81
    "contrast": 2.01,  # its contrast kind goes both ways, so: all kinds, 4.08 … 2.01
    "desaturation": 2.03,  # saturation in HSV: 2.75 2.33 2.26 2.24 2.03
    "colour_cast": 1.86,  # colour shift: 4.23 2.55 1.92 1.85 1.86
    "downscale": 1.50,  # pixelate: 3.89 3.10 2.90 2.79 1.50
}

# Directions of the tints a cast can take, as shares of the gain for R, G, B.
TINTS = ((1.0, 0.1, -1.0), (-1.0, 0.0, 1.0), (-0.6, 0.8, -0.6), (0.8, -0.8, 0.8))


def distort(pixels: Pixels, kind: str, severity: int, seed: int = 0) -> Pixels:
    """A distorted copy of a photo, the same for the same seed.

    Args:
        pixels: RGB, shape (h, w, 3), 0–255.
        kind: one of `KINDS`.
        severity: 1 to 5; 0 returns an unchanged copy.
        seed: decides the noise, the direction of the motion and the tint of the cast. The same
            seed gives the same direction and tint at every severity.

    Raises:
        ValueError: an unknown kind or severity.
    """
    if severity == 0 and kind in SEVERITIES:
        return pixels.copy()
    amount = _amount(kind, severity)
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    image = pixels.astype(np.float32)
    if kind == "jpeg":
        with Image.open(io.BytesIO(jpeg_bytes(pixels, severity))) as decoded:
            return np.asarray(decoded.convert("RGB"), dtype=np.uint8)
    if kind == "downscale":
        return _downscale(pixels, amount)
    if kind == "blur":
        image = ndimage.gaussian_filter(image, (amount, amount, 0), mode="reflect")
    elif kind == "motion_blur":
        path = motion_path(amount, angle=float(rng.uniform(0, np.pi)))
        image = np.stack([ndimage.convolve(image[..., c], path) for c in range(3)], axis=-1)
    elif kind == "noise":
        image = image + rng.normal(0, amount, image.shape).astype(np.float32)
    elif kind in ("underexposure", "overexposure"):
        stops = -amount if kind == "underexposure" else amount
        image = encode(decode(image) * 2.0**stops)
    elif kind == "contrast":
        image = image.mean() + (image - image.mean()) * amount
    elif kind == "desaturation":
        grey = image @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        image = grey[..., None] + (image - grey[..., None]) * amount
    else:
        tint = np.array(TINTS[int(rng.integers(len(TINTS)))], dtype=np.float32)
        image = image * (1 + amount * tint)
    clipped: Pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return clipped


def jpeg_bytes(pixels: Pixels, severity: int) -> bytes:
    """The photo as a JPEG file of the quality that belongs to this severity of ``jpeg``."""
    buffer = io.BytesIO()
    quality = int(_amount("jpeg", severity))
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=2)
    return buffer.getvalue()


def rating(kind: str, severity: int) -> float:
    """The rating that stands for a distortion, on a scale from 1 (worst) to 5 (clean).

    Equal steps from 5 at severity 0 to the kind's worst at severity 5, which is the mean MOS of
    the strongest severity of the like kind in KADID-10k. Derived, not given by people.

    Raises:
        ValueError: an unknown kind or severity.
    """
    if severity != 0 or kind not in SEVERITIES:
        _amount(kind, severity)
    return round(5.0 - (5.0 - _WORST[kind]) * severity / 5, 3)


def _amount(kind: str, severity: int) -> float:
    if kind not in SEVERITIES:
        raise ValueError(f"no distortion is called {kind!r}; known: {', '.join(KINDS)}")
    if severity not in (1, 2, 3, 4, 5):
        raise ValueError(f"a severity is 1, 2, 3, 4 or 5, not {severity!r}")
    return SEVERITIES[kind][severity - 1]


def motion_path(length: float, angle: float) -> NDArray[np.float32]:
    """A straight path of constant speed as a kernel, odd-sided, summing to 1."""
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), dtype=np.float32)
    for step in np.linspace(-length / 2, length / 2, num=8 * half + 1):
        row, column = half + step * np.sin(angle), half + step * np.cos(angle)
        top, left = int(np.floor(row)), int(np.floor(column))
        for y, x in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            share = (1 - abs(row - y)) * (1 - abs(column - x))
            if share > 0 and y < kernel.shape[0] and x < kernel.shape[1]:
                kernel[y, x] += share
    kernel /= kernel.sum()
    return kernel


def _downscale(pixels: Pixels, factor: float) -> Pixels:
    height, width = pixels.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    image = Image.fromarray(pixels).resize(small, Image.Resampling.BICUBIC)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.uint8)


def decode(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """sRGB 0–255 → linear light 0–1 (IEC 61966-2-1)."""
    shares = values / 255
    linear: NDArray[np.float32] = np.where(
        shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4
    ).astype(np.float32)
    return linear


def encode(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear light → sRGB 0–255; what is brighter than white is clipped."""
    light = np.clip(light, 0, 1)
    shares = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    encoded: NDArray[np.float32] = (shares * 255).astype(np.float32)
    return encoded
