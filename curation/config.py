"""The run file: one YAML that says what ``generate`` is to do, strictly read.

Every key has the name and meaning of the command line's option; what is said on the command line
wins. Paths are relative to the file. An unknown key or a value of the wrong kind is an error that
names file, key and remedy. Must not know of engines or of the corpus.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from curation.engines.base import Sampling
from curation.engines.spec import ModelSpec
from curation.strict import read_yaml
from uniqa.console import say
from uniqa.errors import InputError, UsageError, nearest
from uniqa.levels import TASKS, Scale
from uniqa.photos import absolute

ON_EXISTING = ("skip", "add", "replace")
"""What may happen to captions of the same photo, model, task and cue that are there already."""


@dataclass(frozen=True)
class Source:
    """Photos of one dataset, and how its ratings are read; each dataset has a scale of its own."""

    images: tuple[Path, ...] = ()
    ratings: Path | None = None
    ratings_task: str = ""
    image_column: str | None = None
    score_column: str | None = None
    known_column: str | None = None
    images_root: Path | None = None
    scale: Scale | None = None
    dataset: str | None = None


@dataclass(frozen=True)
class RunConfig:
    """Everything ``generate`` can be told."""

    sources: tuple[Source, ...] = ()
    corpus: Path = Path("corpus.duckdb")
    prompts: Path | None = None
    """Folder with prompt templates of the user's own."""
    models: tuple[ModelSpec, ...] = ()
    tasks: tuple[str, ...] = TASKS
    cues: tuple[str, ...] = ()
    n: int = 1
    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 160
    seed: int = 0
    guided: bool = True
    shots: int = 0
    exemplars: Path | None = None
    """A bank of exemplars; without it they are drawn from rated images of the corpus."""
    exemplar_sets: int = 4
    on_existing: str = "skip"
    workers: int | None = None
    max_failure_rate: float = 0.1

    def __post_init__(self) -> None:
        """Raise UsageError for a value outside its range."""
        for name in _BOUNDS:
            value = getattr(self, name, None)
            if value is not None:
                _within(name, value, f"{name} (--{name.replace('_', '-')})")
        for task in self.tasks:
            if task not in TASKS:
                raise UsageError(f"unknown task '{task}'", nearest(task, TASKS))
        if self.on_existing not in ON_EXISTING:
            raise UsageError(
                f"on_existing (--on-existing) cannot be '{self.on_existing}'",
                nearest(self.on_existing, ON_EXISTING),
            )

    @property
    def sampling(self) -> Sampling:
        """How text is drawn where a model or a prompt says nothing else."""
        return Sampling(self.temperature, self.top_p, self.max_tokens)


_BOUNDS: dict[str, tuple[float, float]] = {
    "n": (1, math.inf),
    "temperature": (0, 5),
    "top_p": (0.001, 1),
    "max_tokens": (1, math.inf),
    "shots": (0, 32),
    "exemplar_sets": (1, 1000),
    "max_failure_rate": (0, 1),
    "workers": (1, math.inf),
    "deadline": (1, 100_000),
}
"""Least and most, for the run and for a model of its own."""

_SOURCE_KINDS: dict[str, str] = {
    "images": "paths",
    "ratings": "path",
    "ratings_task": "text",
    "image_column": "text",
    "score_column": "text",
    "known_column": "text",
    "images_root": "path",
    "scale": "scale",
    "dataset": "text",
}
_MODEL_KINDS: dict[str, str] = {
    "id": "text",
    "engine": "text",
    "revision": "text",
    "dtype": "text",
    "context": "count",
    "temperature": "number",
    "top_p": "number",
    "max_tokens": "count",
    "n": "count",
    "shots": "whole",
    "tensor_parallel": "count",
    "gpus": "text",
    "window": "count",
    "max_side": "count",
    "deadline": "number",
    "separate_core": "switch",
    "url": "text",
    "key_variable": "text",
    "options": "mapping",
}
_RUN_KINDS: dict[str, str] = {
    "corpus": "path",
    "prompts": "path",
    "tasks": "texts",
    "cues": "texts",
    "n": "count",
    "temperature": "number",
    "top_p": "number",
    "max_tokens": "count",
    "seed": "whole",
    "guided": "switch",
    "shots": "whole",
    "exemplars": "path",
    "exemplar_sets": "count",
    "on_existing": "text",
    "workers": "count",
    "max_failure_rate": "number",
}


def read_config(path: Path) -> RunConfig:
    """The run file at `path`.

    Raises:
        InputError: the file cannot be read, or is no YAML mapping.
        UsageError: a key or a value that cannot be meant; file and key are named.
    """
    if not path.is_file():
        raise InputError(f"no run file at {path}", "Check the path")
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"the run file {path} is not a YAML mapping of options")
    known = {*_RUN_KINDS, *_SOURCE_KINDS, "datasets", "models"}
    _check_keys(data, known, str(path))
    here = path.absolute().parent
    run = _take({k: v for k, v in data.items() if k in _RUN_KINDS}, _RUN_KINDS, here, str(path))
    sources = [
        Source(**_take(entry, _SOURCE_KINDS, here, f"{path}: datasets[{number}]"))
        for number, entry in enumerate(_entries(data, "datasets", path))
    ]
    shorthand = {key: value for key, value in data.items() if key in _SOURCE_KINDS}
    if shorthand:
        sources.insert(0, Source(**_take(shorthand, _SOURCE_KINDS, here, str(path))))
    models = [
        _model(entry, here, path, n) for n, entry in enumerate(_entries(data, "models", path))
    ]
    try:
        return RunConfig(**run, sources=tuple(sources), models=tuple(models))
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.remedy) from error


def merge_config(
    file: Path | None,
    *,
    images: Sequence[Path],
    source: Mapping[str, Any],
    models: Sequence[str],
    every_model: Mapping[str, Any],
    run: Mapping[str, Any],
) -> RunConfig:
    """The run file with what the command line says; the command line wins.

    Args:
        file: the run file, if any.
        images: photos named; they take the place of the file's sources.
        source: fields of `Source`, for the photos named or for the file's only source.
        models: names; they take the place of the file's models.
        every_model: fields of `ModelSpec` for all models.
        run: fields of `RunConfig`. Empty values everywhere mean: not said.

    Raises:
        InputError, UsageError: as `read_config`, or options that cannot go together.
    """
    base = read_config(file) if file is not None else RunConfig()
    said = _said(source)
    sources = base.sources
    if images:
        if sources:
            say(f"the photos named take the place of those in {file}, with their ratings")
        sources = (Source(images=tuple(images), **said),)
    elif said and len(sources) == 1:
        sources = (replace(sources[0], **said),)
    elif said and sources:
        raise UsageError(
            f"{file} names {len(sources)} datasets: of which does "
            f"--{min(said).replace('_', '-')} speak?",
            "Write it in the run file",
        )
    if not sources:
        raise UsageError(
            "no photos are named", "Name a folder, photos, a ratings table, or a run file"
        )
    chosen = tuple(ModelSpec(id=name) for name in models) or base.models
    common = _said(every_model)
    if common and not chosen:
        raise UsageError(f"--{min(common)} says nothing without a model", "Name one by --model")
    chosen = tuple(spec if spec.id == "measured" else replace(spec, **common) for spec in chosen)
    return replace(base, sources=sources, models=chosen, **_said(run))


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, "", ())}


def _model(entry: Any, here: Path, path: Path, number: int) -> ModelSpec:
    where = f"{path}: models[{number}]"
    if isinstance(entry, str):
        entry = {"id": entry}
    spec = _take(entry, _MODEL_KINDS, here, where)
    if not spec.get("id"):
        raise UsageError(f"{where} lacks 'id'", "Name a model: id: pocket-a")
    for name in _BOUNDS:
        if name in spec:
            _within(name, spec[name], f"{where}: '{name}'")
    # A directory may be named relative to the run file, as all its paths are.
    beside = here / spec["id"]
    if "/" in spec["id"] and beside.is_dir():
        spec["id"] = str(beside)
    return ModelSpec(**spec)


def _entries(data: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    entries = data.get(key) or []
    if not isinstance(entries, list):
        raise UsageError(f"{path}: '{key}' is not a list")
    return entries


def _take(data: Any, kinds: Mapping[str, str], here: Path, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise UsageError(f"{where} is not a mapping of options")
    _check_keys(data, set(kinds), where)
    return {
        key: _value(value, kinds[key], here, f"{where}: '{key}'")
        for key, value in data.items()
        if value is not None
    }


def _check_keys(data: Mapping[Any, Any], known: set[str], where: str) -> None:
    for key in data:
        if key not in known:
            raise UsageError(f"{where}: unknown key '{key}'", nearest(str(key), known))


def _value(value: Any, kind: str, here: Path, where: str) -> Any:
    try:
        return _READ[kind](value, here)
    except TypeError:
        written = json.dumps(value, default=str)
        raise UsageError(f"{where} cannot be {written}", f"Give {_WANTED[kind]}") from None


def _text(value: Any, _here: Path) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    return str(value)


def _texts(value: Any, here: Path) -> tuple[str, ...]:
    return tuple(_text(one, here) for one in (value if isinstance(value, list) else [value]))


def _path(value: Any, here: Path) -> Path:
    if not isinstance(value, str):
        raise TypeError
    return absolute(here / Path(value).expanduser())


def _paths(value: Any, here: Path) -> tuple[Path, ...]:
    return tuple(_path(one, here) for one in (value if isinstance(value, list) else [value]))


def _switch(value: Any, _here: Path) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _mapping(value: Any, _here: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return {str(name).replace("-", "_"): one for name, one in value.items()}


def _scale(value: Any, _here: Path) -> Scale:
    # YAML reads 1:5 without quotes as a number of minutes.
    if not isinstance(value, str):
        raise TypeError
    return Scale.parse(value)


def _number(value: Any, _here: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _whole(value: Any, _here: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError
    return value


def _count(value: Any, here: Path) -> int:
    if _whole(value, here) < 1:
        raise TypeError
    return int(value)


_READ: dict[str, Callable[[Any, Path], Any]] = {
    "text": _text,
    "texts": _texts,
    "path": _path,
    "paths": _paths,
    "switch": _switch,
    "mapping": _mapping,
    "scale": _scale,
    "number": _number,
    "whole": _whole,
    "count": _count,
}

_WANTED = {
    "text": "a text",
    "texts": "a text or a list of texts",
    "path": "a path",
    "paths": "a path or a list of paths",
    "switch": "true or false",
    "mapping": "a mapping NAME: VALUE",
    "scale": "WORST:BEST in quotes, for example '1:5'",
    "number": "a number",
    "whole": "a whole number",
    "count": "a whole number above 0",
}


def _within(name: str, value: float, said: str) -> None:
    low, high = _BOUNDS[name]
    if not low <= value <= high:
        bounds = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
        raise UsageError(f"{said} cannot be {value:g}", f"It may be {bounds}")


# A forgotten entry would be a key that is silently refused.
assert _RUN_KINDS.keys() | {"sources", "models"} == {one.name for one in fields(RunConfig)}
assert _MODEL_KINDS.keys() == {one.name for one in fields(ModelSpec)}
assert _SOURCE_KINDS.keys() == {one.name for one in fields(Source)}
