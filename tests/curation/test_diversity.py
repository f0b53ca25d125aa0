from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from curation.cover import cover
from curation.diversity import (
    corpus_diversity,
    corpus_meanings,
    diversity,
    mean_similarity,
    vendi,
)
from curation.grouped import Captions


def units(count: int, dimensions: int, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def one_image(vectors: NDArray[np.float32]) -> Captions:
    return Captions(vectors, np.arange(len(vectors)), np.array([0, len(vectors)]))


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
    for i, value in enumerate(diversity(one_image(vectors), 0.8).to_others):
        others = [cosines[i, j] for j in range(count) if j != i]
        assert value == pytest.approx(np.mean(others), abs=1e-6)


def test_a_lonely_text_has_no_similarity() -> None:
    assert np.isnan(mean_similarity(units(1, 8)))
    assert np.isnan(diversity(one_image(units(1, 8)), 0.8).to_others).all()


def test_different_sentences_are_more_diverse_than_paraphrases(encoder: Any) -> None:
    same = encoder.encode(["A blurry photo.", "The photo is blurry.", "This picture is blurry."])
    different = encoder.encode(["A blurry photo.", "Warm colours.", "The horizon is tilted."])
    assert vendi(same) < vendi(different)
    assert mean_similarity(same) > mean_similarity(different)


def plainly(vectors: NDArray[np.float32], threshold: float) -> tuple[int, float]:
    """Meanings and semantic entropy of one image, caption by caption."""
    order, _ = cover(vectors, len(vectors))
    leaders: dict[int, int] = {}
    for place in order.tolist():
        near = [(float(vectors[other] @ vectors[place]), -other) for other in leaders]
        best, other = max(near, default=(-2.0, 0))
        leader = -other if best >= threshold else place
        leaders[leader] = leaders.get(leader, 0) + 1
    shares = np.array(list(leaders.values())) / len(vectors)
    return len(leaders), float(-(shares * np.log(shares)).sum())


def close(count: int, seed: int) -> NDArray[np.float32]:
    vectors = units(1, 16, seed) * 1.2 + units(count, 16, seed + 1)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / norms, dtype=np.float32)


@given(st.lists(st.integers(1, 8), min_size=1, max_size=6), st.integers(0, 20))
def test_all_images_together_measure_what_each_does_alone(sizes: list[int], seed: int) -> None:
    starts = np.concatenate(([0], np.cumsum(sizes)))
    vectors = close(int(starts[-1]), seed)
    found = diversity(Captions(vectors, np.arange(len(vectors)), starts), 0.6)
    for image, (start, end) in enumerate(pairwise(starts)):
        own = vectors[start:end]
        assert found.vendi[image] == pytest.approx(vendi(own), abs=1e-6)
        assert found.mean_similarity[image] == pytest.approx(
            mean_similarity(own), abs=1e-6, nan_ok=True
        )
        np.testing.assert_allclose(
            found.to_others[start:end], diversity(one_image(own), 0.8).to_others, atol=1e-6
        )
        order, gains = cover(own, len(own))
        assert (np.argsort(found.cover_rank[start:end])).tolist() == order.tolist()
        assert found.gain[start:end][order].tolist() == gains.tolist()
        meanings, entropy = plainly(own, 0.6)
        assert found.meanings[image] == meanings == found.meaning[start:end].max()
        assert found.semantic_entropy[image] == pytest.approx(entropy, abs=1e-9)


def test_semantic_entropy_counts_meanings() -> None:
    two = np.eye(4, dtype=np.float32)[[0, 0, 0, 1]]
    found = diversity(one_image(two))
    assert found.meanings.tolist() == [2]
    assert found.semantic_entropy[0] == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert found.meaning.tolist() == [1, 1, 1, 2]
    assert diversity(one_image(np.eye(4, dtype=np.float32))).semantic_entropy[0] == pytest.approx(
        np.log(4)
    )
    assert diversity(one_image(two[:3])).semantic_entropy[0] == 0


def test_a_chain_of_near_repeats_is_not_one_meaning() -> None:
    angles = np.radians(np.arange(0, 181, 20))  # neighbours have a similarity of 0.94
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = diversity(one_image(chain), 0.9)
    assert found.meanings[0] > 3
    for meaning in range(1, found.meanings[0] + 1):
        members = np.flatnonzero(found.meaning == meaning)
        assert np.ptp(members) <= 2  # all within 20 degrees of their leader


def test_a_lonely_caption_covers_its_image() -> None:
    found = diversity(one_image(units(1, 8)))
    assert (found.vendi[0], found.meanings[0], found.semantic_entropy[0]) == (
        pytest.approx(1, abs=1e-6), 1, 0,
    )  # fmt: skip
    assert np.isnan(found.mean_similarity[0])
    assert np.isnan(found.to_others[0])
    assert (found.gain[0], found.cover_rank[0]) == (1, 1)


def test_texts_repeated_in_the_corpus_are_counted_through_their_rows() -> None:
    vectors = units(5, 16)
    rows = np.array([4, 0, 0, 2, 1, 0, 3])
    several = corpus_diversity(Captions(vectors, rows, np.array([0, 3, 7])))
    assert several.vendi == pytest.approx(vendi(vectors[rows]), rel=1e-5)
    assert several.mean_similarity == pytest.approx(mean_similarity(vectors[rows]), abs=1e-5)
    kept = np.array([0, 1, 1, 0, 1, 0, 1], bool)
    some = corpus_diversity(Captions(vectors, rows, np.array([0, 3, 7])), kept)
    assert some.vendi == pytest.approx(vendi(vectors[rows[kept]]), rel=1e-5)
    none = corpus_diversity(Captions(vectors, rows, np.array([0, 3, 7])), np.zeros(7, bool))
    assert none.vendi == 0
    assert np.isnan(none.mean_similarity)


def test_meanings_of_a_corpus_are_those_of_a_sample_of_one_size() -> None:
    vectors = np.eye(8, dtype=np.float32)
    captions = Captions(vectors, np.arange(4000) % 8, np.arange(0, 4001, 4))
    found = corpus_meanings(captions, sample=500, seed=1)
    assert (found.captions, found.meanings) == (500, 8)
    assert found.semantic_entropy == pytest.approx(np.log(8), abs=0.02)
    assert found == corpus_meanings(captions, sample=500, seed=1)
    assert corpus_meanings(captions, sample=500, seed=2) != found
    assert corpus_meanings(one_image(vectors[:3])).captions == 3
    assert corpus_meanings(Captions(vectors, np.array([], int), np.array([0]))).meanings == 0


def test_a_threshold_is_a_similarity() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        diversity(one_image(units(2, 4)), 1.5)
