"""Several datasets, one score: each dataset's own scale as a monotone line of a shared one.

Min–max mapping does not make two datasets' scales equal: one panel's 0.7 is another's 0.5. What
photos have in common is how good they look to a rule learned from all of them, so each dataset gets
a gain above 0 and an offset against that shared score, y_d = a_d q + b_d, and is carried to the
scale of the first (the reference) by a_r (y_d − b_d) / a_d + b_r. Shared scores are always
out-of-fold predictions; they are shrunk towards the mean, but alike for every dataset, so gains
relative to the reference stay right. Must not know photos, files or which rule predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

ROUNDS = 4
"""How often rule and lines are fitted in turn; they settle after two or three."""

FEWEST = 10
"""A dataset with fewer labels keeps its scale: a line through a handful of photos is noise."""

WEAKEST = 0.3
"""With a lower correlation of shared scores and ratings, on either side, a dataset keeps its scale.

What is shared then says nothing of how good photos look, and its line would be noise.
"""

_STEEPEST = 4.0
_FLATTEST = 0.25


@dataclass(frozen=True, slots=True)
class Line:
    """From the reference's scale to a dataset's: gain · score + offset, both unified."""

    gain: float
    offset: float

    def own(self, score: Scores) -> Scores:
        """Scores on the reference's scale → on the dataset's own."""
        told: Scores = self.gain * score + self.offset
        return told

    def shared(self, score: Scores) -> Scores:
        """Scores on the dataset's own scale → on the reference's."""
        told: Scores = (score - self.offset) / self.gain
        return told


IDENTITY = Line(1.0, 0.0)


def align_scales(
    scores: Scores,
    datasets: Sequence[str],
    out_of_fold: Callable[[Scores], Scores],
) -> tuple[Scores, dict[str, Line]]:
    """Ratings of all datasets on the scale of the first, and every dataset's line.

    Args:
        scores: (n,) unified, each on its own dataset's scale.
        datasets: (n,) names; the first row's is the reference.
        out_of_fold: learns from targets (n,) and tells every photo by a rule that has not seen it.

    Returns:
        (n,) targets, not clipped, and name → line; the reference's is the identity.
    """
    names = list(dict.fromkeys(datasets))
    reference = names[0]
    rows = {name: np.array([d == name for d in datasets]) for name in names}
    lines = dict.fromkeys(names, IDENTITY)
    if len(names) == 1:
        return scores, lines
    targets = scores
    for _ in range(ROUNDS):
        told = out_of_fold(targets)
        slopes = {name: _slope(told[rows[name]], scores[rows[name]]) for name in names}
        a_r, b_r = slopes[reference]
        for name in names[1:]:
            pair = (rows[name], rows[reference])
            if any(not _tells(told[part], scores[part]) for part in pair):
                lines[name] = IDENTITY
                continue
            a_d, b_d = slopes[name]
            gain = float(np.clip(a_d / a_r, _FLATTEST, _STEEPEST))
            lines[name] = Line(gain, b_d - gain * b_r)
        targets = scores.copy()
        for name in names[1:]:
            targets[rows[name]] = lines[name].shared(scores[rows[name]])
    return targets, lines


def _tells(x: Scores, y: Scores) -> bool:
    """Whether x says enough of y for a line between them."""
    if len(x) < FEWEST or min(x.std(), y.std()) < 1e-9:
        return False
    return float(np.corrcoef(x, y)[0, 1]) >= WEAKEST


def _slope(x: Scores, y: Scores) -> tuple[float, float]:
    """Gain and offset of y on x by major axis: both sides are noisy, neither is the cause.

    With the correlation r it is r·least squares one way and 1/r the other; their geometric mean
    is the ratio of deviations (reduced major axis), which no shrinking of x can bias.
    """
    spread = float(x.std())
    gain = float(y.std()) / spread if spread > 1e-9 else 1.0
    return max(gain, 1e-6), float(y.mean() - gain * x.mean())
