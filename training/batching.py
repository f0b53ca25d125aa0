"""From photos and their captions to what a loss is told of a batch: both ways to pre-train need it.

Must not know pixels, features or what learns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from training.losses import Batch, Side


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
    photos: Sequence[int],
    scores: torch.Tensor,
    kinds: Sequence[int],
    on_task: Sequence[Sequence[bool]],
    loads: Sequence[NDArray[np.float64]] | None,
) -> Batch:
    """What a loss must know of photos `rows` with captions `picks` of each.

    A caption is comparable with photos rated as its own photo is if it speaks of that photo's task.

    Args:
        rows: (n,) of the photos.
        picks: per photo of `rows` the positions of its captions.
        photos: per row a number of its photo: one that several datasets rated has several rows.
        scores: (all rows,) unified, NaN where nobody rated.
        kinds: per photo the code of `Manifest.kinds`.
        on_task: per photo, for each of its captions, whether it speaks of the photo's task.
        loads: per photo how much its captions count, a photo as much as its captions together;
            none: all alike.
    """
    rows = list(rows)
    chosen = [(row, pick) for row, some in zip(rows, picks, strict=True) for pick in some]
    owners = [row for row, _ in chosen]
    codes = [kinds[row] if on_task[row][pick] else -1 for row, pick in chosen]
    heavy = light = None
    if loads is not None:
        light = torch.tensor([float(loads[row][pick]) for row, pick in chosen])
        heavy = torch.tensor(
            [float(loads[row][list(some)].sum()) for row, some in zip(rows, picks, strict=True)]
        )
    own = torch.tensor([kinds[row] for row in rows])
    return Batch(
        Side(torch.tensor([photos[row] for row in rows]), scores[rows], own, heavy),
        Side(
            torch.tensor([photos[row] for row in owners]),
            scores[owners],
            torch.tensor(codes),
            light,
        ),
    )
