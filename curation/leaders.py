"""Who survives when duplicates are looked for among all vectors of a corpus.

Leader clustering: going from the best-ranked down, a vector is kept unless one that was kept is
similar to it; then it is a duplicate, and the best-ranked such one its leader. The result is that
of comparing everything with everything, one after another (`curation.sketch` misses nothing); but
ranks are taken in growing batches, and what a batch makes a duplicate is never compared again, so
that many alike cost little. Must not know texts, images or what the vectors stand for.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from curation.hardware import workers
from curation.sketch import Indices, Sketch

_FIRST, _LARGEST = 1024, 16_384
_ROWS, _COLUMNS = 1024, 2048
_MOST_PAIRS = 20_000_000

Pairs = NDArray[np.int64]
"""Shape (pairs, 2): the better-ranked first."""


class _TooMany(Exception):
    """A batch holds more similar pairs than memory should."""


def leaders(
    sketched: Sketch,
    threshold: float,
    pairs: Pairs | None = None,
    on_progress: Callable[[int], None] = lambda _vectors: None,
) -> Indices:
    """The leader of every vector; survivors lead themselves.

    Args:
        sketched: the vectors, best-ranked first.
        threshold: similarity in [-1, 1] from which one vector is a duplicate of another.
        pairs: further pairs that are duplicates, whatever their similarity.
        on_progress: told how many vectors were decided.
    """
    count = len(sketched)
    leader = np.full(count, -1, dtype=np.int64)
    given = np.empty((0, 2), np.int64) if pairs is None else pairs[np.argsort(pairs[:, 0])]
    undecided = np.arange(count)
    size = _FIRST
    with workers() as pool:
        while len(undecided):
            batch = undecided[:size]
            try:
                within = _within(sketched, batch, threshold, pool)
            except _TooMany:
                size = max(size // 2, 1)
                continue
            own = _given(given, batch)
            kept, led = settle(len(batch), np.concatenate([within, own]))
            leader[batch] = batch[led]
            survivors = batch[kept]
            rest = undecided[len(batch) :]
            leader[rest] = _first_hits(sketched, survivors, rest, threshold, pool)
            _follow(leader, given, survivors, batch[-1])
            undecided = rest[leader[rest] < 0]
            on_progress(len(batch) + len(rest) - len(undecided))
            size = min(size * 2, _LARGEST)
    return leader


def settle(count: int, pairs: Pairs) -> tuple[NDArray[np.bool_], Indices]:
    """Greedy choice among few, given which pairs are duplicates.

    Args:
        count: items are 0 (best-ranked) to count - 1.
        pairs: in any order, repeats allowed.

    Returns:
        Who is kept; and the best-ranked kept partner of each other, itself for the kept.
    """
    better, worse = pairs[:, 0], pairs[:, 1]
    kept = np.zeros(count, dtype=bool)
    dropped = np.zeros(count, dtype=bool)
    # In every round the best-ranked undecided item at least is decided.
    while len(better):
        blocked = np.zeros(count, dtype=bool)
        blocked[worse] = True
        kept |= ~(blocked | dropped)
        dropped[worse[kept[better]]] = True
        open_ = ~(dropped[better] | dropped[worse] | kept[better])
        better, worse = better[open_], worse[open_]
    kept |= ~dropped
    leader = np.arange(count)
    from_kept = pairs[kept[pairs[:, 0]]]
    best = np.full(count, count, dtype=np.int64)
    np.minimum.at(best, from_kept[:, 1], from_kept[:, 0])
    leader[dropped] = best[dropped]
    return kept, leader


def _within(sketched: Sketch, batch: Indices, threshold: float, pool: ThreadPoolExecutor) -> Pairs:
    """All similar pairs of a batch, as places in it."""

    def one(tile: tuple[int, int]) -> Pairs:
        row, column = tile
        first, second = batch[row : row + _ROWS], batch[column : column + _COLUMNS]
        rows, columns = sketched.similar(first, second, threshold)
        found = np.stack([rows + row, columns + column], axis=1)
        return found[found[:, 0] < found[:, 1]]

    tiles = [
        (row, column)
        for row in range(0, len(batch), _ROWS)
        for column in range(row, len(batch), _COLUMNS)
    ]
    found, total = [np.empty((0, 2), np.int64)], 0
    for part in pool.map(one, tiles):
        found.append(part)
        total += len(part)
        if total > _MOST_PAIRS and len(batch) > _FIRST:
            raise _TooMany
    return np.concatenate(found)


def _first_hits(
    sketched: Sketch,
    survivors: Indices,
    rest: Indices,
    threshold: float,
    pool: ThreadPoolExecutor,
) -> Indices:
    """For each of the rest its best-ranked similar survivor, or -1."""

    def one(start: int) -> Indices:
        columns = rest[start : start + _COLUMNS]
        found = np.full(len(columns), -1, dtype=np.int64)
        for row in range(0, len(survivors), _ROWS):
            open_ = np.flatnonzero(found < 0)
            if not len(open_):
                break
            part = survivors[row : row + _ROWS]
            rows, hit = sketched.similar(part, columns[open_], threshold)
            # Written from the worst-ranked up, so that the best-ranked stands.
            found[open_[hit[::-1]]] = part[rows[::-1]]
        return found

    starts = range(0, len(rest), _COLUMNS)
    return np.concatenate([np.empty(0, np.int64), *pool.map(one, starts)])


def _given(given: Pairs, batch: Indices) -> Pairs:
    """The given pairs inside a batch, as places in it."""
    low, high = np.searchsorted(given[:, 0], [batch[0], batch[-1] + 1])
    part = given[low:high]
    places = np.minimum(np.searchsorted(batch, part), len(batch) - 1)
    inside = (batch[places] == part).all(axis=1)
    return np.asarray(places[inside], dtype=np.int64)


def _follow(leader: Indices, given: Pairs, survivors: Indices, last: int) -> None:
    """Let given pairs from survivors lead what comes after their batch, if nobody better does."""
    low, high = np.searchsorted(given[:, 0], [survivors[0], last + 1])
    part = given[low:high]
    part = part[(leader[part[:, 0]] == part[:, 0]) & (part[:, 1] > last)]
    for better, worse in part[::-1].tolist():
        if leader[worse] < 0 or leader[worse] > better:
            leader[worse] = better
