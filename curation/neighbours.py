"""The nearest of one caption, to look at: no threshold, no bound, everything is compared with it.

Must not know what the vectors stand for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 65_536

Indices = NDArray[np.int64]


def neighbours(
    vectors: NDArray[np.floating[Any]],
    index: int,
    k: int,
    *,
    rows: Indices | None = None,
    among: NDArray[np.bool_] | None = None,
) -> tuple[Indices, NDArray[np.float32]]:
    """The `k` most similar to one.

    Args:
        vectors: unit-length, shape (m, dimensions), perhaps memory-mapped; read in pieces.
        index: whose neighbours; it is not among them.
        k: how many at most.
        rows: the row of `vectors` of each item; its own index without it.
        among: which items to look at.

    Returns:
        Their indices, the most similar first, of equal ones the first; and their similarities, in
        [-1, 1].

    Raises:
        ValueError: `k` below 1, or no such index.
    """
    count = len(vectors) if rows is None else len(rows)
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if not 0 <= index < count:
        raise ValueError(f"no item {index} among {count}")
    rows = np.arange(count) if rows is None else np.asarray(rows, dtype=np.int64)
    items = np.arange(count) if among is None else np.flatnonzero(among)
    items = items[items != index]
    one = np.asarray(vectors[rows[index]], dtype=np.float64)
    similarity = np.empty(len(items))
    for start in range(0, len(items), _CHUNK):
        part = np.asarray(vectors[rows[items[start : start + _CHUNK]]], dtype=np.float64)
        similarity[start : start + _CHUNK] = part @ one
    similarity = np.clip(similarity, -1, 1)
    best = np.lexsort((items, -similarity))[:k]
    return items[best], similarity[best].astype(np.float32)
