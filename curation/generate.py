"""Generate: photos and prompts in, captions and failures in the corpus out, window by window.

What is wanted is planned by identity: a caption's id is a hash of image, model, prompt, sampling,
seed and sample. What is missing is wanted minus stored (an anti-join), so a run that was killed
goes on where it was, and a finished one has nothing to do. Photos go in path order; images,
ratings, captions and failures of a window are written in one transaction.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curation.corpus import Corpus, now
from curation.engines.base import Answer, Engine, Refused, Request
from curation.images import ImageStep, Prepared, Unusable, failure_id
from curation.plan import Plan, Wanted, caption_id
from curation.prompts import Question

WINDOW_PHOTOS = 32
"""Photos per window: with a few questions each this fills an engine, and is all a kill can lose."""

MOST_COMPLAINTS = 10
"""Failures that are told one by one; all of them are rows."""

BLOCK_PHOTOS = 2048
"""Photos whose captions are looked up at once: a finished plan is passed over block by block."""


@dataclass
class Counts:
    """What a run did; all are numbers of captions, but for photos."""

    photos: int = 0
    photos_failed: int = 0
    wanted: int = 0
    resumed: int = 0
    made: int = 0
    failed: int = 0
    tokens: int = 0


class Generation:
    """One model's way through the plan."""

    def __init__(
        self,
        corpus: Corpus,
        engine: Engine,
        plan: Plan,
        run_id: str,
        on_progress: Callable[[int, str], None] = lambda _photos, _note: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.corpus = corpus
        self.engine = engine
        self.plan = plan
        self.run_id = run_id
        self.counts = Counts()
        self.failures: Counter[str] = Counter()
        self.complaints: list[str] = []
        self._progress = on_progress
        self._stop = should_stop
        self._started = False
        self._partly = 0
        own = plan.sampling.as_dict() if engine.samples else {}
        self._sampling = json.dumps(own, sort_keys=True)

    def run(self, paths: Sequence[str], workers: int | None = None) -> bool:
        """Make every missing caption of `paths` (sorted). Returns False when asked to stop early.

        Raises:
            EngineError: the engine cannot start or go on; all before it is stored.
        """
        with ImageStep(self.engine.prepare, self.engine.max_side, workers) as step:
            for window in step.windows(self._open_windows(paths)):
                if window:
                    self._do(window)
                if self._stop():
                    return False
        return True

    def missing(self, paths: Sequence[str]) -> Counts:
        """What a run would find and have to do, without reading photos that the corpus knows."""
        for _ in self._open_windows(paths):
            pass
        self.counts.resumed += self._partly
        return self.counts

    def _open_windows(self, paths: Sequence[str]) -> Iterator[list[str]]:
        """Windows of photos that are new, changed, or lack a caption."""
        for start in range(0, len(paths), BLOCK_PHOTOS):
            block = paths[start : start + BLOCK_PHOTOS]
            open_photos = self._open(block)
            if len(block) > len(open_photos):
                self._progress(len(block) - len(open_photos), "")
            for first in range(0, len(open_photos), WINDOW_PHOTOS):
                yield open_photos[first : first + WINDOW_PHOTOS]

    def _open(self, block: Sequence[str]) -> list[str]:
        self.counts.photos += len(block)
        self.counts.wanted += len(block) * self.plan.per_photo
        known = self.corpus.known_files(block)
        wanted: dict[str, list[str]] = {}
        unread: list[str] = []
        for path in block:
            file = known.get(path)
            if file is None or (file.size, file.mtime_ns) != _stamp(path):
                unread.append(path)
            elif file.image_id is None:
                # The same bytes were no usable photo before.
                self.counts.photos_failed += 1
                self.counts.wanted -= self.plan.per_photo
                self.failures["known to be unusable"] += 1
            else:
                wanted[path] = [item.caption_id for item in self._wanted(path, file.image_id)]
        done = self.corpus.done([one for ids in wanted.values() for one in ids])
        incomplete = [path for path, ids in wanted.items() if not done.issuperset(ids)]
        complete = wanted.keys() - set(incomplete)
        self.counts.resumed += sum(len(wanted[path]) for path in complete)
        self._partly += sum(len(done.intersection(wanted[path])) for path in incomplete)
        return sorted(unread + incomplete)

    def store_ratings(self, paths: Sequence[str]) -> None:
        """Write the ratings of known photos: they may be newer than the captions."""
        for start in range(0, len(paths), BLOCK_PHOTOS):
            known = self.corpus.known_files(paths[start : start + BLOCK_PHOTOS])
            self.corpus.put(
                "ratings",
                [
                    row
                    for path, file in known.items()
                    if file.image_id is not None
                    for row in self._rating_rows(path, file.image_id)
                ],
            )

    def _wanted(self, path: str, image_id: str) -> Iterator[Wanted]:
        for question in self.plan.questions(path, image_id):
            for sample in range(self.plan.samples):
                identity = caption_id(
                    image_id, self.engine, question, self._sampling, self.plan.seed, sample
                )
                yield Wanted(identity, path, image_id, question, sample)

    def _do(self, window: Sequence[Prepared | Unusable]) -> None:
        photos = [item for item in window if isinstance(item, Prepared)]
        broken = [item for item in window if isinstance(item, Unusable)]
        wanted = {
            item.caption_id: item
            for photo in photos
            for item in self._wanted(photo.path, photo.image_id)
        }
        # Nothing is wanted of files that are no photos, nor twice of one photo under two names.
        self.counts.wanted -= len(window) * self.plan.per_photo - len(wanted)
        done = self.corpus.done(list(wanted))
        payloads = {photo.image_id: photo.payload for photo in photos}
        requests = [
            Request(
                item.caption_id,
                item.image_id,
                payloads[item.image_id],
                item.question,
                self.plan.sampling,
                item.seed,
            )
            for item in wanted.values()
            if item.caption_id not in done
        ]
        results = self._ask(requests)
        self.counts.resumed += len(done)
        self.counts.photos_failed += len(broken)
        self._store(photos, broken, wanted, results)
        self._progress(len(window), f"{self.counts.made:,} captions, {self._failed():,} failures")

    def _ask(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        if requests and not self._started:
            # Only now: a run with nothing left to make must not load a model for minutes.
            self.engine.start()
            self._started = True
        results: list[Answer | Refused] = []
        for start in range(0, len(requests), self.engine.window):
            results += self.engine.generate(requests[start : start + self.engine.window])
        return [
            result
            if isinstance(result, Refused) or result.text.strip()
            else Refused(result.caption_id, "empty", "the model answered nothing", True)
            for result in results
        ]

    def _store(
        self,
        photos: Sequence[Prepared],
        broken: Sequence[Unusable],
        wanted: Mapping[str, Wanted],
        results: Sequence[Answer | Refused],
    ) -> None:
        answers = [result for result in results if isinstance(result, Answer)]
        refused = [result for result in results if isinstance(result, Refused)]
        questions = {item.question.prompt_id: item.question for item in wanted.values()}
        with self.corpus.transaction():
            # Replaced, not added: a photo that was moved is found at its new path from now on.
            self.corpus.put("images", [_image_row(photo) for photo in photos])
            items: list[Prepared | Unusable] = [*photos, *broken]
            self.corpus.put("files", [_file_row(item) for item in items])
            self.corpus.put(
                "ratings",
                [row for one in photos for row in self._rating_rows(one.path, one.image_id)],
            )
            self.corpus.add("prompts", [_prompt_row(question) for question in questions.values()])
            self.corpus.add(
                "captions", [self._caption_row(wanted[one.caption_id], one) for one in answers]
            )
            self.corpus.resolve_failures(
                [one.caption_id for one in answers] + [failure_id(photo.path) for photo in photos]
            )
            self.corpus.add_failures(
                [self._photo_failure(item) for item in broken]
                + [self._caption_failure(wanted[one.caption_id], one) for one in refused]
            )
        self.counts.made += len(answers)
        self.counts.failed += len(refused)
        self.counts.tokens += sum(one.tokens or 0 for one in answers)
        self.failures.update(item.kind for item in broken)
        self.failures.update(one.kind for one in refused)
        self.complaints += [f"{item.path}: {item.message}" for item in broken]
        self.complaints += [
            f"{wanted[one.caption_id].path}: {self.engine.model} failed ({one.message})"
            for one in refused
        ]
        del self.complaints[MOST_COMPLAINTS:]

    def _failed(self) -> int:
        return self.counts.failed + self.counts.photos_failed

    def _rating_rows(self, path: str, image_id: str) -> list[dict[str, Any]]:
        rated = self.plan.ratings.get(path)
        if rated is None:
            return []
        row = asdict(rated)
        row["group_id"] = row.pop("group")
        return [{"image_id": image_id, **row}]

    def _caption_row(self, wanted: Wanted, answer: Answer) -> dict[str, Any]:
        return {
            "caption_id": wanted.caption_id,
            "image_id": wanted.image_id,
            "source": "model",
            "engine": self.engine.name,
            "model": self.engine.model,
            "revision": self.engine.revision,
            "task": wanted.question.task,
            "cue": wanted.question.cue,
            "level": wanted.question.level,
            "prompt_id": wanted.question.prompt_id,
            "sampling": self._sampling,
            "seed": wanted.seed,
            "sample": wanted.sample,
            "text": answer.text,
            "finish_reason": answer.finish_reason,
            "prompt_tokens": answer.prompt_tokens,
            "tokens": answer.tokens,
            "run_id": self.run_id,
            "created_at": now(),
        }

    def _photo_failure(self, item: Unusable) -> dict[str, Any]:
        return self._failure(
            failure_id(item.path), "image", item.kind, item.message, item.permanent, item.path
        )

    def _caption_failure(self, wanted: Wanted, refused: Refused) -> dict[str, Any]:
        return {
            **self._failure(
                refused.caption_id,
                "engine",
                refused.kind,
                refused.message,
                refused.permanent,
                wanted.path,
            ),
            "image_id": wanted.image_id,
            "model": self.engine.model,
            "task": wanted.question.task,
            "cue": wanted.question.cue,
        }

    def _failure(
        self, identity: str, stage: str, kind: str, message: str, permanent: bool, path: str
    ) -> dict[str, Any]:
        return {
            "failure_id": identity,
            "stage": stage,
            "kind": kind,
            "message": message,
            "permanent": permanent,
            "path": path,
            "image_id": None,
            "model": None,
            "task": None,
            "cue": None,
            "run_id": self.run_id,
            "failed_at": now(),
        }


def _stamp(path: str) -> tuple[int, int]:
    try:
        stat = Path(path).stat()
    except OSError:
        return (-1, -1)
    return (stat.st_size, stat.st_mtime_ns)


def _file_row(item: Prepared | Unusable) -> dict[str, Any]:
    size, mtime = _stamp(item.path)
    if isinstance(item, Unusable) and not item.permanent:
        size = -1  # never equal to a real size: it is read again on the next run
    image_id = item.image_id if isinstance(item, Prepared) else None
    return {"path": item.path, "size": size, "mtime_ns": mtime, "image_id": image_id}


def _image_row(photo: Prepared) -> dict[str, Any]:
    return {
        "image_id": photo.image_id,
        "path": photo.path,
        "file_bytes": photo.file_bytes,
        "format": photo.format,
        "mode": photo.mode,
        "width": photo.width,
        "height": photo.height,
    }


def _prompt_row(question: Question) -> dict[str, Any]:
    return {
        "prompt_id": question.prompt_id,
        "template": question.template,
        "task": question.task,
        "cue": question.cue,
        "level": question.level,
        "system": question.system,
        "text": question.text,
    }
