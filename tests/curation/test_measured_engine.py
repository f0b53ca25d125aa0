"""Captions from measurements: well formed, varied, true to the measurements and the level."""

from __future__ import annotations

import pickle
import re
from random import Random

import numpy as np
import pytest

from curation.demo.distort import KINDS, distort
from curation.engines.measured import MeasuredEngine, describe
from curation.measuring.measure import measure
from curation.phrasing.grammar import cues, phrase
from curation.phrasing.lexicon import article, listed, number_word, share_words
from tests.curation.test_measure import odd_images, scene
from uniqa.levels import LEVELS, TASKS


@pytest.fixture(scope="module")
def measured():
    photos = [scene(seed) for seed in range(3)]
    bad = [distort(photos[0], kind, severity, 1) for kind in KINDS for severity in (2, 5)]
    grey = np.repeat(photos[1][..., :1], 3, axis=2)
    lit = np.linspace(0.2, 1.5, 400)[None, :, None]
    side = np.clip(photos[2] * lit, 0, 255).astype(np.uint8)
    return [measure(photo) for photo in [*photos, *bad, grey, side, *odd_images().values()]]


def complaints(text: str) -> list[str]:
    """The rules of grammar that a text breaks."""
    rules = {
        "starts with a capital": r"^[A-Z]",
        "ends with one full stop": r"[^.]\.$",
    }
    never = {
        "spaces": r"\s\s|\s[.,;:]|^\s|\s$",
        "stray marks": r"[{}]|\.\.|,,|,\.|;\.|\bNone\b|\bnan\b",
        "capital after a stop": r"\.\s[a-z]",
        "capital in the middle": r"[a-z,;:] [A-Z]",
        "a before a vowel": r"\b[Aa] (?!uni|one\b|eu)[aeiou]",
        "an before a consonant": r"\b[Aa]n [^aeiou]",
        "a word twice": r"\b(\w+) \1\b",
        "one of many": r"\bone (?:pixels|colours|main colours|grey levels)\b",
        "two conjunctions": r"\b(?:and|but|while|yet),? (?:and|but|while|yet|although|though)\b",
    }
    broken = [name for name, rule in rules.items() if not re.search(rule, text)]
    broken += [name for name, rule in never.items() if re.search(rule, text)]
    if not 1 <= len(re.findall(r"\.(?=\s|$)", text)) <= 3:
        broken.append("one to three sentences")
    return broken


@pytest.mark.parametrize("task", TASKS)
def test_thousands_of_captions_are_well_formed(task, measured):
    count = 0
    for number, m in enumerate(measured):
        for cue in cues(task):
            for seed in range(12):
                level = ("", *LEVELS)[(seed + number) % 6]
                text = describe(m, task=task, cue=cue, level=level, seed=seed)
                assert not complaints(text), text
                assert 4 <= len(text.split()) <= 70, text
                count += 1
    assert count > 2000


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_given_level_is_said_and_no_other(task, level, measured):
    for m in measured:
        for cue in cues(task):
            text = describe(m, task=task, cue=cue, level=level, seed=3)
            assert re.search(rf"\b{level}\b", text, re.IGNORECASE), text
            assert {word for word in LEVELS if re.search(rf"\b{word}\b", text)} <= {level}, text


@pytest.mark.parametrize("task", TASKS)
def test_captions_differ_between_seeds_and_photos(task, measured):
    photos = measured[:23]
    for m in photos:
        texts = {describe(m, task=task, cue="overall", seed=seed) for seed in range(60)}
        assert len(texts) >= 57
    same_seed = [describe(m, task=task, cue="overall", seed=0) for m in photos]
    assert len(set(same_seed)) >= 0.95 * len(same_seed)


def test_captions_state_what_was_measured():
    photo = scene()
    blurred = measure(distort(photo, "blur", 5))
    noisy = measure(distort(photo, "noise", 5))
    coded = measure(distort(photo, "jpeg", 5))
    grey = measure(np.repeat(photo[..., :1], 3, axis=2))

    def said(m, cue):
        return " ".join(describe(m, task="quality", cue=cue, seed=seed) for seed in range(30))

    assert "blur" in said(blurred, "sharpness")
    assert not re.search(r"crisp|sharp edges|spot-on", said(blurred, "sharpness"))
    assert not re.search(r"clean|no noise|free of", said(noisy, "noise").replace("is free", ""))
    assert re.search(r"block", said(coded, "compression"))
    assert not re.search(r"artefacts are absent|no trace", said(coded, "compression"))
    assert re.search(r"grey|black", said(grey, "colour"))
    ramp = np.linspace(220, 40, 300)[None, :, None]
    lit = np.broadcast_to(ramp, (200, 300, 3)).astype(np.uint8)
    m = measure(lit)
    light = " ".join(describe(m, task="aesthetic", cue="light", seed=s) for s in range(9))
    assert re.search(r"\bleft\b", light)
    assert not re.search(r"\bright\b", light)


def test_level_of_an_overall_caption_is_the_implied_one():
    perfect, awful = measure(scene()), measure(distort(scene(), "blur", 5))
    for m, levels in ((perfect, {"good", "perfect"}), (awful, {"bad", "poor"})):
        for seed in range(40):
            text = describe(m, task="quality", cue="overall", seed=seed)
            said = set(re.findall(r"(?:is|technically|of|a) (bad|poor|fair|good|perfect)\b", text))
            assert said <= levels, text


def test_same_seed_same_text_and_the_engine_travels():
    engine = MeasuredEngine()
    ask = {"task": "quality", "cue": "noise", "level": "good", "seed": 4}
    first = engine.caption(scene(), **ask)
    twin = pickle.loads(pickle.dumps(engine))
    assert twin.caption(scene(), **ask) == first
    assert engine.caption(scene(), **(ask | {"seed": 5})) != first
    assert (engine.name, engine.model) == ("measured", "measured")
    assert isinstance(engine.revision, str)


def test_the_last_image_is_measured_once(monkeypatch):
    calls = []

    def counted(pixels):
        calls.append(pixels.shape)
        return measure(pixels)

    monkeypatch.setattr("curation.engines.measured.measure", counted)
    engine = MeasuredEngine()
    for seed in range(3):
        engine.caption(scene(), task="quality", cue="overall", seed=seed, image_id="a")
    assert len(calls) == 1
    engine.caption(scene(1), task="quality", cue="overall", image_id="b")
    engine.caption(scene(2), task="quality", cue="overall")
    engine.caption(scene(1), task="quality", cue="overall")
    assert len(calls) == 4


def test_unknown_words():
    m = measure(scene())
    with pytest.raises(ValueError, match="a task is"):
        phrase(m, "beauty", "overall", "", Random(0))
    with pytest.raises(ValueError, match="a level is"):
        phrase(m, "quality", "overall", "superb", Random(0))
    assert phrase(m, "aesthetic", "storytelling", "", Random(0)).endswith(".")


def test_small_words():
    assert article("orange cast") == "an orange cast"
    assert article("strong tint") == "a strong tint"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert number_word(2.6) == "three"
    assert number_word(31) == "more than twenty"
    assert share_words(0.0, Random(0))
    assert share_words(1.0, Random(0)) in ("practically all", "nearly all")
