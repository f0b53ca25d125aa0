from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from curation.pocket.listen import levels_said
from curation.pocket.questions import HELD_OUT
from curation.prompts import Exemplar, PromptLibrary, Question
from uniqa.errors import InputError, UsageError
from uniqa.levels import LEVELS, TASKS

TEMPLATE: dict[str, Any] = {
    "task": "quality",
    "system": "You look at photos.",
    "cues": {
        "overall": {
            "default": True,
            "guided": ["It is {level}. Why?", "Say why it is {level}."],
            "unguided": ["Describe it.", "How good is it?"],
        },
        "noise": {
            "temperature": 0.3,
            "guided": ["It is {level}. Grain?"],
            "unguided": ["Is there grain?"],
        },
        "score": {
            "temperature": 0,
            "answer_start": "Its quality is",
            "unguided": ["How good?", "Rate it."],
        },
    },
    "known": ["It shows {known}.", "Known - {known}."],
}
IMAGES = [f"{number:064x}" for number in range(40)]


def library(folder: Path, **files: Any) -> PromptLibrary:
    for name, content in files.items():
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        (folder / f"{name}.yaml").write_text(text)
    return PromptLibrary(folder)


def without(*keys: str) -> Callable[[dict[str, Any]], None]:
    def change(template: dict[str, Any]) -> None:
        for key in keys[:-1]:
            template = template[key]
        del template[keys[-1]]

    return change


def setting(value: Any, *keys: str) -> Callable[[dict[str, Any]], None]:
    def change(template: dict[str, Any]) -> None:
        for key in keys[:-1]:
            template = template[key]
        template[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (without("task"), "the template lacks 'task'"),
        (without("cues"), "the template lacks 'cues'"),
        (without("cues", "score", "unguided"), "cue 'score' lacks 'unguided'"),
        (setting(["It is {level}."], "cues", "score", "guided"), "would give the answer away"),
        (setting("It is good.", "cues", "score", "answer_start"), "one of the levels ends"),
        (setting("", "cues", "score", "answer_start"), "'answer_start' is not the start"),
        (setting(None, "cues", "score", "answer_start"), "'answer_start' is not the start"),
        (setting("It is {level}", "cues", "score", "answer_start"), "is not the start"),
        (setting("yes", "cues", "noise", "default"), "'default' is true or false, not 'yes'"),
        (setting("hot", "cues", "noise", "temperature"), "a number from 0 to 5, not 'hot'"),
        (setting(-1, "cues", "noise", "temperature"), "a number from 0 to 5, not '-1'"),
        (setting(True, "cues", "noise", "temperature"), "a number from 0 to 5, not 'True'"),
        (setting(0, "cues", "noise", "temprature"), "Did you mean 'temperature'?"),
        (setting("It shows {known}.", "known"), "at least one known wording"),
        (setting([], "known"), "at least one known wording"),
        (setting(["It shows it."], "known"), "it does not name {known}"),
        (setting(["{known} {level}"], "known"), "'{level}' has no place there"),
        (setting(["It is {levle}."], "cues", "noise", "guided"), "'{levle}' has no place there"),
        (setting(["It is {level."], "cues", "noise", "guided"), "a brace without its partner"),
        (setting(["{known}?"], "cues", "noise", "unguided"), "'{known}' has no place there"),
        (setting(["Grain?"] * 2, "cues", "noise", "unguided"), "'Grain?' twice"),
        (setting(" ", "system"), "'system' is not a text"),
        (without("cues", "noise", "guided"), "cue 'noise' lacks 'guided'"),
        (setting(1, "sytem"), "unknown key 'sytem'. Did you mean 'system'?"),
        (setting(1, "cues", "noise", "unguide"), "Did you mean 'unguided'?"),
        (setting("qualty", "task"), "unknown task 'qualty'. Did you mean 'quality'?"),
        (setting(7, "task"), "unknown task '7'"),
        (setting(None, "system"), "'system' is not a text"),
        (setting(["overall"], "cues"), "'cues' is not a mapping"),
        (setting({}, "cues"), "at least one cue"),
        (setting("Grain?", "cues", "noise"), "cue 'noise' is not a mapping"),
        (setting(["No level."], "cues", "noise", "guided"), "guided wording 'No level.'"),
        (setting(["{level}?"], "cues", "noise", "unguided"), "unguided wording '{level}?'"),
        (setting(["{level} {x}"], "cues", "noise", "guided"), "no other braces"),
        (setting([], "cues", "noise", "guided"), "at least one guided"),
        (setting([], "cues", "noise", "unguided"), "at least one unguided"),
        (setting([""], "cues", "noise", "unguided"), "at least one unguided"),
        (setting([5], "cues", "noise", "guided"), "at least one guided"),
        (setting(None, "cues", "noise", "guided"), "at least one guided"),
        (setting("{level}?", "cues", "noise", "guided"), "at least one guided"),
        (setting(False, "cues", "overall", "default"), "no cue is a default"),
    ],
)
def test_a_template_that_breaks_the_schema_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    template = copy.deepcopy(TEMPLATE)
    change(template)
    with pytest.raises(InputError) as caught:
        library(tmp_path, mine=template)
    assert complaint in str(caught.value)
    assert str(tmp_path / "mine.yaml") in str(caught.value)


@pytest.mark.parametrize("text", ["", "just text", "a: [1", "- quality"])
def test_what_is_no_template_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"mine\.yaml"):
        library(tmp_path, mine=text)


def test_a_key_that_stands_twice_is_refused_where_it_stands(tmp_path: Path) -> None:
    text = yaml.safe_dump(TEMPLATE) + "system: Another one.\n"
    with pytest.raises(InputError, match=r"mine\.yaml .*line \d+: 'system' stands there twice"):
        library(tmp_path, mine=text)


def test_a_template_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes("system: schön".encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read as YAML"):
        PromptLibrary(tmp_path)


def test_a_folder_without_templates_or_with_one_task_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no prompt templates"):
        PromptLibrary(tmp_path)
    with pytest.raises(InputError, match="has the task 'quality' already"):
        library(tmp_path, one=TEMPLATE, two=TEMPLATE)


def test_cues_are_the_wanted_ones_else_the_defaults(tmp_path: Path) -> None:
    prompts = library(tmp_path, mine=TEMPLATE)
    assert prompts.cues("quality") == ["overall"]
    assert prompts.cues("quality", ["noise"]) == ["noise"]
    assert prompts.cues("quality", ["light"]) == [], "another task's"
    assert prompts.cues("quality", ["score", "noise"]) == ["score", "noise"]
    with pytest.raises(UsageError, match=r"unknown cue 'nose'\. Did you mean 'noise'"):
        prompts.check_cues(["quality"], ["noise", "nose"])
    with pytest.raises(UsageError, match="unknown task 'aesthetic'"):
        prompts.cues("aesthetic")


def wordings(prompts: PromptLibrary, seed: int, level: str = "") -> list[str]:
    return [
        prompts.question("quality", "overall", image_id=image, level=level, seed=seed).text
        for image in IMAGES
    ]


def test_a_wording_depends_on_seed_and_image_alone(tmp_path: Path) -> None:
    prompts = library(tmp_path, mine=TEMPLATE)
    once = wordings(prompts, seed=1)
    for image in reversed(IMAGES):
        prompts.question("quality", "noise", image_id=image, level="", seed=9)
    assert wordings(prompts, seed=1) == once
    assert wordings(PromptLibrary(tmp_path), seed=1) == once
    assert set(once) == {"Describe it.", "How good is it?"}
    assert len({tuple(wordings(prompts, seed)) for seed in range(5)}) == 5


def test_a_guided_question_names_the_level_and_no_other_does(tmp_path: Path) -> None:
    prompts = library(tmp_path, mine=TEMPLATE)
    for level in LEVELS:
        for text in wordings(prompts, 0, level):
            assert level in text
            assert "{" not in text
    question = prompts.question("quality", "noise", image_id=IMAGES[0], level="fair", seed=0)
    plain = prompts.question("quality", "noise", image_id=IMAGES[0], level="", seed=0)
    assert (question.template, plain.template) == (
        "quality/noise/guided/0",
        "quality/noise/unguided/0",
    )
    assert question.prompt_id != plain.prompt_id
    assert question.system == "You look at photos."


def test_the_system_message_is_part_of_a_prompts_identity(tmp_path: Path) -> None:
    first = library(tmp_path, mine=TEMPLATE)
    ask = {"image_id": IMAGES[0], "level": "", "seed": 0}
    before = first.question("quality", "noise", **ask).prompt_id
    second = library(tmp_path, mine={**TEMPLATE, "system": "You are a critic."})
    assert second.question("quality", "noise", **ask).prompt_id != before


def test_what_is_known_is_said_after_the_question(tmp_path: Path) -> None:
    prompts = library(tmp_path, mine=TEMPLATE)
    ask = {"image_id": IMAGES[0], "seed": 0}
    for level, asked in (("", "Is there grain?"), ("fair", "It is fair. Grain?")):
        found = {
            prompts.question(
                "quality", "noise", image_id=image, level=level, seed=0, known="JPEG compression."
            ).text
            for image in IMAGES
        }
        assert found == {
            f"{asked} It shows JPEG compression.",
            f"{asked} Known - JPEG compression.",
        }
    odd = prompts.question("quality", "noise", level="", known="a {level}\n and {x}", **ask)
    assert odd.text.endswith(" a {level} and {x}.")
    assert odd.template.startswith("quality/noise/unguided/0+known/")
    plain = prompts.question("quality", "noise", level="", **ask)
    assert prompts.question("quality", "noise", level="", known="  ", **ask).text == plain.text
    assert plain.prompt_id != odd.prompt_id


def test_a_library_without_words_for_what_is_known_says_so(tmp_path: Path) -> None:
    template = copy.deepcopy(TEMPLATE)
    del template["known"]
    prompts = library(tmp_path, mine=template)
    with pytest.raises(UsageError, match="no words for what is known"):
        prompts.check_known(["quality"])
    with pytest.raises(UsageError, match="no words for what is known"):
        prompts.question("quality", "noise", image_id="x", level="", seed=0, known="blur")


def test_a_question_for_the_level_is_told_nothing_of_the_photo(tmp_path: Path) -> None:
    prompts = library(tmp_path, mine=TEMPLATE)
    for image in IMAGES[:5]:
        told = prompts.question(
            "quality", "score", image_id=image, level="good", seed=0, known="blur"
        )
        assert told is prompts.question("quality", "score", image_id=image, level="", seed=0)
        assert (told.level, told.answer_start, told.temperature) == ("", "Its quality is", 0.0)
        assert told.text in {"How good?", "Rate it."}
    assert prompts.cue("quality", "score").kind == "level"
    assert "score" not in prompts.tasks["quality"].cues


def test_a_cues_temperature_goes_with_its_questions(tmp_path: Path) -> None:
    prompts = library(tmp_path, mine=TEMPLATE)
    ask = {"image_id": "x", "level": "", "seed": 0}
    assert prompts.question("quality", "noise", **ask).temperature == 0.3
    assert prompts.question("quality", "overall", **ask).temperature is None


def test_equal_questions_are_one_object(tmp_path: Path) -> None:
    prompts = library(tmp_path, mine=TEMPLATE)

    def shots(answer: str = "Yes.") -> tuple[Exemplar, ...]:
        return (Exemplar("i", "/i.png", "Why?", answer),)

    def asked(image: str, **more: Any) -> Question:
        options = {"level": "fair", "known": "blur", "exemplars": shots(), **more}
        return prompts.question("quality", "noise", image_id=image, seed=0, **options)

    both = [asked(image) for image in IMAGES]
    # One guided wording and two for what is known.
    assert len({id(one) for one in both}) == 2
    other = asked(IMAGES[0], exemplars=shots("No."))
    assert other is not both[0]
    assert other.prompt_id != both[0].prompt_id
    assert other.exemplars == shots("No.")
    assert asked(IMAGES[0], level="good").prompt_id != both[0].prompt_id


def test_a_certain_wording_can_be_asked_for(tmp_path: Path) -> None:
    prompts = library(tmp_path, mine=TEMPLATE)
    assert prompts.worded("quality", "overall", 1).text == "How good is it?"
    assert prompts.worded("quality", "overall", 0, level="bad").text == "It is bad. Why?"
    question = prompts.worded("quality", "noise", 0, known="blur", way=1)
    assert question.text == "Is there grain? Known - blur."
    image = next(
        image
        for image in IMAGES
        if prompts.question("quality", "overall", image_id=image, level="", seed=0).template[-1]
        == "1"
    )
    asked = prompts.question("quality", "overall", image_id=image, level="", seed=0)
    assert asked == prompts.worded("quality", "overall", 1)
    with pytest.raises(UsageError, match=r"no unguided quality/overall wording 2.*from 0 to 1"):
        prompts.worded("quality", "overall", 2)
    with pytest.raises(UsageError, match="no guided quality/noise wording -1"):
        prompts.worded("quality", "noise", -1, level="bad")


def test_names_that_nobody_knows_are_met_with_the_nearest(tmp_path: Path) -> None:
    prompts = library(tmp_path, mine=TEMPLATE)
    assert prompts.named("quality") == ("quality", ["noise", "overall", "score"])
    assert prompts.named("quality/noise") == ("quality", ["noise"])
    for name, meant in (
        ("qualty", "quality"),
        ("quality/nose", "quality/noise"),
        ("noise", "quality/noise"),
    ):
        with pytest.raises(UsageError, match=f"unknown prompt '{name}'.*Did you mean '{meant}'"):
            prompts.named(name)
    with pytest.raises(UsageError, match=r"has no cue 'nose'.*'noise'"):
        prompts.question("quality", "nose", image_id="x", level="", seed=0)
    with pytest.raises(UsageError, match=r"unknown level 'god'.*'good'"):
        prompts.question("quality", "noise", image_id="x", level="god", seed=0)
    with pytest.raises(UsageError, match=r"unknown task 'qualty'.*'quality'"):
        prompts.question("qualty", "noise", image_id="x", level="", seed=0)


def test_exemplars_answer_the_first_overall_wording(tmp_path: Path) -> None:
    prompts = library(tmp_path, mine=TEMPLATE)
    assert prompts.exemplar_question("quality") == "Describe it."


@pytest.mark.parametrize("task", TASKS)
def test_the_shipped_templates_are_rich(task: str) -> None:
    prompts = PromptLibrary().tasks[task]
    assert len(prompts.cues) >= 6
    assert prompts.default_cues
    assert len(prompts.known) >= 2
    for cue in prompts.cues.values():
        assert len(cue.guided) >= 4, cue.name
        assert len(cue.unguided) >= 4, cue.name
        # A wording tells no level but the one it is given.
        for text in cue.guided:
            assert set(levels_said(text.replace("{level}", "fair"))) == {"fair"}, text
    assert len(prompts.level_cues["score"].unguided) >= 4
    assert prompts.level_cues["score"].temperature == 0
    every = [text for cue in prompts.all_cues.values() for text in (*cue.guided, *cue.unguided)]
    assert len(set(every)) == len(every)
    assert not set(every) & {text for _, _, text in HELD_OUT}


def test_every_rendered_question_of_a_task_has_its_own_id() -> None:
    prompts = PromptLibrary()
    asked = [
        prompts.worded(task, name, index, level=level)
        for task, one in prompts.tasks.items()
        for name, cue in one.all_cues.items()
        for level in (("",) if cue.answer_start else ("", *LEVELS))
        for index in range(len(cue.guided if level else cue.unguided))
    ]
    assert len({one.prompt_id for one in asked}) == len(asked)
    assert len({(one.template, one.level) for one in asked}) == len(asked)
    assert not any("{" in one.text for one in asked)
