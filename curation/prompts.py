"""The prompt library: strict YAML templates, and which wording an image gets.

Templates are data (`prompts/*.yaml`, shipped inside the wheel). A wording is chosen by hashing
seed, task, cue and image, so it depends neither on order nor on what was asked before. Must not
know of engines: it yields text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from curation.strict import check_keys, read_yaml
from uniqa.errors import InputError, UsageError, nearest
from uniqa.levels import LEVELS, TASKS

HOTTEST = 5.0
"""The highest temperature that a cue, like a run, may have."""

_MOST_KEPT = 100_000
# Every wording the shipped templates can yield is a few hundred; only what is known of images, in
# the user's words, can make them many.


@dataclass(frozen=True)
class Cue:
    """What one question asks about, in several wordings; guided ones name the level.

    A cue with an `answer_start` asks for the level itself, so it has no guided wordings.
    """

    name: str
    default: bool
    guided: tuple[str, ...]
    unguided: tuple[str, ...]
    temperature: float | None = None
    answer_start: str = ""

    @property
    def kind(self) -> str:
        """``level`` for a cue that is answered with one of the five levels, else ``text``."""
        return "level" if self.answer_start else "text"


@dataclass(frozen=True)
class TaskPrompts:
    """The system message and the cues of one task.

    `cues` are answered in words, `level_cues` with a level. `known` are wordings that tell what is
    known of an image beside its level.
    """

    task: str
    system: str
    cues: dict[str, Cue]
    level_cues: dict[str, Cue] = field(default_factory=dict)
    known: tuple[str, ...] = ()

    @property
    def all_cues(self) -> dict[str, Cue]:
        """Both kinds, those answered in words first."""
        return self.cues | self.level_cues

    @property
    def default_cues(self) -> list[str]:
        """Cues that are asked when the user names none."""
        return [cue.name for cue in self.all_cues.values() if cue.default]

    def wordings(self, cue: str) -> list[dict[str, Any]]:
        """Every wording of a cue, with its form and index, for tables and JSON."""
        asked = self.all_cues[cue]
        return [
            {"cue": cue, "form": form, "index": index, "wording": text}
            | ({"answer_start": asked.answer_start} if asked.answer_start else {})
            for form, texts in (("guided", asked.guided), ("unguided", asked.unguided))
            for index, text in enumerate(texts)
        ]


@dataclass(frozen=True, slots=True)
class Exemplar:
    """An answered question about another photo, shown before the question asked (in context)."""

    image_id: str
    path: str
    question: str
    answer: str
    level: str = ""
    group: str = ""


@dataclass(frozen=True)
class Question:
    """One rendered prompt: what a model gets beside the photo.

    A question with an `answer_start` asks for a level: the model goes on from these words with
    one of the five level words, and their probabilities are the answer.
    """

    task: str
    cue: str
    level: str
    template: str
    system: str
    text: str
    answer_start: str = ""
    temperature: float | None = None
    """The template's own sampling temperature; None leaves it to the run."""
    exemplars: tuple[Exemplar, ...] = ()

    @cached_property
    def prompt_id(self) -> str:
        """Hash of the rendered prompt, exemplars included: 16 hexadecimal digits."""
        parts = [self.system, self.text]
        if self.answer_start:
            parts.append(f"answer:{self.answer_start}")
        for shot in self.exemplars:
            parts += [f"exemplar:{shot.image_id}", shot.question, shot.answer]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


class PromptLibrary:
    """All templates of one folder."""

    def __init__(self, folder: Path | None = None) -> None:
        """Read and check every template.

        Raises:
            InputError: no templates, or one that breaks the schema (file and key are named).
        """
        self.folder = folder or shipped_prompts()
        files = sorted(self.folder.glob("*.yaml"))
        if not files:
            raise InputError(f"no prompt templates (*.yaml) in {self.folder}")
        self.tasks: dict[str, TaskPrompts] = {}
        for file in files:
            prompts = _read(file)
            if prompts.task in self.tasks:
                raise InputError(f"{file}: another template has the task '{prompts.task}' already")
            self.tasks[prompts.task] = prompts
        # Generation asks for a question per caption: what does not depend on the image is kept.
        self._forms = {
            (task, name): (cue, len(cue.guided), len(cue.unguided), len(prompts.known))
            for task, prompts in self.tasks.items()
            for name, cue in prompts.all_cues.items()
        }
        self._questions: dict[tuple[Any, ...], Question] = {}

    def cues(self, task: str, wanted: Iterable[str] = ()) -> list[str]:
        """The cues to ask for a task: those wanted that it has, or its defaults."""
        wanted = list(wanted)
        if not wanted:
            return self._task(task).default_cues
        return [cue for cue in wanted if cue in self._task(task).all_cues]

    def check_cues(self, tasks: Iterable[str], wanted: Iterable[str]) -> None:
        """Raise UsageError for a cue that none of the tasks has."""
        known = {cue for task in tasks for cue in self._task(task).all_cues}
        for cue in wanted:
            if cue not in known:
                raise UsageError(f"unknown cue '{cue}'", nearest(cue, known))

    def check_known(self, tasks: Iterable[str]) -> None:
        """Raise UsageError for a task without words for what is known of an image."""
        for task in tasks:
            if not self._task(task).known:
                raise UsageError(
                    f"the templates of the task '{task}' in {self.folder} have no words for what "
                    "is known of an image",
                    "Add a list 'known' of wordings with {known}",
                )

    def cue(self, task: str, name: str) -> Cue:
        """A cue by its name, of either kind. Raises UsageError for an unknown task or cue."""
        cues = self._task(task).all_cues
        if name not in cues:
            raise UsageError(f"the task '{task}' has no cue '{name}'", nearest(name, cues))
        return cues[name]

    def question(
        self,
        task: str,
        cue: str,
        *,
        image_id: str,
        level: str,
        seed: int,
        known: str = "",
        exemplars: tuple[Exemplar, ...] = (),
    ) -> Question:
        """The question an image gets; with a level its guided form, without one the unguided.

        Equal questions are one object, so that their `prompt_id` is hashed once.

        Args:
            task, cue: from `TASKS` and the task's cues.
            image_id: SHA-256 of the photo.
            level: one of the five levels, or empty. A cue that asks for the level is told none,
                and nothing that is known of the image either.
            seed: another seed, other wordings.
            known: a distortion or attribute known of the image, such as ``JPEG compression``.
            exemplars: answered questions to show before.
        """
        digest = hashlib.sha256(f"{seed}|{task}|{cue}|{image_id}".encode()).digest()
        form = self._forms.get((task, cue))
        if form is None:
            self.cue(task, cue)
            raise AssertionError("an unknown cue was found")
        asked, guided, unguided, ways = form
        if asked.answer_start:
            level = known = ""
        index = int.from_bytes(digest[:8], "big") % (guided if level else unguided)
        way = int.from_bytes(digest[8:16], "big") % ways if known and ways else 0
        key = (task, cue, level, index, known, way, exemplars)
        found = self._questions.get(key)
        if found is None:
            found = self.worded(
                task, cue, index, level=level, known=known, way=way, exemplars=exemplars
            )
            if len(self._questions) >= _MOST_KEPT:
                self._questions.clear()
            self._questions[key] = found
        return found

    def worded(
        self,
        task: str,
        cue: str,
        index: int,
        *,
        level: str = "",
        known: str = "",
        way: int = 0,
        exemplars: tuple[Exemplar, ...] = (),
    ) -> Question:
        """The question in one certain wording, counted from 0.

        Args:
            index: which of the cue's guided or unguided wordings.
            way: which of the task's wordings for what is `known`.
            task, cue, level, known, exemplars: as for `question`.

        Raises:
            UsageError: no such task, cue, level or wording.
        """
        prompts, asked = self._task(task), self.cue(task, cue)
        if level and level not in LEVELS:
            raise UsageError(f"unknown level '{level}'", nearest(level, LEVELS))
        if asked.answer_start:
            level = known = ""
        form = "guided" if level else "unguided"
        text = _nth(asked.guided if level else asked.unguided, index, f"{form} {task}/{cue}")
        text = text.replace("{level}", level)
        template = f"{task}/{cue}/{form}/{index}"
        # One line without its own full stop, whatever a table holds: it becomes part of a sentence.
        said = " ".join(known.split()).rstrip(".")
        if said:
            self.check_known([task])
            text += " " + _nth(prompts.known, way, f"known {task}").replace("{known}", said)
            template += f"+known/{way}"
        return Question(
            task,
            cue,
            level,
            template,
            prompts.system.strip(),
            text,
            answer_start=asked.answer_start,
            temperature=asked.temperature,
            exemplars=exemplars,
        )

    def named(self, name: str) -> tuple[str, list[str]]:
        """Task and cues of a name: ``quality/sharpness``, or ``quality`` for all its cues.

        Raises:
            UsageError: no such task or cue; the nearest one is named.
        """
        task, sign, cue = name.partition("/")
        if name in self.tasks:
            return name, list(self.tasks[name].all_cues)
        if sign and task in self.tasks and cue in self.tasks[task].all_cues:
            return task, [cue]
        known = [f"{task}/{cue}" for task, one in self.tasks.items() for cue in one.all_cues]
        raise UsageError(f"unknown prompt '{name}'", nearest(name, [*self.tasks, *known]))

    def overview(self) -> list[dict[str, Any]]:
        """One row per task and cue, for tables and JSON."""
        return [
            {
                "task": task,
                "cue": cue.name,
                "default": cue.default,
                "kind": cue.kind,
                "guided": len(cue.guided),
                "unguided": len(cue.unguided),
                "temperature": cue.temperature,
                "answer_start": cue.answer_start,
            }
            for task, prompts in self.tasks.items()
            for cue in prompts.all_cues.values()
        ]

    def exemplar_question(self, task: str) -> str:
        """What exemplars answer: one wording per task, so that they are the same for all cues."""
        cues = self._task(task).cues
        return (cues.get("overall") or next(iter(cues.values()))).unguided[0]

    def _task(self, task: str) -> TaskPrompts:
        if task not in self.tasks:
            raise UsageError(f"unknown task '{task}'", nearest(task, self.tasks))
        return self.tasks[task]


def _nth(wordings: tuple[str, ...], index: int, what: str) -> str:
    if not 0 <= index < len(wordings):
        raise UsageError(
            f"there is no {what} wording {index}", f"They are counted from 0 to {len(wordings) - 1}"
        )
    return wordings[index]


def shipped_prompts() -> Path:
    """The folder of the templates that come with UniQA: beside the sources, or in the wheel."""
    here = Path(__file__).resolve().parent
    # Not any folder named "prompts": beside an installed wheel it would be another distribution's.
    checkout = (here.parent / "pyproject.toml").is_file()
    return here.parent / "prompts" if checkout else here / "data" / "prompts"


def _read(path: Path) -> TaskPrompts:
    data = check_keys(
        f"{path}: the template", read_yaml(path), {"task", "system", "cues"}, {"known"}
    )
    if data["task"] not in TASKS:
        remedy = nearest(str(data["task"]), TASKS)
        raise InputError(f"{path}: unknown task '{data['task']}'", remedy)
    if not isinstance(data["system"], str) or not data["system"].strip():
        raise InputError(f"{path}: 'system' is not a text")
    if not isinstance(data["cues"], dict) or not data["cues"]:
        raise InputError(f"{path}: 'cues' is not a mapping of at least one cue")
    cues = {str(name): _cue(path, str(name), body) for name, body in data["cues"].items()}
    if not any(cue.default for cue in cues.values()):
        raise InputError(f"{path}: no cue is a default ('default: true')")
    known = _wordings(path, "the template", "known", data["known"]) if "known" in data else ()
    return TaskPrompts(
        data["task"],
        data["system"],
        {name: cue for name, cue in cues.items() if not cue.answer_start},
        {name: cue for name, cue in cues.items() if cue.answer_start},
        known,
    )


def _cue(path: Path, name: str, body: Any) -> Cue:
    where = f"cue '{name}'"
    asks_level = isinstance(body, dict) and "answer_start" in body
    optional = {"default", "temperature"}
    if asks_level and "guided" in body:
        raise InputError(
            f"{path}: {where} asks for the level by 'answer_start', so it has no 'guided' wordings",
            "Telling the level would give the answer away",
        )
    data = check_keys(
        f"{path}: {where}",
        body,
        {"unguided"} if asks_level else {"guided", "unguided"},
        optional | {"answer_start"},
    )
    default = data.get("default", False)
    if not isinstance(default, bool):
        raise InputError(f"{path}: {where}: 'default' is true or false, not '{default}'")
    temperature = data.get("temperature")
    if temperature is not None:
        number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
        if not number or not 0 <= temperature <= HOTTEST:
            raise InputError(
                f"{path}: {where}: 'temperature' is a number from 0 to {HOTTEST:g}, "
                f"not '{temperature}'"
            )
        temperature = float(temperature)
    return Cue(
        name,
        default,
        () if asks_level else _wordings(path, where, "guided", data["guided"]),
        _wordings(path, where, "unguided", data["unguided"]),
        temperature,
        _answer_start(path, where, data["answer_start"]) if asks_level else "",
    )


def _answer_start(path: Path, where: str, text: Any) -> str:
    fine = isinstance(text, str) and text.strip() and text.strip()[-1] not in ".!?:;,"
    if not fine or set("{}").intersection(text):
        raise InputError(
            f"{path}: {where}: 'answer_start' is not the start of a sentence that one of the "
            f"levels ends: '{text}'",
            "For example: The quality of this photo is",
        )
    return " ".join(str(text).split())


_PLACE = {"guided": "{level}", "unguided": "", "known": "{known}"}
# What each form of wording has a place for.


def _wordings(path: Path, where: str, form: str, texts: Any) -> tuple[str, ...]:
    fine = isinstance(texts, list) and all(isinstance(text, str) and text.strip() for text in texts)
    if not fine or not texts:
        raise InputError(f"{path}: {where} needs a list of at least one {form} wording")
    place = _PLACE[form]
    for text in texts:
        problem = ""
        for named in re.findall(r"\{[^{}]*\}", text):
            if named != place:
                problem = f"'{named}' has no place there"
        if set("{}").intersection(re.sub(r"\{[^{}]*\}", "", text)):
            problem = "it has a brace without its partner"
        if not problem and place not in text:
            problem = f"it does not name {place}"
        if problem:
            raise InputError(
                f"{path}: {where} has the {form} wording '{text}': {problem}",
                "Guided wordings name {level}, known ones {known}, unguided ones neither; "
                "no other braces",
            )
        if texts.count(text) > 1:
            raise InputError(f"{path}: {where} has the {form} wording '{text}' twice")
    return tuple(texts)
