"""Captions by image, so that images with equally many captions are worked on together.

Everything said within an image is a function of the similarities of its captions, and a stack of
small matrices is a hundred times faster in numpy than one after another. Must not know what is
computed of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_BUDGET = 8_000_000
"""Numbers held at once in a batch's vectors and similarities (64 MB)."""


def one_thread() -> threadpool_limits:
    """Keep BLAS to one thread within a `with`.

    Matrices of a few captions gain nothing from more, and on a busy machine threads that wait for
    each other made the same work ten times as long.
    """
    return threadpool_limits(limits=1, user_api="blas")


@dataclass(frozen=True, slots=True)
class Captions:
    """Captions with their embeddings, those of one image side by side.

    Within an image their order decides ties, so give them ordered by identity.

    Attributes:
        vectors: unit-length embeddings of the distinct texts, shape (texts, dimensions).
        rows: each caption's text as a row of `vectors`, shape (captions,).
        starts: where each image's captions begin, and their number, shape (images + 1,).
    """

    vectors: NDArray[np.float32]
    rows: Ints
    starts: Ints

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2:
            raise ValueError(f"vectors have two dimensions, not {self.vectors.ndim}")
        sound = len(self.starts) and self.starts[0] == 0 and self.starts[-1] == len(self.rows)
        if not sound or (np.diff(self.starts) < 1).any():
            raise ValueError("starts rises from 0 to the number of captions")
        if len(self.rows) and not 0 <= self.rows.min() <= self.rows.max() < len(self.vectors):
            raise ValueError("rows holds places in vectors")

    @classmethod
    def grouped(
        cls, vectors: NDArray[np.float32], rows: Sequence[int] | Ints, images: Sequence[str]
    ) -> Captions:
        """Take captions whose image is told one by one; equal ones must stand side by side."""
        count = len(images)
        begins = [i for i in range(count) if i == 0 or images[i] != images[i - 1]]
        if len({images[i] for i in begins}) != len(begins):
            raise ValueError("captions of one image stand side by side")
        starts = np.array([*begins, count] if begins else [0], dtype=np.int64)
        return cls(vectors, np.asarray(rows, dtype=np.int64), starts)

    @property
    def sizes(self) -> Ints:
        """How many captions each image has, shape (images,)."""
        return np.diff(self.starts)

    @property
    def image_of(self) -> Ints:
        """Each caption's image as a place in `sizes`, shape (captions,)."""
        return np.repeat(np.arange(len(self.starts) - 1), self.sizes)

    def where(self, kept: NDArray[np.bool_]) -> Captions:
        """Only the captions in `kept`, shape (captions,), and only images that have some left."""
        counts = np.bincount(self.image_of[kept], minlength=len(self.sizes))
        starts = np.concatenate(([0], np.cumsum(counts[counts > 0])))
        return Captions(self.vectors, self.rows[kept], starts.astype(np.int64))


@dataclass(frozen=True, slots=True)
class Batch:
    """Images with equally many captions.

    Attributes:
        images: their places among all images, shape (images,).
        members: their captions' places among all captions, shape (images, captions).
        similarity: cosines within each image, shape (images, captions, captions).
    """

    images: Ints
    members: Ints
    similarity: Floats


def batches(captions: Captions) -> Iterator[Batch]:
    """All images, by number of captions; an image too large for a batch is one by itself."""
    sizes, dimensions = captions.sizes, captions.vectors.shape[1]
    for size in np.unique(sizes):
        images = np.flatnonzero(sizes == size)
        step = max(1, int(_BUDGET // (size * (size + dimensions))))
        for start in range(0, len(images), step):
            some = images[start : start + step]
            members = captions.starts[some][:, None] + np.arange(size)
            # In double precision: the order of captions must not decide the last digit.
            vectors = captions.vectors[captions.rows[members]].astype(np.float64)
            yield Batch(some, members, vectors @ vectors.swapaxes(1, 2))
