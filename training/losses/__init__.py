"""Contrastive losses, one small module each; none knows models, photos or captions.

`Objective` is what training uses: any of them, in shares of a batch. The plain functions are the
formulas as papers write them; tests hold `Objective` against them.
"""

from training.losses.contrastive import clip_loss
from training.losses.multipositive import multi_positive_loss, positives
from training.losses.objective import LOSSES, Batch, Objective, Side
from training.losses.sigmoid import sigmoid_loss
from training.losses.soft import soft_target_loss, soft_targets
from training.losses.weights import weighted_mean

__all__ = [
    "LOSSES",
    "Batch",
    "Objective",
    "Side",
    "clip_loss",
    "multi_positive_loss",
    "positives",
    "sigmoid_loss",
    "soft_target_loss",
    "soft_targets",
    "weighted_mean",
]
