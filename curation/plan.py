"""The plan: which captions are wanted, each known by what it is and never by where it stands.

A caption's id is a hash of image, model, rendered prompt, sampling, seed and sample. Ratings enter
prompts here and nowhere else, and only for photos of the train split. Must not know of the corpus
or of how captions are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from curation.engines.base import Engine, Sampling
from curation.prompts import PromptLibrary, Question


@dataclass(frozen=True, slots=True)
class Rated:
    """What a ratings table says of one photo."""

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


@dataclass(frozen=True)
class Plan:
    """What captions are wanted of every photo.

    `guided` photos (rated for the asked task, in the train split) get the level word in their
    prompt; no other photo ever does, so that no test rating reaches a caption.
    """

    tasks: Sequence[str]
    cues: Mapping[str, Sequence[str]]
    library: PromptLibrary
    sampling: Sampling
    seed: int
    samples: int = 1
    guided: bool = True
    ratings: Mapping[str, Rated] = field(default_factory=dict)

    def questions(self, path: str, image_id: str) -> Iterator[Question]:
        """The questions for one photo, cue by cue."""
        rated = self.ratings.get(path)
        for task in self.tasks:
            told = rated and self.guided and rated.split == "train" and rated.task == task
            level = rated.level if told and rated else ""
            for cue in self.cues[task]:
                yield self.library.question(
                    task, cue, image_id=image_id, level=level, seed=self.seed
                )

    @property
    def per_photo(self) -> int:
        """Captions wanted per photo and model."""
        return self.samples * sum(len(self.cues[task]) for task in self.tasks)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One caption that is wanted."""

    caption_id: str
    path: str
    image_id: str
    question: Question
    sample: int

    @property
    def seed(self) -> int:
        """The caption's own sampling seed, from its identity."""
        return int(self.caption_id[:8], 16)


def caption_id(
    image_id: str, engine: Engine, question: Question, sampling: str, seed: int, sample: int
) -> str:
    """The identity of a caption: 32 hexadecimal digits."""
    parts = (
        image_id,
        f"{engine.model}@{engine.revision}",
        question.prompt_id,
        sampling,
        str(seed),
        str(sample),
    )
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]
