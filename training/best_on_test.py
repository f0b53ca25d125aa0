"""UniQA's own protocol: the adapter after every epoch, scored on the test, the best one kept.

It chooses on what it is tested on, so the number is optimistic; it is here to compare with
published ones, never to be reported alone. Must not know of any other method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.adapter import Adapter, fit_adapters
from training.config import AdaptConfig
from training.metrics import srcc
from training.views import Scores, Views

NAME = "adapter, best epoch on test"
"""The row's name, everywhere."""


@dataclass(frozen=True)
class Best:
    """The epoch (from 1) with the highest test SRCC, and the (n,) test scores it gave."""

    epoch: int
    scores: Scores


def best_on_test(
    here: Views, scores: Scores, there: Views, truth: Scores, config: AdaptConfig
) -> Best:
    """Learn on `here`, look at `there` after every epoch, keep the best.

    Args:
        here, scores: photos to learn from, and their (m,) ratings.
        there, truth: photos of the test, and their (n,) ratings.
        config: of the adapter.
    """
    found: dict[int, Scores] = {}

    def look(epoch: int, adapters: list[Adapter]) -> None:
        raw = adapters[0].predict(there.embeddings, there.prompts, there.scale)
        found[epoch] = np.clip(raw, 0.0, 1.0)

    everything = [list(range(len(scores)))]
    fit_adapters(
        here.embeddings, scores, everything, here.prompts, here.scale, config, every_epoch=look
    )
    epoch = max(found, key=lambda at: (np.nan_to_num(srcc(found[at], truth), nan=-1.0), -at))
    return Best(epoch, found[epoch])
