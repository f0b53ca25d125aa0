"""Scores for photos, from a model directory: the Python door and the table behind `score`.

Must not know ratings. A photo's score depends on its bytes and the model alone, never on the
photos beside it.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from uniqa.errors import UsageError
from uniqa.levels import Scale, level_of

if TYPE_CHECKING:
    from training.model import Model


@dataclass(frozen=True, slots=True)
class Scored:
    """One photo's result; `score` is unified (0–1, 1 is best), None when `error` says why."""

    image: Path
    image_id: str
    score: float | None
    level: str
    cues: dict[str, float] = field(default_factory=dict)
    error: str = ""


class Scorer:
    """A loaded model that scores photos.

    Example:
        ``Scorer.load("model").score(["a.jpg", "b.jpg"])[0].score``
    """

    def __init__(self, model: Model, task: str = "", cache: Path | None = None) -> None:
        from training.features import default_cache

        self.model = model
        self.task = task or (model.head.task if model.head else model.task)
        self.cache = cache or default_cache()

    @classmethod
    def load(
        cls, directory: str | Path, *, task: str = "", cache: str | Path | None = None
    ) -> Scorer:
        """Open a model directory made by `pretrain` or `adapt`.

        Args:
            directory: the model.
            task: whose cues to report; the head's own, or the pre-training's, when empty.
            cache: folder of stored features; the user's cache folder when None.

        Raises:
            InputError: not a usable model directory.
        """
        from training.model import load_model

        return cls(load_model(Path(directory)), task, Path(cache) if cache else None)

    @property
    def method(self) -> str:
        """What gives the score: the head's method, or zero-shot."""
        return self.model.head.method if self.model.head else "zero-shot"

    def score(self, images: Sequence[str | Path]) -> list[Scored]:
        """One result per photo, in order; an unreadable photo's result carries its error.

        Raises:
            UsageError: an unknown task.
        """
        from training.adapt import predict
        from training.cues import cue_names
        from training.features import photo_features
        from training.views import views_of

        paths = [Path(image) for image in images]
        names = cue_names(self.task)
        found = photo_features(paths, self.model.image, self.cache, label="looking at photos")
        results: list[Scored] = []
        if len(found.good):
            views = views_of(self.model, found.values, self.task, self.cache)
            head = self.model.head
            if head is None:
                scores = views.zero_shot
            else:
                own = views
                if head.task != self.task:
                    own = views_of(self.model, found.values, head.task, self.cache)
                scores = predict(head.learned, own)
        for at, path in enumerate(paths):
            row = int(found.rows[at])
            if row < 0:
                results.append(Scored(path, found.ids[at], None, "", {}, found.errors[at]))
                continue
            score = min(1.0, max(0.0, float(scores[row])))
            cues = {name: float(v) for name, v in zip(names, views.cues[row], strict=True)}
            results.append(Scored(path, found.ids[at], score, level_of(score), cues))
        return results


def check_output(path: Path) -> None:
    """Refuse, before the work, a place that scores cannot be written to.

    Raises:
        UsageError: a folder stands there.
        OSError: its folder cannot be made or written.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "Name a file by -o")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def write_csv(path: Path, results: Iterable[Scored], cues: Sequence[str], scale: Scale) -> None:
    """image, image_id, score (on `scale`), level, one column per cue (0–1), error.

    Written beside and renamed: a killed run leaves no half table.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    with scratch.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["image", "image_id", "score", "level", *cues, "error"])
        for result in results:
            score = "" if result.score is None else f"{float(scale.restore(result.score)):.6f}"
            values = [f"{result.cues[c]:.6f}" if c in result.cues else "" for c in cues]
            out.writerow(
                [result.image, result.image_id, score, result.level, *values, result.error]
            )
    scratch.replace(path)
