"""All that is known of photos before any rating: what heads and zero-shot scores are read from.

Must not know ratings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from training.cues import LEVEL_VALUES, cue_prompts, cue_scores
from training.encoders import Block, Features
from training.features import text_features
from training.names import named_views
from training.projections import Projections
from training.recipes import CUES, EMBEDDING, NAMES

if TYPE_CHECKING:
    from training.model import Model

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Views:
    """Everything known about some photos before any rating: what heads are learned on."""

    features: Features
    """(n, p) of the image tower."""
    names: Features
    """(n, q) of `training.names`; no columns where the tower tells no classes."""
    embeddings: torch.Tensor
    """(n, d) contrastive, not normalised."""
    cues: Scores
    """(n, cues) zero-shot values."""
    prompts: torch.Tensor
    """(cues, 5, d) unit length."""
    scale: torch.Tensor
    task: str
    blocks: tuple[Block, ...]
    families: dict[str, tuple[str, ...]]

    @property
    def zero_shot(self) -> Scores:
        """(n,) mean over cues: the score before anything is learned."""
        means: Scores = self.cues.mean(1)
        return means

    @property
    def together(self) -> Features:
        """(n, p + q + d + cues): features, names, unit-length embedding, cue values."""
        unit = normalize(self.embeddings, dim=-1).numpy()
        parts = [self.features, self.names, unit, self.cues]
        joined: Features = np.concatenate(parts, axis=1).astype(np.float32)
        return joined

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """Block name → its columns of `together`."""
        found = {block.name: (block.start, block.stop) for block in self.blocks}
        start = self.features.shape[1]
        for name, width in (
            (NAMES, self.names.shape[1]),
            (EMBEDDING, self.embeddings.shape[1]),
            (CUES, self.cues.shape[1]),
        ):
            found[name] = (start, start + width)
            start += width
        return found

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> Views:
        """The same for these rows only."""
        at = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            features=self.features[at],
            names=self.names[at],
            embeddings=self.embeddings[torch.from_numpy(at)],
            cues=self.cues[at],
        )

    def beside(self, *others: Views) -> Views:
        """These photos, then the others', all seen by one model for one task."""
        every = (self, *others)
        return replace(
            self,
            features=np.concatenate([views.features for views in every]),
            names=np.concatenate([views.names for views in every]),
            embeddings=torch.cat([views.embeddings for views in every]),
            cues=np.concatenate([views.cues for views in every]),
        )

    def candidates(self) -> dict[str, list[tuple[int, int]]]:
        """Sets of image columns that ridge chooses among, by a name that says what they are."""
        ranges = {block.name: (block.start, block.stop) for block in self.blocks}
        return {name: [ranges[b] for b in members] for name, members in self.families.items()}


def make_views(
    features: Features,
    names: Features,
    projections: Projections,
    prompt_features: Features,
    task: str,
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
        names,
        embeddings.clone(),
        cues.double().numpy(),
        prompts.clone(),
        scale.clone(),
        task,
        blocks,
        families,
    )


def views_of(
    model: Model, features: Features, task: str, cache: Path, ids: Sequence[str] = ()
) -> Views:
    """(n, p) features of photos → embeddings, a task's cue values and prompts.

    With `ids` (n,), photos learned from in pre-training get the embedding of a model that had not
    seen them: what heads must be learned on.

    Raises:
        UsageError: an unknown task.
    """
    prompts = text_features(cue_prompts(task), model.text, cache, label="cue prompts")
    instead = {row: model.crossfit[key] for row, key in enumerate(ids) if key in model.crossfit}
    names = named_views(features, model.image, model.text, cache)
    image = model.image
    return make_views(
        features, names, model.projections, prompts, task, image.blocks, image.families, instead
    )
