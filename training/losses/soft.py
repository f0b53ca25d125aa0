"""Cross entropy with targets spread over all captions that are true of a photo.

UniQA's batches hold captions of photos rated alike that say much the same; InfoNCE calls all but
one of them false. Here those of the same photo are true and, weighed by nearness of scores, those
of photos that the same dataset rates alike for the same task. With β = 0 and one caption per photo
it is the CLIP loss exactly.
"""

from __future__ import annotations

import torch

from training.losses.weights import weighted_mean

Described = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Owners (photo numbers), scores and kinds of one side of a batch; each (n,)."""


def soft_targets(
    images: torch.Tensor,
    scores: torch.Tensor,
    kinds: torch.Tensor,
    *,
    beta: float,
    sigma: float,
    captions: Described | None = None,
) -> torch.Tensor:
    """How true caption j is of photo i: [same image] + β·[same kind]·exp(−(y_i−y_j)²/2σ²).

    Args:
        images: (n,) integer, one per photo; pairs of one photo share it.
        scores: (n,) unified scores in [0, 1]; NaN where nobody rated.
        kinds: (n,) integer, of what and on which scale pair i's score and caption speak; negative:
            not comparable.
        beta: weight of rated-alike photos, ≥ 0.
        sigma: width of "alike", > 0.
        captions: the same three for the columns, each (m,); left out where row i and column i are
            one pair.

    Returns:
        (n, m), not normalised; 1 or more where photo and caption belong together. Square and
        symmetric without `captions`.

    Raises:
        ValueError: β below 0 or σ not above 0.
    """
    if beta < 0 or sigma <= 0:
        raise ValueError(f"β must be ≥ 0 and σ > 0, not {beta} and {sigma}")
    owners, their_scores, their_kinds = captions or (images, scores, kinds)
    same = (images[:, None] == owners[None, :]).to(scores.dtype)
    if beta == 0:
        return same
    near = (-((scores[:, None] - their_scores[None, :]) ** 2) / (2 * sigma**2)).exp()
    comparable = (kinds[:, None] == their_kinds[None, :]) & (kinds >= 0)[:, None]
    return same + beta * (near.nan_to_num(0.0) * comparable)


def row_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(n,) cross entropy of each row's softmax with that row of `targets`, which is normalised.

    Raises:
        ValueError: shapes differ.
    """
    if targets.shape != logits.shape:
        raise ValueError(f"targets {tuple(targets.shape)} for logits {tuple(logits.shape)}")
    shares = targets / targets.sum(1, keepdim=True)
    return -(shares * logits.log_softmax(1)).sum(1)


def soft_target_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    photo_weights: torch.Tensor | None = None,
    caption_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean of both directions' cross entropy with `targets` normalised per row and per column.

    Args:
        logits: (n, m), photos against captions, temperature applied.
        targets: (n, m) of weights ≥ 0, from `soft_targets`; no row or column all zero.
        photo_weights: (n,) > 0, how much each photo's choice of captions counts.
        caption_weights: (m,) > 0, how much each caption's choice of photos counts.

    Raises:
        ValueError: shapes differ.
    """
    photos = weighted_mean(row_cross_entropy(logits, targets), photo_weights)
    captions = weighted_mean(row_cross_entropy(logits.T, targets.T), caption_weights)
    return (photos + captions) / 2
