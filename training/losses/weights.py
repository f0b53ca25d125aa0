"""Means in which some members count more.

The scale of the weights never matters, so a learning rate stays what it was when a manifest's
weights are all doubled.
"""

from __future__ import annotations

import torch


def weighted_mean(values: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Σ w·v / Σ w over (n,) values; without weights the plain mean.

    Raises:
        ValueError: shapes differ.
    """
    if weights is None:
        return values.mean()
    if weights.shape != values.shape:
        raise ValueError(f"{tuple(weights.shape)} weights for {tuple(values.shape)} values")
    return (weights * values).sum() / weights.sum()
