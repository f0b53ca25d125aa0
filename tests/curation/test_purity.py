import numpy as np
import pytest

from curation.purity import air, purify, purities, ranks, relevance, words

A = np.array([1.0, 0.0], dtype=np.float32)
B = np.array([0.0, 1.0], dtype=np.float32)
BETWEEN = np.array([0.6, 0.8], dtype=np.float32)


def test_relevance_is_the_cosine_to_the_description():
    assert relevance(np.stack([A, B, BETWEEN]), A) == pytest.approx([1.0, 0.0, 0.6])


def test_relevance_to_several_descriptions_is_the_mean():
    assert relevance(np.stack([A, BETWEEN]), np.stack([A, B])) == pytest.approx([0.5, 0.7])


def test_relevance_needs_a_description_of_the_same_width():
    with pytest.raises(ValueError, match="description"):
        relevance(np.stack([A]), np.empty((0, 2), dtype=np.float32))
    with pytest.raises(ValueError, match="dimensions"):
        relevance(np.stack([A]), np.ones(3, dtype=np.float32))


def test_ranks_start_at_one_and_are_shared():
    assert ranks([10, 30, 20, 20]).tolist() == [1.0, 4.0, 2.5, 2.5]
    assert ranks([]).tolist() == []


def test_air_adds_both_ranks():
    assert air(np.array([0.1, 0.9, 0.5]), np.array([30, 2, 10])).tolist() == [4.0, 4.0, 4.0]
    assert air(np.array([0.1, 0.9, 0.5]), words(["a", "a b c", "a b"])).tolist() == [2.0, 6.0, 4.0]


def test_purify_keeps_the_k_best_and_loses_nobody():
    texts = ["short", "a long one with many words", "of middle length"]
    found = purify(texts, np.stack([A, BETWEEN, B]), A, k=1)
    assert [one.kept for one in found] == [False, True, False]
    assert found[1].air == found[1].relevance_rank + found[1].length_rank == 5.0
    assert [one.words for one in found] == [1, 6, 3]
    assert all(one.kept for one in purify(texts, np.stack([A, BETWEEN, B]), A, k=9))


def test_of_equal_comments_the_more_relevant_is_kept_then_the_earlier():
    found = purify(["one two", "one"], np.stack([B, A]), A, k=1)
    assert found[0].air == found[1].air
    assert [one.kept for one in found] == [False, True]
    found = purify(["same", "same"], np.stack([A, A]), A, k=1)
    assert [one.kept for one in found] == [True, False]


def test_air_rewards_padding_which_is_why_informativeness_is_there():
    padded = "well " * 40 + "done"
    found = purify(["great dof and angle", padded], np.stack([A, A]), A, k=1)
    assert [one.kept for one in found] == [False, True]


def test_purify_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="at least 1"):
        purify(["a"], np.stack([A]), A, k=0)
    with pytest.raises(ValueError, match="embeddings"):
        purify(["a", "b"], np.stack([A]), A, k=1)
    assert purify([], np.empty((0, 2), dtype=np.float32), A, k=3) == []


def test_a_whole_corpus_is_purified_as_image_by_image() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(400, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = rng.integers(0, 400, 600)
    images = np.sort(rng.integers(0, 40, 600))
    description = rng.random(600) < 0.3
    description[images == 7] = False
    comment = ~description & (rng.random(600) < 0.9)
    texts = [" ".join(["w"] * int(n)) for n in rng.integers(1, 6, 600)]
    found = purities(vectors, rows, images, comment, description, words(texts))
    checked = 0
    for image in range(40):
        own = np.flatnonzero((images == image) & comment)
        told = np.flatnonzero((images == image) & description)
        if not len(told):
            assert np.isnan(found.air[own]).all()
            assert np.isnan(found.place[own]).all()
            continue
        reference = purify([texts[i] for i in own], vectors[rows[own]], vectors[rows[told]], 3)
        np.testing.assert_allclose(
            found.relevance[own], [p.relevance for p in reference], atol=1e-6
        )
        assert found.air[own].tolist() == [p.air for p in reference]
        assert sorted(found.place[own]) == list(range(1, len(own) + 1))
        assert {int(i) for i in own[found.place[own] <= 3]} == {
            int(i) for i, p in zip(own, reference, strict=True) if p.kept
        }
        checked += 1
    assert checked > 30
    assert np.isnan(found.words[~comment]).all()
