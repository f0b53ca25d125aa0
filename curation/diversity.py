"""How differently the captions of one image speak.

Both measures take unit-length embeddings. The Vendi score (Friedman & Dieng, arXiv 2210.02410) is
the exponential of the Shannon entropy of the eigenvalues of K / n, where K is the similarity
matrix: 1 when all captions say the same, n when all are orthogonal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_similarity(vectors: NDArray[np.float32]) -> float:
    """Mean cosine over all pairs, in [-1, 1]; NaN for fewer than two vectors of shape (n, d)."""
    n = len(vectors)
    if n < 2:
        return float("nan")
    total = vectors.sum(axis=0, dtype=np.float64)
    own = float((vectors.astype(np.float64) ** 2).sum())
    return float((total @ total - own) / (n * (n - 1)))


def mean_similarity_to_others(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each vector's mean cosine to the others, shape (n,); NaN for a lonely one."""
    n = len(vectors)
    if n < 2:
        return np.full(n, np.nan)
    wide = vectors.astype(np.float64)
    own = (wide * wide).sum(axis=1)
    return np.asarray((wide @ wide.sum(axis=0) - own) / (n - 1), dtype=np.float64)


def vendi(vectors: NDArray[np.float32]) -> float:
    """Vendi score of unit-length vectors of shape (n, d), in [1, n]; 0 for none."""
    n = len(vectors)
    if n == 0:
        return 0.0
    wide = vectors.astype(np.float64)
    kernel = wide @ wide.T if n <= wide.shape[1] else wide.T @ wide
    eigenvalues = np.linalg.eigvalsh(kernel / n)
    positive = eigenvalues[eigenvalues > 1e-12]
    return float(np.exp(-(positive * np.log(positive)).sum()))
