"""What the eyes of the pocket models learn to read: a row of numbers per picture.

A row is the truth about a training picture (its known damage, and what `measure` finds in it).
The eyes are trained to give such rows; `reading_of` turns one into the words of a `Reading`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from curation.measuring.measure import Measurements, implied_aesthetic, side_of
from curation.pocket.damage import TASTE, Damage, quality_left
from curation.pocket.reading import FAULTS, Reading
from uniqa.levels import level_of

COLOURS = (
    "red", "pink", "brown", "orange", "tan", "yellow", "olive", "green", "teal", "blue",
    "sky blue", "violet", "magenta",
)  # fmt: skip
_PLAIN = {
    "maroon": "red", "dark brown": "brown", "rosy grey": "pink", "sand": "tan", "sage": "green",
    "dark green": "green", "turquoise": "teal", "pale blue": "sky blue", "navy": "blue",
    "slate blue": "blue", "lilac": "violet", "plum": "magenta",
}  # fmt: skip
TINTS = ("neutral", "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
_TINT_OF = {
    "reddish": "red", "yellowish": "yellow", "greenish": "green", "bluish": "blue",
    "purplish": "purple", "pinkish": "pink",
}  # fmt: skip

NUMBERS = (
    "quality", "beauty", "brightness", "highlights", "shadows", "contrast", "tonal_range",
    "focus", "fine_detail", "noise", "blockiness", "colourfulness", "saturation", "warmth", "cast",
    "harmony", "symmetry", "thirds", "subject_x", "subject_y", "subject_spread", "depth", "edges",
    "light_right", "light_down", "coloured",
)  # fmt: skip

# Where each part of a row lies.
MAIN = slice(0, len(FAULTS) + 1)
"""One-hot: which fault is the strongest; the last place says clean."""
SEVERITY = slice(MAIN.stop, MAIN.stop + len(FAULTS))
"""Severity of every fault over 5."""
NUMBER = slice(SEVERITY.stop, SEVERITY.stop + len(NUMBERS))
"""`NUMBERS`, each on a scale on which steps look alike."""
COLOUR = slice(NUMBER.stop, NUMBER.stop + len(COLOURS))
"""1 for the strongest colour, less for the others, 0 for none."""
TINT = slice(COLOUR.stop, COLOUR.stop + len(TINTS))
"""One-hot."""
WIDTH = TINT.stop

SEEN = 1.1
"""Severity below which a fault is not to be named."""


def target_of(m: Measurements, damage: Damage) -> NDArray[np.float32]:
    """The row of a picture, shape (WIDTH,)."""
    row = np.zeros(WIDTH, dtype=np.float32)
    faults = {kind: value for kind, value in damage.faults.items() if value >= SEEN}
    main = max(faults, key=lambda kind: faults[kind]) if faults else None
    row[FAULTS.index(main) if main else len(FAULTS)] = 1
    for kind, value in damage.faults.items():
        row[SEVERITY.start + FAULTS.index(kind)] = value / 5
    numbers = {
        "quality": damage.quality,
        "beauty": implied_aesthetic(m),
        "highlights": m.highlights**0.5,
        "shadows": m.shadows**0.5,
        "focus": math.log2(m.focus),
        "noise": math.log2(m.noise + 0.5),
        "colourfulness": math.log2(m.colourfulness + 4),
        "saturation": math.log2(m.saturation + 4),
    }
    row[NUMBER] = [numbers[name] if name in numbers else getattr(m, name) for name in NUMBERS]
    weight = 1.0
    for name in m.colours:
        plain = _PLAIN.get(name, name)
        if plain in COLOURS:
            place = COLOUR.start + COLOURS.index(plain)
            row[place] = max(row[place], weight)
            weight -= 0.35
    tint = _TINT_OF.get(m.tint, m.tint) if m.cast >= 6 else "neutral"
    row[TINT.start + TINTS.index(tint)] = 1
    return row


def reading_of(row: NDArray[np.float32], quality: float | None = None) -> Reading:
    """The words for a row of the truth or of what eyes saw.

    Args:
        row: shape (WIDTH,); in place of one-hot values there may be any scores, the highest wins.
        quality: 0 to 1, where something better is known than what the severities tell.
    """
    n = dict(zip(NUMBERS, row[NUMBER].tolist(), strict=True))
    severities = row[SEVERITY] * 5
    return Reading(
        faults=_faults(row[MAIN], severities),
        quality=level_of(quality_of(row) if quality is None else quality),
        beauty=level_of(_share((n["beauty"] - 0.33) / 0.42)),
        brightness=_bin(n["brightness"], (0.2, 0.36, 0.6, 0.76),
                        ("very dark", "dark", "balanced", "bright", "very bright")),
        clipping=_clipping(n["highlights"], n["shadows"]),
        contrast=_bin(n["contrast"], (0.085, 0.15, 0.215, 0.275),
                      ("very low", "low", "moderate", "strong", "very strong")),
        sharpness=_bin(n["focus"], (-0.15, 0.35, 0.95),
                       ("crisp", "fairly sharp", "soft", "very soft")),
        noise=_bin(n["noise"], (1.4, 2.2, 3.2), ("clean", "slight", "grainy", "very noisy")),
        colourfulness=_bin(2 ** n["colourfulness"] - 4, (6, 22, 42, 68),
                           ("none", "muted", "moderate", "lively", "vivid")),
        temperature=_bin(n["warmth"], (-5, 8), ("cool", "neutral", "warm")),
        tint=TINTS[int(row[TINT].argmax())],
        colours=_colours(row[COLOUR], n["coloured"]),
        harmony=_bin(n["harmony"], (0.72, 0.86, 0.95),
                     ("mixed", "contrasting", "related", "unified")),
        light=side_of(n["light_right"], n["light_down"]),
        depth=_bin(n["depth"], (1.05, 1.7), ("flat", "some", "shallow")),
        place=_place(n["subject_x"], n["subject_y"]),
        focus_point="one spot" if n["subject_spread"] < 0.36 else "spread",
        thirds=n["thirds"] > 1.05,
        symmetry=_bin(n["symmetry"], (0.25, 0.6), ("none", "some", "strong")),
        clutter=_bin(n["edges"], (0.1, 0.24), ("simple", "moderate", "busy")),
    )  # fmt: skip


def _faults(main: NDArray[np.float32], severities: NDArray[np.float32]) -> tuple[
    tuple[str, int], ...
]:  # fmt: skip
    first = int(main.argmax())
    if not _named(first, severities):
        return ()
    found = [(FAULTS[first], _grade(float(severities[first])))]
    rest = [(float(value), index) for index, value in enumerate(severities) if index != first]
    value, index = max(rest)
    if value >= 1.2:
        found.append((FAULTS[index], _grade(value)))
    return tuple(found)


def names_fault(row: NDArray[np.float32]) -> bool:
    """Whether a row, shape (WIDTH,), is read as one of a picture with a fault."""
    return _named(int(row[MAIN].argmax()), row[SEVERITY] * 5)


def _named(first: int, severities: NDArray[np.float32]) -> bool:
    return first < len(FAULTS) and bool(severities[first] >= 0.8 * SEEN)


def quality_of(row: NDArray[np.float32]) -> float:
    """Quality from the severities of a row, shape (WIDTH,), that are beyond doubt: 0 to 1.

    What eyes see of a fault that is not there would else pull every photo down, and weak faults of
    light and colour may be meant.
    """
    certain = {}
    for kind, severity in zip(FAULTS, (row[SEVERITY] * 5).tolist(), strict=True):
        spared = 1.5 if kind in TASTE else 0.3
        certain[kind] = max(0.0, severity - spared) * 5 / (5 - spared)
    return quality_left(certain)


def _grade(severity: float) -> int:
    return min(5, max(1, round(severity)))


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def _bin(value: float, edges: tuple[float, ...], names: tuple[str, ...]) -> str:
    return names[sum(value >= edge for edge in edges)]


def _clipping(highlights: float, shadows: float) -> str:
    white, black = highlights >= 0.13, shadows >= 0.2
    return "both" if white and black else "highlights" if white else "shadows" if black else "none"


def _colours(scores: NDArray[np.float32], coloured: float) -> tuple[str, ...]:
    if coloured < 0.04:
        return ()
    first, second = np.argsort(-scores, kind="stable")[:2].tolist()
    names = [COLOURS[first]] if scores[first] > 0.25 else []
    if names and scores[second] > 0.33:
        names.append(COLOURS[second])
    return tuple(names)


def _place(x: float, y: float) -> str:
    vertical = "upper" if y < 0.44 else "lower" if y > 0.54 else ""
    sideways = "left" if x < 0.46 else "right" if x > 0.54 else ""
    return f"{vertical} {sideways}".strip() or "centre"
