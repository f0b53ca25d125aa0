"""Who rated the labels: the dataset each is of, and how far single votes on it spread.

Scales of two datasets begin and run apart, so pairs are compared within one. Must not know photos,
files or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.ordinal import level_scale, level_width, pairs_within, soft_levels

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Panel:
    """What is known of the people behind (n,) ratings."""

    datasets: list[str]
    """(n,) names."""
    stds: NDArray[np.float64]
    """(n,) deviations of single votes, on the scale of the targets (0–1); NaN where unknown."""

    @classmethod
    def unknown(cls, count: int) -> Panel:
        """One dataset, and nothing told of its votes."""
        return cls([""] * count, np.full(count, np.nan))

    def take(self, rows: Sequence[int]) -> Panel:
        """Of these ratings only, in this order."""
        return Panel([self.datasets[row] for row in rows], self.stds[list(rows)])

    def soft_targets(self, truth: torch.Tensor) -> torch.Tensor:
        """(n,) unified ratings → (n, 5) level shares, spread as the votes were.

        Where nobody tells how far they spread it is taken for half a level.
        """
        import torch

        spread = torch.from_numpy(level_width(self.stds)).to(truth.dtype)
        return soft_levels(level_scale(truth.clamp(0, 1)), spread)

    def pairs(self, rows: Sequence[int], limit: int, seed: int) -> torch.Tensor:
        """At most `limit` pairs of places in `rows` whose ratings are of one dataset: (m, 2)."""
        codes = {name: code for code, name in enumerate(dict.fromkeys(self.datasets))}
        return pairs_within([codes[self.datasets[row]] for row in rows], limit, seed)
