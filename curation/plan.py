"""The plan: which captions are wanted, each known by what it is and never by where it stands.

A caption's id is a hash of image, model, rendered prompt, sampling, seed and sample. Ratings enter
prompts here and nowhere else, and only for photos of the train split. Must not know of the corpus
or of how captions are made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from curation.engines.base import Engine, Sampling
from curation.prompts import Exemplar, PromptLibrary, Question


@dataclass(frozen=True, slots=True)
class Rated:
    """What a ratings table says of one photo.

    `known` names a distortion or attribute that the table tells; empty where it tells none.
    """

    dataset: str
    task: str
    mos: float
    std: float | None
    votes: float | None
    score: float
    level: str
    scale: str
    group: str
    split: str
    known: str = ""


class Place(NamedTuple):
    """Where a ratings table puts a photo."""

    group: str
    split: str


Places = Mapping[tuple[str, str], Place]
"""(dataset, task) → place: one per table that rates a photo."""


def placed(ratings: Sequence[Rated], known: Places) -> Places:
    """A photo's places: as the corpus knows them, and over them those of the run's own tables.

    The tables' will replace what the corpus has, so that before and after it is the same.
    """
    own = {(one.dataset, one.task): Place(one.group, one.split) for one in ratings}
    return {**known, **own} if known else own


class Shots(Protocol):
    """Gives every photo its exemplars, never the photo itself or one of its groups."""

    def for_image(self, image_id: str, *groups: str) -> tuple[Exemplar, ...]:
        """The exemplars, in the order in which they are shown."""
        ...


@dataclass(frozen=True)
class Plan:
    """What captions are wanted of every photo.

    `guided` photos (rated for the asked task, and nowhere in a split but train) get the level word
    in their prompt; no other photo ever does, so that no test rating reaches a caption.
    """

    tasks: Sequence[str]
    cues: Mapping[str, Sequence[str]]
    library: PromptLibrary
    sampling: Sampling
    seed: int
    samples: int = 1
    guided: bool = True
    ratings: Mapping[str, Sequence[Rated]] = field(default_factory=dict)
    """By path; one entry per table that rates the photo."""
    exemplars: Mapping[str, Shots] = field(default_factory=dict)
    """By task."""
    known: Mapping[str, Places] = field(default_factory=dict)
    """By image_id; what earlier runs were told of photos. Keeps exemplars apart from their kin."""

    def heard_by(self, engine: Engine) -> Plan:
        """The plan for one engine: without what it cannot hear or does not draw."""
        if engine.listens:
            return self
        cues = {
            task: [cue for cue in cues if not self.library.cue(task, cue).answer_start]
            for task, cues in self.cues.items()
        }
        return replace(self, cues=cues, exemplars={})

    def questions(self, path: str, image_id: str) -> Iterator[Question]:
        """The questions for one photo, cue by cue."""
        ratings = self.ratings.get(path, ())
        told = self.guided and all(rated.split == "train" for rated in ratings)
        for task in self.tasks:
            rated = next((one for one in ratings if one.task == task), None)
            level, known = (rated.level, rated.known) if rated and told else ("", "")
            shots: tuple[Exemplar, ...] = ()
            if task in self.exemplars:
                places = placed(ratings, self.known.get(image_id, {}))
                # All of them: exemplars carry the group that one table gives them.
                shots = self.exemplars[task].for_image(
                    image_id, *(place.group for place in places.values())
                )
            for cue in self.cues[task]:
                yield self.library.question(
                    task,
                    cue,
                    image_id=image_id,
                    level=level,
                    seed=self.seed,
                    known=known,
                    exemplars=shots,
                )

    def sampling_of(self, question: Question) -> Sampling:
        """How answers to a question are drawn: the prompt's own temperature goes first."""
        if question.temperature is None:
            return self.sampling
        return replace(self.sampling, temperature=question.temperature)

    def samples_of(self, question: Question) -> int:
        """How many answers a question gets: a level has one distribution, however often asked."""
        return 1 if question.answer_start else self.samples

    @property
    def answer_tokens(self) -> int:
        """Tokens of the longest answer; a level is told by a single one."""
        levels = all(
            self.library.cue(task, cue).answer_start
            for task in self.tasks
            for cue in self.cues[task]
        )
        return 1 if levels else self.sampling.max_tokens

    @property
    def per_photo(self) -> int:
        """Captions wanted per photo and model."""
        return sum(
            1 if self.library.cue(task, cue).answer_start else self.samples
            for task in self.tasks
            for cue in self.cues[task]
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """One caption that is wanted; `sampling` is the JSON that stands in its row."""

    caption_id: str
    path: str
    image_id: str
    question: Question
    sampling: str
    sample: int

    @property
    def seed(self) -> int:
        """The caption's own sampling seed, from its identity."""
        return int(self.caption_id[:8], 16)


class Identities:
    """The captions that one engine is to give, with their ids."""

    def __init__(self, plan: Plan, engine: Engine) -> None:
        self.plan = plan
        self._model = f"{engine.model}@{engine.revision}"
        self._samples = engine.samples
        self._sampling: dict[float | None, str] = {}

    def wanted(
        self, path: str, image_id: str, first: Mapping[tuple[str, str], int] | None = None
    ) -> list[Wanted]:
        """Every caption wanted of a photo.

        Args:
            path, image_id: of the photo.
            first: (task, cue) → number of the first sample; 0 where nothing is said.
        """
        return [
            Wanted(identity, path, image_id, question, sampling, sample)
            for identity, question, sampling, sample in self._each(path, image_id, first or {})
        ]

    def ids(
        self, path: str, image_id: str, first: Mapping[tuple[str, str], int] | None = None
    ) -> list[str]:
        """Only the ids: what resuming needs of photos that are done."""
        return [identity for identity, *_ in self._each(path, image_id, first or {})]

    def _each(
        self, path: str, image_id: str, first: Mapping[tuple[str, str], int]
    ) -> Iterator[tuple[str, Question, str, int]]:
        for question in self.plan.questions(path, image_id):
            sampling = self._drawn(question)
            start = first.get((question.task, question.cue), 0)
            for sample in range(start, start + self.plan.samples_of(question)):
                identity = caption_id(
                    image_id, self._model, question.prompt_id, sampling, self.plan.seed, sample
                )
                yield identity, question, sampling, sample

    def _drawn(self, question: Question) -> str:
        known = self._sampling.get(question.temperature)
        if known is None:
            own = self.plan.sampling_of(question).as_dict() if self._samples else {}
            known = self._sampling[question.temperature] = json.dumps(own, sort_keys=True)
        return known


def caption_id(
    image_id: str, model: str, prompt_id: str, sampling: str, seed: int, sample: int
) -> str:
    """The identity of a caption: 32 hexadecimal digits.

    Args:
        image_id: SHA-256 of the photo.
        model: name and revision, as ``name@revision``.
        prompt_id: hash of the rendered prompt.
        sampling: how it is drawn, as sorted JSON.
        seed, sample: the run's seed, and the number of the sample.
    """
    text = f"{image_id}\x1f{model}\x1f{prompt_id}\x1f{sampling}\x1f{seed}\x1f{sample}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
