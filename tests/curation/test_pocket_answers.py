import re
from collections import Counter
from random import Random

import pytest

from curation.pocket.answers import MANNERS, STYLES, answer
from curation.pocket.facts import cue_names
from curation.pocket.listen import (
    CUE_FAULTS,
    clean_said,
    cues_said,
    faults_said,
    level_said,
    levels_said,
    severities_said,
    severity_said,
    task_said,
)
from curation.pocket.questions import HELD_OUT, SHORT_SYSTEMS, question
from curation.pocket.reading import FAULTS, VALUES, random_reading
from curation.pocket.wording_faults import CLEAN_NAMES, NAMES
from curation.prompts import PromptLibrary
from uniqa.levels import LEVELS, TASKS

FORBIDDEN = re.compile(
    r"\b(?:well|badly|poorly|fairly|perfectly|better|best|worse|worst|excellent)\b", re.IGNORECASE
)
CALLED = [(task, cue) for task in TASKS for cue in cue_names(task)]


def told(count, seed):
    """Random teacher texts, each with all that it was made from."""
    rng = Random(seed)
    for _ in range(count):
        task, cue = rng.choice(CALLED)
        asked = {
            "reading": random_reading(rng),
            "task": task,
            "cue": cue,
            "level": rng.choice(("", "", *LEVELS)),
            "manner": rng.choice(MANNERS),
            "style": rng.choice(tuple(STYLES)),
        }
        yield asked, answer(**asked, rng=rng)


@pytest.fixture(scope="module")
def texts():
    return list(told(3000, 1))


def sentences(text):
    return re.split(r"(?<=\.) ", text)


def test_a_given_level_is_the_one_verdict(texts):
    for asked, text in texts:
        own = getattr(asked["reading"], "quality" if asked["task"] == "quality" else "beauty")
        if asked["level"]:
            assert levels_said(text) == [asked["level"]], text
        elif asked["cue"] == "overall":
            assert levels_said(text) == [own], text
        else:
            assert levels_said(text) in ([], [own]), text


def test_about_a_third_of_unprompted_cue_answers_give_a_verdict(texts):
    free = [text for asked, text in texts if not asked["level"] and asked["cue"] != "overall"]
    assert 0.2 < sum(bool(level_said(text)) for text in free) / len(free) < 0.4


def test_level_words_are_kept_for_the_verdict(texts):
    assert [text for _, text in texts if FORBIDDEN.search(text)] == []


def test_each_style_keeps_its_length(texts):
    for asked, text in texts:
        fewest, most, first, last = STYLES[asked["style"]]
        assert fewest <= len(text.split()) <= most, (asked["style"], text)
        assert first <= len(sentences(text)) <= last, (asked["style"], text)


def test_sentences_are_well_formed(texts):
    for _, text in texts:
        assert "  " not in text
        assert not re.search(r"[\[\]{}|/*]|\d", text), text
        assert not re.search(r" [,;:.]|[,;:.]{2}|\b(\w+) \1\b", text, re.IGNORECASE), text
        for sentence in sentences(text):
            assert re.fullmatch(r"[A-Z].*[^.]\.", sentence), text
        assert not re.search(r"\ba [aeiou]", text, re.IGNORECASE), text
        assert not re.search(r"\ban [^aeiou]", text, re.IGNORECASE), text
        assert not re.search(r"\bcolor|\bgray|\bcenter", text, re.IGNORECASE), text


def test_faults_are_read_back(texts):
    for asked, text in texts:
        faults = dict(asked["reading"].faults)
        said = faults_said(text)
        if asked["task"] == "aesthetic":
            assert said == [], text
            continue
        if asked["cue"] == "overall":
            assert said[:1] == list(faults)[:1], text
            assert clean_said(text) == (not faults), text
        else:
            own = [kind for kind in faults if kind in CUE_FAULTS[asked["cue"]]]
            assert said[:1] == own[:1], text
            assert asked["style"] == "brief" or said == own, text
            assert not clean_said(text), text
        assert set(said) <= set(faults), text
        assert severities_said(text) == {kind: faults[kind] for kind in said}, text


def test_the_second_fault_is_usually_named(texts):
    pairs = [
        len(faults_said(text)) == 2
        for asked, text in texts
        if asked["task"] == "quality"
        and asked["cue"] == "overall"
        and asked["style"] != "brief"
        and len(asked["reading"].faults) == 2
    ]
    assert sum(pairs) / len(pairs) > 0.75


def test_the_first_sentence_is_about_the_cue(texts):
    for asked, text in texts:
        if asked["cue"] != "overall":
            assert asked["cue"] in cues_said(asked["task"], sentences(text)[0]), text


def test_the_task_can_be_told_from_the_words(texts):
    wrong = [text for asked, text in texts if task_said(text) != asked["task"]]
    assert len(wrong) <= 0.005 * len(texts), wrong


def test_what_speaks_against_the_verdict_is_set_off():
    rng = Random(2)
    for _ in range(300):
        reading = random_reading(rng)
        manner, style = rng.choice(MANNERS), rng.choice(tuple(STYLES))
        text = answer(reading, "quality", "overall", "perfect", manner, style, rng)
        assert ("although" in text.lower() or "even though" in text.lower()) or not reading.faults


@pytest.mark.parametrize("style", ["plain", "rich"])
def test_samples_of_one_question_differ(style):
    rng = Random(3)
    distinct = samples = 0
    for _ in range(150):
        reading = random_reading(rng)
        task, cue = rng.choice(CALLED)
        level, manner = rng.choice(("", *LEVELS)), rng.choice(MANNERS)
        distinct += len({answer(reading, task, cue, level, manner, style, rng) for _ in range(4)})
        samples += 4
    assert distinct / samples >= 0.95


def test_the_same_state_gives_the_same_text():
    reading = random_reading(Random(4))
    args = (reading, "quality", "overall", "", "a", "rich")
    assert answer(*args, Random(5)) == answer(*args, Random(5))
    assert answer(*args, Random(5)) != answer(*args, Random(6))


def test_the_manners_share_little_phrasing(texts):
    words = {manner: Counter() for manner in MANNERS}
    for asked, text in texts:
        parts = text.lower().split()
        words[asked["manner"]].update(zip(parts, parts[1:], parts[2:], strict=False))
    a, b = (set(words[manner]) for manner in MANNERS)
    assert len(a & b) / min(len(a), len(b)) < 0.05


def test_the_vocabulary_is_small(texts):
    rng = Random(7)
    asked = [" ".join(question(*rng.choice(CALLED), "", rng)) for _ in range(2000)]
    words = re.findall(r"[a-z]+(?:[-'][a-z]+)*", " ".join([*asked, *(t for _, t in texts)]).lower())
    assert len(set(words)) <= 900


@pytest.mark.parametrize("manner", MANNERS)
def test_no_name_of_a_fault_is_shared(manner):
    names = [name for kind in FAULTS for m in MANNERS for name in set(NAMES[m][kind])]
    kinds = {name: {k for k in FAULTS for m in MANNERS if name in NAMES[m][k]} for name in names}
    assert all(len(found) == 1 for found in kinds.values())
    # As many names for each kind as for none, so that greedy decoding leans to neither.
    assert {len(NAMES[manner][kind]) for kind in FAULTS} == {len(CLEAN_NAMES[manner])}


def test_rules_forgive_slips_and_heed_denials():
    assert faults_said("Strong grain and lens blur is visible in outlines") == ["noise", "blur"]
    assert severities_said("strong grain are there, a little camera wobble") == {
        "noise": 4,
        "motion_blur": 2,
    }
    assert severity_said("slight grain, severe defocus") == 5
    assert severity_said("clean edges") is None
    assert faults_said("no grain, without any banding, free of visible noise") == []
    assert faults_said("A greenish veil and green  tint on a heavy green cast") == ["colour_cast"]
    assert clean_said("There is no visible distortion in it")
    assert not clean_said("No distortion but grain")
    assert levels_said("Good or POOR?") == ["good", "poor"]
    assert level_said("goodness") == ""
    assert task_said("") == ""


def test_random_readings_agree_with_themselves():
    rng = Random(8)
    for _ in range(500):
        reading = random_reading(rng)
        for field, allowed in VALUES.items():
            value = getattr(reading, field)
            assert set(value if field == "colours" else [value]) <= set(allowed)
        faults = dict(reading.faults)
        assert list(faults.values()) == sorted(faults.values(), reverse=True)
        assert (reading.noise == "clean") == ("noise" not in faults)
        assert (reading.tint != "neutral") == ("colour_cast" in faults)


@pytest.mark.parametrize(("task", "cue"), CALLED)
def test_questions_ask_what_they_should(task, cue):
    rng = Random(9)
    known = PromptLibrary().tasks[task]
    shipped, systems, paraphrases = 0, Counter(), set()
    for index in range(600):
        level = LEVELS[index % 5] if index % 2 else ""
        system, text = question(task, cue, level, rng)
        assert text not in {held for _, _, held in HELD_OUT}
        wordings = known.cues[cue].guided if level else known.cues[cue].unguided
        if text in {wording.replace("{level}", level) for wording in wordings}:
            shipped += 1
            assert system == known.system.strip()
            continue
        assert levels_said(text) == ([level] if level else []), text
        systems[system] += 1
        paraphrases.add(text)
        if not system:
            own = "quality|technical" if task == "quality" else "aesthetic|photo crit"
            assert re.search(own, text, re.IGNORECASE), text
    assert 0.4 < shipped / 600 < 0.6
    assert 0.45 < systems[known.system.strip()] / systems.total() < 0.75
    assert 0.1 < systems[""] / systems.total() < 0.3
    assert set(systems) == {known.system.strip(), *SHORT_SYSTEMS[task], ""}
    assert len(paraphrases) > 100


def test_held_out_questions_cover_every_cue():
    assert {(task, cue) for task, cue, _ in HELD_OUT} == set(CALLED)
    assert len({text for _, _, text in HELD_OUT}) == len(HELD_OUT)


@pytest.mark.parametrize("wrong", ["task", "cue", "level", "manner", "style"])
def test_an_unknown_word_is_named(wrong):
    asked = {"task": "quality", "cue": "noise", "level": "", "manner": "a", "style": "plain"}
    with pytest.raises(ValueError, match="marvellous"):
        answer(random_reading(Random(1)), **{**asked, wrong: "marvellous"}, rng=Random(1))
