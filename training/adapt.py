"""Heads learned from a few ratings, and the choice among them inside those ratings.

`ridge` on the image tower's features, `fused` on these with the embedding and the cue values,
`adapter` as UniQA has it; `auto` takes the one with the smallest error on folds of the labels that
no group straddles. Must not know test photos exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from training.adapter import Adapter, fit_adapters
from training.config import AdaptConfig
from training.cues import LEVEL_VALUES, cue_names, cue_scores
from training.data import make_folds
from training.encoders import Block, Features
from training.projections import Projections
from training.ridge import Ridge, check_scores, fit_ridge

LEARNED = ("ridge", "fused", "adapter")
FEW = 10
"""Below this many labels folds tell nothing; `auto` is ridge."""

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Views:
    """Everything known about some photos before any rating: what heads are learned on."""

    features: Features
    """(n, p) of the image tower."""
    embeddings: torch.Tensor
    """(n, d) contrastive, not normalised."""
    cues: Scores
    """(n, cues) zero-shot values."""
    prompts: torch.Tensor
    """(cues, 5, d) unit length."""
    scale: torch.Tensor
    blocks: tuple[Block, ...]
    families: dict[str, tuple[str, ...]]

    @property
    def zero_shot(self) -> Scores:
        """(n,) mean over cues: the score before anything is learned."""
        means: Scores = self.cues.mean(1)
        return means

    @property
    def fused(self) -> Features:
        """(n, p + d + cues): features, unit-length embedding, cue values."""
        unit = normalize(self.embeddings, dim=-1).numpy()
        joined: Features = np.concatenate([self.features, unit, self.cues], axis=1).astype(
            np.float32
        )
        return joined

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> Views:
        """The same for these rows only."""
        at = np.asarray(rows, dtype=np.int64)
        return Views(
            self.features[at],
            self.embeddings[torch.from_numpy(at)],
            self.cues[at],
            self.prompts,
            self.scale,
            self.blocks,
            self.families,
        )

    def candidates(self, method: str) -> dict[str, list[tuple[int, int]]]:
        """Sets of columns that ridge chooses among, by a name that says what they are."""
        ranges = {block.name: (block.start, block.stop) for block in self.blocks}
        sets = {name: [ranges[b] for b in members] for name, members in self.families.items()}
        if method == "ridge":
            return sets
        p, d = self.features.shape[1], self.embeddings.shape[1]
        embedding, cues = (p, p + d), (p + d, p + d + self.cues.shape[1])
        fused = {**sets, "embedding and cues": [embedding, cues], "cues": [cues]}
        for name, members in sets.items():
            # Repeating a range raises its share of the kernel: a little, or about half of it.
            for share, times in (("light", 1), ("half", len(members) // 2)):
                text = [embedding, cues] * max(1, times)
                fused[f"{name} + embedding and cues ({share})"] = [*members, *text]
        return fused


def make_views(
    features: Features,
    projections: Projections,
    prompt_features: Features,
    blocks: tuple[Block, ...],
    families: dict[str, tuple[str, ...]],
    instead: dict[int, torch.Tensor] | None = None,
) -> Views:
    """Embed photos and a task's prompts (cue after cue, five each) and read the cue values.

    `instead` gives rows whose embeddings are known otherwise: the cross-fitted ones.
    """
    with torch.inference_mode():
        embeddings = projections.embed_images(torch.from_numpy(features))
        for row, known in (instead or {}).items():
            embeddings[row] = known
        prompts = projections.embed_texts(torch.from_numpy(prompt_features)).unflatten(0, (-1, 5))
        scale = projections.scale
        values = torch.tensor(LEVEL_VALUES)
        cues = cue_scores(normalize(embeddings, dim=-1), prompts, scale, values)
    return Views(
        features,
        embeddings.clone(),
        cues.double().numpy(),
        prompts.clone(),
        scale.clone(),
        blocks,
        families,
    )


@dataclass(frozen=True)
class Choice:
    """A method, why it was taken, and every candidate's error on folds of the labels."""

    method: str
    why: str
    errors: dict[str, float]


def fit_head(
    method: str, views: Views, scores: Scores, groups: Sequence[str], config: AdaptConfig
) -> Ridge | Adapter:
    """Learn one method's head from all the photos given.

    Raises:
        InputError: fewer than two photos, or all rated the same.
    """
    check_scores(scores)
    if method == "adapter":
        everything = [list(range(len(scores)))]
        return fit_adapters(
            views.embeddings, scores, everything, views.prompts, views.scale, config
        )[0]
    x = views.features if method == "ridge" else views.fused
    return fit_ridge(x, scores, groups, views.candidates(method))


def predict(method: str, head: Ridge | Adapter, views: Views) -> Scores:
    """(n,) unified scores, clipped to 0–1."""
    if isinstance(head, Adapter):
        raw = head.predict(views.embeddings, views.prompts, views.scale)
    else:
        raw = head.predict(views.features if method == "ridge" else views.fused)
    clipped: Scores = np.clip(raw, 0.0, 1.0)
    return clipped


def choose(views: Views, scores: Scores, groups: Sequence[str], config: AdaptConfig) -> Choice:
    """The method with the smallest error on folds; ties go to the simpler one.

    Raises:
        InputError: fewer than two photos, or all rated the same.
    """
    check_scores(scores)
    if len(scores) < FEW:
        return Choice("ridge", f"fewer than {FEW} labels: folds would tell nothing", {})
    folds = make_folds(groups, config.seed)
    if len(folds) < 2:
        return Choice("ridge", "all labels belong to one group: no folds to compare on", {})
    learn = [sorted(set(range(len(scores))) - set(fold)) for fold in folds]
    if any(np.ptp(scores[rows]) == 0 for rows in learn):
        return Choice("ridge", "too few different ratings to compare on folds", {})
    adapters = fit_adapters(views.embeddings, scores, learn, views.prompts, views.scale, config)
    squared = dict.fromkeys(LEARNED, 0.0)
    for fold, rows, adapter in zip(folds, learn, adapters, strict=True):
        there = views.take(fold)
        heads: dict[str, Ridge | Adapter] = {"adapter": adapter}
        for method in ("ridge", "fused"):
            heads[method] = fit_head(
                method, views.take(rows), scores[rows], [groups[r] for r in rows], config
            )
        for method, head in heads.items():
            error = predict(method, head, there) - scores[fold]
            squared[method] += float((error**2).sum())
    errors = {method: float(np.sqrt(squared[method] / len(scores))) for method in LEARNED}
    best = min(LEARNED, key=lambda method: (round(errors[method], 6), LEARNED.index(method)))
    told = ", ".join(f"{method} {errors[method]:.4f}" for method in LEARNED)
    return Choice(best, f"smallest error on {len(folds)} folds of the labels (RMSE {told})", errors)


def learn(
    views: Views, scores: Scores, groups: Sequence[str], config: AdaptConfig
) -> tuple[str, Ridge | Adapter, Choice]:
    """Choose (where the method is `auto`) and fit on all labels."""
    choice = Choice(config.method, "as asked", {})
    if config.method == "auto":
        choice = choose(views, scores, groups, config)
    return choice.method, fit_head(choice.method, views, scores, groups, config), choice


def facts_of(choice: Choice, labels: int, task: str) -> dict[str, Any]:
    """What a head's file tells about its making."""
    return {
        "labels": labels,
        "why": choice.why,
        "fold_rmse": choice.errors,
        "cues": cue_names(task),
    }
