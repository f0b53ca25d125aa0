from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from curation.prompts import PromptLibrary
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
        "noise": {"guided": ["It is {level}. Grain?"], "unguided": ["Is there grain?"]},
    },
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
    assert prompts.cues("quality", ["light"]) == ["overall"]
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


@pytest.mark.parametrize("task", TASKS)
def test_the_shipped_templates_are_rich(task: str) -> None:
    prompts = PromptLibrary().tasks[task]
    assert len(prompts.cues) >= 6
    assert prompts.default_cues
    for cue in prompts.cues.values():
        assert len(set(cue.guided)) >= 2, cue.name
        assert len(set(cue.unguided)) >= 2, cue.name
