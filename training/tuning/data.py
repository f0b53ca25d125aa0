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

from training.data import Caption, Manifest
from training.losses import Batch, Side
from uniqa.levels import TASKS


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

    def __len__(self) -> int:
        """How many photos."""
        return len(self.paths)

    @classmethod
    def of(cls, manifest: Manifest, rows: Sequence[int]) -> Examples:
        """These rows of a manifest."""
        shares = [np.array([c.weight for c in manifest.captions[row]]) for row in rows]
        return cls(
            [manifest.images[row] for row in rows],
            [manifest.ids[row] for row in rows],
            [manifest.tasks[row] for row in rows],
            torch.from_numpy(manifest.scores[list(rows)]).float(),
            [manifest.captions[row] for row in rows],
            [share / share.sum() for share in shares],
        )

    def batch(self, rows: Sequence[int], picks: Sequence[Sequence[int]], weigh: bool) -> Batch:
        """What the loss must know of photos `rows` with captions `picks` of each.

        A caption is comparable with photos rated for its own photo's task if it speaks of that.
        With `weigh`, captions count by the manifest's weights, and a photo by those of its
        captions together.
        """
        owners = [row for row, some in zip(rows, picks, strict=True) for _ in some]
        chosen = [
            self.captions[row][p] for row, some in zip(rows, picks, strict=True) for p in some
        ]
        codes = [_code(self.tasks[row]) for row in rows]
        caption_codes = [
            _code(self.tasks[row]) if caption.task == self.tasks[row] else -1
            for row, caption in zip(owners, chosen, strict=True)
        ]
        photo_weights = caption_weights = None
        if weigh:
            caption_weights = torch.tensor([caption.weight for caption in chosen])
            photo_weights = torch.tensor(
                [
                    sum(self.captions[row][p].weight for p in some)
                    for row, some in zip(rows, picks, strict=True)
                ]
            )
        return Batch(
            Side(torch.tensor(rows), self.scores[list(rows)], torch.tensor(codes), photo_weights),
            Side(
                torch.tensor(owners), self.scores[owners], torch.tensor(caption_codes),
                caption_weights,
            ),
        )  # fmt: skip


def _code(task: str) -> int:
    return TASKS.index(task) if task else -1
