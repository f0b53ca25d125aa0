"""Ridge regression on blocks of features, its strength chosen by exact leave-one-out.

Blocks (stages, an embedding, cue values) are standardised and weighed so that each one's kernel
has the same size; the dual form makes few labels on many features cheap. Photos of one content are
left out together: the residual of group G without G in the fit is (I − H_GG)⁻¹ r_G, which for
groups of one photo is the well known r_i / (1 − h_ii) (Allen's PRESS). Must not know what the
features are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uniqa.errors import InputError

Matrix = NDArray[np.float64]

ALPHAS = tuple(float(a) for a in np.logspace(-4, 3, 15))
"""Strengths tried, in units of the kernel's mean diagonal."""

BOUND = 6.0
"""Standardised features are cut at this many deviations."""

DUAL_LIMIT = 4000
"""Above this many photos the strength is chosen on as many of them; the fit uses all."""


@dataclass(frozen=True)
class Ridge:
    """A fitted linear rule: clip((x − mean) / std, ±6) · weights + bias."""

    mean: Matrix
    std: Matrix
    weights: Matrix
    bias: float
    alpha: float
    choice: str
    left_out_rmse: float

    def predict(self, features: NDArray[np.floating]) -> Matrix:
        """(n, p) → (n,) unified scores, not yet clipped to 0–1."""
        z = _standard(features.astype(np.float64), self.mean, self.std)
        predicted: Matrix = z @ self.weights + self.bias
        return predicted


def fit_ridge(
    features: NDArray[np.floating],
    scores: Matrix,
    groups: Sequence[str],
    blocks: Mapping[str, Sequence[tuple[int, int]]],
) -> Ridge:
    """Fit every candidate set of blocks, keep the one with the smallest left-out error.

    Args:
        features: (n, p).
        scores: (n,) unified.
        groups: (n,) names; members are left out together.
        blocks: candidate name → column ranges it uses; equal weight per range.

    Raises:
        InputError: fewer than two photos, or all rated the same.
    """
    check_scores(scores)
    x = features.astype(np.float64)
    mean, std = x.mean(0), x.std(0)
    std = np.where(std > 1e-6, std, np.inf)  # A constant feature says nothing.
    z = _standard(x, mean, std)
    rows = some_rows(len(z), DUAL_LIMIT, 0)
    best: tuple[float, str, float] | None = None
    kernels = _BlockKernels(z[rows])
    for name, ranges in blocks.items():
        kernel = kernels.mean_of(ranges)
        for alpha, error in left_out_errors(kernel, scores[rows], [groups[r] for r in rows]):
            if best is None or error < best[0] - 1e-12:
                best = (error, name, alpha)
    assert best is not None
    error, name, alpha = best
    weights = _solve(z, scores, blocks[name], alpha)
    centre = z.mean(0)
    bias = float(scores.mean() - centre @ weights)
    return Ridge(mean, std, weights, bias, alpha, name, float(np.sqrt(error)))


def check_scores(scores: Matrix) -> None:
    """Refuse labels that nothing can be learned from.

    Raises:
        InputError: fewer than two, or all the same.
    """
    if len(scores) < 2:
        raise InputError(f"{len(scores)} rated photo to learn from", "Give 2 or more")
    if np.ptp(scores) == 0:
        raise InputError(
            f"all {len(scores)} ratings to learn from are the same ({scores[0]:.3g})",
            "Give photos of different quality",
        )


def left_out_errors(
    kernel: Matrix, scores: Matrix, groups: Sequence[str], alphas: Sequence[float] = ALPHAS
) -> list[tuple[float, float]]:
    """(alpha, mean squared error of every photo predicted without its group), for each alpha.

    The intercept is refitted too: the smoother is 1/n + K(K + αsI)⁻¹ on the centred kernel K with
    s its mean diagonal. With fewer than three groups nothing can be left out sensibly, so photos
    are left out one by one.
    """
    n = len(scores)
    members = _members(groups)
    if len(members) < 3:
        members = [np.array([row]) for row in range(n)]
    centred = _centre(kernel)
    size = max(np.trace(centred) / n, 1e-12)
    values, vectors = np.linalg.eigh(centred)
    values = np.maximum(values, 0.0)
    away = scores - scores.mean()
    turned = vectors.T @ away
    singles = len(members) == n
    out = []
    for alpha in alphas:
        shares = values / (values + alpha * size)
        residual = away - vectors @ (shares * turned)
        if singles:
            leverage = (vectors**2) @ shares + 1 / n
            left_out = residual / np.maximum(1 - leverage, 1e-9)
        else:
            hat = (vectors * shares) @ vectors.T + 1 / n
            left_out = np.empty(n)
            for rows in members:
                inside = np.eye(len(rows)) - hat[np.ix_(rows, rows)]
                left_out[rows] = np.linalg.solve(inside, residual[rows])
        out.append((float(alpha), float(np.mean(left_out**2))))
    return out


class _BlockKernels:
    """Kernels of column ranges, each made once however many candidates share it."""

    def __init__(self, z: Matrix) -> None:
        self._z = z
        self._made: dict[tuple[int, int], Matrix] = {}

    def mean_of(self, ranges: Sequence[tuple[int, int]]) -> Matrix:
        total = np.zeros((len(self._z), len(self._z)))
        for start, stop in ranges:
            if (start, stop) not in self._made:
                part = self._z[:, start:stop]
                self._made[start, stop] = part @ part.T / (stop - start)
            total += self._made[start, stop]
        return total / len(ranges)


def _solve(z: Matrix, scores: Matrix, ranges: Sequence[tuple[int, int]], alpha: float) -> Matrix:
    n, p = z.shape
    factor = np.zeros(p)
    for start, stop in ranges:
        factor[start:stop] += 1 / ((stop - start) * len(ranges))
    used = np.flatnonzero(factor)
    part = (z[:, used] - z[:, used].mean(0)) * np.sqrt(factor[used])
    penalty = alpha * max(float((part**2).sum()) / n, 1e-12)
    away = scores - scores.mean()
    if n <= len(used):
        dual = np.linalg.solve(part @ part.T + penalty * np.eye(n), away)
        small = part.T @ dual
    else:
        small = np.linalg.solve(part.T @ part + penalty * np.eye(len(used)), part.T @ away)
    weights = np.zeros(p)
    weights[used] = small * np.sqrt(factor[used])
    return weights


def _standard(x: Matrix, mean: Matrix, std: Matrix) -> Matrix:
    return np.clip((x - mean) / std, -BOUND, BOUND)


def _centre(kernel: Matrix) -> Matrix:
    rows = kernel.mean(0)
    centred: Matrix = kernel - rows[None, :] - rows[:, None] + kernel.mean()
    return centred


def _members(groups: Sequence[str]) -> list[NDArray[np.intp]]:
    found: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        found.setdefault(group, []).append(row)
    return [np.array(rows) for rows in found.values()]


def some_rows(n: int, limit: int, seed: int) -> NDArray[np.intp]:
    """At most `limit` of 0 … n−1, drawn by seed, ascending."""
    if n <= limit:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:limit])
