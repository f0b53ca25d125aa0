"""Colours in words and numbers: CIELab, colour casts, colour names, harmony of hues.

Works on small copies (some ten thousand pixels). Every function accepts any content, grey and
flat included, and returns finite numbers. Lab arrays are float32, shape (h, w, 3): L* 0–100,
a* and b* about −128 to 127. Hues are CIELab hue angles in degrees, 0 to 360.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]],
    dtype=np.float32,
)
_WHITE = np.array([0.9505, 1.0, 1.089], dtype=np.float32)  # D65
_LINEAR = np.array(
    [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in np.arange(256) / 255],
    dtype=np.float32,
)

_COLOURED = 10.0
_SECTOR_BINS = 36

# First hue angle of each family; the last one runs on to the first.
_FAMILIES = (
    (20, "red"), (50, "orange"), (78, "yellow"), (110, "green"), (165, "teal"),
    (215, "blue"), (305, "violet"), (335, "pink"),
)  # fmt: skip

_TINTS = (
    (15, "reddish"), (45, "orange"), (75, "yellowish"), (115, "greenish"), (185, "cyan"),
    (230, "bluish"), (300, "purplish"), (335, "pinkish"),
)  # fmt: skip

# Templates of Cohen-Or et al. (2006): (centre, width) of each sector in degrees.
_TEMPLATES = {
    "monochromatic": ((0, 18),),
    "analogous": ((0, 94),),
    "complementary": ((0, 18), (180, 18)),
    "right-angled": ((0, 18), (90, 80)),
    "split complementary": ((0, 94), (180, 18)),
}


class Cast(NamedTuple):
    """A tint over what should be grey: CIELab distance from grey (0 to about 60), and its name."""

    strength: float
    tint: str


class Palette(NamedTuple):
    """Names of the colours that dominate, strongest first, and the share of coloured pixels."""

    names: tuple[str, ...]
    share: float


class Harmony(NamedTuple):
    """How well hues fit the best harmonic template (0 to 1), and that template's name."""

    fit: float
    scheme: str


def lab_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """sRGB → CIELab (CIE 1976, D65)."""
    ratio = (_LINEAR[pixels] @ _TO_XYZ.T) / _WHITE
    cube = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    x, y, z = cube[..., 0], cube[..., 1], cube[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def cast_of(lab: NDArray[np.float32]) -> Cast:
    """The mean colour of the least coloured quarter of the midtones, as a cast.

    After Cecere, Gasparini & Schettini (2004): what lies nearest to grey should be grey. A scene
    without anything grey (a lawn, a sunset) has a tint in the same sense.
    """
    flat = lab.reshape(-1, 3)
    midtones = flat[(flat[:, 0] > 12) & (flat[:, 0] < 95)]
    if len(midtones) == 0:
        return Cast(0.0, "neutral")
    chroma = np.hypot(midtones[:, 1], midtones[:, 2])
    near_grey = midtones[chroma <= np.percentile(chroma, 25)]
    a, b = float(near_grey[:, 1].mean()), float(near_grey[:, 2].mean())
    strength = float(np.hypot(a, b))
    if strength < 2.0:
        return Cast(strength, "neutral")
    return Cast(strength, _named(_angle(a, b), _TINTS))


def palette_of(lab: NDArray[np.float32]) -> Palette:
    """The one to three colours that carry at least a fifth of the image's chroma each."""
    flat = lab.reshape(-1, 3)
    chroma = np.hypot(flat[:, 1], flat[:, 2])
    coloured = chroma > _COLOURED
    share = float(coloured.mean())
    if share < 0.03:
        return Palette((), share)
    flat, chroma = flat[coloured], chroma[coloured]
    hues = np.degrees(np.arctan2(flat[:, 2], flat[:, 1])) % 360
    starts = np.array([start for start, _ in _FAMILIES])
    family = (np.searchsorted(starts, hues, side="right") - 1) % len(_FAMILIES)
    weight = np.bincount(family, weights=chroma, minlength=len(_FAMILIES)) / chroma.sum()
    names: list[str] = []
    for index in np.argsort(-weight, kind="stable")[:3]:
        if weight[index] < 0.2 and names:
            break
        members = family == index
        lightness = float(np.average(flat[members, 0], weights=chroma[members]))
        name = _shade(_FAMILIES[index][1], lightness, float(chroma[members].mean()))
        if name not in names:
            names.append(name)
    return Palette(tuple(names), share)


def harmony_of(lab: NDArray[np.float32]) -> Harmony:
    """Fit of the hues to the harmonic templates of Cohen-Or et al. (2006), on CIELab hues.

    exp(−d/10), d being the mean distance in degrees of the hues, weighted by chroma, from the
    sectors of the best template at its best rotation: 1 means all hues lie within. Images with
    next to no colour count as monochromatic, fit 1.
    """
    flat = lab.reshape(-1, 3)
    chroma = np.hypot(flat[:, 1], flat[:, 2])
    weight = np.where(chroma > _COLOURED, chroma, 0)
    if (chroma > _COLOURED).mean() < 0.03:
        return Harmony(1.0, "monochromatic")
    hues = np.degrees(np.arctan2(flat[:, 2], flat[:, 1])) % 360
    bins = np.minimum((hues / 360 * _SECTOR_BINS).astype(np.int64), _SECTOR_BINS - 1)
    shares = np.bincount(bins, weights=weight, minlength=_SECTOR_BINS) / weight.sum()
    best, scheme = 90.0, "mixed"
    for name, distances in _DISTANCES.items():
        away = float((distances @ shares).min())
        # A wider template has to fit clearly better than the simpler one before it.
        if away < best - 1.5:
            best, scheme = away, name
    fit = math.exp(-best / 10)
    return Harmony(fit, scheme if fit > 0.35 else "mixed")


def _distances(sectors: tuple[tuple[int, int], ...]) -> NDArray[np.float64]:
    """Distance in degrees of every hue bin from a template, per rotation: (rotations, bins)."""
    hues = (np.arange(_SECTOR_BINS) + 0.5) * 360 / _SECTOR_BINS
    turns = np.arange(_SECTOR_BINS)[:, None] * 360 / _SECTOR_BINS
    away = [
        np.maximum(np.abs((hues - turns - centre + 180) % 360 - 180) - width / 2, 0)
        for centre, width in sectors
    ]
    nearest: NDArray[np.float64] = np.min(away, axis=0)
    return nearest


_DISTANCES = {scheme: _distances(sectors) for scheme, sectors in _TEMPLATES.items()}


def _angle(a: float, b: float) -> float:
    return float(np.degrees(np.arctan2(b, a)) % 360)


def _named(hue: float, names: tuple[tuple[int, str], ...]) -> str:
    found = names[-1][1]
    for start, name in names:
        if hue >= start:
            found = name
    return found


def _shade(family: str, lightness: float, chroma: float) -> str:  # noqa: PLR0911
    """The everyday name of a family's colour at a lightness and chroma."""
    if family == "red" and lightness < 30:
        return "maroon" if chroma > 25 else "dark brown"
    if family in ("red", "pink") and lightness > 62:
        return "pink" if chroma > 15 else "rosy grey"
    if family == "orange":
        if lightness < 42:
            return "brown"
        return "orange" if chroma > 40 else "tan"
    if family == "yellow":
        if lightness < 50:
            return "olive"
        return "yellow" if chroma > 40 else "sand"
    if family == "green":
        return "dark green" if lightness < 35 else "green" if chroma > 18 else "sage"
    if family == "teal":
        return "turquoise" if lightness > 65 else "teal"
    if family == "blue":
        if lightness > 60:
            return "sky blue" if chroma > 15 else "pale blue"
        return "navy" if lightness < 25 else "blue" if chroma > 18 else "slate blue"
    if family == "violet":
        return "lilac" if lightness > 60 else "violet"
    return {"pink": "magenta" if chroma > 40 else "plum"}.get(family, family)
