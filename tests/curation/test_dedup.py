from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.dedup import find_duplicates, normalise


def turned(*degrees: float) -> np.ndarray:
    """Unit vectors in the plane, at these angles."""
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_the_better_ranked_of_two_is_kept() -> None:
    texts = ["the first", "the second"]
    verdicts = find_duplicates(texts, turned(0, 1), 0.9)
    assert [(one.kind, one.of) for one in verdicts] == [("", None), ("semantic", 0)]


def test_a_chain_never_takes_the_whole_image_along() -> None:
    """Each text is near the next, the ends are far apart: the first and a far one survive."""
    angles = [number * 15.0 for number in range(7)]  # cos 15° = 0.966, cos 30° = 0.866
    verdicts = find_duplicates([f"text {i}" for i in angles], turned(*angles), 0.9)
    kept = [i for i, one in enumerate(verdicts) if not one.kind]
    assert kept == [0, 2, 4, 6]
    for index, one in enumerate(verdicts):
        if one.kind:
            assert one.of in kept
            assert one.of < index


def test_only_kept_captions_are_compared_with() -> None:
    # 20° repeats 0°; 40° is near 20°, which is gone, and far from 0°: it says something new.
    verdicts = find_duplicates(["a", "b", "c"], turned(0, 20, 40), 0.93)
    assert [one.kind for one in verdicts] == ["", "semantic", ""]
    assert verdicts[2].similarity == pytest.approx(np.cos(np.deg2rad(40)), abs=1e-6)


def test_words_decide_what_is_exact_whatever_the_vectors_say() -> None:
    texts = ["A sharp photo.", "a SHARP, photo", "A sharp  photo !", "A sharp photograph"]
    verdicts = find_duplicates(texts, turned(0, 90, 180, 270), 0.9)
    assert [(one.kind, one.of) for one in verdicts] == [
        ("", None),
        ("exact", 0),
        ("exact", 0),
        ("", None),
    ]
    assert [one.similarity for one in verdicts[1:3]] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sharp, clear.", "sharp clear"),
        ("Straße", "STRASSE"),
        ("ﬁne grain", "fine grain"),
        ("e\u0301clat", "éclat"),
        ("full\u00a0stop\n", "full stop"),
    ],
)
def test_normalising_forgets_case_forms_and_punctuation(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


def test_normalising_keeps_words_apart() -> None:
    assert normalise("not sharp") != normalise("sharp")
    assert normalise("resume") != normalise("résumé")
    assert normalise("写真") == "写真"


def test_the_first_has_no_neighbour_and_none_is_no_work() -> None:
    assert find_duplicates([], np.zeros((0, 2), np.float32), 0.9) == []
    (only,) = find_duplicates(["alone"], turned(0), 0.9)
    assert (only.kind, only.of, only.similarity) == ("", None, -1.0)


@given(data=st.data(), threshold=st.floats(-1, 1))
def test_whatever_comes_the_best_survives_and_similarity_is_a_cosine(
    data: Any, threshold: float
) -> None:
    count = data.draw(st.integers(1, 12))
    seed = data.draw(st.integers(0, 1000))
    vectors = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    texts = data.draw(st.lists(st.sampled_from("abcdef"), min_size=count, max_size=count))
    verdicts = find_duplicates(texts, vectors, threshold)
    assert len(verdicts) == count
    assert verdicts[0].kind == ""
    kept = [i for i, one in enumerate(verdicts) if not one.kind]
    for i, one in enumerate(verdicts):
        assert -1.0 <= one.similarity <= 1.0
        assert (one.of is None) == (one.kind == "")
        if one.kind:
            assert one.of in kept
            assert one.of < i
        if one.kind == "semantic":
            assert one.similarity >= threshold


def test_real_paraphrases_are_found_and_different_sentences_are_not(encoder: Any) -> None:
    texts = [
        "The photo is blurry and lacks detail.",
        "This photo is blurry and is lacking detail.",
        "The colours are warm and saturated.",
    ]
    verdicts = find_duplicates(texts, encoder.encode(texts), 0.85)
    assert [one.kind for one in verdicts] == ["", "semantic", ""]
