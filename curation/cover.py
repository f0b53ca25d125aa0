"""Which captions cover an image best: facility location, chosen greedily.

A set of captions covers every caption of the image by the highest similarity that one of the set
has to it (below zero counts as zero); f(set) is the sum over all captions, so that it lies between
0 and their number. Greedy choice takes the caption that adds most to f, and is at least 1 − 1/e as
good as the best set of its size (Nemhauser et al. 1978). Similarities are taken to six decimals and
added exactly, so that equal captions are equal and ties go to the earlier one. Must not know texts,
models or what is done with a caption that adds little.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from curation.grouped import Floats, Ints

UNIT = 1_000_000.0
"""Similarities are whole numbers of 1 / UNIT."""
_LARGEST_SQUARE = 4096
_TOGETHER = 64


def whole(similarity: Floats) -> Floats:
    """Similarities as whole numbers of 1 / `UNIT`, those below zero as zero."""
    return np.asarray(np.rint(np.maximum(similarity, 0.0) * UNIT), dtype=np.float64)


def greedy(similarity: Floats) -> tuple[Ints, Floats]:
    """Choose all captions of many images of one size, one after the other.

    Args:
        similarity: shape (images, captions, captions).

    Returns:
        The order of choice, shape (images, captions), places in the image; and what each choice
        added when it was made, in captions, same shape: the gains of an image sum to its captions.
    """
    images, size, _ = similarity.shape
    if size > _TOGETHER:
        squares = map(whole, similarity)
        chosen = [_lazily(one.__getitem__, one.sum(axis=1), size) for one in squares]
        return np.stack([order for order, _ in chosen]), np.stack([gain for _, gain in chosen])
    remaining = whole(similarity)  # what choosing j (axis 1) would still add at i (axis 2)
    order = np.empty((images, size), np.int64)
    gains = np.empty((images, size))
    free = np.ones((images, size), bool)
    every = np.arange(images)
    for turn in range(size):
        added = np.where(free, remaining.sum(axis=2), -1.0)
        best = np.argmax(added, axis=1)
        order[:, turn], gains[:, turn] = best, added[every, best]
        free[every, best] = False
        remaining -= remaining[every, best][:, None, :]
        np.maximum(remaining, 0.0, out=remaining)
    return order, gains / UNIT


def cover(vectors: NDArray[np.float32], k: int) -> tuple[Ints, Floats]:
    """The k captions that cover all best.

    Args:
        vectors: unit-length embeddings, shape (captions, dimensions), ordered by identity.
        k: how many to choose; all if there are fewer.

    Returns:
        Their places, best first, and what each added, in captions: the sum of gains divided by the
        number of captions is how well all are covered, in [0, 1].

    Raises:
        ValueError: k below 0.
    """
    if k < 0:
        raise ValueError(f"k is 0 or more, not {k}")
    wide = vectors.astype(np.float64)
    if len(wide) <= _LARGEST_SQUARE:
        square = whole(wide @ wide.T)
        return _lazily(square.__getitem__, square.sum(axis=1), k)
    alone = np.concatenate(
        [whole(wide[i : i + 512] @ wide.T).sum(axis=1) for i in range(0, len(wide), 512)]
    )
    return _lazily(lambda place: whole(wide @ wide[place]), alone, k)


def _lazily(row: Callable[[int], Floats], alone: Floats, k: int) -> tuple[Ints, Floats]:
    """Greedy choice that looks again only at what may be best: a gain never grows (Minoux 1978)."""
    heap = [(-gain, place) for place, gain in enumerate(alone.tolist())]
    heapq.heapify(heap)
    seen = np.zeros(len(heap), np.int64)
    covered = np.zeros(len(heap))
    order: list[int] = []
    gains: list[float] = []
    while heap and len(order) < k:
        gain, place = heap[0]
        if seen[place] == len(order):
            heapq.heappop(heap)
            order.append(place)
            gains.append(-gain / UNIT)
            np.maximum(covered, row(place), out=covered)
            continue
        seen[place] = len(order)
        left = float(np.maximum(row(place) - covered, 0.0).sum())
        heapq.heapreplace(heap, (-left, place))
    return np.array(order, np.int64), np.array(gains)
