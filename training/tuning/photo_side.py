"""A model's image tower as a learner: a copy that may change, seen as scoring sees it.

A photo's embedding comes from the whole and one native crop, which stands for the mean over the
grid's five, through the model's own projections; whole and crops as features have them, so that
nothing moves before something is learned. Must not know ratings or losses.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch.nn.functional import normalize

from training.encoders import ImageTower, Lite0Tower
from training.huggingface import HuggingFaceImageTower, Towers, wrap
from training.model import Model
from training.projections import Projections
from training.tuning.augment import View, see_crop, see_whole
from training.tuning.learners import AnyLearner, CompactLearner, HuggingFaceLearner, finish
from training.tuning.lora import add_lora
from uniqa.photos import Pixels


class PairedViews(HuggingFaceLearner):
    """A CLIP or SigLIP that looks at the whole and one crop, through projections of its own."""

    def __init__(self, towers: Towers, projections: Projections) -> None:
        super().__init__(towers, biased=False)
        self.projections = projections.to(self.device)

    def prepare(self, pixels: Pixels, view: View) -> dict[str, torch.Tensor]:
        """Two rows: the whole, then the crop."""
        side = self._towers.side
        return self._towers.pixels([see_whole(pixels, view), see_crop(pixels, view, side)])

    def embed_images(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """(2n rows) → (n, d), unit length."""
        views = normalize(self._towers.embed_pixels(inputs).float(), dim=-1)
        features = views.unflatten(0, (-1, 2)).flatten(1)
        return normalize(self.projections.embed_images(features), dim=-1)


def low_rank_copy(model: Model, rank: int, seed: int) -> AnyLearner:
    """A copy of a model in which nothing learns but low-rank matrices in the image tower.

    Raises:
        UsageError: peft is missing.
    """
    learner: AnyLearner
    projections = copy.deepcopy(model.projections)
    if isinstance(model.image, Lite0Tower):
        learner = CompactLearner(projections, tuned=(True, False), biased=False)
        learner.net.load_state_dict(model.image.net.state_dict())
    else:
        assert isinstance(model.image, HuggingFaceImageTower)
        own = model.image.towers
        learner = PairedViews(
            Towers(copy.deepcopy(own.model), own.processor, own.tokenizer, own.source), projections
        )
    learner.eval().requires_grad_(False)
    add_lora(learner.lora_parts()[0], rank, seed=seed)
    learner.to(learner.device)
    return learner


def with_learned_tower(model: Model, learner: AnyLearner) -> Model:
    """The model with what `low_rank_copy` learned merged into its image tower.

    Texts and projections stay. Cross-fitted embeddings came from the old tower and go; so does a
    head. The learner is used up.
    """
    finish(learner, lora=True)
    image: ImageTower
    if isinstance(learner, CompactLearner):
        image, text = Lite0Tower(learner.net), model.text
    else:
        # Both towers lie in one transformers model, under one name.
        image, text = wrap(learner.shared)
    return replace(model, image=image, text=text, head=None, crossfit={})
