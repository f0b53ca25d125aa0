"""How well scores agree with opinions, and how sure one can be of it.

SRCC and KRCC (tau-b) compare orders, PLCC is the linear correlation (of scores as they are, or of
scores carried through a curve, see `training.logistic`), RMSE is on the unified scale, pairwise
accuracy is the share of differently rated pairs that are put in the right order (a tie counts
half). Intervals resample groups, because photos of one content are not independent.

Every metric is written once, for rows with weights: a bootstrap resample is a row of counts, so
one pass gives the value and all resamples. Must not know where scores come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_AT_ONCE = 4_000_000
"""Numbers per block of a pass: memory stays within some tens of megabytes."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the ends of its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


def weighted_plcc(scores: Values, truth: Values, weights: Values) -> Values:
    """Pearson's correlation under each row of weights.

    Args:
        scores, truth: (n,), or (r, n) with values of their own per row of weights.
        weights: (r, n) counts or weights ≥ 0.

    Returns:
        (r,) in −1 … 1; NaN where either side is constant.
    """
    # A sample of nothing, and a constant, have no correlation: NaN, without a word.
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weights.sum(1)
        x = scores - ((weights * scores).sum(1) / total)[:, None]
        y = truth - ((weights * truth).sum(1) / total)[:, None]
        above = (weights * x * y).sum(1)
        square = (weights * x * x).sum(1) * (weights * y * y).sum(1)
        # What rounding leaves of a constant's variance is no variance.
        floor = 1e-24 * total**2 * np.square(np.abs(scores).max() * np.abs(truth).max())
        found: Values = np.where(square > floor, above / np.sqrt(square), np.nan)
    return np.clip(found, -1.0, 1.0)


def weighted_ranks(values: Values, weights: Values) -> Values:
    """(r, n) mid-ranks of (n,) values in the sample that each row of counts (r, n) describes."""
    distinct, codes = np.unique(values, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(distinct)))
    per_value = np.add.reduceat(weights[:, order], starts, axis=1)
    middles: Values = np.cumsum(per_value, axis=1) - (per_value - 1) / 2
    return middles[:, codes]


def weighted_srcc(scores: Values, truth: Values, weights: Values) -> Values:
    """Spearman's rank correlation of (n,) values under each row of counts (r, n): (r,)."""
    return weighted_plcc(weighted_ranks(scores, weights), weighted_ranks(truth, weights), weights)


def weighted_rmse(scores: Values, truth: Values, weights: Values) -> Values:
    """Root of the mean squared difference under each row of weights (r, n): (r,)."""
    found: Values = np.sqrt(weights @ (scores - truth) ** 2 / weights.sum(1))
    return found


def weighted_orders(
    scores: Values, truth: Values, weights: Values, codes: NDArray[np.intp] | None = None
) -> tuple[Values, Values]:
    """Kendall's tau-b and pairwise accuracy under weights.

    With S = concordant − discordant pairs and D the pairs that differ, tau-b = S / √(D_x D_y), and
    the share of rightly ordered pairs, ties counting half, is (1 + S / D_y) / 2. S of all resamples
    is a quadratic form w'Cw in the groups' counts, so pairs are compared only once.

    Args:
        scores, truth: (n,).
        weights: (r, g) counts, one per group.
        codes: (n,) group of each row, 0 … g − 1; each row its own group when None.

    Returns:
        (r,) and (r,); NaN where a side is constant.
    """
    codes = np.arange(len(scores)) if codes is None else codes
    counts = weights[:, codes]
    differ_x, differ_y = _differing(scores, counts), _differing(truth, counts)
    surplus = _surplus(scores, truth, weights, codes)
    with np.errstate(invalid="ignore", divide="ignore"):
        tau = np.where(differ_x * differ_y > 0, surplus / np.sqrt(differ_x * differ_y), np.nan)
        right = np.where(differ_y > 0, (1 + surplus / differ_y) / 2, np.nan)
    return tau, right


def _differing(values: Values, counts: Values) -> Values:
    """(r,) pairs of different values in each sample, each pair once."""
    distinct, codes = np.unique(values, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(distinct)))
    per_value = np.add.reduceat(counts[:, order], starts, axis=1)
    found: Values = (counts.sum(1) ** 2 - (per_value**2).sum(1)) / 2
    return found


def _surplus(scores: Values, truth: Values, weights: Values, codes: NDArray[np.intp]) -> Values:
    """(r,) concordant less discordant pairs in each sample, each pair once."""
    order = np.argsort(codes, kind="stable")
    x, y, by = scores[order], truth[order], codes[order]
    groups, n = weights.shape[1], len(x)
    starts = np.searchsorted(by, np.arange(groups))
    found = np.zeros(len(weights))
    step = max(1, _AT_ONCE // max(1, n))
    first = 0
    while first < groups:
        # Whole groups, about `step` rows of the pairs' matrix.
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + step)))
        rows = slice(starts[first], starts[last] if last < groups else n)
        pairs = np.sign(x[rows, None] - x[None, :]) * np.sign(y[rows, None] - y[None, :])
        by_group = np.add.reduceat(pairs, starts, axis=1)
        by_group = np.add.reduceat(by_group, starts[first:last] - starts[first], axis=0)
        found += ((weights[:, first:last] @ by_group) * weights).sum(1)
        first = last
    return found / 2


def _alone(function: Callable[..., Values], scores: Values, truth: Values) -> float:
    if len(scores) < 2:
        return float("nan")
    return float(function(scores, truth, np.ones((1, len(scores))))[0])


def srcc(scores: Values, truth: Values) -> float:
    """Spearman's rank correlation, −1 … 1; NaN when either side is constant."""
    return _alone(weighted_srcc, scores, truth)


def plcc(scores: Values, truth: Values) -> float:
    """Pearson's linear correlation, −1 … 1; NaN when either side is constant."""
    return _alone(weighted_plcc, scores, truth)


def krcc(scores: Values, truth: Values) -> float:
    """Kendall's tau-b, −1 … 1; NaN when either side is constant."""
    return _alone(lambda *given: weighted_orders(*given)[0], scores, truth)


def rmse(scores: Values, truth: Values) -> float:
    """Root of the mean squared difference, on the scale both are given on."""
    return float(np.sqrt(np.mean((scores - truth) ** 2))) if len(scores) else float("nan")


def pairwise_accuracy(scores: Values, truth: Values) -> float:
    """Share of pairs rated differently that are ordered rightly, 0 … 1; NaN without such pairs."""
    return _alone(lambda *given: weighted_orders(*given)[1], scores, truth)


@dataclass(frozen=True)
class Resamples:
    """Groups drawn with replacement: `counts` (1 + resamples, g), the first row all ones."""

    codes: NDArray[np.intp]
    counts: Values

    @classmethod
    def draw(cls, groups: Sequence[str], resamples: int, seed: int) -> Resamples:
        """Draw by seed; with a single group there is nothing to resample."""
        names, codes = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
        g = len(names)
        drawn = np.random.default_rng(seed).multinomial(
            g, np.full(g, 1 / g), size=resamples if g > 1 else 0
        )
        return cls(codes, np.vstack([np.ones((1, g)), drawn]).astype(np.float64))

    def rows(self) -> list[slice]:
        """Slices of `counts` small enough for a pass over all photos."""
        step = max(1, _AT_ONCE // max(1, len(self.codes)))
        return [slice(at, at + step) for at in range(0, len(self.counts), step)]

    def apply(self, function: Callable[[Values], Values]) -> Values:
        """(1 + resamples,) values of a function of (r, n) photo counts."""
        return np.concatenate([function(self.counts[part][:, self.codes]) for part in self.rows()])


def with_intervals(
    scores: Values,
    truth: Values,
    groups: Sequence[str],
    *,
    mapped: Values | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Every metric with its percentile bootstrap interval over groups.

    Args:
        scores, truth: (n,) each.
        groups: (n,) names; a resample draws whole groups with replacement.
        mapped: (n,) scores after a curve that was fitted elsewhere; gives `plcc_logistic` and
            `rmse_logistic` as well.
        resamples: how many.
        seed: of the resamples.

    Raises:
        ValueError: lengths differ, or nothing is given.
    """
    if not len(scores) == len(truth) == len(groups):
        raise ValueError(f"{len(scores)} scores, {len(truth)} truths, {len(groups)} groups")
    if not len(scores):
        raise ValueError("no scores")
    drawn = Resamples.draw(groups, resamples, seed)
    orders = [
        weighted_orders(scores, truth, drawn.counts[part], drawn.codes) for part in drawn.rows()
    ]
    found = {
        "srcc": drawn.apply(lambda w: weighted_srcc(scores, truth, w)),
        "plcc": drawn.apply(lambda w: weighted_plcc(scores, truth, w)),
        "krcc": np.concatenate([tau for tau, _ in orders]),
        "rmse": drawn.apply(lambda w: weighted_rmse(scores, truth, w)),
        "pairwise_accuracy": np.concatenate([right for _, right in orders]),
    }
    if mapped is not None:
        found["plcc_logistic"] = drawn.apply(lambda w: weighted_plcc(mapped, truth, w))
        found["rmse_logistic"] = drawn.apply(lambda w: weighted_rmse(mapped, truth, w))
    return {name: estimate_of(values) for name, values in found.items()}


def estimate_of(values: Values) -> Estimate:
    """The first value, with the 2.5 % and 97.5 % quantiles of those after it that are defined."""
    known = values[1:][np.isfinite(values[1:])]
    if not len(known):
        return Estimate(float(values[0]), float("nan"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate(float(values[0]), float(low), float(high))
