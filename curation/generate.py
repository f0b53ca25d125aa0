"""Generate: photos and prompts in, captions and failures in the corpus out, window by window.

What is wanted is planned by identity: a caption's id is a hash of image, model, prompt, sampling,
seed and sample. What is missing is wanted minus stored (an anti-join), so a run that was killed
goes on where it was, and a finished one has nothing to do. Photos go in path order; images,
ratings, captions and failures of a window are written in one transaction, while the engine is
already at work on the next one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from curation import rows
from curation.asking import Asking
from curation.bottleneck import Seconds
from curation.corpus import Corpus
from curation.engines.base import Answer, Engine, Refused, Request
from curation.existing import first_samples, supersede
from curation.images import ImageStep, Prepared, Unusable, failure_id
from curation.places import KnownPlaces
from curation.plan import Identities, Plan, Wanted
from curation.shots import ShotPhotos
from uniqa.containers import stamp
from uniqa.errors import EngineError, TooManyFailuresError

MOST_PHOTOS = 128
"""Photos per window at most, or half of what the engine takes at once if that is more (several
GPUs, or a window that somebody chose): their pixels are all in memory, several windows at once."""

MOST_COMPLAINTS = 10
"""Failures that are told one by one; all of them are rows."""

BLOCK_PHOTOS = 4096
"""Photos whose captions are looked up at once: a finished plan is passed over block by block."""

KNOWN_UNUSABLE = "known to be unusable"
"""Files that were no photos before and have not changed since."""

STOPPED = "engine_stopped"
"""The kind of refusal that means: the engine is gone, and did not get to this request."""

HOPELESS = 200
"""When so many captions or photos failed and nothing at all was made, the rest is not tried; ten
times as many where a run goes on with what another made."""

Results = list[Answer | Refused]


@dataclass
class Counts:
    """What a run did; all are numbers of captions, but for photos and tokens."""

    photos: int = 0
    photos_failed: int = 0
    wanted: int = 0
    resumed: int = 0
    made: int = 0
    truncated: int = 0
    failed: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0

    @property
    def missing(self) -> int:
        """Captions still to make, or that failed."""
        return self.wanted - self.resumed - self.made


@dataclass
class _Window:
    """Photos that are on their way through the engine."""

    photos: list[Prepared]
    broken: list[Unusable]
    wanted: dict[str, Wanted]
    done: set[str]
    size: int
    results: Future[Results] = field(default_factory=Future)


class Generation:
    """One model's way through the plan.

    Args:
        corpus: open for writing.
        engine: what answers; it is started only if something is missing.
        plan: what is wanted of every photo.
        run_id: goes into every row.
        on_progress: told how many captions of the plan were passed, after every window, and how
            many of these the engine has answered now. The engine's `on_answered` is untouched.
        should_stop: asked after every window.
        on_existing: skip, add or replace (see `curation.existing`).
        resumed: for add, runs that this one goes on with.
        max_failure_rate: more failures than this share of the plan end the run at once.
    """

    def __init__(
        self,
        corpus: Corpus,
        engine: Engine,
        plan: Plan,
        run_id: str,
        on_progress: Callable[[int, int], None] = lambda _captions, _results: None,
        should_stop: Callable[[], bool] = lambda: False,
        *,
        on_existing: str = "skip",
        resumed: Sequence[str] = (),
        max_failure_rate: float = 1.0,
    ) -> None:
        self.corpus = corpus
        self.engine = engine
        self._places = KnownPlaces(corpus)
        self.plan = replace(plan.heard_by(engine), known=self._places)
        self.run_id = run_id
        self.counts = Counts()
        self.seconds = Seconds()
        self.failures: Counter[str] = Counter()
        self.complaints: list[str] = []
        self._identities = Identities(self.plan, engine)
        self._progress = on_progress
        self._stop = should_stop
        self._on_existing = on_existing
        self._resumed_runs = resumed
        self._max_failure_rate = max_failure_rate
        self._total = 0
        self._started = False
        self._load_error: Exception | None = None
        self._partly = 0
        self._under_way: set[str] = set()
        self._shots = ShotPhotos(engine)
        self.per_photo = self.plan.per_photo

    # ---- the way through ------------------------------------------------------------------------

    def run(self, paths: Sequence[str], workers: int | None = None) -> bool:
        """Make every missing caption of `paths` (sorted). Returns False when asked to stop early.

        Raises:
            EngineError: the engine cannot start or go on; all before it is stored.
            TooManyFailuresError: more failed already than may fail in all, or nothing succeeds.
        """
        if not self.per_photo:
            return True
        self._total = len(paths)
        began = time.monotonic()
        try:
            with (
                self.corpus.in_little_memory(len(paths) * self.per_photo, len(paths)),
                ImageStep(self.engine.prepare, self.engine.max_side, workers) as step,
                closing(Asking(self._ask)) as asking,
            ):
                self.engine.ahead = asking.ahead
                opened = self._open_windows(paths, lambda: asking.submit([]))
                return self._pass_through(step.windows(opened), asking)
        finally:
            self.seconds.wall = time.monotonic() - began

    def _pass_through(self, windows: Iterator[list[Prepared | Unusable]], asking: Asking) -> bool:
        """Two windows at most are under way: one is stored while the engine works on the next."""
        before: _Window | None = None
        while True:
            waiting = time.monotonic()
            items = next(windows, None)
            self.seconds.images += time.monotonic() - waiting
            # Photos that were read after someone asked to stop are not begun.
            current = self._prepare(items, asking) if items and not self._stop() else None
            if before is not None:
                self._finish(before)
            if self._stop():
                # What the engine has begun is finished, what it has not is left for next time.
                if current is not None and not current.results.cancel():
                    self._finish(current)
                return False
            if items is None:
                return True
            before = current

    def missing(self, paths: Sequence[str]) -> Counts:
        """What a run would find and have to do, without reading photos that the corpus knows."""
        self._total = len(paths)
        for _ in self._open_windows(paths) if self.per_photo else ():
            pass
        self.counts.resumed += self._partly
        return self.counts

    def _open_windows(
        self, paths: Sequence[str], on_first: Callable[[], object] = lambda: None
    ) -> Iterator[list[str]]:
        """Windows of photos that are new, changed, or lack a caption; the first is announced."""
        announced = False
        # Never a little more than the engine takes at once: the rest would be a call of its own.
        window = self.engine.window
        photos = max(1, min(max(MOST_PHOTOS, window // 2), window // self.per_photo))
        for start in range(0, len(paths), BLOCK_PHOTOS):
            block = paths[start : start + BLOCK_PHOTOS]
            open_photos = self._open(block)
            if len(block) > len(open_photos):
                self._progress((len(block) - len(open_photos)) * self.per_photo, 0)
            if open_photos and not announced:
                # The model loads while the readers start.
                announced = True
                on_first()
            for first in range(0, len(open_photos), photos):
                yield open_photos[first : first + photos]

    def _open(self, block: Sequence[str]) -> list[str]:
        self.counts.photos += len(block)
        self.counts.wanted += len(block) * self.per_photo
        known = self.corpus.known_files(block)
        there: dict[str, str] = {}
        unread: list[str] = []
        for path in block:
            file = known.get(path)
            if file is None or (file.size, file.mtime_ns) != stamp(path):
                unread.append(path)
            elif file.image_id is None:
                # The same bytes were no usable photo before.
                self.counts.photos_failed += 1
                self.counts.wanted -= self.per_photo
                self.failures[KNOWN_UNUSABLE] += 1
            else:
                there[path] = file.image_id
        first = self._firsts(list(there.values()))
        self._look_up_places(list(there.values()))
        wanted = {
            path: self._identities.ids(path, image_id, first.get(image_id))
            for path, image_id in there.items()
        }
        done = self.corpus.done([one for ids in wanted.values() for one in ids])
        incomplete = [path for path, ids in wanted.items() if not done.issuperset(ids)]
        complete = wanted.keys() - set(incomplete)
        self.counts.resumed += sum(len(wanted[path]) for path in complete)
        self._partly += sum(len(done.intersection(wanted[path])) for path in incomplete)
        if complete and self._on_existing == "replace" and self.run_id:
            with self.corpus.transaction():
                self._supersede([one for p in complete for one in self._wanted(p, there[p])])
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

    # ---- one window -----------------------------------------------------------------------------

    def _prepare(self, items: Sequence[Prepared | Unusable], asking: Asking) -> _Window:
        """Plan a window and hand what is missing to the engine."""
        photos = [item for item in items if isinstance(item, Prepared)]
        broken = [item for item in items if isinstance(item, Unusable)]
        first = self._firsts([photo.image_id for photo in photos])
        self._look_up_places([photo.image_id for photo in photos])
        wanted = {
            item.caption_id: item
            for photo in photos
            for item in self._wanted(photo.path, photo.image_id, first.get(photo.image_id))
        }
        # Nothing is wanted of files that are no photos, nor twice of one photo under two names.
        self.counts.wanted -= len(items) * self.per_photo - len(wanted)
        # What the window before is asking for is as good as there: one photo under two names.
        done = self.corpus.done(list(wanted)) | (self._under_way & wanted.keys())
        self._under_way = set(wanted)
        self.counts.resumed += len(done)
        payloads = {photo.image_id: photo.payload for photo in photos}
        requests = [
            Request(
                item.caption_id,
                item.image_id,
                payloads[item.image_id],
                item.question,
                self.plan.sampling_of(item.question),
                item.seed,
                self._shots.of(item.question.exemplars),
            )
            for item in wanted.values()
            if item.caption_id not in done
        ]
        # The pixels go with the requests; the facts are all that storing needs.
        window = _Window(photos, broken, wanted, done, len(items))
        window.results = asking.submit(requests)
        return window

    def _ask(self, requests: Sequence[Request]) -> Results:
        """Runs beside the main thread, one window after the other."""
        if self._load_error is not None:
            raise self._load_error
        if not self._started:
            # Only now: a run with nothing left to make must not load a model for minutes.
            began = time.monotonic()
            try:
                self.engine.start()
            except Exception as error:
                # It would fail again, and take as long.
                self._load_error = error
                raise
            self.seconds.loading = time.monotonic() - began
            self._started = True
        began = time.monotonic()
        results: Results = []
        start = 0
        while start < len(requests):
            # Asked anew each time: an engine that was short of memory has made it smaller.
            piece = requests[start : start + max(1, self.engine.window)]
            try:
                results += self.engine.generate(piece)
            except EngineError as error:
                if not results:
                    raise
                # What it answered before is stored; the rest waits for the next run.
                results += [
                    Refused(one.caption_id, STOPPED, str(error), False) for one in requests[start:]
                ]
                break
            start += len(piece)
        self.seconds.engine += time.monotonic() - began
        return [
            result
            if isinstance(result, Refused) or result.text.strip()
            else Refused(result.caption_id, "empty", "the model answered nothing", True)
            for result in results
        ]

    def _finish(self, window: _Window) -> None:
        results = window.results.result()
        began = time.monotonic()
        self._store(window, results)
        self.seconds.store += time.monotonic() - began
        self.counts.photos_failed += len(window.broken)
        self._progress(window.size * self.per_photo, len(results))
        gone = [one for one in results if isinstance(one, Refused) and one.kind == STOPPED]
        if gone:
            # What it had answered is stored; the rest is nobody's fault but the engine's.
            raise EngineError(gone[0].message)
        self._give_up_if_hopeless()

    def _store(self, window: _Window, results: Results) -> None:
        answers = [result for result in results if isinstance(result, Answer)]
        refused = [result for result in results if isinstance(result, Refused)]
        wanted = window.wanted
        questions = {item.question.prompt_id: item.question for item in wanted.values()}
        with self.corpus.transaction():
            # Replaced, not added: a photo that was moved is found at its new path from now on.
            self.corpus.put("images", [rows.image_row(photo) for photo in window.photos])
            items: list[Prepared | Unusable] = [*window.photos, *window.broken]
            self.corpus.put("files", [rows.file_row(item) for item in items])
            self.corpus.put(
                "ratings",
                [row for one in window.photos for row in self._rating_rows(one.path, one.image_id)],
            )
            self.corpus.add("prompts", [rows.prompt_row(one) for one in questions.values()])
            self.corpus.add(
                "captions",
                [
                    rows.caption_row(wanted[one.caption_id], one, self.engine, self.run_id)
                    for one in answers
                ],
            )
            self.corpus.add(
                "level_probabilities",
                [rows.level_row(one) for one in answers if one.levels is not None],
            )
            self.corpus.resolve_failures(
                [one.caption_id for one in answers]
                + [failure_id(photo.path) for photo in window.photos]
            )
            self.corpus.add_failures(
                [rows.photo_failure(item, self.run_id) for item in window.broken]
                + [
                    rows.caption_failure(wanted[one.caption_id], one, self.engine, self.run_id)
                    for one in refused
                ]
            )
            if self._on_existing == "replace":
                self._supersede(list(wanted.values()))
        self._count(window, answers, refused)

    def _count(
        self, window: _Window, answers: Sequence[Answer], refused: Sequence[Refused]
    ) -> None:
        counts = self.counts
        counts.made += len(answers)
        counts.failed += len(refused)
        counts.truncated += sum(one.finish_reason == "length" for one in answers)
        counts.tokens += sum(one.tokens or 0 for one in answers)
        counts.prompt_tokens += sum(one.prompt_tokens or 0 for one in answers)
        counts.cached_tokens += sum(one.cached_tokens or 0 for one in answers)
        self.failures.update(item.kind for item in window.broken)
        self.failures.update(one.kind for one in refused)
        self.complaints += [f"{item.path}: {item.message}" for item in window.broken]
        self.complaints += [
            f"{window.wanted[one.caption_id].path}: {self.engine.model} failed ({one.message})"
            for one in refused
        ]
        del self.complaints[MOST_COMPLAINTS:]

    def _give_up_if_hopeless(self) -> None:
        counts = self.counts
        captions = counts.failed > self._max_failure_rate * self._total * self.per_photo
        photos = counts.photos_failed > self._max_failure_rate * self._total
        # Where much is there already, what is left is what failed before: it gets more patience.
        patience = HOPELESS * (10 if counts.resumed else 1)
        newly = counts.photos_failed - self.failures[KNOWN_UNUSABLE]
        in_vain = not counts.made and max(counts.failed, newly) >= patience
        if self._max_failure_rate < 1 and (captions or photos or in_vain):
            last = self.complaints[-1] if self.complaints else ""
            why = f"more than {self._max_failure_rate:.0%} of the plan"
            if in_vain:
                why = "nothing succeeds"
            raise TooManyFailuresError(
                f"{self.engine.model}: {counts.failed:,} captions and {counts.photos_failed:,} "
                f"photos failed, {counts.made:,} captions were made: {why}, so the run was given "
                f"up (for example {last})",
                "Mend that and repeat the command, or raise --max-failure-rate",
            )

    # ---- small parts ----------------------------------------------------------------------------

    def _wanted(
        self, path: str, image_id: str, first: Mapping[tuple[str, str], int] | None = None
    ) -> list[Wanted]:
        return self._identities.wanted(path, image_id, first)

    def _firsts(self, image_ids: Sequence[str]) -> dict[str, dict[tuple[str, str], int]]:
        if self._on_existing != "add" or not image_ids:
            return {}
        own = [*self._resumed_runs, self.run_id]
        return first_samples(self.corpus, image_ids, self.engine.model, own)

    def _look_up_places(self, image_ids: Sequence[str]) -> None:
        if self.plan.exemplars and image_ids:
            self._places.look_up(image_ids)

    def _supersede(self, wanted: Sequence[Wanted]) -> None:
        if wanted:
            columns = {
                "caption_id": [item.caption_id for item in wanted],
                "image_id": [item.image_id for item in wanted],
                "task": [item.question.task for item in wanted],
                "cue": [item.question.cue for item in wanted],
            }
            supersede(self.corpus, pa.table(columns), self.engine.model, self.run_id)

    def _rating_rows(self, path: str, image_id: str) -> list[dict[str, Any]]:
        return [rows.rating_row(image_id, rated) for rated in self.plan.ratings.get(path, ())]
