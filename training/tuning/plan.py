"""Which photos and which of their captions a step sees, as pure functions of seed and step.

Nothing is drawn from a generator that runs along, so a resumed run needs no generator's state, and
each of several processes knows what all see. Must not know pixels or models.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.batching import some_captions
from training.pretrain import batches
from training.tuning.augment import stream


class Plan:
    """Photos 0 … n−1 in batches, every one once per epoch, in another order each."""

    def __init__(self, count: int, size: int, epochs: int, seed: int, least: int = 2) -> None:
        self.count, self.size, self.epochs, self.seed = count, size, epochs, seed
        self._least = least
        self.per_epoch = len(self._epoch(0))
        self.steps = self.per_epoch * epochs

    def rows(self, step: int) -> list[int]:
        """The photos of a step."""
        return self._epoch(step // self.per_epoch)[step % self.per_epoch]

    def spares(self, step: int, unusable: set[int]) -> list[int]:
        """Photos outside the step's batch that may stand in for broken ones, in seeded order."""
        taken = set(self.rows(step)) | unusable
        order = np.random.default_rng([self.seed, step, 1]).permutation(self.count)
        return [int(row) for row in order if int(row) not in taken]

    @lru_cache(maxsize=2)  # noqa: B019 - two epochs, for the life of a run
    def _epoch(self, epoch: int) -> list[list[int]]:
        cut = batches(self.count, self.size, np.random.default_rng([self.seed, epoch]))
        if len(cut) > 1 and len(cut[-1]) < self._least:
            last = cut.pop()
            cut[-1] += last
        return cut


def draw_captions(
    weights: NDArray[np.float64], count: int, *, by_weight: bool, seed: int, step: int, key: str
) -> list[int]:
    """Up to `count` different captions of a photo at a step, as ascending positions.

    Args:
        weights: (captions,) > 0, summing to 1.
        count: how many; a photo with fewer gives all it has.
        by_weight: draw in proportion to the weights, else each alike.
        seed, step: of the draw.
        key: the photo's id.
    """
    rng = stream(seed, step, f"captions of {key}")
    return some_captions(weights, count, rng, by_weight=by_weight)
