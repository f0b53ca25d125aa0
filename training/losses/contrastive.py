"""CLIP's symmetric InfoNCE (Radford et al., arXiv 2103.00020, figure 3)."""

from __future__ import annotations

import torch


def clip_loss(logits: torch.Tensor) -> torch.Tensor:
    """Mean of both directions' cross entropy with the diagonal as the truth.

    Args:
        logits: (n, n); row i holds photo i against every caption, temperature applied.

    Raises:
        ValueError: not square.
    """
    if logits.ndim != 2 or logits.shape[0] != logits.shape[1]:
        raise ValueError(f"logits must be square, not {tuple(logits.shape)}")
    photos = -logits.log_softmax(1).diagonal()
    captions = -logits.T.log_softmax(1).diagonal()
    return (photos.mean() + captions.mean()) / 2
