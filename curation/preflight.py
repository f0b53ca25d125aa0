"""Before a long run: does the largest question fit the model, and how long will it take?

Asks the real engine about a few photos, the largest among them, and stores nothing. Must not know
of the corpus.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curation.engines.base import Answer, Engine, Refused, Request
from curation.images import ImageStep, Prepared
from curation.plan import Plan
from curation.shots import ShotPhotos
from uniqa.errors import UsageError
from uniqa.photos import PhotoError, read_photo, size_of

PROBE_PHOTOS = 10
"""Photos that are asked about."""

LOOKED_AT = 400
"""Files among which the one that is largest after shrinking is looked for."""


@dataclass(frozen=True)
class Probe:
    """What a few photos told of one model.

    `prompt_tokens` is the longest prompt seen (photo, exemplars and question); None where the
    engine counts none. `context` is what the model takes of prompt and answer together.
    """

    photos: int
    captions: int
    refused: int
    prompt_tokens: int | None
    answer_tokens: int
    context: int | None
    captions_per_second: float
    load_seconds: float
    first_refusal: str

    def seconds_for(self, captions: int) -> float:
        """The time that so many captions will take; less with a full window than in the probe."""
        if not captions:
            return 0.0
        return self.load_seconds + captions / max(1e-9, self.captions_per_second)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "photos": self.photos,
            "captions": self.captions,
            "refused": self.refused,
            "prompt_tokens": self.prompt_tokens,
            "answer_tokens": self.answer_tokens,
            "context": self.context,
            "captions_per_second": round(self.captions_per_second, 2),
            "load_seconds": round(self.load_seconds, 1),
        }


def probe(
    engine: Engine, plan: Plan, paths: Sequence[str], *, workers: int | None = None
) -> Probe | None:
    """Ask about a few of the photos; None where none of them can be read.

    Raises:
        EngineError: the engine does not start.
        UsageError: the largest photo with exemplars and answer does not fit the model's context.
    """
    plan = plan.heard_by(engine)
    chosen = _choose(paths, engine.max_side)
    with ImageStep(engine.prepare, engine.max_side, workers) as step:
        # The first photo pays for starting the readers.
        (items,) = step.windows([chosen[:1]])
        began = time.monotonic()
        for more in step.windows([chosen[1:]]):
            items = [*items, *more]
        reading = time.monotonic() - began
    photos = [item for item in items if isinstance(item, Prepared)]
    if not photos:
        return None
    batches = _questions(engine, plan, photos)
    began = time.monotonic()
    engine.start()
    loaded = time.monotonic() - began
    # The first photo pays for what is compiled and cached once.
    results = list(engine.generate(batches[0]))
    _must_fit(engine, plan, results)
    began = time.monotonic()
    results += engine.generate([one for batch in batches[1:] for one in batch])
    # Photos are read beside the engine: the slower of the two decides.
    seconds = max(time.monotonic() - began, reading)
    _must_fit(engine, plan, results)
    answers = [result for result in results if isinstance(result, Answer)]
    refused = [result for result in results if isinstance(result, Refused)]
    timed = len(results) - len(batches[0])
    return Probe(
        photos=len(photos),
        captions=len(answers),
        refused=len(refused),
        prompt_tokens=_longest(answers),
        answer_tokens=plan.answer_tokens,
        context=engine.context,
        captions_per_second=timed / max(1e-9, seconds) if timed else 1 / max(1e-9, loaded),
        load_seconds=loaded,
        first_refusal=refused[0].message if refused else "",
    )


def check_fit(
    engine: Engine, plan: Plan, paths: Sequence[str], *, workers: int | None = None
) -> int | None:
    """Ask about the largest photo alone: whether it fits, where a pace would tell nothing.

    Returns:
        Tokens of its longest prompt; None where it cannot be read or the engine counts none.

    Raises:
        EngineError, UsageError: as `probe`.
    """
    plan = plan.heard_by(engine)
    with ImageStep(engine.prepare, engine.max_side, workers) as step:
        (items,) = step.windows([_choose(paths, engine.max_side)[:1]])
    photos = [item for item in items if isinstance(item, Prepared)]
    if not photos:
        return None
    (batch,) = _questions(engine, plan, photos)
    engine.start()
    results = engine.generate(batch)
    _must_fit(engine, plan, results)
    return _longest([result for result in results if isinstance(result, Answer)])


def largest_photo(paths: Sequence[str], max_side: int) -> tuple[str, str]:
    """Path and image_id of the largest photo of a sample; of the first where none can be read."""
    for path in _choose(paths, max_side):
        try:
            return path, read_photo(path, max_side=max_side or None).image_id
        except PhotoError:
            continue
    return paths[0], ""


def _questions(engine: Engine, plan: Plan, photos: Sequence[Prepared]) -> list[list[Request]]:
    shots = ShotPhotos(engine)
    return [
        [
            Request(
                f"probe-{number}-{asked}",
                photo.image_id,
                photo.payload,
                question,
                plan.sampling_of(question),
                asked,
                shots.of(question.exemplars),
            )
            for asked, question in enumerate(plan.questions(photo.path, photo.image_id))
        ]
        for number, photo in enumerate(photos)
    ]


def _choose(paths: Sequence[str], max_side: int) -> list[str]:
    """The largest of a sample first, then photos from all over."""
    step = max(1, len(paths) // LOOKED_AT)
    sample = paths[::step][:LOOKED_AT]
    largest = max(sample, key=lambda path: (_pixels(path, max_side), path))
    spread = sample[:: max(1, len(sample) // PROBE_PHOTOS)]
    return [largest, *(path for path in spread if path != largest)][:PROBE_PHOTOS]


def _pixels(path: str, max_side: int) -> int:
    """Of the photo as the model sees it: a long strip that shrinks is a small one."""
    width, height = size_of(path)
    longer = max(width, height)
    if not max_side or longer <= max_side:
        return width * height
    return round(width * max_side / longer) * round(height * max_side / longer)


def _must_fit(engine: Engine, plan: Plan, results: Sequence[Answer | Refused]) -> None:
    answers = [result for result in results if isinstance(result, Answer)]
    longest, context = _longest(answers), engine.context
    answer = plan.answer_tokens
    if longest is not None and context is not None and longest + answer > context:
        raise UsageError(
            f"the longest prompt seen has {longest:,} tokens and an answer up to {answer:,}: more "
            f"than the {context:,} that {engine.model} takes",
            "Fewer --shots, a smaller --max-tokens or max_side, or a larger context",
        )
    if results and not answers:
        first = next(result for result in results if isinstance(result, Refused))
        raise UsageError(f"{engine.model} refuses every question ({first.message})")


def _longest(answers: Sequence[Answer]) -> int | None:
    return max(
        (one.prompt_tokens for one in answers if one.prompt_tokens is not None), default=None
    )
