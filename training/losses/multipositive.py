"""InfoNCE in which a photo may have several true captions in one batch.

The logarithm stands inside the mean over positives (L_out of Khosla et al., arXiv 2004.11362):
every true caption must be near, not just the nearest one.
"""

from __future__ import annotations

import torch

from training.losses.soft import soft_target_loss


def positives(photos: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
    """(n, m) of 1 where caption j, owned by `captions[j]`, is one of photo `photos[i]`'s own."""
    return (photos[:, None] == captions[None, :]).float()


def multi_positive_loss(logits: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Both directions' mean cross entropy, all own captions of a photo equally true.

    Args:
        logits: (n, m), temperature applied.
        own: (n, m) of 0 and 1, from `positives`.

    Raises:
        ValueError: shapes differ, or a photo or caption has no partner.
    """
    if not (own.any(1).all() and own.any(0).all()):
        raise ValueError("every photo needs an own caption, and every caption its photo")
    return soft_target_loss(logits, own)
