"""SigLIP's loss: every photo–caption pair is a yes-or-no question (Zhai et al., arXiv 2303.15343).

No softmax over the batch: small batches lose less. The learnable bias starts at −10, because
nearly all pairs are negative.
"""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

START_BIAS = -10.0


def sigmoid_loss(
    logits: torch.Tensor, own: torch.Tensor, caption_weights: torch.Tensor | None = None
) -> torch.Tensor:
    """−Σ_ij log σ(z_ij·l_ij) / n with z = +1 for own captions and −1 for all others.

    Args:
        logits: (n, m), temperature and bias applied.
        own: (n, m) of 0 and 1, from `positives`.
        caption_weights: (m,) > 0; brought to mean 1, they multiply their columns.

    Raises:
        ValueError: shapes differ.
    """
    return pair_losses(logits, own, caption_weights).sum() / len(logits)


def pair_losses(
    logits: torch.Tensor, own: torch.Tensor, caption_weights: torch.Tensor | None = None
) -> torch.Tensor:
    """(n, m) summands of `sigmoid_loss`, not yet divided by n."""
    if own.shape != logits.shape:
        raise ValueError(f"positives {tuple(own.shape)} for logits {tuple(logits.shape)}")
    losses = -logsigmoid((2 * own - 1) * logits)
    if caption_weights is None:
        return losses
    return losses * (caption_weights / caption_weights.mean())[None, :]
