"""Which pairs of vectors can be similar at all: an upper bound of every cosine, cheaply.

A vector x is split into x₁, its part in the directions in which the vectors vary most, and x₂, the
rest, of which only the length is kept. By Cauchy and Schwarz

    x · y = x₁ · y₁ + x₂ · y₂ ≤ x₁ · y₁ + |x₂| |y₂|,

which is one product of short vectors (x₁, |x₂|). A pair whose bound is below the threshold is
certain to be below it, so nothing is missed; the others are multiplied in full. The directions are
eigenvectors of the vectors' second moment: any others would be as right, and slower.

Where the processor multiplies bfloat16 the short vectors are kept so, and the bound is widened by
the most that rounding can cost (u = 2⁻⁸ for each factor and for the result). Must not know what
vectors stand for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.hardware import fast_bfloat16

Indices = NDArray[np.int64]

DIMENSIONS = 64
"""Length of a short vector: shorter ones multiply faster and let more pairs through."""

_BFLOAT_ERROR = 0.0125
_FLOAT_ERROR = 1e-5
_SAMPLE = 20_000
_CHUNK = 16_384
_DENSE = 1 / 128
_BLOCK = 512


@dataclass(frozen=True)
class Sketch:
    """Vectors, best-ranked first, with the short ones that bound their products.

    `vectors` may be memory-mapped and of float16 or float32; `rows[i]` is the row of the i-th.
    """

    vectors: NDArray[np.floating[Any]]
    rows: Indices
    short: Any
    error: float

    def __len__(self) -> int:
        """How many vectors there are."""
        return len(self.rows)

    def wide(self, which: Indices) -> NDArray[np.float32]:
        """The full vectors at these places, shape (which, dimensions)."""
        return np.asarray(self.vectors[self.rows[which]], dtype=np.float32)

    def similar(self, first: Indices, second: Indices, threshold: float) -> tuple[Indices, Indices]:
        """Every pair of the two lists with a similarity of at least `threshold`.

        Returns:
            Places in `first` and in `second`, sorted by both.
        """
        rows, columns = self._possible(first, second, threshold)
        if len(rows) > _DENSE * len(first) * len(second):
            rough = self.wide(first) @ self.wide(second).T
            rows, columns = np.nonzero(rough >= threshold - _FLOAT_ERROR)
            sure = rough[rows, columns] >= threshold + _FLOAT_ERROR
        else:
            sure = np.zeros(len(rows), dtype=bool)
        kept = sure.copy()
        unsure = np.flatnonzero(~sure)
        kept[unsure] = self.at_least(first[rows[unsure]], second[columns[unsure]], threshold)
        return rows[kept], columns[kept]

    def at_least(self, first: Indices, second: Indices, threshold: float) -> NDArray[np.bool_]:
        """Whether each pair's similarity reaches `threshold`; in doubt, in double precision."""
        found = np.empty(len(first), dtype=bool)
        for start in range(0, len(first), _CHUNK):
            part = slice(start, start + _CHUNK)
            one, other = self.wide(first[part]), self.wide(second[part])
            values = np.einsum("ij,ij->i", one, other)
            reached = values >= threshold
            doubtful = np.flatnonzero(np.abs(values - threshold) < _FLOAT_ERROR)
            reached[doubtful] = exact_products(one[doubtful], other[doubtful]) >= threshold
            found[part] = reached
        return found

    def _possible(
        self, first: Indices, second: Indices, threshold: float
    ) -> tuple[Indices, Indices]:
        import torch

        limit = threshold - self.error
        one, other = self.short[torch.from_numpy(first)], self.short[torch.from_numpy(second)]
        if self.short.dtype == torch.bfloat16 and limit > 0:
            # Positive bfloat16 sort as their bits do, and numpy compares integers fastest.
            bounds = torch.mm(one, other.T).view(torch.int16).numpy()
            # One step below: rounding of the limit itself must not raise it.
            least: Any = np.int16(torch.tensor(limit).bfloat16().view(torch.int16).item() - 1)
        else:
            bounds = torch.mm(one.float(), other.float().T).numpy()
            least = np.float32(limit)
        flat = _places(bounds, least)
        return flat // len(second), flat % len(second)


def sketch(
    vectors: NDArray[np.floating[Any]],
    rows: Indices | None = None,
    *,
    dimensions: int = DIMENSIONS,
    bfloat16: bool | None = None,
) -> Sketch:
    """Prepare vectors for `Sketch.similar`.

    Args:
        vectors: of about unit length, shape (n, d); read in pieces.
        rows: rows of `vectors` in the order of use; all of them as they stand if None.
        dimensions: length of the short vectors; of at least `d` keeps the vectors whole.
        bfloat16: precision of the short vectors; as the processor likes it if None.
    """
    import torch

    order = np.arange(len(vectors)) if rows is None else np.asarray(rows, dtype=np.int64)
    narrow = fast_bfloat16() if bfloat16 is None else bfloat16
    width = vectors.shape[1]
    whole = dimensions >= width
    basis = np.eye(width, dtype=np.float32) if whole else _directions(vectors, order, dimensions)
    kind = torch.bfloat16 if narrow else torch.float32
    short = torch.empty((len(order), basis.shape[1] + (not whole)), dtype=kind)
    for start in range(0, len(order), _CHUNK):
        part = np.asarray(vectors[order[start : start + _CHUNK]], dtype=np.float32)
        low = part @ basis
        if not whole:
            rest = np.einsum("ij,ij->i", part, part) - np.einsum("ij,ij->i", low, low)
            low = np.concatenate([low, np.sqrt(np.maximum(rest, 0))[:, None]], axis=1)
        short[start : start + _CHUNK] = torch.from_numpy(low).to(kind)
    return Sketch(vectors, order, short, _BFLOAT_ERROR if narrow else _FLOAT_ERROR)


def exact_products(
    first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Scalar product of each pair of rows, in double precision."""
    return np.asarray(
        np.einsum("ij,ij->i", first.astype(np.float64), second.astype(np.float64)),
        dtype=np.float64,
    )


def _directions(
    vectors: NDArray[np.floating[Any]], order: Indices, dimensions: int
) -> NDArray[np.float32]:
    """Orthonormal directions of the largest second moment, shape (d, dimensions - 1)."""
    step = max(1, len(order) // _SAMPLE)
    sample = np.asarray(vectors[order[::step]], dtype=np.float64)
    _, axes = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(axes[:, ::-1][:, : dimensions - 1], dtype=np.float32)


def _places(bounds: NDArray[Any], least: Any) -> Indices:
    """Flat indices of what is at least `least`: blocks are looked into if their largest is."""
    flat = bounds.reshape(-1)
    whole = len(flat) // _BLOCK * _BLOCK
    blocks = flat[:whole].reshape(-1, _BLOCK)
    likely = np.flatnonzero(blocks.max(axis=1) >= least)
    block, inside = np.nonzero(blocks[likely] >= least)
    rest = whole + np.flatnonzero(flat[whole:] >= least)
    return np.concatenate([likely[block] * _BLOCK + inside, rest])
