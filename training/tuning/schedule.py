"""The learning rate as a pure function of the step."""

from __future__ import annotations

import math


def warmup_cosine(step: int, total: int, warmup: int) -> float:
    """The share of the peak rate at a step: a straight rise, then half a cosine down to 0.

    Args:
        step: from 0.
        total: steps of the whole run; at `total` the share is 0.
        warmup: steps of the rise; step 0 has 1/warmup of the peak, step warmup − 1 all of it.

    Raises:
        ValueError: a negative step, or a warm-up that leaves no step.
    """
    if step < 0 or total < 1 or not 0 <= warmup < total:
        raise ValueError(f"no step {step} of {total} with {warmup} of warm-up")
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * min(1.0, (step - warmup) / (total - warmup)))) / 2
