"""Contrastive losses over a batch of image–caption pairs.

`clip_loss` is the symmetric InfoNCE of CLIP (Radford et al., arXiv 2103.00020, figure 3).
`soft_target_loss` spreads the target over captions that are true of a photo as well: those of the
same photo and, weighed by nearness of scores, those of photos rated alike for the same task. With
β = 0 and one caption per photo it is the CLIP loss exactly. Must not know models or data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def clip_loss(logits: torch.Tensor) -> torch.Tensor:
    """Mean of both directions' cross entropy with the diagonal as the truth.

    Args:
        logits: (n, n); row i holds photo i against every caption, temperature applied.

    Raises:
        ValueError: not square.
    """
    import torch
    from torch.nn.functional import cross_entropy

    _check_square(logits)
    truth = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, truth) + cross_entropy(logits.T, truth)) / 2


def soft_targets(
    images: torch.Tensor,
    scores: torch.Tensor,
    tasks: torch.Tensor,
    *,
    beta: float,
    sigma: float,
) -> torch.Tensor:
    """How true caption j is of photo i: [same image] + β·[same task]·exp(−(y_i−y_j)²/2σ²).

    Args:
        images: (n,) integer, one per photo; pairs of one photo share it.
        scores: (n,) unified scores in [0, 1]; NaN where nobody rated.
        tasks: (n,) integer, what pair i's score and caption speak about; negative: not comparable.
        beta: weight of rated-alike photos, ≥ 0.
        sigma: width of "alike", > 0.

    Returns:
        (n, n), symmetric, not normalised, diagonal ≥ 1.

    Raises:
        ValueError: β below 0 or σ not above 0.
    """
    if beta < 0 or sigma <= 0:
        raise ValueError(f"β must be ≥ 0 and σ > 0, not {beta} and {sigma}")
    same = (images[:, None] == images[None, :]).to(scores.dtype)
    near = (-((scores[:, None] - scores[None, :]) ** 2) / (2 * sigma**2)).exp()
    comparable = (tasks[:, None] == tasks[None, :]) & (tasks >= 0)[:, None]
    return same + beta * (near.nan_to_num(0.0) * comparable)


def soft_target_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean of both directions' cross entropy with `targets` normalised per row and per column.

    Args:
        logits: (n, n), temperature applied.
        targets: (n, n) of weights ≥ 0, from `soft_targets`.

    Raises:
        ValueError: shapes differ or are not square.
    """
    from torch.nn.functional import cross_entropy

    _check_square(logits)
    if targets.shape != logits.shape:
        raise ValueError(f"targets {tuple(targets.shape)} for logits {tuple(logits.shape)}")
    by_row = targets / targets.sum(1, keepdim=True)
    by_column = (targets / targets.sum(0, keepdim=True)).T
    return (cross_entropy(logits, by_row) + cross_entropy(logits.T, by_column)) / 2


def _check_square(logits: torch.Tensor) -> None:
    if logits.ndim != 2 or logits.shape[0] != logits.shape[1]:
        raise ValueError(f"logits must be square, not {tuple(logits.shape)}")
