"""Small image statistics on plain arrays: each takes pixels and returns one or a few numbers.

Every function accepts any size from 1×1 and any content, flat included, and returns finite
numbers; `measure` puts them together. Luma is float32, shape (h, w), grey levels 0–255.
Must not know what a number is good for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Plane = NDArray[np.float32]

_TINY = 1e-6

# Half the window in which `edge_blur` looks for both ends of an edge, and its least height.
_EDGE_REACH = 6
_MIN_EDGE = 20.0


def luma_of(pixels: NDArray[np.uint8]) -> Plane:
    """RGB → luma, weights of ITU-R BT.601, grey levels 0–255."""
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    luma: Plane = pixels.astype(np.float32) @ weights
    return luma


def edge_blur(luma: Plane, noise: float = 0.0) -> tuple[float, float, float]:
    """How far edges are smeared: standard deviation in pixels at the 10th, 50th, 85th percentile.

    An edge of height H smeared by a Gaussian of standard deviation s has the slope H / (s √2π)
    (edge width as in Marziliano et al. 2002, read off the slope instead of the extrema). Slopes
    are the steps to the next pixel at their local maxima; heights are the range of luma within six
    pixels. Only edges that stand out of the noise (standard deviation in grey levels) count.

    Returns:
        Each 0.4 (a step between two pixels) to 6.0; three NaN where the image has no edges: the
        caller decides what that means.
    """
    nothing = (float("nan"),) * 3
    if min(luma.shape) < 3:
        return nothing
    widths = []
    for axis in (0, 1):
        # Every other line tells as much, in half the time.
        plane = (luma if axis else luma.T)[:: 2 if luma.shape[1 - axis] >= 128 else 1]
        steps = np.abs(np.diff(plane, axis=1))
        if steps.shape[1] < 2:
            continue
        high = ndimage.maximum_filter1d(plane, 2 * _EDGE_REACH + 1, axis=1)
        low = ndimage.minimum_filter1d(plane, 2 * _EDGE_REACH + 1, axis=1)
        height = (high - low)[:, :-1]
        peak = steps >= ndimage.maximum_filter1d(steps, 2 * _EDGE_REACH + 1, axis=1)
        edge = peak & (height > max(_MIN_EDGE, 8 * noise)) & (steps > 2 * noise + 1)
        if edge.any():
            # Noise widens the range that is taken for the height, at both of its ends.
            net = np.maximum(height[edge] - 3 * noise, 1)
            widths.append(net / steps[edge] / np.sqrt(2 * np.pi))
    spread = np.concatenate(widths) if widths else np.zeros(0)
    if spread.size < 8:
        return nothing
    sharp, soft = np.percentile(spread, [10, 85])
    # Motion smears one direction only: the worse one speaks.
    median = max(float(np.median(width)) for width in widths if 4 * width.size >= spread.size)
    found = np.clip([sharp, median, max(soft, median)], 0.4, 6.0)
    return float(found[0]), float(found[1]), float(found[2])


def octave_ratio(luma: Plane, noise: float = 0.0) -> float:
    """Energy of the finest octave over that of the next one, in log2 units, −8 to 2.

    Spectra of natural scenes fall as 1/f² (Field 1987), which gives every octave alike; blur,
    smoothing and enlargement empty the finest one. White noise of the given standard deviation
    is taken out of both bands first.
    """
    if min(luma.shape) < 8:
        return 0.0
    once = ndimage.gaussian_filter(luma, 0.8, mode="nearest")
    twice = ndimage.gaussian_filter(once, 1.4, mode="nearest")
    fine, coarse = np.var(luma - once), np.var(once - twice)
    # Shares of white noise that pass the two bands, measured on white noise.
    fine = max(float(fine) - 0.68 * noise**2, 0.0)
    coarse = max(float(coarse) - 0.083 * noise**2, 0.0)
    if fine + coarse < 0.05:
        return 0.0
    return float(np.clip(np.log2((fine + _TINY) / (coarse + _TINY)), -8.0, 2.0))


def noise_sigma(luma: Plane) -> float:
    """Standard deviation of fine noise in grey levels, 0 to about 60.

    Immerkær's (1996) mask, which is blind to planes and edges along the axes, in blocks of 16
    pixels; the calmest tenth of the blocks that are neither black nor white speaks for the
    image, so that texture elsewhere does not pass for noise.
    """
    if min(luma.shape) < 3:
        return 0.0
    rows = luma[:-2] - 2 * luma[1:-1] + luma[2:]
    residual = np.abs(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:])
    side = 16 if min(residual.shape) >= 32 else min(4, *residual.shape)
    level = _blocks(luma[1:-1, 1:-1], side).mean(axis=1)
    means = _blocks(residual, side).mean(axis=1)
    open_to_noise = (level > 12) & (level < 243)
    means = means[open_to_noise] if open_to_noise.sum() >= 4 else means
    calm = float(np.percentile(means, 10))
    # The tenth percentile of block means lies a little below their mean.
    correction = 1.09 if side == 16 else 1.2
    return float(np.sqrt(np.pi / 2) / 6 * calm * correction)


def blockiness(luma: Plane) -> float:
    """Visibility of an 8×8 grid of any phase, 0 to 1.

    Steps across the grid's lines against steps between all other neighbours (after Wang, Sheikh
    & Bovik 2002), with the phase found as the strongest of the eight. The share of the step that
    is due to the grid: 0 means no grid, 0.5 that lines carry twice the step of their neighbours.
    """
    return float(np.clip((_grid(luma) + _grid(luma.T)) / 2, 0, 1))


def _grid(luma: Plane) -> float:
    """Blockiness across the columns of one plane."""
    if luma.shape[1] < 40 or luma.shape[0] < 4:
        return 0.0
    steps = np.abs(np.diff(luma, axis=1))
    # Kinks, not slopes: a step that its neighbours share belongs to the picture.
    kink = np.maximum(steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2, 0)
    # Strong edges say little about a grid, and would drown it.
    profile = np.minimum(kink, 12).mean(axis=0)
    usable = len(profile) // 8 * 8
    folded = np.median(profile[:usable].reshape(-1, 8), axis=0)
    phase = int(np.argmax(folded))
    others = np.delete(folded, phase)
    excess = max(float(folded[phase] - others.max()), 0.0)
    return excess / (float(folded[phase]) + 0.15)


def bandwidth(luma: Plane) -> float:
    """Share of the frequencies up to Nyquist that carry detail, 0 to 1.

    The frequency below which 95 % of the whitened (times f²) power lies, from a windowed spectrum
    of at most 256×256 pixels in the middle: an image enlarged by a factor k keeps about 1/k.
    """
    height, width = luma.shape
    side = min(256, height, width)
    if side < 16:
        return 1.0
    top, left = (height - side) // 2, (width - side) // 2
    cut = luma[top : top + side, left : left + side]
    window = np.hanning(side).astype(np.float32)
    power = np.abs(fft.rfft2((cut - cut.mean()) * window[:, None] * window[None, :])) ** 2
    radius = np.hypot(fft.fftfreq(side)[:, None], fft.rfftfreq(side)[None, :]) * 2
    rings = np.minimum((radius * 32).astype(np.int64), 32)
    counts = np.bincount(rings.ravel(), minlength=33)[:32]
    sums = np.bincount(rings.ravel(), weights=power.ravel(), minlength=33)[:32]
    centres = (np.arange(32) + 0.5) / 32
    # White noise and rounding reach to the corners; what the last rings hold is taken for them.
    mean = np.maximum(sums / np.maximum(counts, 1) - 1.2 * sums[30:].sum() / counts[30:].sum(), 0)
    energy = np.cumsum(mean * centres**2 * centres)
    if energy[-1] <= _TINY:
        return 1.0
    return float(centres[int(np.searchsorted(energy, 0.95 * energy[-1]))])


def missing_levels(luma: Plane) -> float:
    """Share of grey levels that no pixel has between the 2nd and the 98th percentile, 0 to 1.

    Stretched tones and coarse steps leave such gaps (banding). 0 where too few pixels could fill
    the range.
    """
    levels = np.clip(np.rint(luma), 0, 255).astype(np.int64).ravel()
    low, high = (int(value) for value in np.percentile(levels, [2, 98]))
    if high - low < 16 or levels.size < 64 * (high - low):
        return 0.0
    counts = np.bincount(levels, minlength=256)[low : high + 1]
    return float((counts == 0).mean())


def entropy(luma: Plane) -> float:
    """Shannon entropy of the grey levels in bits, 0 to 8."""
    counts = np.bincount(np.clip(np.rint(luma), 0, 255).astype(np.int64).ravel(), minlength=256)
    shares = counts[counts > 0] / counts.sum()
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


def edge_density(luma: Plane) -> float:
    """Share of pixels whose Sobel gradient exceeds 12 grey levels per pixel, 0 to 1."""
    rows = ndimage.sobel(luma, axis=0, mode="nearest") / 8
    columns = ndimage.sobel(luma, axis=1, mode="nearest") / 8
    return float((np.hypot(rows, columns) > 12).mean())


def colourfulness(pixels: NDArray[np.uint8]) -> float:
    """Colourfulness of Hasler & Süsstrunk (2003), 0 (grey) to about 180; 33 is moderate."""
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    across, along = red - green, (red + green) / 2 - blue
    spread = np.hypot(across.std(), along.std())
    return float(spread + 0.3 * np.hypot(across.mean(), along.mean()))


def mirror_symmetry(luma: Plane) -> float:
    """Correlation of the image with its left-right mirror image, −1 to 1; 0 where it is flat."""
    smooth = ndimage.gaussian_filter(luma, 1.5, mode="nearest")
    centred = smooth - smooth.mean()
    energy = float((centred**2).sum())
    if energy < _TINY * luma.size:
        return 0.0
    return float(np.clip((centred * centred[:, ::-1]).sum() / energy, -1, 1))


class Attention(NamedTuple):
    """Where the salient mass lies; positions run from 0 (left, top) to 1 (right, bottom)."""

    thirds: float
    centre: float
    x: float
    y: float
    spread: float


def attention(lab: Plane) -> Attention:
    """Salient mass near the thirds points and the centre, and its middle and spread.

    Saliency is the distance of the smoothed CIELab colour from the image's mean colour (Achanta
    et al. 2009), squared so that what stands out counts. `thirds` and `centre` are shares of the
    mass within one sixth of the side of a thirds point or within one sixth of the middle, over
    the shares of the area: 1 means evenly spread; both are capped at 4. `spread` is the mean
    distance from the mass's own middle, 0 (one spot) to about 0.4 (everywhere).
    """
    height, width = lab.shape[:2]
    smooth = ndimage.gaussian_filter(lab, (1.0, 1.0, 0.0), mode="nearest")
    mass = ((smooth - smooth.mean(axis=(0, 1))) ** 2).sum(axis=2).astype(np.float64)
    total = float(mass.sum())
    if total < 1.0 * mass.size:
        return Attention(1.0, 1.0, 0.5, 0.5, 0.38)
    mass /= total
    y = ((np.arange(height) + 0.5) / height)[:, None]
    x = ((np.arange(width) + 0.5) / width)[None, :]
    third = np.minimum(np.hypot(np.abs(x - 0.5) - 1 / 6, np.abs(y - 0.5) - 1 / 6), 9)
    middle = np.hypot(x - 0.5, y - 0.5)
    shares = [
        min(4.0, float(mass[near].sum()) / max(float(near.mean()), 1 / mass.size))
        for near in (third < 1 / 6, middle < 1 / 6)
    ]
    centre_x, centre_y = float((mass * x).sum()), float((mass * y).sum())
    spread = float((mass * np.hypot(x - centre_x, y - centre_y)).sum())
    return Attention(shares[0], shares[1], centre_x, centre_y, spread)


def light_slope(luma: Plane) -> tuple[float, float]:
    """How much brighter the right and the lower side are, in grey levels from side to side.

    The least-squares plane through luma: (rightward, downward), each about −255 to 255.
    """
    height, width = luma.shape
    y = (np.arange(height) + 0.5) / height - 0.5
    x = (np.arange(width) + 0.5) / width - 0.5
    centred = luma - luma.mean()
    rightward = float((centred.mean(axis=0) * x).sum() / max(float((x**2).sum()), _TINY))
    downward = float((centred.mean(axis=1) * y).sum() / max(float((y**2).sum()), _TINY))
    return rightward * (width > 1), downward * (height > 1)


def focus_on_centre(luma: Plane) -> float:
    """Fine detail of the middle against that of its surroundings, −1 to 1.

    (c − s) / (c + s) of the mean absolute Laplacians of the central half (by side) and of its
    surroundings: 0 is even, 0.5 says that the centre holds three times as much detail.
    """
    height, width = luma.shape
    if min(height, width) < 8:
        return 0.0
    detail = np.abs(ndimage.laplace(luma, mode="nearest"))
    inner = np.zeros(luma.shape, dtype=bool)
    inner[height // 4 : -(height // 4), width // 4 : -(width // 4)] = True
    centre, around = float(detail[inner].mean()), float(detail[~inner].mean())
    return (centre - around) / (centre + around) if centre + around > 0.1 else 0.0


def _blocks(plane: Plane, side: int) -> Plane:
    """Whole blocks of a plane, shape (blocks, side × side)."""
    height, width = plane.shape[0] // side, plane.shape[1] // side
    cut = plane[: height * side, : width * side].reshape(height, side, width, side)
    return cut.transpose(0, 2, 1, 3).reshape(height * width, side * side)
