"""How well people agree with one another: what a model's agreement with them is measured by.

Raters, not votes, are split into random halves; the SRCC between the halves' mean ratings, stepped
up to the full panel by Spearman and Brown's 2r / (1 + r), tells how well a second panel of the same
size would agree with the first: the human ceiling. A model can pass it a little: against a noisy
panel even the truth itself reaches only √ceiling (Spearman 1904, correction for attenuation).

Beside it: the mean SRCC of one rater with the mean of all others, and the intraclass correlation of
the panel's mean (Shrout & Fleiss 1979): ICC(2,k) where every rater saw every photo, else ICC(1,k),
which needs no complete table. Must not know models or files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.metrics import Estimate, Resamples, estimate_of, srcc, weighted_srcc
from training.votes import Votes

Values = NDArray[np.float64]

_FEW = 5
"""Photos that one rater must have rated for an SRCC of his own."""

_RESAMPLED = 20
"""Splits that a bootstrap repeats; the value itself uses all."""


@dataclass(frozen=True)
class Ceiling:
    """Agreement of people on n photos, NaN where votes are too few to tell."""

    photos: int
    raters: int
    votes: int
    halves: float
    """Mean SRCC between half panels."""
    panel: Estimate
    """The ceiling: `halves` stepped up by Spearman–Brown, with its interval over groups."""
    truth: float
    """√ceiling: what the true mean opinion itself would reach."""
    single: float
    """Mean SRCC of one rater with the mean of the others."""
    icc: float
    icc_kind: str
    shares: dict[str, Estimate]
    """Per method: its SRCC divided by the ceiling."""


def human_ceiling(
    votes: Votes,
    photos: int,
    truth: Values,
    groups: Sequence[str],
    scored: dict[str, Values],
    *,
    splits: int = 100,
    resamples: int = 1000,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> Ceiling:
    """The ceiling on some photos, and each method's share of it.

    Args:
        votes: on these photos, numbered 0 … photos − 1.
        photos: how many.
        truth: (photos,) mean ratings, unified.
        groups: (photos,) names; intervals resample them.
        scored: method → (photos,) scores.
        splits: random halves.
        resamples, seed: as in `with_intervals`.
        tick: hears after each of `ticks` steps.

    Photos that either half left without a vote are left out of that split; where the scale runs
    backwards the halves' agreement is the same.
    """
    halves = half_means(votes, photos, splits, seed)
    agreed = []
    for one, other in halves:
        both = np.isfinite(one) & np.isfinite(other)
        agreed.append(srcc(one[both], other[both]) if both.sum() > 2 else float("nan"))
        tick()
    mean = _mean(np.array(agreed))
    drawn = Resamples.draw(groups, resamples, seed)
    again = []
    for one, other in halves[:_RESAMPLED]:
        both = (np.isfinite(one) & np.isfinite(other)).astype(np.float64)
        again.append(_resampled(drawn, np.nan_to_num(one), np.nan_to_num(other), both))
        tick()
    per_draw = spearman_brown(np.nanmean(np.stack(again), axis=0) if np.isfinite(mean) else np.nan)
    panel = np.broadcast_to(per_draw, (len(drawn.counts),)).copy()
    panel[0] = spearman_brown(mean)
    shares = {}
    for method, values in scored.items():
        orders = _resampled(drawn, values, truth, np.ones(photos))
        with np.errstate(invalid="ignore", divide="ignore"):
            shares[method] = estimate_of(np.where(panel > 0, orders / panel, np.nan))
        tick()
    icc, kind = intraclass(votes)
    return Ceiling(
        photos=len(np.unique(votes.photo)),
        raters=votes.raters,
        votes=len(votes.value),
        halves=mean,
        panel=estimate_of(panel),
        truth=float(np.sqrt(panel[0])) if panel[0] > 0 else float("nan"),
        single=_single(votes, photos),
        icc=icc,
        icc_kind=kind,
        shares=shares,
    )


def _resampled(drawn: Resamples, one: Values, other: Values, told: Values) -> Values:
    """SRCC of every resample, over the photos where `told` is 1."""
    return drawn.apply(lambda counts: weighted_srcc(one, other, counts * told))


def ticks(methods: int, splits: int = 100) -> int:
    """How often `human_ceiling` ticks."""
    return splits + min(splits, _RESAMPLED) + methods


def half_means(votes: Votes, photos: int, splits: int, seed: int) -> list[tuple[Values, Values]]:
    """Per split the (photos,) mean ratings of two random halves of the raters, NaN without any."""
    rng = np.random.default_rng(seed)
    people, codes = np.unique(votes.rater, return_inverse=True)
    found = []
    for _ in range(splits):
        first = np.zeros(len(people), dtype=bool)
        first[rng.permutation(len(people))[: len(people) // 2]] = True
        mine = first[codes]
        found.append((_means(votes, photos, mine), _means(votes, photos, ~mine)))
    return found


def spearman_brown(r: Any) -> Any:
    """Agreement of half panels → of whole ones: 2r / (1 + r)."""
    r = np.asarray(r, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Halves in exactly opposite order agree on nothing that a formula could mend.
        return np.where(r > -1, 2 * r / (1 + r), np.nan)[()]


def intraclass(votes: Votes) -> tuple[float, str]:
    """Reliability of the panel's mean, and which coefficient it is: `ICC(2,k)` or `ICC(1,k)`."""
    people, rater = np.unique(votes.rater, return_inverse=True)
    told, photo = np.unique(votes.photo, return_inverse=True)
    n, k = len(told), len(people)
    if n < 2 or len(votes.value) <= n:
        return float("nan"), "ICC(1,k)"
    counts = np.bincount(photo, minlength=n).astype(np.float64)
    means = np.bincount(photo, votes.value, n) / counts
    grand = votes.value.mean()
    between = float((counts * (means - grand) ** 2).sum() / (n - 1))
    if between == 0:
        return float("nan"), "ICC(1,k)"
    if k > 1 and len(votes.value) == n * k:
        # Shrout & Fleiss 1979, two-way random: (BMS − EMS) / (BMS + (JMS − EMS) / n).
        raters = np.bincount(rater, votes.value, k) / n
        judges = float(n * ((raters - grand) ** 2).sum() / (k - 1))
        left = votes.value - means[photo] - raters[rater] + grand
        error = float((left**2).sum() / ((n - 1) * (k - 1)))
        return (between - error) / (between + (judges - error) / n), "ICC(2,k)"
    within = float(((votes.value - means[photo]) ** 2).sum() / (len(votes.value) - n))
    return (between - within) / between, "ICC(1,k)"


def _single(votes: Votes, photos: int) -> float:
    sums = np.bincount(votes.photo, votes.value, photos)
    counts = np.bincount(votes.photo, minlength=photos)
    order = np.argsort(votes.rater, kind="stable")
    ends = np.flatnonzero(np.diff(votes.rater[order])) + 1
    found = []
    for own in np.split(order, ends):
        photo, value = votes.photo[own], votes.value[own]
        shared = counts[photo] > 1
        if shared.sum() >= _FEW:
            photo, value = photo[shared], value[shared]
            found.append(srcc(value, (sums[photo] - value) / (counts[photo] - 1)))
    return _mean(np.array(found))


def _means(votes: Votes, photos: int, mine: NDArray[np.bool_]) -> Values:
    counts = np.bincount(votes.photo[mine], minlength=photos)
    sums = np.bincount(votes.photo[mine], votes.value[mine], photos)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Values = np.where(counts > 0, sums / counts, np.nan)
    return means


def _mean(values: Values) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
