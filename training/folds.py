"""Scores of labelled photos by heads that had not seen them: what curves and intervals rest on.

Must not know what the scores are used for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.adapt import fit_head, predict
from training.config import AdaptConfig
from training.data import make_folds
from training.panels import Panel
from training.views import Scores, Views
from uniqa.errors import InputError


def out_of_fold(
    method: str,
    views: Views,
    scores: Scores,
    groups: Sequence[str],
    config: AdaptConfig,
    panel: Panel | None = None,
    *,
    count: int = 5,
) -> Scores | None:
    """(n,) scores, each by a head learned without the photo's group.

    None where folds are not possible: one group only, or a fold leaves nothing to learn from.
    """
    folds = make_folds(groups, config.seed, count)
    if len(folds) < 2:
        return None
    found = np.full(len(scores), np.nan)
    for fold in folds:
        rows = sorted(set(range(len(scores))) - set(fold))
        try:
            head = fit_head(
                method,
                views.take(rows),
                scores[rows],
                [groups[row] for row in rows],
                config,
                panel.take(rows) if panel else None,
            )
        except InputError:
            return None
        found[fold] = predict(head, views.take(fold))
    return found
