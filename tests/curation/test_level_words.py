"""Which tokens tell the levels apart, with tokenizers of every kind."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest

from curation.engines.level_words import level_words
from uniqa.levels import LEVELS

START = "The quality is"


def by(pattern: str) -> Callable[[str], list[int]]:
    """An encoder that cuts a text by a pattern; equal pieces are equal tokens."""
    vocabulary: dict[str, int] = {}

    def encode(text: str) -> list[int]:
        return [vocabulary.setdefault(one, len(vocabulary)) for one in re.findall(pattern, text)]

    return encode


def test_whole_words_are_one_question() -> None:
    words = level_words(START, by(r" ?\w+"))
    (branch,) = words.branches
    assert branch.answer == START
    assert len(branch.tokens) == 5
    probabilities = words.probabilities([[math.log(p) for p in (0.1, 0.2, 0.05, 0.1, 0.05)]])
    assert probabilities == pytest.approx((0.2, 0.4, 0.1, 0.2, 0.1))
    assert words.sentence(probabilities) == "The quality is poor."
    assert words.sentence((0.2,) * 5) == "The quality is bad."


def test_words_that_begin_alike_are_told_apart_further_on() -> None:
    words = level_words(START + " ", by(r" ?[\w]"))
    assert [branch.answer for branch in words.branches] == [START, f"{START} p"]
    assert [len(branch.tokens) for branch in words.branches] == [4, 2]  # b p f g; o e
    # b, p, f, g at first; after " p" it is o or e, and other letters take half.
    scores = [[math.log(p) for p in (0.1, 0.4, 0.2, 0.3)], [math.log(0.1), math.log(0.4)]]
    whole = 0.1 + 0.04 + 0.2 + 0.3 + 0.16
    expected = [0.1 / whole, 0.04 / whole, 0.2 / whole, 0.3 / whole, 0.16 / whole]
    assert words.probabilities(scores) == pytest.approx(expected)


def test_a_space_of_its_own_is_one_more_step() -> None:
    words = level_words(START, by(r"\s|\w+"))
    assert [branch.answer for branch in words.branches] == [START, f"{START} "]
    assert [len(branch.tokens) for branch in words.branches] == [1, 5]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r".+", "reads 'The quality is' otherwise"),
        (r"\w+ \w+ \w+| (?=\w)", "does not tell the levels apart"),
    ],
)
def test_tokenizers_that_hide_the_words_are_refused(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        level_words(START, by(pattern))


def test_scores_that_are_no_numbers_are_no_levels() -> None:
    words = level_words(START, by(r" ?\w+"))
    with pytest.raises(ValueError, match="not numbers"):
        words.probabilities([[math.nan] * 5])
    with pytest.raises(ValueError, match="not numbers"):
        words.probabilities([[-math.inf] * 5])
    impossible = words.probabilities([[-math.inf, 0.0, 0.0, 0.0, 0.0]])
    assert impossible == pytest.approx((0, *[0.25] * 4))
    assert len(LEVELS) == len(impossible)
