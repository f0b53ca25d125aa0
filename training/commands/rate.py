"""A model and labels in, the model with an image tower that learned from them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from training.adapt import predict
from training.config import AdaptConfig, RunConfig
from training.cue_adapter import CueAdapter, fit_cue_adapter
from training.features import photo_features
from training.model import Model
from training.tuning.live import Pace
from training.tuning.photo_side import low_rank_copy, with_learned_tower
from training.tuning.photos import PixelCache
from training.tuning.rate import CueLine, Labelled, Record, learn_ratings, still
from training.views import Scores, Views, views_of
from uniqa.console import people, progress, say, warn
from uniqa.errors import InputError


@dataclass(frozen=True)
class LearnedTower:
    """What `--method lora` leaves."""

    model: Model
    """Tower, texts and projections; no head."""
    line: CueAdapter
    views: Views
    """Of the labelled photos, seen by the tower that learned."""
    rmse: dict[str, float]
    """Of the labels themselves, before and after: how far it moved, not how good it is."""


def learn_tower(
    model: Model, before: Views, labelled: Labelled, config: AdaptConfig, cache: Path
) -> LearnedTower:
    """Low-rank matrices in the image tower learn from ratings and are merged into it.

    Args:
        model: stays as it is.
        before: the labelled photos as `model` itself sees them.
        labelled: photos with their ratings, all on one scale.
        config: rank, passes, step size, seed.
        cache: folder of features and decoded photos.

    Raises:
        InputError: too few photos, ratings all the same, or the loss is no number.
        UsageError: peft is missing.
    """
    if torch.cuda.is_available():
        torch.use_deterministic_algorithms(True, warn_only=True)
    start = still(_start(before, labelled.scores))
    learner = low_rank_copy(model, config.rank_used, config.seed)
    line = CueLine(
        start,
        before.prompts,
        before.scale,
        learner.device,
        mean=float(labelled.scores.mean()),
    )
    pixels = PixelCache(cache, int(RunConfig().pixel_cache_gib * 2**30))
    with progress() as bar:
        job = bar.add_task("learning lora", total=None, note=f"{len(labelled.ids)} labels")
        pace: Pace | None = None

        def tell(record: Record) -> None:
            nonlocal pace
            steps = int(record["steps"])
            # From the first step's end on: before it photos are decoded and threads wake.
            pace = pace or Pace(steps, 1)
            bar.update(
                job, completed=record["step"], total=steps, note=f"loss {record['loss']:.3f}"
            )
            if "epoch" in record and not people.is_terminal:
                left = pace.left(record["step"])
                say(
                    f"epoch {record['epoch']:.0f} of {config.epochs_used}, loss "
                    f"{record['loss']:.3f}, {left} left",
                    "dim",
                )

        records = learn_ratings(learner, line, labelled, config, pixels, tell=tell, report=warn)
    told = [{"phase": "lora", **record} for record in records]
    model = replace(with_learned_tower(model, learner), metrics=[*model.metrics, *told])
    learned = line.learned()
    after = views_of(
        model, _features(model, labelled.paths, labelled.ids, cache), labelled.task, cache
    )
    rmse = {"start": _rmse(start, before, labelled), "learned": _rmse(learned, after, labelled)}
    went = f"the labels' own error went from {rmse['start']:.4f} to {rmse['learned']:.4f} (RMSE)"
    if rmse["learned"] < rmse["start"]:
        say(f"{went}: what it learned, not how good it is on others", "dim")
    else:
        warn(f"{went}: nothing was learned; try another --lr, more --epochs, or another --method")
    return LearnedTower(model, learned, after, rmse)


def _start(views: Views, scores: Scores) -> CueAdapter:
    """Calibrated zero-shot: with no folds only the line is fitted."""
    return fit_cue_adapter(views.embeddings, scores, [], views.prompts, views.scale)[0]


def _features(model: Model, paths: Sequence[Path], ids: Sequence[str], cache: Path) -> np.ndarray:
    found = photo_features(paths, model.image, cache, ids=ids, label="looking with the new tower")
    if found.errors:
        at = min(found.errors)
        raise InputError(f"{paths[at]}: {found.errors[at]}", "Run again with all photos in place")
    return found.values[found.rows]


def _rmse(line: CueAdapter, views: Views, labelled: Labelled) -> float:
    return float(np.sqrt(np.mean((predict(line, views) - labelled.scores) ** 2)))
