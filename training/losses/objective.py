"""The loss of one batch from its embeddings, whole or in parts that add up to the whole.

Parts are what big batches and several processes need: a part is the share of some photos and some
captions against all captions and all photos. Must not know where embeddings come from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from training.losses.multipositive import positives
from training.losses.sigmoid import pair_losses
from training.losses.soft import row_cross_entropy, soft_targets

LOSSES = ("clip", "soft", "sigmoid")
"""`clip`: InfoNCE, all own captions positive; `soft`: MOS-aware targets; `sigmoid`: SigLIP's."""

_ALL = slice(None)


@dataclass(frozen=True)
class Side:
    """What a loss knows of the photos, or of the captions, of a batch: three tensors (n,)."""

    owners: torch.Tensor
    """The photo's number in the data; captions have their photo's."""
    scores: torch.Tensor
    """The photo's unified score, NaN where nobody rated."""
    kinds: torch.Tensor
    """Code of the task and the scale that the score (and the caption) speaks about; −1: none."""
    weights: torch.Tensor | None = None
    """How much each counts; none: all alike."""

    def at(self, rows: slice) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Owners, scores and kinds of some rows."""
        return self.owners[rows], self.scores[rows], self.kinds[rows]


@dataclass(frozen=True)
class Batch:
    """Both sides of a batch; a photo may have several captions."""

    photos: Side
    captions: Side


@dataclass(frozen=True, slots=True)
class Objective:
    """One of `LOSSES` with its settings."""

    name: str = "clip"
    beta: float = 0.0
    sigma: float = 0.05

    def __post_init__(self) -> None:
        """Check the name."""
        if self.name not in LOSSES:
            raise ValueError(f"no loss '{self.name}'; known: {', '.join(LOSSES)}")

    @property
    def biased(self) -> bool:
        """Whether logits need a learnable bias."""
        return self.name == "sigmoid"

    def __call__(
        self,
        image: torch.Tensor,
        text: torch.Tensor,
        scale: torch.Tensor,
        bias: torch.Tensor | None,
        batch: Batch,
        photos: slice = _ALL,
        captions: slice = _ALL,
    ) -> torch.Tensor:
        """The share of `photos` and `captions` in the batch's loss.

        Args:
            image, text: (n, d) and (m, d) unit-length embeddings of the whole batch.
            scale: the temperature's inverse.
            bias: added to logits by `sigmoid`, else unused.
            batch: who owns what, in the embeddings' order.
            photos, captions: rows of the two whose share is wanted; shares of slices that cover
                both add up to the loss.

        Raises:
            ValueError: `sigmoid` without a bias.
        """
        if self.biased:
            if bias is None:
                raise ValueError("the sigmoid loss needs a bias")
            logits = scale * image[photos] @ text.T + bias
            own = positives(batch.photos.owners[photos], batch.captions.owners)
            return pair_losses(logits, own, batch.captions.weights).sum() / len(image)
        return (
            _direction(scale * image[photos] @ text.T, self._targets(batch, photos, _ALL),
                       batch.photos.weights, photos, len(image))
            + _direction(scale * text[captions] @ image.T, self._targets(batch, _ALL, captions).T,
                         batch.captions.weights, captions, len(text))
        ) / 2  # fmt: skip

    def _targets(self, batch: Batch, photos: slice, captions: slice) -> torch.Tensor:
        targets = soft_targets(
            *batch.photos.at(photos),
            beta=self.beta if self.name == "soft" else 0.0,
            sigma=self.sigma,
            captions=batch.captions.at(captions),
        )
        if batch.captions.weights is not None:
            targets = targets * batch.captions.weights[captions][None, :]
        return targets


def _direction(
    logits: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor | None,
    rows: slice,
    total: int,
) -> torch.Tensor:
    losses = row_cross_entropy(logits, targets)
    if weights is None:
        return losses.sum() / total
    return (weights[rows] * losses).sum() / weights.sum()
