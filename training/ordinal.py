"""Losses that know ratings are ordered and uncertain.

`soft_levels` spreads a rating over the five levels as the people behind it did (DeQA-Score, You et
al., arXiv 2501.11561); `fidelity_loss` asks that pairs of one dataset be ordered as often as
people would order them (Tsai et al., SIGIR 2007; UNIQUE, arXiv 2005.13983), so that two scales may
begin anywhere. Must not know models or files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

LEVELS = 5

_TINY = 1e-8
"""Below this a number counts as zero."""


def soft_levels(mos: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Shares of the five levels whose mean is the rating: p_k ∝ mass of N(mos, std) around k.

    The masses of k ± ½ miss some of the normal's mean and sum; p = α·mass + β mends both exactly
    (Σ p = 1, Σ k·p = mos). Where that would need a negative share, as near the ends or with hardly
    any spread, the two levels beside the rating share it, which is exact as well.

    Args:
        mos: (n,) on the level scale, 1 (bad) to 5 (perfect).
        std: (n,) deviation of single votes on that scale, > 0; NaN means ½.

    Returns:
        (n, 5), rows ≥ 0 summing to 1.

    Raises:
        ValueError: a rating outside 1–5.
    """
    import torch

    if ((mos < 1) | (mos > LEVELS)).any():
        raise ValueError("ratings must lie on the level scale, 1 to 5")
    levels = torch.arange(1, LEVELS + 1, dtype=mos.dtype)
    spread = std.nan_to_num(0.5).clamp_min(1e-3)[:, None]
    normal = torch.distributions.Normal(mos[:, None], spread)
    mass = normal.cdf(levels + 0.5) - normal.cdf(levels - 0.5)
    mass = mass / mass.sum(1, keepdim=True)
    close = 64 * torch.finfo(mos.dtype).eps
    # With shares m that sum to 1: α + 5β = 1 and α·(Σ k·m) + 15β = mos.
    middle = (levels.mean() - mass @ levels).abs() < close
    alpha = torch.where(middle, 1.0, (mos - 3) / (mass @ levels - 3))
    mended = alpha[:, None] * mass + ((1 - alpha) / LEVELS)[:, None]
    lower = mos.floor().clamp(1, LEVELS - 1)
    upper_share = mos - lower
    pair = torch.zeros_like(mass)
    pair.scatter_(1, (lower.long() - 1)[:, None], (1 - upper_share)[:, None])
    pair.scatter_(1, lower.long()[:, None], upper_share[:, None])
    exact = (mended @ levels - mos).abs() < close
    good = exact & (mended >= 0).all(1) & (alpha > 0)
    return torch.where(good[:, None], mended, pair)


def soft_level_loss(shares: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross entropy of predicted level shares (…, n, 5) to `soft_levels` (n, 5): (…, n)."""
    loss: torch.Tensor = -(targets * shares.clamp_min(_TINY).log()).sum(-1)
    return loss


def fidelity_loss(
    scores: torch.Tensor, truth: torch.Tensor, pairs: torch.Tensor, spread: float = 1.0
) -> torch.Tensor:
    """1 − √(p·p̂) − √((1−p)(1−p̂)) per pair, p̂ = Φ((ŷ_i − ŷ_j)/√2), p likewise from the ratings.

    What is added to all ratings of a dataset, or to all scores, changes nothing, nor does a common
    factor of ratings, scores and `spread`. Any other monotone map of the ratings changes p, for p
    tells by how much one is better and not only that it is: which score of two equal ones is to
    rise stays the same, how strongly does not.

    Args:
        scores: (…, n) predicted.
        truth: (n,) ratings; only differences inside a pair are used.
        pairs: (m, 2) rows, both of one dataset.
        spread: what one deviation of opinion is worth in both, > 0.

    Returns:
        (…, m), 0 (agree) to 1.
    """
    told = _preference(truth[pairs[:, 0]] - truth[pairs[:, 1]], spread)
    said = _preference(scores[..., pairs[:, 0]] - scores[..., pairs[:, 1]], spread)
    agree = (told * said).clamp_min(_TINY).sqrt()
    against = ((1 - told) * (1 - said)).clamp_min(_TINY).sqrt()
    loss: torch.Tensor = 1 - agree - against
    return loss


def _preference(difference: torch.Tensor, spread: float) -> torch.Tensor:
    """Thurstone's case V: the chance that the first is preferred."""
    return 0.5 * (1 + (difference / (2 * spread)).erf())


def level_scale(unified: torch.Tensor) -> torch.Tensor:
    """Unified scores 0–1 on the level scale 1–5."""
    return 1 + (LEVELS - 1) * unified


def level_width(unified: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths, such as deviations, on the 0–1 scale as lengths on the level scale."""
    wide: NDArray[np.float64] = (LEVELS - 1) * unified
    return wide


def pairs_within(datasets: list[int], limit: int, seed: int) -> torch.Tensor:
    """All pairs of rows that share a dataset, or `limit` of them drawn by seed: (m, 2)."""
    import torch

    codes = torch.tensor(datasets)
    rng = torch.Generator().manual_seed(seed)
    n = len(codes)
    if n * (n - 1) // 2 > 200 * limit:
        # Drawn instead of listed: memory must not grow with the square of the labels.
        drawn = torch.randint(0, n, (8 * limit, 2), generator=rng)
        drawn = drawn[(drawn[:, 0] < drawn[:, 1]) & (codes[drawn[:, 0]] == codes[drawn[:, 1]])]
        told: torch.Tensor = drawn[:limit].unique(dim=0)
        return told
    first, second = torch.triu_indices(n, n, 1)
    same = codes[first] == codes[second]
    pairs = torch.stack([first[same], second[same]], dim=1)
    if len(pairs) > limit:
        order = torch.randperm(len(pairs), generator=rng)
        pairs = pairs[order[:limit].sort().values]
    return pairs
