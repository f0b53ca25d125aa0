import time

import pytest

from curation.hygiene import (
    REASONS,
    Context,
    Prompts,
    cut_off,
    find_openers,
    hygiene,
    loop,
)
from curation.language import language_of
from uniqa.errors import InputError

CLEAN = [
    "Great dof and interesting angle.",
    "The light is harsh, but I really love the colours in this one. Nice work!",
    "very very very creative, ha ha ha, love it :(",
    "nice lighting composition focus color exposure texture detail",
    "I can't see the subject in this photo, it is too dark.",
    "I'm sorry but I can't get into this image.",
    "f/2.8 at ISO200 on a 50mm would help. I gave it an 8",
    "o_o what is that? <7>",
    "Shot with a Nikon D70 - lovely. What a mess to clean up with",
    "The clichéd café scene is naïve, but sharp.",
]


def names(text, context=None, finish_reason=""):
    return [f.name for f in hygiene(text, context or Context(), finish_reason)]


@pytest.mark.parametrize("text", CLEAN)
def test_what_people_plainly_write_is_clean(text):
    assert hygiene(text) == []


@pytest.mark.parametrize(
    ("reason", "text", "part"),
    [
        ("empty", " \n … ", " \n … "),
        ("empty", "N/A", "N/A"),
        ("refusal", "I'm sorry, but I can't assist with that.", "I'm sorry, but I can't assist"),
        ("refusal", "As an AI language model I see no beauty.", "As an AI"),
        ("refusal", "I cannot see the image, please try again", "I cannot see the image"),
        ("refusal", "Unable to view the attached image", "Unable to view the attached image"),
        ("refusal", "No image was provided.", "No image was provided"),
        ("refusal", "Please upload the photo so that I can help.", "Please upload the photo"),
        ("prompt_leak", "<|im_start|>A red barn.", "<|im_start|>"),
        ("prompt_leak", "Sharp.\nUser: what about noise?", "User:"),
        ("loop", "it is good it is good it is good it is good", None),
        ("loop", "The sky is blue and clear today now. " * 2, None),
        ("loop", "w" + "o" * 17 + "w", "o" * 17),
        ("cut_off", "The composition is good and the", "the"),
        ("cut_off", "The light is soft, the mood calm,", ","),
        ("language", "Das Bild ist sehr schön und auch nicht zu dunkel", None),
        ("language", "La composición es muy buena pero la luz está mal", None),
        ("language", "これはとても美しい写真です", None),
        ("markup", "A <b>sharp</b> photo", "<b>"),
        ("markup", "**Composition** is fine", "**Composition**"),
        ("markup", "nice message edited by author", "message edited by author"),
        ("url", "see https://example.org/a?b=1 for more", "https://example.org/a?b=1"),
        ("url", "like this w dpchallenge com image php image_id", None),
        ("email", "write to a.b@example.org please", "a.b@example.org"),
        ("handle", "I agree with @sharpshooter here", "@sharpshooter"),
        ("handle", "originally posted by kita is that a chilli", "originally posted by kita"),
        ("handle", "I agree with senor_kasper", "senor_kasper"),
        ("signature", "Great job! - Steve", "- Steve"),
        ("signature", "Fine light. Regards, Anna Lee", None),
        ("garbled", "it isnâ€™t sharp", "â€"),
        ("garbled", "I didn＊t vote", "＊"),
    ],
)
def test_every_reason_is_found_with_its_place(reason, text, part):
    found = {finding.name: finding for finding in hygiene(text)}
    assert reason in found
    finding = found[reason]
    assert text[finding.start : finding.end] == finding.part
    assert finding.part
    if part is not None:
        assert finding.part.strip() == part.strip()


def test_findings_come_in_the_declared_order_and_with_declared_names():
    text = "<b>I cannot view this image</b> http://a.org @someone and the"
    found = names(text)
    assert set(found) >= {"refusal", "markup", "url", "handle", "cut_off"}
    assert found == sorted(found, key=REASONS.index)


def test_another_script_beside_latin_letters_is_not_garbled():
    assert names("このiPhoneの写真はとても美しいです") == ["language"]


@pytest.mark.parametrize(
    "piece",
    ["a", "-", " ", "\n", "[", "**a", "w a com ", "a.", "<a ", "x-", "- a\n", "a@", "1) a\n"],
)
def test_hostile_texts_take_no_longer_than_long_ones(piece):
    began = time.process_time()
    hygiene(piece * (60_000 // len(piece)))
    assert time.process_time() - began < 3


def test_an_empty_text_is_nothing_else():
    assert names("...") == ["empty"]


def test_the_engine_knows_best_that_a_text_was_cut():
    assert names("All is well.", finish_reason="length") == ["cut_off"]
    assert names("All is well.", finish_reason="stop") == []
    assert cut_off("a face :(") is None


def test_a_question_said_back_is_a_leak_its_words_alone_are_not():
    context = Context(
        Prompts(
            ["Describe the aesthetic quality of this photo with regard to composition and light."]
        )
    )
    leak = "Describe the aesthetic quality of this photo with regard to composition. It is fine."
    (finding,) = hygiene(leak, context)
    assert (finding.name, finding.detail) == ("prompt_leak", "11 words of the prompt")
    assert finding.part == "Describe the aesthetic quality of this photo with regard to composition"
    assert (
        hygiene("The aesthetic quality of this photo is fine, composition and light too.", context)
        == []
    )


def test_a_short_question_is_a_leak_when_it_is_whole():
    context = Context(Prompts(["You see a photo. Rate its sharpness from one to five. Be brief."]))
    assert names("Rate its sharpness from one to five: four", context) == ["prompt_leak"]
    assert names("I rate its sharpness four of five", context) == []


def test_openers_come_from_the_texts_and_longer_ones_need_fewer():
    common = [f"This image showcases a lovely thing number {n}." for n in range(30)]
    template = [f"I already voted and now come back to say this about it: {n}" for n in range(12)]
    other = [f"{word} {n} is what I would call sharp" for n in range(200) for word in ("Barn",)]
    openers = find_openers([*common, *template, *other])
    context = Context(openers=openers)
    (finding,) = hygiene(common[0], context)
    assert finding.name == "opener"
    assert finding.part == "This image showcases a lovely thing number"
    assert names(template[0], context) == ["opener"]
    assert names("This image is sharp and warm", context) == []
    assert names(other[0], context) == []


def test_the_same_text_again_makes_no_opener():
    assert find_openers(["What a really lovely picture"] * 100).shares == {}


def test_openers_refuse_a_senseless_share():
    with pytest.raises(InputError, match="not 0"):
        find_openers([], share=0)


def test_openers_do_not_depend_on_the_order():
    texts = [f"Nobody expects the {n % 3} thing {n}" for n in range(60)]
    assert find_openers(texts) == find_openers(texts[::-1])


def test_long_texts_that_mostly_repeat_are_loops_without_being_in_a_row():
    text = " ".join(
        f"{colour} things look really very good in this photo." for colour in
        ("red", "green", "blue", "dark", "pale", "old")
    )  # fmt: skip
    finding = loop(text)
    assert finding is not None
    assert "times" in finding.detail


def test_languages_are_told_or_left_open():
    assert language_of("This is what I would call a very good photo") == "en"
    assert language_of("la lumière est très belle et les couleurs sont douces") == "fr"
    assert language_of("sharp colors") == ""
    assert language_of("Очень красивая фотография") == "cyrillic"
    german = Context(language="de")
    assert names("Das Bild ist sehr schön und auch nicht zu dunkel", german) == []
    assert names("this is a very nice picture and I like it", german) == ["language"]
    with pytest.raises(InputError, match="klingon"):
        Context(language="klingon")
