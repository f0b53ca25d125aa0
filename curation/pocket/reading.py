"""What is in one photo, as a sheet of discrete facts.

A `Reading` is all that a teacher text knows of a photo. Must not know pixels or words: whoever
measures or distorts the photo fills it in, `curation.pocket.answers` puts it into sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from uniqa.levels import LEVELS

FAULTS = (
    "blur", "motion_blur", "downscale", "noise", "compression", "banding", "underexposure",
    "overexposure", "low_contrast", "desaturation", "oversaturation", "colour_cast",
)  # fmt: skip
"""Kinds of distortion."""

_EIGHT = (
    "left", "right", "top", "bottom", "upper left", "upper right", "lower left", "lower right",
)  # fmt: skip

VALUES: dict[str, tuple[str, ...]] = {
    "quality": LEVELS,
    "beauty": LEVELS,
    "brightness": ("very dark", "dark", "balanced", "bright", "very bright"),
    "clipping": ("none", "highlights", "shadows", "both"),
    "contrast": ("very low", "low", "moderate", "strong", "very strong"),
    "sharpness": ("very soft", "soft", "fairly sharp", "crisp"),
    "noise": ("clean", "slight", "grainy", "very noisy"),
    "colourfulness": ("none", "muted", "moderate", "lively", "vivid"),
    "temperature": ("cool", "neutral", "warm"),
    "tint": (
        "neutral", "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink",
    ),
    "colours": (
        "red", "pink", "brown", "orange", "tan", "yellow", "olive", "green", "teal", "blue",
        "sky blue", "violet", "magenta",
    ),
    "harmony": ("unified", "related", "contrasting", "mixed"),
    "light": ("even", *_EIGHT),
    "depth": ("flat", "some", "shallow"),
    "place": (
        "centre", "left", "right", "upper", "lower",
        "upper left", "upper right", "lower left", "lower right",
    ),
    "focus_point": ("one spot", "spread"),
    "symmetry": ("none", "some", "strong"),
    "clutter": ("simple", "moderate", "busy"),
}  # fmt: skip
"""What each field of a `Reading` may hold; of `colours`, each of its up to two names."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The discrete facts of one photo; fields hold one of `VALUES`.

    `faults` are up to two (kind, severity 1–5), strongest first; none means a clean photo.
    `clipping` says which end of the scale is lost, `depth` *shallow* that the background is
    strongly blurred, `light` where it comes from, `place` where the eye goes first.
    """

    faults: tuple[tuple[str, int], ...]
    quality: str
    beauty: str
    brightness: str
    clipping: str
    contrast: str
    sharpness: str
    noise: str
    colourfulness: str
    temperature: str
    tint: str
    colours: tuple[str, ...]
    harmony: str
    light: str
    depth: str
    place: str
    focus_point: str
    thirds: bool
    symmetry: str
    clutter: str


def random_reading(rng: Random) -> Reading:
    """A made-up photo whose fields agree with its faults; for tests and rehearsals."""
    kinds = rng.sample(FAULTS, rng.choice((0, 0, 1, 1, 1, 2, 2)))
    faults = tuple(
        sorted(((kind, rng.randint(1, 5)) for kind in kinds), key=lambda fault: -fault[1])
    )
    severity = dict(faults)
    soft = max(severity.get(kind, 0) for kind in ("blur", "motion_blur", "downscale"))
    grain = severity.get("noise", 0)
    under, over = severity.get("underexposure", 0), severity.get("overexposure", 0)
    total = sum(severity.values())
    step = min(4, 4 - total // 2 if total else rng.choice((3, 4, 4)))
    return Reading(
        faults=faults,
        quality=LEVELS[max(0, step)],
        beauty=rng.choice(LEVELS),
        brightness=_graded(("balanced", "dark", "very dark"), under)
        if under
        else _graded(("balanced", "bright", "very bright"), over)
        if over
        else rng.choice(("dark", "balanced", "balanced", "bright")),
        clipping="shadows" if under > 2 else "highlights" if over > 2 else "none",
        contrast=_graded(("moderate", "low", "very low"), severity["low_contrast"])
        if "low_contrast" in severity
        else rng.choice(("moderate", "strong", "very strong")),
        sharpness=_graded(("fairly sharp", "soft", "very soft"), soft) if soft else "crisp",
        noise=_graded(("slight", "grainy", "very noisy"), grain) if grain else "clean",
        colourfulness=rng.choice(("none", "muted"))
        if "desaturation" in severity
        else "vivid"
        if "oversaturation" in severity
        else rng.choice(("muted", "moderate", "lively", "vivid")),
        temperature=rng.choice(VALUES["temperature"]),
        tint=rng.choice(VALUES["tint"][1:]) if "colour_cast" in severity else "neutral",
        colours=tuple(rng.sample(VALUES["colours"], rng.randint(0, 2))),
        harmony=rng.choice(VALUES["harmony"]),
        light=rng.choice(VALUES["light"]),
        depth=rng.choice(VALUES["depth"]),
        place=rng.choice(VALUES["place"]),
        focus_point=rng.choice(VALUES["focus_point"]),
        thirds=rng.random() < 0.5,
        symmetry=rng.choice(VALUES["symmetry"]),
        clutter=rng.choice(VALUES["clutter"]),
    )


def _graded(steps: tuple[str, str, str], severity: int) -> str:
    """The first step for a severity of 1, the last for 4 and 5."""
    return steps[0 if severity < 2 else 1 if severity < 4 else 2]
