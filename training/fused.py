"""Everything known of a photo, fused: kernel ridge on similarities of several kinds.

Two photos are alike as far as their image features, what is on them (class names read by the text
tower), their contrastive embedding and their cue values are: each block's similarity is a cosine
around the labels' mean, a recipe weighs blocks, and an RBF on the weighed sum lets likeness fade
with distance. A recipe's strength is chosen by exact leave-one-group-out error; recipes are then
averaged, the better ones more, because fifty labels cannot tell close recipes apart and picking
one costs more than averaging (model averaging; Hansen & Racine, J. Econometrics 167, 2012, weigh
by left-out errors as well). Must not know photos, files or what made the blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.ridge import Matrix, check_scores, left_out_errors, some_rows

SHARPNESS = 30.0
"""A recipe with an r times larger left-out error weighs exp(−30 (r − 1)) of the best one."""

CHOOSE_ON = 1000
"""With more photos strengths are chosen on so many of them, drawn by seed."""

LANDMARKS = 2000
"""With more photos the kernel is spanned by so many of them (subset of regressors)."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How alike two photos are: a weighed sum of blocks' cosines, linear or through an RBF."""

    name: str
    weights: tuple[tuple[str, float], ...]
    """Block name → its share."""
    curved: bool
    """Whether the sum goes through an RBF of median width."""


@dataclass(frozen=True)
class Term:
    """One recipe, fitted."""

    recipe: Recipe
    width: float
    """Median squared distance among the labels; 0 for a linear recipe."""
    dual: Matrix
    """(m,) coefficients of the landmarks."""
    bias: float
    alpha: float
    left_out_rmse: float
    share: float
    """Of the average, 0–1."""


@dataclass(frozen=True)
class Fused:
    """A fitted average of kernel rules over (m, p) landmark photos."""

    ranges: dict[str, tuple[int, int]]
    mean: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    terms: tuple[Term, ...]

    @property
    def left_out_rmse(self) -> float:
        """The recipes' left-out errors, averaged as they are used."""
        return float(sum(term.share * term.left_out_rmse for term in self.terms))

    def predict(self, features: NDArray[np.floating]) -> Matrix:
        """(n, p) → (n,) unified scores, not yet clipped to 0–1."""
        out = np.zeros(len(features))
        needed = sorted({block for term in self.terms for block, _ in term.recipe.weights})
        there = _directions(self.landmarks, self.mean, self.ranges, needed)
        for start in range(0, len(features), 1024):
            part = features[start : start + 1024].astype(np.float32)
            here = _directions(part, self.mean, self.ranges, needed)
            cosines = {block: _product(here[block], there[block].T) for block in needed}
            for term in self.terms:
                kernel = _similarity(cosines, term.recipe, term.width)
                out[start : start + 1024] += term.share * (kernel @ term.dual + term.bias)
        return out


def fit_fused(
    features: NDArray[np.floating],
    scores: Matrix,
    groups: Sequence[str],
    ranges: Mapping[str, tuple[int, int]],
    recipes: Sequence[Recipe],
    seed: int = 0,
) -> Fused:
    """Fit every recipe and weigh them by their left-out errors.

    Args:
        features: (n, p).
        scores: (n,) unified.
        groups: (n,) names; members are left out together.
        ranges: block name → its columns.
        recipes: what to average; blocks that `ranges` lacks are left out of them.
        seed: of the landmarks, where there are more than `LANDMARKS` photos.

    Raises:
        InputError: fewer than two photos, or all rated the same.
    """
    check_scores(scores)
    known = _usable(recipes, ranges)
    x = features.astype(np.float32)
    mean = x.mean(0)
    rows = some_rows(len(x), LANDMARKS, seed)
    chosen = rows[some_rows(len(rows), CHOOSE_ON, seed)]
    blocks = sorted({block for recipe in known for block, _ in recipe.weights})
    sides = _directions(x, mean, dict(ranges), blocks)
    few = {block: _product(sides[block][chosen], sides[block][chosen].T) for block in blocks}
    names = [groups[row] for row in chosen]
    errors, alphas, widths = [], [], []
    for recipe in known:
        width = _width(few, recipe)
        tried = left_out_errors(_similarity(few, recipe, width), scores[chosen], names)
        alpha, error = min(tried, key=lambda pair: pair[1])
        errors.append(error)
        alphas.append(alpha)
        widths.append(width)
    relative = np.array(errors) / max(min(errors), 1e-12)
    shares = np.exp(-SHARPNESS * (relative - 1))
    shares /= shares.sum()
    used = [k for k in range(len(known)) if shares[k] > 1e-3]
    total = shares[used].sum()
    marks = {block: sides[block][rows] for block in blocks}
    inner = {block: _product(marks[block], marks[block].T) for block in blocks}
    inners = [_similarity(inner, known[k], widths[k]) for k in used]
    sums = [_Sums.none(len(rows)) for _ in used]
    exact = len(rows) == len(x)
    if not exact:
        for start in range(0, len(x), 1024):
            part = slice(start, start + 1024)
            across = {block: _product(sides[block][part], marks[block].T) for block in blocks}
            for k, found in zip(used, sums, strict=True):
                found.add(_similarity(across, known[k], widths[k]), scores[part] - scores.mean())
    terms = []
    for k, inner_k, found in zip(used, inners, sums, strict=True):
        dual, bias = _solve(inner_k, None if exact else found, scores, alphas[k])
        error = float(np.sqrt(errors[k]))
        share = float(shares[k] / total)
        terms.append(Term(known[k], widths[k], dual, bias, alphas[k], error, share))
    return Fused(dict(ranges), mean, x[rows], tuple(terms))


def _usable(recipes: Sequence[Recipe], ranges: Mapping[str, tuple[int, int]]) -> list[Recipe]:
    """Recipes over the blocks that are there, none twice."""
    found: dict[tuple[object, ...], Recipe] = {}
    for recipe in recipes:
        weights = tuple(
            (block, weight)
            for block, weight in recipe.weights
            if block in ranges and ranges[block][1] > ranges[block][0]
        )
        if weights:
            found.setdefault((weights, recipe.curved), Recipe(recipe.name, weights, recipe.curved))
    return list(found.values())


def _directions(
    x: NDArray[np.float32],
    mean: NDArray[np.float32],
    ranges: Mapping[str, tuple[int, int]],
    blocks: Sequence[str],
) -> dict[str, NDArray[np.float32]]:
    """Per block the rows' unit directions around `mean`: (n, width)."""
    out = {}
    for block in blocks:
        start, stop = ranges[block]
        away = x[:, start:stop] - mean[start:stop]
        out[block] = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    return out


def _product(a: NDArray[np.float32], b: NDArray[np.float32]) -> Matrix:
    return np.asarray(a @ b, dtype=np.float64)


def _sum(cosines: Mapping[str, Matrix], recipe: Recipe) -> Matrix:
    total = sum(weight for _, weight in recipe.weights)
    first, *rest = recipe.weights
    out = cosines[first[0]] * (first[1] / total)
    for block, weight in rest:
        out += cosines[block] * (weight / total)
    return out


def _width(cosines: Mapping[str, Matrix], recipe: Recipe) -> float:
    """Median squared distance 2 − 2·cos between different photos."""
    if not recipe.curved:
        return 0.0
    likeness = _sum(cosines, recipe)
    apart = 2 - 2 * likeness[np.triu_indices(len(likeness), 1)]
    return max(float(np.median(apart)), 1e-6)


def _similarity(cosines: Mapping[str, Matrix], recipe: Recipe, width: float) -> Matrix:
    likeness = _sum(cosines, recipe)
    if not recipe.curved:
        return likeness
    kernel: Matrix = np.exp((2 * likeness - 2) / width)
    return kernel


@dataclass
class _Sums:
    """What the normal equations need of a kernel (n, m): never the kernel itself."""

    photos: int
    level: Matrix
    """(m,) sum of its rows."""
    square: Matrix
    """(m, m) KᵀK."""
    toward: Matrix
    """(m,) Kᵀ(y − ȳ)."""

    @classmethod
    def none(cls, m: int) -> _Sums:
        """Of no photo yet."""
        return cls(0, np.zeros(m), np.zeros((m, m)), np.zeros(m))

    def add(self, kernel: Matrix, away: Matrix) -> None:
        """Some more photos: (k, m) and (k,) scores around the mean of all."""
        self.photos += len(kernel)
        self.level += kernel.sum(0)
        self.square += kernel.T @ kernel
        self.toward += kernel.T @ away


def _solve(inner: Matrix, sums: _Sums | None, scores: Matrix, alpha: float) -> tuple[Matrix, float]:
    """Dual coefficients and bias of ridge in the kernel's space, the bias unpunished.

    `inner` is (m, m) among the landmarks. Without `sums` all photos are landmarks: kernel ridge on
    the centred kernel, else its subset-of-regressors form (Rasmussen & Williams, Gaussian Processes
    for Machine Learning, 8.3.1).
    """
    m = len(inner)
    level = inner.mean(0)
    centred = inner - level[None, :] - level[:, None] + inner.mean()
    penalty = alpha * max(float(np.trace(centred)) / m, 1e-12)
    if sums is None:
        dual = _solved(centred + penalty * np.eye(m), scores - scores.mean())
        return dual, float(scores.mean() - level @ dual)
    mean = sums.level / sums.photos
    square = sums.square - sums.photos * np.outer(mean, mean)
    jitter = 1e-8 * float(np.trace(inner)) / m
    dual = _solved(square + penalty * (inner + jitter * np.eye(m)), sums.toward)
    return dual, float(scores.mean() - mean @ dual)


def _solved(system: Matrix, right: Matrix) -> Matrix:
    found: Matrix = np.linalg.solve(system, right).astype(np.float64)
    return found
