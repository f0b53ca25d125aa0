"""The prompt library: strict YAML templates, and which wording an image gets.

Templates are data (`prompts/*.yaml`, shipped inside the wheel). A wording is chosen by hashing
seed, task, cue and image, so it depends neither on order nor on what was asked before. Must not
know of engines: it yields text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from uniqa.errors import InputError, UsageError, nearest
from uniqa.levels import TASKS


@dataclass(frozen=True)
class Cue:
    """What one question asks about, in several wordings; guided ones name the level."""

    name: str
    default: bool
    guided: tuple[str, ...]
    unguided: tuple[str, ...]


@dataclass(frozen=True)
class TaskPrompts:
    """The system message and the cues of one task."""

    task: str
    system: str
    cues: dict[str, Cue]

    @property
    def default_cues(self) -> list[str]:
        """Cues that are asked when the user names none."""
        return [cue.name for cue in self.cues.values() if cue.default]


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

    def cues(self, task: str, wanted: Iterable[str] = ()) -> list[str]:
        """The cues to ask for a task: those wanted that it has, else its defaults."""
        known = self._task(task).cues
        chosen = [cue for cue in wanted if cue in known]
        return chosen or self._task(task).default_cues

    def check_cues(self, tasks: Iterable[str], wanted: Iterable[str]) -> None:
        """Raise UsageError for a cue that none of the tasks has."""
        known = {cue for task in tasks for cue in self._task(task).cues}
        for cue in wanted:
            if cue not in known:
                raise UsageError(f"unknown cue '{cue}'", nearest(cue, known))

    def question(self, task: str, cue: str, *, image_id: str, level: str, seed: int) -> Question:
        """The question an image gets; with a level its guided form, without one the unguided.

        Args:
            task, cue: from `TASKS` and the task's cues.
            image_id: SHA-256 of the photo.
            level: one of the five levels, or empty.
            seed: another seed, other wordings.
        """
        prompts = self._task(task)
        wordings = prompts.cues[cue].guided if level else prompts.cues[cue].unguided
        form = "guided" if level else "unguided"
        digest = hashlib.sha256(f"{seed}|{task}|{cue}|{image_id}".encode()).digest()
        index = int.from_bytes(digest[:8], "big") % len(wordings)
        text = wordings[index].format(level=level) if level else wordings[index]
        return Question(
            task, cue, level, f"{task}/{cue}/{form}/{index}", prompts.system.strip(), text
        )

    def _task(self, task: str) -> TaskPrompts:
        if task not in self.tasks:
            raise UsageError(f"unknown task '{task}'", nearest(task, self.tasks))
        return self.tasks[task]


def shipped_prompts() -> Path:
    """The folder of the templates that come with UniQA: in the wheel, or beside the sources."""
    here = Path(__file__).resolve().parent
    packaged = here / "data" / "prompts"
    return packaged if packaged.is_dir() else here.parent / "prompts"


def _read(path: Path) -> TaskPrompts:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML ({str(error).splitlines()[0]})") from error
    _check_keys(path, data, {"task", "system", "cues"}, "the template")
    if data["task"] not in TASKS:
        remedy = nearest(str(data["task"]), TASKS)
        raise InputError(f"{path}: unknown task '{data['task']}'", remedy)
    if not isinstance(data["system"], str):
        raise InputError(f"{path}: 'system' is not a text")
    if not isinstance(data["cues"], dict) or not data["cues"]:
        raise InputError(f"{path}: 'cues' is not a mapping of at least one cue")
    cues = {name: _cue(path, name, body) for name, body in data["cues"].items()}
    if not any(cue.default for cue in cues.values()):
        raise InputError(f"{path}: no cue is a default ('default: true')")
    return TaskPrompts(data["task"], data["system"], cues)


def _cue(path: Path, name: str, body: Any) -> Cue:
    _check_keys(path, body, {"guided", "unguided"}, f"cue '{name}'", optional={"default"})
    for form in ("guided", "unguided"):
        texts = body[form]
        fine = isinstance(texts, list) and all(isinstance(text, str) and text for text in texts)
        if not fine or not texts:
            raise InputError(f"{path}: cue '{name}' needs a list of at least one {form} wording")
        for text in texts:
            braces = set("{}").intersection(text.replace("{level}", ""))
            if braces or ("{level}" in text) != (form == "guided"):
                raise InputError(
                    f"{path}: cue '{name}' has the {form} wording '{text}'",
                    "Guided wordings name {level}, unguided ones do not; no other braces",
                )
    return Cue(
        name, bool(body.get("default", False)), tuple(body["guided"]), tuple(body["unguided"])
    )


def _check_keys(
    path: Path, data: Any, required: set[str], where: str, optional: Iterable[str] = ()
) -> None:
    if not isinstance(data, dict):
        raise InputError(f"{path}: {where} is not a mapping")
    allowed = required | set(optional)
    for key in data:
        if key not in allowed:
            raise InputError(f"{path}: {where} has the unknown key '{key}'", nearest(key, allowed))
    missing = sorted(required - set(data))
    if missing:
        raise InputError(f"{path}: {where} lacks '{missing[0]}'")
