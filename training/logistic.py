"""The four-parameter logistic that carries a model's scores to the raters' scale.

f(x) = β2 + (β1 − β2) / (1 + exp(−(x − β3) / |β4|)), with β1 ≥ β2: it bends, but never reorders.
VQEG's final report on FR-TV phase II (2003) fits it before PLCC and RMSE are read, and ITU-T P.1401
keeps the step; a model is then not blamed for a scale of its own. Fitted on the test itself it
flatters, so here it is given predictions on photos that are not tested. Must not know where these
come from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_ENOUGH = 8
"""Twice the parameters: with fewer points a line says all that they do."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A fitted rising curve; `note` says why it is not the logistic where it is not."""

    kind: str
    """`logistic`, `line` (upper is the slope, lower the value at 0) or `none` (scores as are)."""
    upper: float = 1.0
    """β1, the value at +∞."""
    lower: float = 0.0
    """β2, the value at −∞."""
    middle: float = 0.0
    """β3, where the curve is half way."""
    width: float = 1.0
    """β4 > 0, how slowly it rises."""
    note: str = ""

    def __call__(self, scores: Values) -> Values:
        """(n,) scores → (n,) on the raters' scale, in the same order."""
        if self.kind == "none":
            return scores
        if self.kind == "line":
            return self.lower + self.upper * scores
        return _logistic(scores, self.upper, self.lower, self.middle, self.width)


def _logistic(x: Values, upper: float, lower: float, middle: float, width: float) -> Values:
    from scipy.special import expit

    risen: Values = lower + (upper - lower) * expit((x - middle) / width)
    return risen


def fit_logistic(scores: Values, truth: Values) -> Curve:
    """Least squares from VQEG's start; a line where the logistic does not converge or fit better.

    Args:
        scores: (n,) predictions; rows with a NaN on either side are left out.
        truth: (n,) ratings.
    """
    known = np.isfinite(scores) & np.isfinite(truth)
    x, y = scores[known], truth[known]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Curve("none", note="too few different scores or ratings to fit a curve")
    slope, start = (float(value) for value in np.polyfit(x, y, 1))
    if slope <= 0:
        return Curve("none", note="scores do not rise with the ratings: no curve helps")
    line = Curve("line", upper=slope, lower=start)
    if len(x) < _ENOUGH:
        return Curve(
            "line", slope, start, note=f"a line: {len(x)} ratings are too few for a logistic"
        )
    curve = _converged(x, y)
    if curve is None:
        return Curve("line", slope, start, note="a line: the logistic did not converge")
    if _error(curve, x, y) > _error(line, x, y):
        return Curve("line", slope, start, note="a line: it fits better than the logistic")
    return curve


def _converged(x: Values, y: Values) -> Curve | None:
    from scipy.optimize import least_squares

    # On standardised axes every parameter is of the order of one.
    at, spread = float(x.mean()), float(x.std())
    base, height = float(y.min()), float(np.ptp(y))
    z, share = (x - at) / spread, (y - base) / height

    def missed(p: Values) -> Values:
        # Rise and width through exp: positive, so the curve is rising whatever the steps.
        lower, rise, middle, width = p[0], np.exp(p[1]), p[2], np.exp(p[3])
        return _logistic(z, lower + rise, lower, middle, width) - share

    begin = np.array([0.0, 0.0, 0.0, 0.0])  # β2 = min, β1 = max, β3 = mean, β4 = sd
    bounds = ([-5.0, -7.0, -10.0, -5.0], [5.0, 7.0, 10.0, 5.0])
    try:
        found = least_squares(missed, begin, bounds=bounds, max_nfev=2000)
    except ValueError:
        return None
    if not found.success or not np.isfinite(found.x).all():
        return None
    lower, rise, middle, width = found.x[0], np.exp(found.x[1]), found.x[2], np.exp(found.x[3])
    return Curve(
        "logistic",
        upper=float(base + height * (lower + rise)),
        lower=float(base + height * lower),
        middle=float(at + spread * middle),
        width=float(spread * width),
    )


def _error(curve: Curve, x: Values, y: Values) -> float:
    return float(np.square(curve(x) - y).sum())
