from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.diversity import mean_similarity, mean_similarity_to_others, vendi


def units(count: int, dimensions: int, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_vendi_of_identical_texts_is_one_and_of_orthogonal_ones_n(count: int) -> None:
    same = np.repeat(units(1, 32), count, axis=0)
    assert vendi(same) == pytest.approx(1, abs=1e-4)
    assert vendi(np.eye(count, 64, dtype=np.float32)) == pytest.approx(count, rel=1e-6)


@pytest.mark.parametrize(("count", "dimensions"), [(5, 16), (16, 16), (50, 16)])
def test_vendi_is_the_entropy_of_the_kernels_eigenvalues(count: int, dimensions: int) -> None:
    vectors = units(count, dimensions).astype(np.float64)
    eigenvalues = np.linalg.eigvalsh(vectors @ vectors.T / count)
    eigenvalues = eigenvalues[eigenvalues > 1e-12]
    expected = np.exp(-(eigenvalues * np.log(eigenvalues)).sum())
    assert vendi(vectors.astype(np.float32)) == pytest.approx(expected, rel=1e-4)
    assert 1 <= vendi(vectors.astype(np.float32)) <= min(count, dimensions) + 1e-6


def test_vendi_counts_kinds_not_repeats() -> None:
    twice = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)
    assert vendi(twice) == pytest.approx(3, rel=1e-6)
    assert vendi(np.zeros((0, 8), np.float32)) == 0


@pytest.mark.parametrize("count", [2, 3, 20])
def test_mean_similarities_equal_brute_force(count: int) -> None:
    vectors = units(count, 24)
    cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    pairs = [cosines[i, j] for i in range(count) for j in range(count) if i != j]
    assert mean_similarity(vectors) == pytest.approx(np.mean(pairs), abs=1e-6)
    for i, value in enumerate(mean_similarity_to_others(vectors)):
        others = [cosines[i, j] for j in range(count) if j != i]
        assert value == pytest.approx(np.mean(others), abs=1e-6)


def test_a_lonely_text_has_no_similarity() -> None:
    assert np.isnan(mean_similarity(units(1, 8)))
    assert np.isnan(mean_similarity_to_others(units(1, 8))).all()
    assert mean_similarity_to_others(units(0, 8)).shape == (0,)


def test_different_sentences_are_more_diverse_than_paraphrases(encoder: Any) -> None:
    same = encoder.encode(["A blurry photo.", "The photo is blurry.", "This picture is blurry."])
    different = encoder.encode(["A blurry photo.", "Warm colours.", "The horizon is tilted."])
    assert vendi(same) < vendi(different)
    assert mean_similarity(same) > mean_similarity(different)
