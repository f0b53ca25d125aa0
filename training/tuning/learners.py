"""Two towers and a temperature that learn together, from pixels and words to one space.

A learner looks at a photo through one view of `augment`, embeds chunks of photos and captions, and
can be turned into the towers that scoring uses. Batch normalisation keeps its ImageNet statistics:
a photo's embedding never depends on what stands beside it, so batches may be cut into chunks. Must
not know manifests, losses or optimizers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint

from training.encoders import (
    CROP,
    ImageTower,
    Lite0Tower,
    MiniLMTower,
    TextTower,
    packaged_copies,
    shrink,
)
from training.huggingface import HuggingFaceImageTower, Towers, log_temperature, wrap
from training.losses.sigmoid import START_BIAS
from training.projections import MAX_SCALE, Projections
from training.tuning.augment import View, see, see_crop, see_whole
from training.tuning.lora import add_lora, merge_lora
from uniqa.photos import Pixels

STRIDE = 32
"""The longer side of a whole photo is cut to a multiple of this, so that many share a forward."""


class Learner(Protocol):
    """What the loop needs; also an `nn.Module`."""

    device: torch.device
    factors: dict[str, float]
    """Beginning of a parameter's name → multiplier of its learning rate."""

    def prepare(self, pixels: Pixels, view: View) -> Any:
        """What can be done to one photo in a reader's thread."""
        ...

    def collate(self, prepared: Sequence[Any]) -> Any:
        """A chunk of prepared photos as `embed_images` wants them."""
        ...

    def tokenize(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """A chunk of captions as `embed_texts` wants them."""
        ...

    def embed_images(self, inputs: Any) -> torch.Tensor:
        """(n, d), unit length."""
        ...

    def embed_texts(self, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, d), unit length."""
        ...

    def scale(self) -> torch.Tensor:
        """The temperature's inverse."""
        ...

    def bias(self) -> torch.Tensor | None:
        """What the sigmoid loss adds to logits."""
        ...

    def sides(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """The modules behind photos' and behind captions' embeddings."""
        ...

    def towers(self) -> tuple[ImageTower, TextTower, Projections]:
        """As they are now, for scoring; they share this learner's weights."""
        ...


class HuggingFaceLearner(nn.Module):
    """A CLIP or SigLIP of transformers; a step sees the whole photo or one native crop."""

    def __init__(self, towers: Towers, *, biased: bool) -> None:
        super().__init__()
        self._towers = towers
        self.model = towers.model
        self.device = towers.device
        self.factors: dict[str, float] = {}
        own = getattr(self.model, "logit_bias", None)
        self.own_bias: nn.Parameter | None = None
        if biased and own is None:
            self.own_bias = nn.Parameter(torch.tensor(START_BIAS, device=self.device))
        if not biased and own is not None:
            own.requires_grad_(False)

    def prepare(self, pixels: Pixels, view: View) -> dict[str, torch.Tensor]:
        """One view, as the model's own processor makes it."""
        return self._towers.pixels([see(pixels, view, self._towers.side)])

    def collate(self, prepared: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Side by side."""
        return {name: torch.cat([one[name] for one in prepared]) for name in prepared[0]}

    def tokenize(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Padded to the model's full length, or to the longest where that changes nothing.

        CLIP looks from left to right up to the end token, so what follows it never matters.
        """
        return self._towers.tokenize(texts, full=self.model.config.model_type != "clip")

    def embed_images(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, d), unit length."""
        return normalize(self._towers.embed_pixels(inputs).float(), dim=-1)

    def embed_texts(self, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, d), unit length."""
        return normalize(self._towers.embed_tokens(tokens).float(), dim=-1)

    def scale(self) -> torch.Tensor:
        """exp(logit_scale)."""
        return self.logit_scale().exp().squeeze()

    def logit_scale(self) -> nn.Parameter:
        """The model's own parameter."""
        parameter: nn.Parameter = self.model.logit_scale
        return parameter

    def bias(self) -> torch.Tensor | None:
        """The model's own bias, or one beside it that is not saved."""
        own: torch.Tensor | None = getattr(self.model, "logit_bias", self.own_bias)
        return None if own is None else own.squeeze()

    def sides(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Each tower with its projection, where it has one."""
        names = (("vision_model", "visual_projection"), ("text_model", "text_projection"))
        image, text = ([m for n in one if (m := getattr(self.model, n, None))] for one in names)
        return image, text

    @property
    def shared(self) -> Towers:
        """The model with its processors, as it is now."""
        return self._towers

    def lora_parts(self) -> tuple[nn.Module, nn.Module]:
        """Where low-rank matrices may go: photos' and captions' tower."""
        return self.model.vision_model, self.model.text_model

    def never_learns(self) -> Iterator[nn.Parameter]:
        """Weights that embeddings do not depend on."""
        return iter(())

    def recompute(self) -> None:
        """Trade time for memory: activations are computed again for the gradient."""
        self.model.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": False}
        )

    def towers(self) -> tuple[ImageTower, TextTower, Projections]:
        """The model's own space, photos as the mean of whole and crops."""
        image, text = wrap(self._towers)
        projections = shared_space(image, text)
        bias = self.bias()
        if bias is not None:
            projections.add_bias(float(bias))
        return image, text, projections


class CompactLearner(nn.Module):
    """EfficientNet-lite0, MiniLM and the projections between; a step sees whole and one crop.

    One crop stands for the mean over the grid's five that scoring uses. Captions' projection does
    not learn: MiniLM behind it does.
    """

    def __init__(self, projections: Projections, *, tuned: tuple[bool, bool], biased: bool) -> None:
        super().__init__()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.net, self.text_model = packaged_copies()
        # Photos come with their channels last; convolutions are a third faster so, also on CPUs.
        self.net.to(memory_format=torch.channels_last)
        self._tuned = tuned
        self.projections = projections
        if biased and projections.logit_bias is None:
            projections.add_bias(START_BIAS)
        self.factors = {"projections.": PROJECTION_FACTOR}
        self._run: Callable[..., Any] | None = None
        self.to(self.device)
        self._image, self._text = Lite0Tower(self.net), MiniLMTower(self.text_model)

    def prepare(self, pixels: Pixels, view: View) -> dict[str, Pixels]:
        """The whole, 224 on the shorter side, and one native crop."""
        whole = _cut(shrink(see_whole(pixels, view), CROP))
        return {"whole": whole, "crop": see_crop(pixels, view, CROP)}

    def collate(
        self, prepared: Sequence[dict[str, Pixels]]
    ) -> list[tuple[list[int], torch.Tensor, torch.Tensor]]:
        """Photos of one shape together: their places in the chunk, wholes and crops."""
        shapes: dict[tuple[int, ...], list[int]] = {}
        for place, one in enumerate(prepared):
            shapes.setdefault(one["whole"].shape, []).append(place)
        return [
            (
                places,
                self._stack([prepared[place]["whole"] for place in places]),
                self._stack([prepared[place]["crop"] for place in places]),
            )
            for _, places in sorted(shapes.items())
        ]

    def tokenize(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Padded to the longest."""
        return self._text.tokenize(texts)

    def embed_images(
        self, inputs: list[tuple[list[int], torch.Tensor, torch.Tensor]]
    ) -> torch.Tensor:
        """(n, d), unit length."""
        order: list[int] = []
        parts = []
        for places, *views in inputs:
            order += places
            stages = [s for view in views for s in self._image.pool(self._range(view), self._run)]
            parts.append(torch.cat(stages, dim=1))
        back = torch.tensor(order, device=self.device).argsort()
        with torch.autocast(self.device.type, enabled=False):
            embedded = self.projections.embed_images(torch.cat(parts)[back])
        return normalize(embedded, dim=-1)

    def embed_texts(self, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, d), unit length."""
        embedded = self._text.embed({n: value.to(self.device) for n, value in tokens.items()})
        with torch.autocast(self.device.type, enabled=False):
            return self.projections.embed_texts(embedded.float())

    def scale(self) -> torch.Tensor:
        """exp(logit_scale)."""
        return self.projections.logit_scale.exp()

    def logit_scale(self) -> nn.Parameter:
        """The projections' parameter."""
        return self.projections.logit_scale

    def bias(self) -> torch.Tensor | None:
        """The projections' bias."""
        return self.projections.logit_bias

    def sides(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Net and projection; MiniLM."""
        head = [self.projections.image, self.projections.residual]
        return [self.net, *head], [self.text_model]

    def lora_parts(self) -> tuple[nn.Module, nn.Module]:
        """Net and MiniLM."""
        return self.net, self.text_model

    def never_learns(self) -> Iterator[nn.Parameter]:
        """The classifier, MiniLM's pooler, and captions' projection."""
        yield from self.net._fc.parameters()
        yield from self.text_model.pooler.parameters()
        yield from self.projections.text.parameters()

    def recompute(self) -> None:
        """Trade time for memory: activations are computed again for the gradient."""
        self._run = lambda block, x: checkpoint(block, x, use_reentrant=False)
        self.text_model.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": False}
        )

    def towers(self) -> tuple[ImageTower, TextTower, Projections]:
        """Towers that did not learn keep the packaged ones' names."""
        image, text = self._tuned
        return (
            Lite0Tower(self.net if image else None),
            MiniLMTower(self.text_model if text else None),
            self.projections,
        )

    @staticmethod
    def _stack(pixels: Sequence[Pixels]) -> torch.Tensor:
        return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)

    def _range(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels.to(self.device).float() - 127.0) / 128.0


PROJECTION_FACTOR = 10.0
"""Projections start from a closed form and may learn this much faster than trained towers."""


def _cut(pixels: Pixels) -> Pixels:
    """The middle, with the longer side a multiple of `STRIDE`."""
    height, width = (side - side % STRIDE for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def shared_space(image: ImageTower, text: TextTower) -> Projections:
    """Projections that leave the space of one Hugging Face model's towers as it is."""
    assert isinstance(image, HuggingFaceImageTower)
    projections = Projections(image.dim, text.dim, text.dim)
    projections.start_as_mean()
    with torch.no_grad():
        projections.logit_scale.fill_(log_temperature(image.towers.model))
    return projections


AnyLearner = HuggingFaceLearner | CompactLearner


def choose_what_learns(
    learner: AnyLearner, *, image: bool, text: bool, lora: int, seed: int
) -> None:
    """Say of every parameter whether it learns.

    Args:
        learner: all of it may have learned before.
        image, text: whether this tower learns; a frozen one keeps its bytes (LiT,
            arXiv 2111.07991). Projections of `compact` learn even so.
        lora: rank of low-rank matrices in the towers that learn; 0: all their weights learn.
        seed: of the low-rank matrices' start.
    """
    fixed = getattr(learner.model, "logit_bias", None) if _is_hf(learner) else None
    biased = fixed is None or fixed.requires_grad
    learner.requires_grad_(True)
    if fixed is not None:
        fixed.requires_grad_(biased)
    for parameter in learner.never_learns():
        parameter.requires_grad_(False)
    for learns, side, part in zip(
        (image, text), learner.sides(), learner.lora_parts(), strict=True
    ):
        if not learns:
            frozen = side if _is_hf(learner) else [part]
            for module in frozen:
                module.requires_grad_(False)
        elif lora:
            for module in side if _is_hf(learner) else [part]:
                module.requires_grad_(False)
            add_lora(part, lora, seed=seed)
    learner.to(learner.device)


def _is_hf(learner: AnyLearner) -> bool:
    return isinstance(learner, HuggingFaceLearner)


def learning_mode(learner: AnyLearner) -> None:
    """Dropout in towers that learn; batch normalisation and frozen towers as in scoring."""
    learner.train()
    for part in learner.lora_parts():
        if not any(parameter.requires_grad for parameter in part.parameters()):
            part.eval()
    for module in learner.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def side_learns(side: Sequence[nn.Module]) -> bool:
    """Whether anything in it wants a gradient."""
    return any(parameter.requires_grad for module in side for parameter in module.parameters())


def finish(learner: AnyLearner, *, lora: bool) -> None:
    """Merge low-rank matrices, and leave the learner as scoring wants it."""
    if lora:
        for part in learner.lora_parts():
            merge_lora(part)
    learner.eval().requires_grad_(False)
    if isinstance(learner, CompactLearner):
        learner.cpu()
        learner.net.to(memory_format=torch.contiguous_format)


@torch.no_grad()
def clamp_temperature(learner: AnyLearner) -> None:
    """Bring exp(logit_scale) into 1 … 100 (CLIP, arXiv 2103.00020, section 2.5)."""
    learner.logit_scale().clamp_(0.0, math.log(MAX_SCALE))
