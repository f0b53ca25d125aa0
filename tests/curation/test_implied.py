from __future__ import annotations

import random

import pytest

from curation.implied import agreement, imply
from curation.pocket.answers import MANNERS, answer
from curation.pocket.reading import random_reading
from uniqa.levels import LEVELS


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("The technical quality of this photo is poor.", "poor"),
        ("I call the quality bad.", "bad"),
        ("Overall quality is fair.", "fair"),
        ("This is a good photo.", "good"),
        ("Perfect is my quality verdict.", "perfect"),
        ("An excellent photograph.", "perfect"),
        ("A blurry mess.", "bad"),
        ("Technically flawless.", "perfect"),
        ("What a terrible picture.", "bad"),
        ("Not a bad shot.", "good"),
        ("The photo is not good.", "poor"),
        ("The picture is slightly blurry.", "fair"),
        ("The image is extremely blurry and noisy.", "bad"),
        ("Sharp and free of noise.", "good"),
        ("The composition is boring and the lighting is terrible.", "bad"),
        ("Overall, the image quality is high.", "perfect"),
        ("A low-quality image.", "poor"),
        # What is said of the whole counts, whatever the parts are like.
        ("The photo is excellent, although the edges are slightly soft.", "perfect"),
        ("It is a bad picture, even though the colours are vivid.", "bad"),
    ],
)
def test_levels(text: str, level: str) -> None:
    assert imply(text).level == level


@pytest.mark.parametrize(
    "text",
    [
        "A man rides a horse.",
        "Is it any good?",
        "If the photo were good I would say so.",
        "",
        "The photo is dark and warm.",
    ],
)
def test_nothing_is_implied(text: str) -> None:
    implied = imply(text)
    assert (implied.score, implied.level, implied.cues) == (None, None, ())


def test_parts_that_decided_are_those_of_the_text() -> None:
    text = "Nice! The technical quality is very good, but not perfect."
    implied = imply(text)
    assert [cue.text for cue in implied.cues] == ["good", "not perfect"]
    for cue in implied.cues:
        assert text[cue.start : cue.end] == cue.text
        assert 0 <= cue.worth <= 1


def test_degrees_move_the_score() -> None:
    def score(text: str) -> float:
        value = imply(text).score
        assert value is not None
        return value

    assert score("a very good photo") > score("a good photo") > score("a fairly good photo") > 0.5
    assert score("a very bad photo") < score("a bad photo") < score("a slightly bad photo") < 0.5


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("task", ["quality", "aesthetic"])
def test_levels_that_pocket_texts_state_are_read(task: str, manner: str) -> None:
    rng = random.Random(3)
    right = 0
    for number in range(100):
        level = LEVELS[number % 5]
        text = answer(random_reading(rng), task, "overall", level, manner, "plain", rng)
        right += imply(text).level == level
    assert right >= 95


@pytest.mark.parametrize(
    ("implied", "score", "expected"),
    [(0.7, 0.7, 1.0), (0.1, 0.9, 0.2), (0.9, 0.1, 0.2), (None, 0.5, None), (0.5, None, None)],
)
def test_agreement(implied: float | None, score: float | None, expected: float | None) -> None:
    assert agreement(implied, score) == expected
