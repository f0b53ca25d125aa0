"""What the eyes' scores are worth on photographs that they have not learned from.

On its own training pictures a network is sure, whatever it says; on others it names faults of clean
photos and sees strong ones half as strong. Pictures of photographs that were kept apart tell by how
much: when to say *clean*, and which quality a row of scores stands for. Nothing here may know the
photos of the exam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.pocket import targets

CLEANER = 1.6
"""Added to the score of *clean* where nothing was kept apart: five in six training pictures have a
fault, of people's photos far fewer (the log-odds between a sixth and a half)."""

CLEAN_SHARE = 7 / 8
"""Of clean pictures that the eyes did not learn from, so many are to be called clean."""

_KNOTS = np.linspace(0, 1, 41)
_RIDGE = 3.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """How rows of scores are to be taken.

    `cleaner` is added to the score of *clean*. A row's `evidence` times `weights` is an estimate of
    quality, whose quantiles `seen` stand for the quantiles `true`: an estimate keeps to the middle,
    the quality of pictures does not.
    """

    cleaner: float
    weights: NDArray[np.float64]
    seen: NDArray[np.float64]
    true: NDArray[np.float64]

    def quality(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Quality of rows of scores, (n, targets.WIDTH): (n,), 0 to 1."""
        mapped: NDArray[np.float64] = np.interp(evidence(rows) @ self.weights, self.seen, self.true)
        return mapped

    def corrected(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rows with their score of *clean* as it should be."""
        rows = rows.copy()
        rows[:, targets.MAIN.stop - 1] += self.cleaner
        return rows


def calibrated(seen: NDArray[np.float32], truth: NDArray[np.float32]) -> Calibration:
    """Compare what was seen with what is true.

    Args:
        seen: rows of scores of pictures that the eyes did not learn from, (n, targets.WIDTH), as
            `Eyes.plain` gives them.
        truth: their rows as `targets.target_of` gives them.
    """
    true = np.array([targets.quality_of(row) for row in truth])
    facts = evidence(seen)
    penalty = _RIDGE * np.eye(facts.shape[1])
    penalty[-1, -1] = 0  # the constant may be what it likes
    weights = np.linalg.solve(facts.T @ facts + penalty, facts.T @ true)
    return Calibration(
        cleaner=_cleaner(seen, truth),
        weights=weights,
        # Equal quantiles would not make a function: each a hair above the last.
        seen=np.quantile(facts @ weights, _KNOTS) + 1e-9 * np.arange(len(_KNOTS)),
        true=np.quantile(true, _KNOTS),
    )


def evidence(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """What of a row tells its quality, last a 1: (n, numbers).

    Severities, what they leave of the quality, odds of the faults, quality as the eyes give it.
    """
    main = rows[:, targets.MAIN].astype(np.float64)
    odds = np.exp(main - main.max(axis=1, keepdims=True))
    quality = targets.NUMBER.start + targets.NUMBERS.index("quality")
    return np.column_stack(
        [
            rows[:, targets.SEVERITY],
            [targets.quality_of(row) for row in rows],
            odds / odds.sum(axis=1, keepdims=True),
            rows[:, quality],
            np.ones(len(rows)),
        ]
    )


def _cleaner(seen: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """The least that makes `CLEAN_SHARE` of the clean pictures called clean.

    Not what calls most pictures rightly, clean or spoilt: that asks so much for a fault to be named
    that the quiet kinds, compression before all, are never named again.
    """
    clean = truth[:, targets.MAIN].argmax(axis=1) == targets.MAIN.stop - 1
    if not clean.any():
        return CLEANER
    for value in np.arange(-1.0, 5.01, 0.1):
        rows = seen[clean].copy()
        rows[:, targets.MAIN.stop - 1] += value
        if np.mean([not targets.names_fault(row) for row in rows]) >= CLEAN_SHARE:
            return float(value)
    return CLEANER
