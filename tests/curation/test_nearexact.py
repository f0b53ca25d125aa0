from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import nearexact
from curation.nearexact import GRAM, near_exact, overlap

SAID = "the composition leads the eye to the boat and the reflections in the still water"


def jaccard(first: str, second: str) -> float:
    """The definition."""

    def grams(text: str) -> set[str]:
        return {text[i : i + GRAM] for i in range(max(1, len(text) - GRAM + 1))}

    one, other = grams(first), grams(second)
    return len(one & other) / len(one | other)


@given(
    st.lists(st.text("abc äß…", max_size=14), min_size=2, max_size=2),
)
@settings(max_examples=150, deadline=None)
def test_overlap_is_the_jaccard_index(texts: list[str]) -> None:
    assert overlap(*texts) == pytest.approx(jaccard(*texts))
    assert overlap(*texts) == overlap(*reversed(texts))


@pytest.mark.parametrize(
    "edited",
    [
        "the composition leads the eye to the boat and the reflection in the still water",
        "the composition leads the eye to the boat and the reflections in the stil water",
        "the composition leads the eye to the boat and the reflections in still water",
        "well the composition leads the eye to the boat and the reflections in the still water",
        "the composition leads the eye to the boat and the reflections in the still water nice",
    ],
)
def test_edits_that_people_make_are_near_exact(edited: str) -> None:
    found = near_exact([SAID, edited], 0.8)
    assert found.pairs.tolist() == [[0, 1]]
    assert found.overlap[0] == pytest.approx(jaccard(SAID, edited))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "the whole frame is sharp from the front to the back and so are the edges",
            "the whole frame is blurry from the front to the back and so are the edges",
        ),
        (
            "the sky above the old town is overexposed and that pulls the eye out of the picture",
            "the sky above the old town is underexposed and that pulls the eye out of the picture",
        ),
        (
            "the picture is well exposed and does it justice in every part of the frame",
            "the picture is not well exposed and does it justice in every part of the frame",
        ),
        (
            "the whole frame lacks noise even in the deepest shadows under the trees on the left",
            "the whole frame has noise even in the deepest shadows under the trees on the left",
        ),
        (
            "i would crop 2 cm off the left edge of this picture to bring the boat to the third",
            "i would crop 5 cm off the left edge of this picture to bring the boat to the third",
        ),
    ],
)
def test_what_says_something_else_in_the_same_words_is_not(one: str, other: str) -> None:
    assert overlap(one, other) > 0.7
    assert len(near_exact([one, other], 0.7).pairs) == 0


def test_all_true_pairs_of_a_large_list_are_found() -> None:
    generator = np.random.default_rng(0)
    words = ["".join(generator.choice(list("abcdefghij"), size=6)) for _ in range(400)]
    texts = [" ".join(generator.choice(words, size=12)) for _ in range(1500)]
    planted = [f"{text[:40]}{text[41:]}" for text in texts[:500]]
    found = near_exact(texts + planted, 0.8)
    expected = {(i, 1500 + i) for i in range(500) if jaccard(texts[i], planted[i]) >= 0.8}
    assert len(expected) > 400
    pairs = {(first, second) for first, second in found.pairs.tolist()}
    assert len(expected - pairs) <= 2
    assert all(overlap(texts[i], planted[i]) >= 0.8 for i, _ in pairs & expected)


def test_many_alike_are_all_tied_together() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    texts = [SAID, *(f"{SAID} {letters[i % 26] * (i // 26 + 3)}" for i in range(199))]
    found = near_exact(texts, 0.8)
    assert {(0, other) for other in range(1, 200)} <= set(map(tuple, found.pairs.tolist()))
    assert len(found.pairs) < 200 * nearexact._ALL_PAIRS


def test_groups_keep_to_themselves() -> None:
    texts = [SAID, SAID + " nice", SAID + " good"]
    everyone = near_exact(texts, 0.8).pairs.tolist()
    assert [0, 1] in everyone
    apart = near_exact(texts, 0.8, np.array([0, 1, 1])).pairs.tolist()
    assert not any(0 in pair for pair in apart)


def test_order_within_pairs_and_of_pairs() -> None:
    pairs = near_exact([SAID, SAID + " nice", "else", SAID + " nice one"], 0.8).pairs
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert pairs.tolist() == sorted(pairs.tolist())


@pytest.mark.parametrize("texts", [[], ["one"], ["", "a", "ab", "abc"]])
def test_hardly_any_text_is_no_pair(texts: list[str]) -> None:
    assert len(near_exact(texts, 0.8).pairs) == 0


def test_a_threshold_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="Jaccard"):
        near_exact(["a", "b"], 0)
