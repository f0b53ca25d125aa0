"""Which of two captions is the better one: the order that duplicates and limits go by.

By default, *worth*: whole before cut off, then with fewer problems, then what says more of the
photo's look (in tenths), then what says more different words. Or any signal that is known before
captions are compared. Ties are for identity to decide. Must not know embeddings.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from uniqa.errors import UsageError, nearest

WORTH = "worth"

SIGNALS = (
    "informativeness", "words", "distinct_words", "grounding", "level_agreement", "relevance",
)  # fmt: skip
"""Signals that captions can be ranked by, the highest first."""


def check_rank_by(name: str) -> None:
    """Raise UsageError unless captions can be ranked by `name`."""
    if name not in (WORTH, *SIGNALS):
        raise UsageError(f"--rank-by does not know '{name}'", nearest(name, (WORTH, *SIGNALS)))


def rank_scores(
    told: pa.Table, problems: NDArray[np.int64], rank_by: str = WORTH
) -> NDArray[np.float64]:
    """A score per caption, the highest is the best; equal for what only identity tells apart.

    Args:
        told: columns `finish_reason`, `distinct_words` and the signals of `SIGNALS`.
        problems: how many each caption has, shape (captions,).
        rank_by: `WORTH` or one of `SIGNALS`; captions without that signal come last.

    Raises:
        UsageError: anything else.
    """
    check_rank_by(rank_by)
    if rank_by != WORTH:
        values = told[rank_by].cast(pa.float64()).to_numpy(zero_copy_only=False)
        return np.asarray(np.where(np.isnan(values), -np.inf, values), dtype=np.float64)
    whole = np.array([reason != "length" for reason in told["finish_reason"].to_pylist()], int)
    # In tenths: finer differences mean nothing.
    informative = np.rint(_numbers(told, "informativeness") * 10)
    keys = np.stack([whole, -problems, informative, _numbers(told, "distinct_words")])
    # Places in the order of the keys; equal keys share one.
    order = np.lexsort(keys[::-1])
    new = np.ones(len(order), dtype=bool)
    new[1:] = (keys[:, order[1:]] != keys[:, order[:-1]]).any(axis=0)
    scores = np.empty(len(order))
    scores[order] = np.cumsum(new)
    return scores


def _numbers(told: pa.Table, name: str) -> NDArray[np.float64]:
    values = told[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)
