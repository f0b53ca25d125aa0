"""Scales, unified scores and the five levels.

A MOS lives on its dataset's own scale. A `Scale` carries it to the common 0–1 *unified score*
(1 is best) and back, by a mapping whose name is stored with every number it made. A level is one
of five equal-width bands of the unified score (UniQA, arXiv 2406.01069, section 3.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uniqa.errors import UsageError

LEVELS = ("bad", "poor", "fair", "good", "perfect")
TASKS = ("quality", "aesthetic")


@dataclass(frozen=True, slots=True)
class Scale:
    """The ends of a rating scale: `worst` and `best` may stand in either order (DMOS: 100, 0)."""

    worst: float
    best: float

    def __post_init__(self) -> None:
        """Check that the ends are finite and differ."""
        if not (np.isfinite(self.worst) and np.isfinite(self.best)) or self.worst == self.best:
            raise UsageError(f"a scale from {self.worst} to {self.best} has no length")

    @property
    def name(self) -> str:
        """The mapping's stored name, for example ``linear[1,5]`` (worst first)."""
        return f"linear[{_short(self.worst)},{_short(self.best)}]"

    @property
    def width(self) -> float:
        """The scale's length, for carrying standard deviations."""
        return abs(self.best - self.worst)

    def unify(self, mos: ArrayLike) -> NDArray[np.float64]:
        """MOS of any shape → unified scores in [0, 1]; ratings beyond the ends are clipped."""
        values = (np.asarray(mos, dtype=np.float64) - self.worst) / (self.best - self.worst)
        return np.clip(values, 0.0, 1.0)

    def restore(self, score: ArrayLike) -> NDArray[np.float64]:
        """Unified scores → this scale; the inverse of `unify` inside the scale."""
        return self.worst + np.asarray(score, dtype=np.float64) * (self.best - self.worst)

    @classmethod
    def parse(cls, text: str) -> Scale:
        """Read ``1:5`` or ``100:0`` (worst:best), or a stored name such as ``linear[1,5]``.

        Raises:
            UsageError: the text is neither.
        """
        numbers = text.strip().removeprefix("linear")
        if numbers.startswith("[") and numbers.endswith("]"):
            numbers = numbers[1:-1]
        parts = [part.strip() for part in re.split(r"[:,]", numbers)]
        try:
            worst, best = (float(part) for part in parts)
        except ValueError:
            raise UsageError(f"'{text}' is not a scale", "Write worst:best, like 1:5") from None
        return cls(worst, best)


def _short(number: float) -> str:
    """A number without needless digits that reads back as itself."""
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))


def level_of(score: float) -> str:
    """The level of a unified score in [0, 1]; the band's lower end belongs to it."""
    if not 0.0 <= score <= 1.0:
        raise ValueError(f"a unified score lies in [0, 1], not {score!r}")
    return LEVELS[min(int(score * len(LEVELS)), len(LEVELS) - 1)]
