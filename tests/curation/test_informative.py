import time

import pytest

from curation.informative import inform, informativeness
from curation.informative_words import ORDINARY, TECHNICAL, TELLING

EMPTY_TALK = (
    "Congratulations on your ribbon! This is such a wonderful entry and I am so happy for you, "
    "you really deserve it. I voted for it and told all my friends, and I hope that you do well in "
    "the next one too. It reminds me of my grandmother and of the summers at her house. Well done "
    "again, and thank you so much for sharing it with us here. One of my top picks this week!"
)


@pytest.mark.parametrize(
    "text",
    [
        "great dof and interesting angle",
        "too dark to see your subject",
        "nice colors",
        "The background is distracting.",
        "I would crop a bit off the top",
        "bad focus, harsh shadows",
        "your eye is drawn away from the subject",
        "love it in b&w",
        "Schärfe aside: blown highlights",
    ],
)
def test_short_and_concrete_is_informative(text):
    assert informativeness(text) >= 0.65


@pytest.mark.parametrize(
    "text",
    [
        EMPTY_TALK,
        "great shot!",
        "",
        "   ",
        "Good luck in the challenge, clever title",
        "A man sits on a bench and eats a sandwich.",
        "what a light beer, I prefer dark chocolate",
        "the leading lines challenge is over",
    ],
)
def test_talk_is_not_whatever_its_length(text):
    assert informativeness(text) < 0.2


def test_short_and_concrete_beats_long_and_empty():
    assert informativeness("great dof and interesting angle") > informativeness(EMPTY_TALK) + 0.5


def test_padding_and_repetition_earn_nothing():
    once = informativeness("The composition is great.")
    assert informativeness("The composition is great. " * 5) == once
    assert informativeness(f"{EMPTY_TALK} The composition is great.") == once


def test_more_aspects_count_more_and_stay_below_one():
    one = informativeness("nice composition")
    two = informativeness("nice composition and soft light")
    assert one < two <= 1
    assert informativeness("nice composition, soft light, vivid, sharp, noisy, too busy") <= 1


def test_a_term_counts_fully_only_when_judged():
    named, judged = informativeness("texture"), informativeness("beautiful texture")
    assert 0 < named < judged


def test_a_judgement_does_not_reach_over_a_full_stop():
    assert informativeness("Great. Texture") < informativeness("Great texture")


def test_parts_name_aspect_and_exact_place():
    text = "Great job — the Colours are nice; bit of a TILTED horizon, B&W maybe"
    found = inform(text)
    assert {part.words for part in found.parts} >= {"TILTED", "B&W"}
    assert all(text[part.start : part.end] == part.words for part in found.parts)
    assert [part.weight for part in found.parts] == sorted(
        (part.weight for part in found.parts), reverse=True
    )
    assert len({part.aspect for part in found.parts}) == len(found.parts)
    assert {"color", "composition"} <= {part.aspect for part in found.parts}


def test_places_stay_true_where_letters_change_length():
    text = "İİİ stunning colors"
    (part,) = inform(text).parts
    assert text[part.start : part.end] == "colors"


@pytest.mark.parametrize("slip", ["compostion", "compositon", "backgroud", "lkghting", "satuation"])
def test_slips_of_spelling_are_understood(slip):
    assert informativeness(f"great {slip}") >= 0.65


def test_real_words_are_not_taken_for_slips():
    assert informativeness("nice lightning last night, and a good contract") == 0


def test_spelling_of_either_side_of_the_ocean_is_the_same():
    assert informativeness("the centre is grey, nice colour") == informativeness(
        "the center is gray, nice color"
    )


def test_no_phrase_is_listed_under_two_aspects():
    phrases = [
        phrase
        for table in (TELLING, TECHNICAL, ORDINARY)
        for listed in table.values()
        for phrase in listed
    ]
    assert len(phrases) == len(set(phrases))


def test_fast_enough_for_a_corpus():
    texts = [
        f"nice shot {i} but the background is a bit busy and I like the light" for i in range(3000)
    ]
    began = time.process_time()
    for text in texts:
        informativeness(text)
    assert len(texts) / max(time.process_time() - began, 1e-9) > 5000
