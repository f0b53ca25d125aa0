"""From photos and their captions to what a loss is told of a batch: both ways to pre-train need it.

Must not know pixels, features or what learns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from training.losses import Batch, Side
from uniqa.levels import TASKS


def some_captions(
    weights: NDArray[np.float64], count: int, rng: np.random.Generator, *, by_weight: bool
) -> list[int]:
    """Up to `count` different captions of a photo, as ascending positions.

    Args:
        weights: (captions,) > 0, summing to 1.
        count: how many; a photo with fewer gives all it has.
        rng: what draws.
        by_weight: draw in proportion to the weights, else each alike.
    """
    many = len(weights)
    if many <= count:
        return list(range(many))
    picks = rng.choice(many, count, replace=False, p=weights if by_weight else None)
    return sorted(int(pick) for pick in picks)


def batch_of(
    rows: Sequence[int],
    picks: Sequence[Sequence[int]],
    scores: torch.Tensor,
    tasks: Sequence[str],
    caption_tasks: Sequence[Sequence[str]],
    loads: Sequence[NDArray[np.float64]] | None,
) -> Batch:
    """What a loss must know of photos `rows` with captions `picks` of each.

    A caption is comparable with photos rated for its own photo's task if it speaks of that.

    Args:
        rows: (n,) of the photos.
        picks: per photo of `rows` the positions of its captions.
        scores: (all photos,) unified, NaN where nobody rated.
        tasks: per photo the task its score speaks about; may be empty.
        caption_tasks: per photo its captions' tasks.
        loads: per photo how much its captions count, a photo as much as its captions together;
            none: all alike.
    """
    rows = list(rows)
    chosen = [(row, pick) for row, some in zip(rows, picks, strict=True) for pick in some]
    owners = [row for row, _ in chosen]
    codes = [
        _code(tasks[row]) if caption_tasks[row][pick] == tasks[row] else -1 for row, pick in chosen
    ]
    heavy = light = None
    if loads is not None:
        light = torch.tensor([float(loads[row][pick]) for row, pick in chosen])
        heavy = torch.tensor(
            [float(loads[row][list(some)].sum()) for row, some in zip(rows, picks, strict=True)]
        )
    own = torch.tensor([_code(tasks[row]) for row in rows])
    return Batch(
        Side(torch.tensor(rows), scores[rows], own, heavy),
        Side(torch.tensor(owners), scores[owners], torch.tensor(codes), light),
    )


def _code(task: str) -> int:
    return TASKS.index(task) if task else -1
