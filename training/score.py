"""Scores for photos, from a model directory: the Python door.

Must not know ratings. A photo's score depends on its bytes and the model alone, never on the
photos beside it: whatever is asked for goes through blocks of one size, because a matrix product
rounds differently by its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.intervals import CONFIDENCE
from uniqa.errors import InputError, UsageError
from uniqa.levels import Scale, level_of

if TYPE_CHECKING:
    from training.explain import Reading
    from training.features import FeatureStore, PhotoFeatures
    from training.model import Model
    from training.views import Views

BLOCK = 512
"""Photos at a time: memory is bounded by it, however many there are."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One photo's result; `score` is unified (0–1, 1 is best), None when `error` says why.

    `low` and `high` are the ends of its interval, None where the model has none.
    """

    image: Path
    image_id: str
    score: float | None
    level: str
    cues: dict[str, float] = field(default_factory=dict)
    error: str = ""
    low: float | None = None
    high: float | None = None


class Scorer:
    """A loaded model that scores photos.

    Example:
        ``Scorer.load("model").score(["a.jpg", "b.jpg"])[0].score``
    """

    def __init__(
        self,
        model: Model,
        task: str = "",
        cache: Path | None = None,
        *,
        confidence: float = CONFIDENCE,
        keep_features: bool = True,
    ) -> None:
        from training.cues import cue_names
        from training.features import default_cache
        from training.heads import KNOWN
        from training.intervals import residuals_of, why_none

        if not 0 < confidence < 1:
            raise UsageError(f"a confidence of {confidence} is none", "Give one like 0.9")
        if model.head and model.head.method not in KNOWN:
            raise InputError(
                f"the model's head is of the method '{model.head.method}'",
                "Install the version that made it, or adapt again",
            )
        self.model = model
        self.task = task or (model.head.task if model.head else model.task)
        self.cue_names = cue_names(self.task)
        self.cache = cache or default_cache()
        self.confidence = confidence
        residuals = residuals_of(model.head.facts) if model.head else None
        self.half_width = residuals.half_width(confidence) if residuals else None
        self.no_interval = why_none(residuals, confidence, model.head.method) if model.head else (
            "no intervals: a zero-shot score has no ratings to tell its errors by"
        )  # fmt: skip
        self._keep = keep_features
        self._open: FeatureStore | None = None

    @classmethod
    def load(
        cls,
        directory: str | Path,
        *,
        task: str = "",
        cache: str | Path | None = None,
        confidence: float = CONFIDENCE,
        keep_features: bool = True,
    ) -> Scorer:
        """Open a model directory made by `pretrain` or `adapt`.

        Args:
            directory: the model.
            task: whose cues to report; the head's own, or the pre-training's, when empty.
            cache: folder of stored features; the user's cache folder when None.
            confidence: of the intervals, between 0 and 1.
            keep_features: whether photos' features are looked up in the cache and kept there; for
                millions of photos that are scored once it only costs disk.

        Raises:
            InputError: not a usable model directory.
            UsageError: an unknown task, or a confidence outside 0–1.
        """
        from training.model import load_model

        return cls(
            load_model(Path(directory)),
            task,
            Path(cache) if cache else None,
            confidence=confidence,
            keep_features=keep_features,
        )

    @property
    def method(self) -> str:
        """What gives the score: the head's method, or zero-shot."""
        return self.model.head.method if self.model.head else "zero-shot"

    @property
    def rated_scale(self) -> Scale | None:
        """The scale of the ratings that the head was learned from; None for a zero-shot model."""
        return Scale.parse(self.model.head.scale) if self.model.head else None

    def score(self, images: Sequence[str | Path]) -> list[Scored]:
        """One result per photo, in order; an unreadable photo's result carries its error."""
        from uniqa.console import progress

        self.prepare()
        with progress() as bar:
            job = bar.add_task("scoring", total=len(images), note="")
            found = []
            for result in self.stream(images, tick=lambda: bar.advance(job)):
                found.append(result)
            bar.update(job, completed=len(images))
        return found

    def stream(
        self, images: Iterable[str | Path], *, tick: Callable[[], None] | None = None
    ) -> Iterator[Scored]:
        """As `score`, result by result, holding `BLOCK` photos' features at most.

        `tick` hears of every photo that had to be looked at anew.
        """
        source = iter(images)
        while block := [Path(image) for image in islice(source, BLOCK)]:
            yield from self._block(block, tick)

    def explain(self, images: Sequence[str | Path]) -> list[list[Reading]]:
        """Per photo the cues that pull its score, strongest first (see `training.explain`).

        An unreadable photo has none.
        """
        from training.explain import read_cues

        head = self.model.head
        own = head is not None and head.task == self.task
        facts = head.facts.get("typical") if head is not None and own else None
        found: list[list[Reading]] = []
        for start in range(0, len(images), BLOCK):
            paths = [Path(image) for image in images[start : start + BLOCK]]
            features = self._features(paths, None)
            readings: list[list[Reading]] = []
            if len(features.good):
                views = self._views(features, self.task)
                readings = read_cues(views, self.cue_names, self.task, facts)
            rows = (int(features.rows[at]) for at in range(len(paths)))
            found.extend(readings[row] if row >= 0 else [] for row in rows)
        return found

    def prepare(self) -> None:
        """Read the prompts now, so that no later step has a display of its own."""
        from training.cues import cue_prompts
        from training.features import text_features
        from training.names import read_names

        tasks = {self.task, self.model.head.task if self.model.head else self.task}
        for task in sorted(tasks):
            text_features(cue_prompts(task), self.model.text, self.cache, label="cue prompts")
        read_names(self.model.image, self.model.text, self.cache)

    def _block(self, paths: list[Path], tick: Callable[[], None] | None) -> Iterator[Scored]:
        from training.adapt import predict

        found = self._features(paths, tick or (lambda: None))
        if len(found.good):
            views = self._views(found, self.task)
            head = self.model.head
            if head is None:
                scores = views.zero_shot
            else:
                own = views if head.task == self.task else self._views(found, head.task)
                scores = predict(head.learned, own)
            if not np.isfinite(scores).all():
                raise InputError("the model gives scores that are no numbers", "Make it again")
        for at, path in enumerate(paths):
            row = int(found.rows[at])
            if row < 0:
                yield Scored(path, found.ids[at], None, "", {}, found.errors[at])
                continue
            score = min(1.0, max(0.0, float(scores[row])))
            cues = dict(zip(self.cue_names, map(float, views.cues[row]), strict=True))
            low = high = None
            if self.half_width is not None:
                low, high = max(0.0, score - self.half_width), min(1.0, score + self.half_width)
            yield Scored(path, found.ids[at], score, level_of(score), cues, "", low, high)

    def _features(self, paths: list[Path], tick: Callable[[], None] | None) -> PhotoFeatures:
        from training.features import PassingStore, photo_features, store_of

        store: FeatureStore
        if not self._keep:
            store = PassingStore(self.model.image.dim)
        else:
            self._open = self._open or store_of(self.model.image, self.cache)
            store = self._open
        return photo_features(
            paths, self.model.image, self.cache, label="looking at photos", store=store, tick=tick
        )

    def _views(self, found: PhotoFeatures, task: str) -> Views:
        """Views of exactly `BLOCK` rows, the last photo repeated."""
        from training.views import views_of

        missing = BLOCK - len(found.values)
        padding: Any = np.repeat(found.values[-1:], missing, axis=0)
        return views_of(self.model, np.concatenate([found.values, padding]), task, self.cache)
