"""What can be measured in a photo without any training, and what the measurements imply.

`measure` turns pixels into `Measurements`; `faults`, `implied_quality` and `implied_aesthetic`
are plain documented functions of those. Bounded work: what needs single pixels is read off the
whole image or, where that is large, off a fixed 3×3 grid of crops; the rest off a shrunk copy.
Must not know captions, engines or files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation.measuring import pixelstats as stats
from curation.measuring.hues import cast_of, harmony_of, lab_of, palette_of

_WHOLE = 300_000
_CROP = 160
_SHRUNK = 384
_SMALL = 112


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measurements of one photo; all numbers are finite."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    edge_blur: float
    """Median standard deviation of the blur of edges, 0.4–6 pixels (Marziliano et al. 2002)."""
    sharpest_blur: float
    """The same of the sharpest tenth of the edges: low where anything at all is in focus."""
    softest_blur: float
    """The same at the 85th percentile: high where some part is out of focus."""
    fine_detail: float
    """Finest octave over the next one, log2, −8 to 2; near 0.5 when sharp (Field 1987)."""
    bandwidth: float
    """Share of frequencies that carry detail, 0–1; about 1/k after enlarging by k."""
    noise: float
    """Standard deviation of fine noise, grey levels 0–60 (Immerkær 1996)."""
    blockiness: float
    """Visibility of an 8×8 compression grid, 0–1 (Wang, Sheikh & Bovik 2002)."""
    banding: float
    """Share of grey levels missing between the 2nd and 98th percentile, 0–1."""
    brightness: float
    """Mean luma, 0–1."""
    bright_end: float
    """95th percentile of luma, 0–1."""
    highlights: float
    """Share of pixels clipped to white (luma ≥ 250 of 255), 0–1."""
    shadows: float
    """Share of pixels clipped to black (luma ≤ 5 of 255), 0–1."""
    contrast: float
    """RMS contrast: standard deviation of luma, 0–0.5 (Peli 1990)."""
    tonal_range: float
    """1st to 99th percentile of luma, 0–1."""
    colourfulness: float
    """0 (grey) to about 180; 33 is moderate (Hasler & Süsstrunk 2003)."""
    saturation: float
    """Mean CIELab chroma, 0 to about 130; 20 is ordinary."""
    cast: float
    """CIELab distance of the near-grey midtones from grey, 0–60 (Cecere et al. 2004)."""
    tint: str
    """Name of that cast's colour, ``neutral`` below 2."""
    warmth: float
    """Mean b* of CIELab: positive is warm (yellow), negative cool (blue); about −60 to 60."""
    colours: tuple[str, ...]
    """Names of the up to three dominant colours, strongest first; empty when there are none."""
    coloured: float
    """Share of pixels with a visible colour (chroma above 10), 0–1."""
    harmony: float
    """Fit of the hues to the best harmonic template, 0–1 (Cohen-Or et al. 2006)."""
    scheme: str
    """That template: monochromatic, analogous, complementary … or ``mixed``."""
    symmetry: float
    """Correlation of the photo with its left-right mirror image, −1 to 1."""
    thirds: float
    """Salient mass near the thirds points over its even share, 0–4 (Achanta et al. 2009)."""
    centre: float
    """Salient mass near the middle over its even share, 0–4."""
    subject_x: float
    """Middle of the salient mass, 0 (left) to 1 (right)."""
    subject_y: float
    """Middle of the salient mass, 0 (top) to 1 (bottom)."""
    subject_spread: float
    """Mean distance of the salient mass from its middle in sides, 0 (one spot) to about 0.4."""
    depth: float
    """log2 of softest over sharpest edges, 0 to about 4: high with a shallow depth of field."""
    focus_on_centre: float
    """Detail of the middle against its surroundings, −1 to 1."""
    edges: float
    """Share of pixels on an edge in a copy of 384 pixels, 0–1: clutter."""
    entropy: float
    """Shannon entropy of luma, 0–8 bits."""
    light_right: float
    """Brightness of the right side minus the left's by a fitted plane, −1 to 1."""
    light_down: float
    """Brightness of the lower side minus the upper's by a fitted plane, −1 to 1."""

    @property
    def megapixels(self) -> float:
        """Million pixels."""
        return self.width * self.height / 1e6

    @property
    def orientation(self) -> str:
        """``landscape``, ``portrait`` or ``square`` (sides within 5 %)."""
        if max(self.width, self.height) <= 1.05 * min(self.width, self.height):
            return "square"
        return "landscape" if self.width > self.height else "portrait"

    @property
    def light_side(self) -> str:
        """The brightest side, such as ``upper left`` or ``right``; ``even`` where there is none."""
        return side_of(self.light_right, self.light_down)

    @property
    def subject_place(self) -> str:
        """Where the salient mass lies: ``centre``, ``left``, ``upper right`` …"""
        vertical = "upper" if self.subject_y < 0.43 else "lower" if self.subject_y > 0.57 else ""
        sideways = "left" if self.subject_x < 0.43 else "right" if self.subject_x > 0.57 else ""
        return f"{vertical} {sideways}".strip() or "centre"

    @property
    def focus(self) -> float:
        """One number for blur in pixels: the median edge's, less where something is in focus."""
        return float(self.edge_blur**0.7 * self.sharpest_blur**0.3)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something technically wrong: one of `FAULT_KINDS`, and how badly, 0 to 1."""

    kind: str
    severity: float


def side_of(right: float, down: float) -> str:
    """The name of the side that brightness rises towards, ``even`` where it hardly rises.

    Args:
        right, down: brightness of the right side minus the left's, of the lower minus the upper's,
            −1 to 1.
    """
    strength = math.hypot(down, right)
    if strength < 0.08:
        return "even"
    vertical = "" if abs(down) < 0.4 * strength else "lower" if down > 0 else "upper"
    sideways = "" if abs(right) < 0.4 * strength else "right" if right > 0 else "left"
    if not sideways:
        return "bottom" if vertical == "lower" else "top"
    return f"{vertical} {sideways}".strip()


def measure(pixels: NDArray[np.uint8]) -> Measurements:
    """Measure a photo.

    Args:
        pixels: upright RGB, shape (h, w, 3), 0–255, at least 1×1.

    Raises:
        ValueError: an array of another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(f"expected uint8 of shape (h, w, 3), not {pixels.dtype} {pixels.shape}")
    height, width = pixels.shape[:2]
    shrunk = _shrink(pixels, _SHRUNK)
    luma = stats.luma_of(shrunk)
    lab = lab_of(_shrink(shrunk, _SMALL))
    stride = max(1, math.isqrt(height * width // _WHOLE))
    sample = pixels[::stride, ::stride]
    tones = stats.luma_of(sample)
    low, bright, high = (float(v) / 255 for v in np.percentile(tones, [1, 95, 99]))
    cast, palette, harmony = cast_of(lab), palette_of(lab), harmony_of(lab)
    where = stats.attention(lab)
    right, down = stats.light_slope(luma)
    fine = _fine(pixels)
    return Measurements(
        width=width,
        height=height,
        **fine,
        banding=stats.missing_levels(tones),
        brightness=float(tones.mean()) / 255,
        bright_end=bright,
        highlights=float((tones >= 250).mean()),
        shadows=float((tones <= 5).mean()),
        contrast=float(tones.std()) / 255,
        tonal_range=high - low,
        colourfulness=stats.colourfulness(sample),
        saturation=float(np.hypot(lab[..., 1], lab[..., 2]).mean()),
        cast=cast.strength,
        tint=cast.tint,
        warmth=float(lab[..., 2].mean()),
        colours=palette.names,
        coloured=palette.share,
        harmony=harmony.fit,
        scheme=harmony.scheme,
        symmetry=stats.mirror_symmetry(luma),
        thirds=where.thirds,
        centre=where.centre,
        subject_x=where.x,
        subject_y=where.y,
        subject_spread=where.spread,
        depth=math.log2(fine["softest_blur"] / fine["sharpest_blur"]),
        focus_on_centre=stats.focus_on_centre(luma),
        edges=stats.edge_density(luma),
        entropy=stats.entropy(tones),
        light_right=max(-1.0, min(1.0, right / 255)),
        light_down=max(-1.0, min(1.0, down / 255)),
    )


def _fine(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """What needs single pixels: per crop, then the median over the crops that can tell."""
    rows = []
    for crop in _crops(pixels):
        luma = stats.luma_of(crop)
        noise = stats.noise_sigma(luma)
        blocks = stats.blockiness(luma)
        detail = stats.octave_ratio(luma, noise)
        band = stats.bandwidth(luma)
        rows.append([*stats.edge_blur(luma, noise), detail, band, noise, blocks])
    table = np.array(rows, dtype=np.float64)
    # Without edges, the detail's spectrum stands in for them.
    blurs = [2.0 ** (0.75 - min(2.5, row[3] + 1.5) * 0.5) for row in table]
    unknown = np.isnan(table[:, 0])
    if not unknown.all():
        table = table[~unknown]
    else:
        table[:, :3] = np.clip(np.array(blurs)[:, None], 0.4, 6.0)
    sharp, edge, soft, detail, band, noise, blocks = np.median(table, axis=0).tolist()
    return {
        "edge_blur": edge,
        "sharpest_blur": float(table[:, 0].min()),
        "softest_blur": max(soft, sharp),
        "fine_detail": detail,
        "bandwidth": band,
        "noise": noise,
        "blockiness": blocks,
    }


def _crops(pixels: NDArray[np.uint8]) -> Iterable[NDArray[np.uint8]]:
    height, width = pixels.shape[:2]
    if height * width <= _WHOLE:
        return [pixels]
    tops = sorted({max(0, round((height - _CROP) * part)) for part in (0.1, 0.5, 0.9)})
    lefts = sorted({max(0, round((width - _CROP) * part)) for part in (0.1, 0.5, 0.9)})
    return [pixels[top : top + _CROP, left : left + _CROP] for top in tops for left in lefts]


def _shrink(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if max(height, width) <= side:
        return pixels
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(size, Image.Resampling.BOX, reducing_gap=2.0), dtype=np.uint8)


FAULT_KINDS = (
    "blur", "noise", "compression", "underexposure", "overexposure", "low contrast",
    "colour cast", "oversaturation", "undersaturation", "low resolution",
)  # fmt: skip


def _ramp(value: float, none: float, full: float) -> float:
    """0 at `none`, 1 at `full` (which may lie below), straight between, clipped beyond."""
    return max(0.0, min(1.0, (value - none) / (full - none)))


def fault_severities(m: Measurements) -> dict[str, float]:
    """Severity, 0 to 1, of every fault kind; 0 where the measurement is ordinary.

    Straight ramps between the value of ordinary clean photos and that of a severe distortion
    (`curation.demo.distort`, severity 5); ramps over pixels and grey levels are logarithmic. They
    start well inside the ordinary, so that small changes of one photo show.
    """
    blur = _ramp(math.log2(m.focus), math.log2(0.7), math.log2(3.0))
    soft = _ramp(m.fine_detail, 0.2, -2.8)
    small = _ramp(math.log2(max(m.megapixels, 1e-6)), math.log2(0.1), math.log2(0.005))
    return {
        "blur": (2 * blur + soft) / 3,
        "noise": _ramp(math.log2(m.noise + 0.5), math.log2(1.5), math.log2(18)),
        "compression": _ramp(m.blockiness, 0.2, 0.9),
        "underexposure": (_ramp(m.brightness, 0.4, 0.06) + _ramp(m.bright_end, 0.85, 0.2)) / 2,
        "overexposure": (_ramp(m.brightness, 0.55, 0.9) + _ramp(m.highlights**0.5, 0.1, 0.7)) / 2,
        "low contrast": (_ramp(m.tonal_range, 0.75, 0.12) + _ramp(m.contrast, 0.2, 0.03)) / 2,
        "colour cast": _ramp(m.cast, 4.0, 36.0),
        "oversaturation": _ramp(m.saturation, 38.0, 80.0),
        "undersaturation": _ramp(m.saturation, 16.0, 0.0),
        "low resolution": max(_ramp(m.bandwidth, 0.65, 0.15), small),
    }


def faults(m: Measurements) -> list[Fault]:
    """The faults that are worse than in nine of ten ordinary photographs, the worst first."""
    values = fault_severities(m).items()
    found = [Fault(kind, value) for kind, value in values if value > _ORDINARY[kind]]
    return sorted(found, key=lambda fault: (-fault.severity, fault.kind))


# Nine in ten of 240 unedited photographs (BSDS500) stay below these severities: up to there it is
# the scene that is dark, warm, pale or finely textured, and nothing to mention or to hold against
# the photo.
_ORDINARY = {
    "blur": 0.08, "noise": 0.3, "compression": 0.1, "underexposure": 0.35, "overexposure": 0.1,
    "low contrast": 0.35, "colour cast": 0.4, "oversaturation": 0.05, "undersaturation": 0.5,
    "low resolution": 0.05,
}  # fmt: skip

# The share of the quality that each fault at its worst leaves nothing of. In the order of
# KADID-10k's means at severity 5: blur and compression cost most, noise and darkness less.
# Grey may be meant and a tint the scene's own: they cost less than they would where they are not.
_COST = {
    "blur": 0.95, "compression": 0.9, "low resolution": 0.85, "overexposure": 0.8,
    "low contrast": 0.7, "noise": 0.65, "underexposure": 0.65, "colour cast": 0.65,
    "oversaturation": 0.4, "undersaturation": 0.3,
}  # fmt: skip


def implied_quality(m: Measurements) -> float:
    """Technical quality that the faults leave, 0 to 1: the product of 1 − cost × excess.

    The excess is a fault's severity beyond the ordinary, 0 to 1.

    Not trained: costs follow the order in which people rate the strongest distortions of
    KADID-10k (Lin, Hosu & Saupe 2019).
    """
    left = {
        kind: 1 - _COST[kind] * _ramp(value, _ORDINARY[kind], 1.0)
        for kind, value in fault_severities(m).items()
    }
    # An enlarged photo is a blurred one: the same loss is not to count twice.
    left["blur"] = min(left["blur"], left.pop("low resolution"))
    return math.prod(left.values())


def implied_aesthetic(m: Measurements) -> float:
    """Aesthetic appeal that the measurements suggest, 0 to 1: a weighted mean of seven cues.

    Not trained, and weak: what a photo shows matters more. Directions follow Datta et al. (2006)
    and Hasler & Süsstrunk (2003): colourful, technically sound, harmonious, balanced and clearly
    placed is liked; depth of field and uncluttered scenes count a little.
    """
    parts = (
        (0.35, _ramp(m.colourfulness, 5, 80)),
        (0.20, implied_quality(m)),
        (0.10, m.harmony),
        (0.10, _ramp(m.symmetry, -0.2, 0.8)),
        (0.10, _ramp(max(m.thirds, m.centre), 0.8, 2.0)),
        (0.05, _ramp(m.depth, 0.8, 2.2)),
        (0.10, _ramp(m.edges, 0.45, 0.05)),
    )
    return sum(weight * value for weight, value in parts)
