"""An exponential moving average of the weights that learn (Polyak & Juditsky 1992).

Early on it forgets faster, (1 + t)/(10 + t), so that a short run's average is not its start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def decay_at(step: int, decay: float) -> float:
    """How much of the average is kept at update `step`, counted from 1."""
    return min(decay, (1 + step) / (10 + step))


class Ema:
    """Averages by parameter name; starts as the parameters are."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self._learning = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self.average = {name: value.detach().clone() for name, value in self._learning.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are after a step: a ← d·a + (1 − d)·p."""
        self.steps += 1
        share = 1 - decay_at(self.steps, self.decay)
        for name, value in self._learning.items():
            self.average[name].lerp_(value.detach(), share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the module has the averages; afterwards its own weights again."""
        own = {name: value.detach().clone() for name, value in self._learning.items()}
        self.apply()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in self._learning.items():
                    value.copy_(own[name])

    @torch.no_grad()
    def apply(self) -> None:
        """Put the averages into the module for good."""
        for name, value in self._learning.items():
            value.copy_(self.average[name])
