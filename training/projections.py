"""The learned part of the contrastive model: features of both towers into one space.

Must not know what computed the features or what the embeddings are used for.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import normalize

MAX_SCALE = 100.0
"""The temperature's inverse is clamped to 1 … 100 (CLIP, arXiv 2103.00020, section 2.5)."""

BOUND = 6.0
"""Standardised features are cut at this many deviations: an unusual photo must not run away."""


class Projections(nn.Module):
    """Standardise, project, add a small residual MLP (photos only), share a temperature.

    The MLP's last layer starts at zero, so training starts from the linear projection alone.
    """

    image_mean: torch.Tensor
    image_std: torch.Tensor
    image_weight: torch.Tensor
    image_bound: torch.Tensor
    text_mean: torch.Tensor

    def __init__(self, image_dim: int, text_dim: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("image_mean", torch.zeros(image_dim))
        self.register_buffer("image_std", torch.ones(image_dim))
        self.register_buffer("image_weight", torch.ones(image_dim))
        self.register_buffer("image_bound", torch.tensor(math.inf))
        self.register_buffer("text_mean", torch.zeros(text_dim))
        self.image = nn.Linear(image_dim, dim, bias=False)
        self.text = nn.Linear(text_dim, dim, bias=False)
        hidden = max(2, dim // 2)
        self.residual = nn.Sequential(
            nn.Linear(dim, hidden, bias=False), nn.GELU(), nn.Linear(hidden, dim, bias=False)
        )
        last = self.residual[2]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.logit_bias: nn.Parameter | None = None

    def embed_images(self, features: torch.Tensor) -> torch.Tensor:
        """(n, image_dim) → (n, dim), not normalised: the adapter wants it so."""
        x = self.image(self.standardise(features))
        embedded: torch.Tensor = x + self.residual(x)
        return embedded

    def standardise(self, features: torch.Tensor) -> torch.Tensor:
        """(n, image_dim) → the same, centred, scaled, cut and weighed: what `image` projects."""
        x = (features - self.image_mean) / self.image_std
        return x.maximum(-self.image_bound).minimum(self.image_bound) * self.image_weight

    def embed_texts(self, features: torch.Tensor) -> torch.Tensor:
        """(n, text_dim) → (n, dim), unit length."""
        return normalize(self.text(features - self.text_mean), dim=-1)

    @property
    def scale(self) -> torch.Tensor:
        """exp(logit_scale), inside 1 … `MAX_SCALE`."""
        return self.logit_scale.exp().clamp(1.0, MAX_SCALE)

    def logits(self, image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """(n, m) similarities of photos' and texts' features, temperature applied."""
        return self.scale * normalize(self.embed_images(image), dim=-1) @ self.embed_texts(text).T

    def add_bias(self, value: float) -> None:
        """A learnable number added to logits, which the sigmoid loss needs."""
        self.logit_bias = nn.Parameter(torch.tensor(float(value)))

    @torch.no_grad()
    def start_as_mean(self) -> None:
        """For towers that share a space already: the mean of the views, texts as they are."""
        dim = self.text.out_features
        views = self.image.in_features // dim
        self.image.weight.copy_(torch.eye(dim).repeat(1, views) / views)
        self.text.weight.copy_(torch.eye(dim))
