"""Who survives within each of many small groups: the captions of an image.

The same greedy choice as `curation.leaders`, for groups in which everything can be compared with
everything: those of one size are stacked and multiplied together. Must not know what a group is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.leaders import Pairs, leaders
from curation.sketch import Indices, exact_products, sketch

LARGE = 512
"""Groups beyond this size are compared as a corpus is."""

_VALUES = 8_000_000
_DOUBT = 1e-5
_ROWS = 1024

Floats = NDArray[np.float32]


def within_groups(
    vectors: NDArray[np.floating[Any]],
    rows: Indices,
    groups: NDArray[np.int64],
    threshold: float,
    pairs: Pairs,
    on_progress: Callable[[int], None] = lambda _items: None,
) -> tuple[Indices, Floats]:
    """The leader of every item, looked for in its group only.

    Args:
        vectors: unit-length, shape (m, dimensions).
        rows: each item's row of `vectors`; the items of a group stand together, best-ranked first.
        groups: each item's group, ascending.
        threshold: similarity from which one item is a duplicate of another; none is beyond 1.
        pairs: further duplicates, the better-ranked first; both of one group.
        on_progress: told how many items were decided.

    Returns:
        Each item's leader, itself for survivors; and each survivor's similarity to the most similar
        better-ranked survivor of its group, NaN where there is none.
    """
    leader = np.arange(len(rows))
    nearest = np.full(len(rows), np.nan, dtype=np.float32)
    pairs = pairs[np.argsort(pairs[:, 1], kind="stable")]
    for starts, size in _batches(groups, vectors.shape[1]):
        items = starts[:, None] + np.arange(size)
        linked = _linked(pairs, starts, size)
        if size > LARGE:
            start = int(starts[0])
            leader[items[0]], nearest[items[0]] = _large(
                vectors, rows[items[0]], threshold, linked[:, 1:], start
            )
        elif size > 1:
            led, similarity = _stack(vectors, rows[items], threshold, linked)
            leader[items], nearest[items] = led + starts[:, None], similarity
        on_progress(items.size)
    return leader, nearest


def _batches(groups: NDArray[np.int64], width: int) -> Iterator[tuple[Indices, int]]:
    """Starts of groups of one size, as many at a time as memory allows."""
    starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]])[: len(groups)])
    sizes = np.diff(np.append(starts, len(groups)))
    for size in np.unique(sizes).tolist():
        chosen = starts[sizes == size]
        step = 1 if size > LARGE else max(1, _VALUES // (size * (size + width)))
        for start in range(0, len(chosen), step):
            yield chosen[start : start + step], size


def _linked(pairs: Pairs, starts: Indices, size: int) -> NDArray[np.int64]:
    """The pairs inside these groups: number of the group, place of either in it."""
    if not len(pairs):
        return np.empty((0, 3), np.int64)
    number = np.searchsorted(starts, pairs[:, 1], side="right") - 1
    inside = (number >= 0) & (pairs[:, 1] < starts[number] + size)
    number, inner = number[inside], pairs[inside]
    return np.column_stack([number, inner - starts[number][:, None]])


def _stack(
    vectors: NDArray[np.floating[Any]],
    rows: NDArray[np.int64],
    threshold: float,
    linked: NDArray[np.int64],
) -> tuple[Indices, Floats]:
    """Leaders and nearest similarities of groups of one size, shape (groups, size)."""
    wide = np.asarray(vectors[rows], dtype=np.float32)
    similarity = np.clip(wide @ wide.transpose(0, 2, 1), -1, 1)
    same = similarity >= threshold
    group, first, second = np.nonzero(np.abs(similarity - threshold) < _DOUBT)
    same[group, first, second] = (
        exact_products(wide[group, first], wide[group, second]) >= threshold
    )
    same[linked[:, 0], linked[:, 2], linked[:, 1]] = True
    count, size = rows.shape
    kept = np.zeros((count, size), dtype=bool)
    leader = np.tile(np.arange(size), (count, 1))
    nearest = np.full((count, size), np.nan, dtype=np.float32)
    kept[:, 0] = True
    for place in range(1, size):
        partner = same[:, place, :place] & kept[:, :place]
        repeated = partner.any(axis=1)
        leader[repeated, place] = partner[repeated].argmax(axis=1)
        kept[:, place] = ~repeated
        rivals = np.where(kept[:, :place], similarity[:, place, :place], -np.inf)
        nearest[:, place] = np.where(repeated, np.nan, rivals.max(axis=1))
    return leader, nearest


def _large(
    vectors: NDArray[np.floating[Any]],
    rows: Indices,
    threshold: float,
    pairs: Pairs,
    start: int,
) -> tuple[Indices, Floats]:
    """The same for one group of any size."""
    leader = leaders(sketch(vectors, rows), min(threshold, 2.0), pairs)
    survivors = np.flatnonzero(leader == np.arange(len(rows)))
    nearest = np.full(len(rows), np.nan, dtype=np.float32)
    wide = np.asarray(vectors[rows[survivors]], dtype=np.float32)
    for first in range(0, len(survivors), _ROWS):
        part = wide[first : first + _ROWS] @ wide[: first + _ROWS].T
        part[np.triu_indices(len(part), first, part.shape[1])] = -np.inf
        best = part.max(axis=1)
        lonely = np.isneginf(best)
        nearest[survivors[first : first + _ROWS]] = np.where(lonely, np.nan, np.clip(best, -1, 1))
    return leader + start, nearest
