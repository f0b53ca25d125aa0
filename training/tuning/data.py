"""The photos and captions that a run learns from, as columns.

Must not know pixels, models or what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.batching import batch_of
from training.data import Caption, Manifest
from training.losses import Batch


@dataclass(frozen=True)
class Examples:
    """Some rows of a manifest, column by column."""

    paths: list[Path]
    ids: list[str]
    tasks: list[str]
    """Per photo the task its score speaks about; may be empty."""
    scores: torch.Tensor
    """(n,) unified, NaN where nobody rated."""
    captions: list[list[Caption]]
    weights: list[NDArray[np.float64]]
    """Per photo its captions' weights, summing to 1."""
    loads: list[NDArray[np.float64]]
    """The same as the manifest has them."""
    photos: list[int]
    """Per row its photo's number: `Manifest.photos`."""
    kinds: list[int]
    """Per photo what its score can be compared with: the code of `Manifest.kinds`."""
    on_task: list[list[bool]]
    """Per photo, for each of its captions, whether it speaks of the photo's task."""

    def __len__(self) -> int:
        """How many photos."""
        return len(self.paths)

    @classmethod
    def of(cls, manifest: Manifest, rows: Sequence[int]) -> Examples:
        """These rows of a manifest."""
        photos, kinds = manifest.photos(), manifest.kinds()
        shares = [np.array([c.weight for c in manifest.captions[row]]) for row in rows]
        return cls(
            [manifest.images[row] for row in rows],
            [manifest.ids[row] for row in rows],
            [manifest.tasks[row] for row in rows],
            torch.from_numpy(manifest.scores[list(rows)]).float(),
            [manifest.captions[row] for row in rows],
            [share / share.sum() for share in shares],
            shares,
            [photos[row] for row in rows],
            [kinds[row] for row in rows],
            [[c.task == manifest.tasks[row] for c in manifest.captions[row]] for row in rows],
        )

    def batch(self, rows: Sequence[int], picks: Sequence[Sequence[int]], weigh: bool) -> Batch:
        """What the loss must know of photos `rows` with captions `picks` of each.

        With `weigh`, captions count by the manifest's weights, and a photo by those of its
        captions together.
        """
        loads = self.loads if weigh else None
        return batch_of(rows, picks, self.photos, self.scores, self.kinds, self.on_task, loads)
