"""How well scores agree with opinions, and how sure one can be of it.

SRCC and KRCC (tau-b) compare orders, PLCC is the plain linear correlation without a fitted curve,
RMSE is on the unified scale, pairwise accuracy is the share of differently rated pairs that are
put in the right order (a tie counts half). Intervals resample groups, because photos of one
content are not independent. Must not know where scores come from.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the ends of its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


def _correlation(name: str, scores: Values, truth: Values) -> float:
    from scipy import stats

    if len(scores) < 2 or np.ptp(scores) == 0 or np.ptp(truth) == 0:
        return float("nan")
    function: Callable[..., tuple[float, float]] = getattr(stats, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(function(scores, truth)[0])


def srcc(scores: Values, truth: Values) -> float:
    """Spearman's rank correlation, −1 … 1; NaN when either side is constant."""
    return _correlation("spearmanr", scores, truth)


def plcc(scores: Values, truth: Values) -> float:
    """Pearson's linear correlation, −1 … 1; NaN when either side is constant."""
    return _correlation("pearsonr", scores, truth)


def krcc(scores: Values, truth: Values) -> float:
    """Kendall's tau-b, −1 … 1; NaN when either side is constant."""
    return _correlation("kendalltau", scores, truth)


def rmse(scores: Values, truth: Values) -> float:
    """Root of the mean squared difference, on the scale both are given on."""
    return float(np.sqrt(np.mean((scores - truth) ** 2))) if len(scores) else float("nan")


def pairwise_accuracy(scores: Values, truth: Values) -> float:
    """Share of pairs rated differently that are ordered rightly, 0 … 1; NaN without such pairs."""
    right = total = 0.0
    for i in range(len(truth) - 1):
        told = np.sign(truth[i + 1 :] - truth[i])
        said = np.sign(scores[i + 1 :] - scores[i])
        counted = told != 0
        right += float(((told == said) + 0.5 * (said == 0))[counted].sum())
        total += float(counted.sum())
    return right / total if total else float("nan")


METRICS: dict[str, Callable[[Values, Values], float]] = {
    "srcc": srcc,
    "plcc": plcc,
    "krcc": krcc,
    "rmse": rmse,
    "pairwise_accuracy": pairwise_accuracy,
}


def with_intervals(
    scores: Values,
    truth: Values,
    groups: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Every metric with its percentile bootstrap interval over groups.

    Args:
        scores, truth: (n,) each.
        groups: (n,) names; a resample draws whole groups with replacement.
        resamples: how many.
        seed: of the resamples.

    Raises:
        ValueError: lengths differ.
    """
    if not len(scores) == len(truth) == len(groups):
        raise ValueError(f"{len(scores)} scores, {len(truth)} truths, {len(groups)} groups")
    names, codes = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    members = [np.flatnonzero(codes == code) for code in range(len(names))]
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in METRICS}
    # Pair counting is quadratic in Python: the slow metrics get fewer resamples on large tables.
    slow = {"krcc", "pairwise_accuracy"}
    few = resamples if len(truth) <= 100 else max(100, resamples // 5)
    for number in range(resamples if len(names) > 1 else 0):
        rows = np.concatenate([members[k] for k in rng.integers(0, len(names), len(names))])
        for name, metric in METRICS.items():
            if name not in slow or number < few:
                drawn[name].append(metric(scores[rows], truth[rows]))
    return {
        name: Estimate(metric(scores, truth), *_ends(drawn[name]))
        for name, metric in METRICS.items()
    }


def _ends(values: list[float]) -> tuple[float, float]:
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
