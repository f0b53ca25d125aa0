"""What texts claim: many wordings, negations, scopes and senses."""

from __future__ import annotations

import pytest

from curation.claims import ASPECTS, STRENGTHS, claims


def said(text: str) -> dict[str, bool]:
    """Property → whether it is said to be there."""
    return {claim.what: claim.present for claim in claims(text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Sharpness.
        ("The picture is sharp.", {"blur": False}),
        ("It's a blurry picture.", {"blur": True}),
        ("The image isn't blurry.", {"blur": False}),
        ("It is not entirely sharp.", {"blur": True}),
        ("It is anything but sharp.", {"blur": True}),
        ("The photo is far from sharp.", {"blur": True}),
        ("The photo lacks sharpness.", {"blur": True}),
        ("A lack of sharpness is what bothers me.", {"blur": True}),
        ("No trace of blur.", {"blur": False}),
        ("Free of any motion blur.", {"blur": False}),
        ("Nothing in this shot is really sharp.", {"blur": True}),
        ("Great clarity and detail.", {"blur": False}),
        ("The fine details are lost.", {"blur": True}),
        ("Details are well preserved.", {"blur": False}),
        ("The focus is spot on.", {"blur": False}),
        ("The focus was missed.", {"blur": True}),
        ("Out of focus.", {"blur": True}),
        ("The edges are crisp.", {"blur": False}),
        ("The edges of the building look soft.", {"blur": True}),
        ("It could be a bit sharper.", {"blur": True}),
        ("More detail would be nice.", {"blur": True}),
        ("How blurry this picture is!", {"blur": True}),
        ("Sharpness: poor.", {"blur": True}),
        ("There is no loss of detail.", {"blur": False}),
        # Noise.
        ("There is no visible noise.", {"noise": False}),
        ("Noise is not visible at all.", {"noise": False}),
        ("The noise level is low, noise is well controlled.", {"noise": False}),
        ("Lots of grain in the shadows.", {"noise": True}),
        ("The image is grainy.", {"noise": True}),
        ("A noise-free rendering.", {"noise": False}),
        ("Smooth areas are clean and free of grain.", {"noise": False}),
        ("The photo suffers from heavy noise.", {"noise": True}),
        ("Not without noise.", {"noise": True}),
        # Compression.
        ("No compression artifacts.", {"compression": False}),
        ("JPEG artefacts are clearly visible.", {"compression": True}),
        ("The picture is pixelated and blocky.", {"compression": True}),
        ("Compression leaves no mark.", {"compression": False}),
        ("Gradients show banding.", {"banding": True}),
        # Exposure.
        ("Too dark for me.", {"underexposed": True}),
        ("The image is dark.", {"dark": True}),
        ("A bright photo.", {"bright": True}),
        ("It is overexposed.", {"overexposed": True}),
        ("The photo is not underexposed.", {"underexposed": False}),
        ("Well exposed.", {"misexposed": False}),
        ("The exposure is balanced.", {"misexposed": False}),
        ("The exposure is poor.", {"misexposed": True}),
        ("The highlights are blown.", {"highlights": True}),
        ("Bright areas have lost all detail.", {"highlights": True}),
        ("It needs more light.", {"underexposed": True}),
        ("It has been exposed properly.", {"misexposed": False}),
        ("The exposure is too high.", {"overexposed": True}),
        # The whole.
        ("A flawless file.", {"faulty": False}),
        ("There is no fault in it.", {"faulty": False}),
        # Idioms.
        ("It could not be any sharper.", {"blur": False}),
        ("The sharpness leaves nothing to be desired.", {"blur": False}),
        ("The sharpness leaves a lot to be desired.", {"blur": True}),
        ("There is next to no noise.", {"noise": False}),
        ("I looked for grain and found none.", {"noise": False}),
        ("The focus was missed: nothing is right here.", {"blur": True}),
        ("Mushy and without crisp edges.", {"blur": True}),
        # Contrast.
        ("Low contrast.", {"flat": True}),
        ("The contrast is strong.", {"flat": False}),
        ("The photo does not lack contrast.", {"flat": False}),
        ("There is hardly any contrast.", {"flat": True}),
        ("The image looks flat.", {"flat": True}),
        ("More contrast would help.", {"flat": True}),
        # Colour.
        ("The colours are vivid.", {"pale": False}),
        ("Vibrant colors fill the scene.", {"pale": False}),
        ("The colours look washed out.", {"pale": True}),
        ("It's oversaturated.", {"vivid": True}),
        ("The colours are too saturated.", {"vivid": True}),
        ("A black and white photo.", {"grey": True}),
        ("The photo is in black and white.", {"grey": True}),
        ("There is a green colour cast.", {"cast": True}),
        ("The white balance is accurate.", {"cast": False}),
        ("The white balance is off.", {"cast": True}),
        ("Warm tones dominate.", {"warm": True}),
    ],
)
def test_one_claim(text: str, expected: dict[str, bool]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No noise, grain or banding.", {"noise": False, "banding": False}),
        ("It is sharp and free of noise.", {"blur": False, "noise": False}),
        ("It lacks sharpness and contrast.", {"blur": True, "flat": True}),
        ("Sharpness and contrast are low.", {"blur": True, "flat": True}),
        ("No noise, and the colours are lively.", {"noise": False, "pale": False}),
        ("Free of blocking, focus is accurate.", {"compression": False, "blur": False}),
        ("Blurry but well exposed.", {"blur": True, "misexposed": False}),
        ("Sharp, although noisy.", {"blur": False, "noise": True}),
        ("Neither noise nor blur.", {"noise": False, "blur": False}),
        ("Neither too dark nor too bright.", {"underexposed": False, "overexposed": False}),
        ("Sharpness: good; noise: none; contrast: low.",
         {"blur": False, "noise": False, "flat": True}),
    ],
)  # fmt: skip
def test_several_claims_in_one_sentence(text: str, expected: dict[str, bool]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "The background is softly blurred.",
        "A shallow depth of field isolates the flower.",
        "The blurred background sets off the subject.",
        "Is it out of focus?",
        "If it were sharper, it could hang in a gallery.",
        "Had it been sharper, it might have won.",
        "The exposure was too long.",
        "Neither too sharp nor overly detailed.",
        "One flaw is the title.",
        "A sharp bend in the road.",
        "The focus is on the dog.",
        "The dark clouds give a gloomy mood.",
        "Her white dress is bright.",
        "A noisy street market.",
        "The grain of the wood is nice.",
        "A long exposure of the waterfall.",
        "The colours are neither warm nor cold.",
        "The contrast is moderate.",
        "Soft light falls in from the left.",
        "Tones run from dark to light.",
        "Black and white are both there.",
        "Compressed air drives the drill.",
        "The composition is well balanced.",
        "Great capture, congratulations!",
        "A man rides a horse along the beach.",
        "",
        "   \n",
    ],
)
def test_no_claim(text: str) -> None:
    assert claims(text) == ()


@pytest.mark.parametrize(
    ("text", "strength"),
    [
        ("The picture is slightly blurry.", "mild"),
        ("The picture is blurry.", "plain"),
        ("The picture is extremely blurry.", "strong"),
        ("A touch of noise.", "mild"),
        ("Heavy noise.", "strong"),
        ("Hardly any noise.", "mild"),
        ("No noise.", "plain"),
        ("Fairly sharp.", "mild"),
        ("Tack sharp.", "strong"),
        ("Not perfectly sharp.", "mild"),
    ],
)
def test_strength(text: str, strength: str) -> None:
    (claim,) = claims(text)
    assert claim.strength == strength


def test_places_and_words_are_those_of_the_text() -> None:
    text = "First a remark. The shot is not sharp, and there’s some GRAIN in the colors’ shadows."
    for claim in claims(text):
        assert text[claim.start : claim.end] == claim.text
        assert claim.strength in STRENGTHS
        assert claim.aspect in set(ASPECTS.values())
    assert [claim.text for claim in claims(text)] == ["not sharp", "GRAIN"]


def test_letters_that_change_their_length_in_lower_case_keep_places_true() -> None:
    text = "İstanbul at night, İ very blurry."
    (claim,) = claims(text)
    assert text[claim.start : claim.end] == claim.text
    assert claim.text.endswith("blurry")


def test_what_is_said_of_a_part_is_marked() -> None:
    (whole,) = claims("The photo is sharp.")
    (part,) = claims("The dog's face is sharp.")
    (corner,) = claims("It is blurry in the corners.")
    assert (whole.part, part.part, corner.part) == (False, True, True)


def test_noise_is_everywhere_if_anywhere() -> None:
    (claim,) = claims("The sky is noisy.")
    assert not claim.part


def test_a_cast_has_its_colour() -> None:
    (claim,) = claims("A strong bluish tint lies over everything.")
    assert (claim.what, claim.tint) == ("cast", "bluish")


def test_the_same_thing_twice_in_a_sentence_is_one_claim() -> None:
    (claim,) = claims("The edges are crisp and the contours sharp.")
    assert claim.text == "edges are crisp and the contours sharp"
