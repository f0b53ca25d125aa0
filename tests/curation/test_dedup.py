from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import within
from curation.dedup import (
    KINDS,
    Duplicates,
    best_first,
    find_duplicates,
    images_per_cluster,
    normalise,
)
from curation.nearexact import near_exact

WORDS = "the photo is sharp blurry noisy bright warm colours and light soft very".split()


def unit(vectors: Any) -> np.ndarray:
    wide = np.asarray(vectors, dtype=np.float64)
    return (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)


def clustered(seed: int, count: int, dimensions: int = 24, spread: float = 0.25) -> np.ndarray:
    """Vectors around a few centres: some pairs below, some above a threshold of 0.9."""
    generator = np.random.default_rng(seed)
    centres = unit(generator.normal(size=(max(1, count // 4), dimensions)))
    chosen = centres[generator.integers(len(centres), size=count)]
    return unit(chosen + spread * generator.normal(size=(count, dimensions)) / dimensions**0.5 * 2)


def sentences(seed: int, count: int) -> list[str]:
    """Short texts of few words, so that many are equal, and some but for case and signs."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        text = " ".join(generator.choice(WORDS, size=int(generator.integers(1, 9))))
        found.append(text.upper() + "!" if generator.random() < 0.2 else text)
    return found


def plainly(
    texts: list[str],
    vectors: np.ndarray,
    order: np.ndarray,
    threshold: float,
    images: list[int] | None,
    near: float,
) -> dict[int, tuple[int, str]]:
    """The rule, written as it is told: one after another, everything with everything."""
    inner = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    place = {int(index): rank for rank, index in enumerate(order)}
    same: dict[Any, list[int]] = {}
    for index in order.tolist():
        key = (None if images is None else images[index], normalise(texts[index]))
        same.setdefault(key, []).append(index)
    words = [key[1] for key in same]
    spelt = {frozenset((words[a], words[b])) for a, b in near_exact(words, near).pairs.tolist()}
    kept: list[tuple[Any, int]] = []
    found: dict[int, tuple[int, str]] = {}
    for key, members in sorted(same.items(), key=lambda item: place[item[1][0]]):
        first = members[0]
        for other_key, survivor in kept:
            if other_key[0] != key[0]:
                continue
            if frozenset((other_key[1], key[1])) in spelt:
                found |= dict.fromkeys(members, (survivor, "near"))
                break
            if inner[first, survivor] >= threshold:
                found |= dict.fromkeys(members, (survivor, "semantic"))
                break
        else:
            kept.append((key, first))
            found |= dict.fromkeys(members[1:], (first, "exact"))
    return found


def told(duplicates: Duplicates) -> dict[int, tuple[int, str]]:
    return {
        int(index): (int(duplicates.of[index]), str(duplicates.kind[index]))
        for index in np.flatnonzero(~duplicates.survivors)
    }


@pytest.mark.parametrize("scope", ["image", "corpus"])
@given(seed=st.integers(0, 10_000), count=st.integers(1, 60), images=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_the_rule_is_that_of_comparing_everything(
    scope: str, seed: int, count: int, images: int
) -> None:
    generator = np.random.default_rng(seed)
    texts, vectors = sentences(seed, count), clustered(seed, count)
    labels = generator.integers(images, size=count).tolist() if scope == "image" else None
    order = generator.permutation(count)
    found = find_duplicates(texts, vectors, order, threshold=0.9, images=labels, near=0.7)
    assert told(found) == plainly(texts, vectors, order, 0.9, labels, 0.7)


@pytest.mark.parametrize("scope", ["image", "corpus"])
@given(seed=st.integers(0, 10_000), count=st.integers(2, 80))
@settings(max_examples=40, deadline=None)
def test_survivors_lead_and_no_cluster_vanishes(scope: str, seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    texts, vectors = sentences(seed, count), clustered(seed, count)
    labels = generator.integers(5, size=count) if scope == "image" else None
    order = generator.permutation(count)
    place = np.empty(count, dtype=int)
    place[order] = np.arange(count)
    found = find_duplicates(texts, vectors, order, threshold=0.9, images=labels)
    repeats = np.flatnonzero(~found.survivors)
    assert found.survivors[found.of[repeats]].all()
    assert (place[found.of[repeats]] < place[repeats]).all()
    assert found.survivors[order[0]]
    if labels is not None:
        assert (labels[found.of[repeats]] == labels[repeats]).all()
        for image in set(labels.tolist()):
            best = min(np.flatnonzero(labels == image), key=lambda index: place[index])
            assert found.survivors[best]
    assert set(found.kind[repeats]) <= set(KINDS)
    assert (found.kind[found.survivors] == "").all()
    semantic = found.kind == "semantic"
    assert (found.similarity[semantic] >= np.float32(0.9)).all()
    assert (found.similarity[repeats] <= 1).all()
    assert found.ratio == pytest.approx(len(repeats) / count)
    assert sum(found.counts.values()) == len(repeats)


@pytest.mark.parametrize("scope", ["image", "corpus"])
@given(seed=st.integers(0, 10_000), count=st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_rows_changes_nothing(scope: str, seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    texts, vectors = sentences(seed, count), clustered(seed, count)
    ids = np.array([f"caption{number:03}" for number in generator.permutation(count)])
    scores = generator.integers(3, size=count).astype(float)
    labels = generator.integers(4, size=count)

    def judged(shuffle: np.ndarray) -> dict[str, tuple[str, str, float]]:
        found = find_duplicates(
            [texts[index] for index in shuffle],
            vectors[shuffle],
            best_first(scores[shuffle], ids[shuffle]),
            threshold=0.9,
            images=labels[shuffle] if scope == "image" else None,
        )
        names = ids[shuffle]
        return {
            names[i]: (
                names[found.of[i]] if found.of[i] >= 0 else "",
                found.kind[i],
                repr(found.similarity[i]),
            )
            for i in range(count)
        }

    assert judged(np.arange(count)) == judged(generator.permutation(count))


def test_a_chain_does_not_take_the_cluster_along() -> None:
    angles = np.deg2rad([0, 20, 40, 60])
    vectors = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    texts = ["a dog", "one cat", "two birds", "many fish"]
    found = find_duplicates(texts, vectors, np.arange(4), threshold=0.9)
    assert found.of.tolist() == [-1, 0, -1, 2]
    assert found.similarity[[1, 3]] == pytest.approx(np.cos(np.deg2rad(20)))


def test_who_is_ranked_best_survives() -> None:
    vectors = unit([[1, 0], [1, 0.1], [1, 0.2]])
    texts = ["one", "two", "three"]
    for best in range(3):
        order = best_first(np.eye(3)[best], ["a", "b", "c"])
        found = find_duplicates(texts, vectors, order, threshold=0.9)
        assert np.flatnonzero(found.survivors).tolist() == [best]
        assert set(found.of.tolist()) == {-1, best}


def test_same_words_are_exact_whatever_their_embeddings() -> None:
    vectors = unit([[1, 0], [0, 1], [1, 1]])
    texts = ["Nice shot!", "  nice   SHOT…", "nice short"]
    found = find_duplicates(texts, vectors, np.arange(3), threshold=0.99)
    assert found.kind.tolist() == ["", "exact", ""]
    assert found.similarity[1] == 1


def test_signs_alone_are_not_all_the_same() -> None:
    assert normalise(":) :)") == ":):)"
    assert normalise("?!") != normalise(":(")
    assert normalise("Great, SHOT!") == "great shot"


def test_equal_texts_on_many_images_are_found_over_the_corpus_only() -> None:
    texts = ["Very sharp.", "very sharp", "Grainy sky.", "very sharp!"]
    images = ["a", "b", "b", "c"]
    vectors = unit([[1, 0], [1, 0], [0, 1], [1, 0]])
    within_image = find_duplicates(texts, vectors, np.arange(4), threshold=0.9, images=images)
    assert within_image.survivors.all()
    across = find_duplicates(texts, vectors, np.arange(4), threshold=0.9)
    assert across.of.tolist() == [-1, 0, -1, 0]
    assert images_per_cluster(across, images).tolist() == [3, 3, 1, 3]


def test_only_those_among_take_part() -> None:
    texts = ["same", "same", "same"]
    vectors = unit([[1, 0]] * 3)
    found = find_duplicates(
        texts, vectors, np.arange(3), threshold=0.9, among=np.array([False, True, True])
    )
    assert found.of.tolist() == [-1, -1, 1]


def test_without_semantics_only_words_count() -> None:
    texts = [
        "the sky is full of heavy noise and the shadows are blocked",
        "the sky is full of heavy noise and the shadows are blockd",
        "darkness everywhere",
    ]
    vectors = unit([[1, 0], [1, 0], [1, 0]])
    for images in (None, [1, 1, 1]):
        found = find_duplicates(
            texts, vectors, np.arange(3), threshold=0.5, images=images, semantic=False
        )
        assert found.kind.tolist() == ["", "near", ""]


def test_rows_spare_a_copy_of_repeated_vectors() -> None:
    vectors = unit([[1, 0], [0, 1]]).astype(np.float16)
    found = find_duplicates(
        ["a", "b", "c"], vectors, np.arange(3), threshold=0.9, rows=np.array([0, 1, 0])
    )
    assert found.of.tolist() == [-1, -1, 0]


def test_large_groups_are_judged_like_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    texts, vectors = sentences(3, 300), clustered(3, 300)
    images = generator.integers(3, size=300)
    order = generator.permutation(300)
    small = find_duplicates(texts, vectors, order, threshold=0.9, images=images)
    monkeypatch.setattr(within, "LARGE", 10)
    large = find_duplicates(texts, vectors, order, threshold=0.9, images=images)
    assert told(small) == told(large)
    np.testing.assert_allclose(small.similarity, large.similarity, atol=1e-6)


def test_a_survivor_tells_how_near_it_came() -> None:
    vectors = unit([[1, 0], [1, 1], [0, 1]])
    found = find_duplicates(["a", "b", "c"], vectors, np.arange(3), threshold=0.9, images=[1, 1, 1])
    assert found.survivors.all()
    assert np.isnan(found.similarity[0])
    assert found.similarity[1:] == pytest.approx(np.sqrt([0.5, 0.5]))


def test_no_captions_are_no_duplicates() -> None:
    for images in (None, []):
        found = find_duplicates(
            [], np.empty((0, 4), np.float32), np.empty(0, int), threshold=0.9, images=images
        )
        assert found.ratio == 0
        assert len(images_per_cluster(found, [])) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": 1.5}, "similarity"),
        ({"order": np.array([0, 0])}, "permutation"),
        ({"images": [1]}, "images"),
        ({"vectors": np.ones((1, 2), np.float32)}, "vectors"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "texts": ["a", "b"],
        "vectors": np.eye(2, dtype=np.float32),
        "order": np.arange(2),
        "threshold": 0.9,
    }
    with pytest.raises(ValueError, match=message):
        find_duplicates(**(good | change))


def test_scores_rank_and_ids_break_ties() -> None:
    order = best_first(np.array([1.0, 3.0, 1.0, 3.0]), ["d", "b", "c", "a"])
    assert order.tolist() == [3, 1, 2, 0]
    with pytest.raises(ValueError, match="no score"):
        best_first(np.array([np.nan]), ["a"])
    with pytest.raises(ValueError, match="ids"):
        best_first(np.array([1.0]), [])


def test_real_paraphrases_and_real_contradictions(encoder: Any) -> None:
    texts = [
        "The photo is blurry and lacks fine detail.",
        "The picture is blurry and lacks fine details.",
        "The photo is tack sharp and rich in fine detail.",
        "A dog sleeps on a red sofa.",
    ]
    found = find_duplicates(texts, encoder.encode(texts), np.arange(4), threshold=0.92)
    assert found.of.tolist() == [-1, 0, -1, -1]
    make: Callable[..., Duplicates] = find_duplicates
    assert make(texts, encoder.encode(texts), np.arange(4), threshold=-1).of.tolist()[1:] == [0] * 3
