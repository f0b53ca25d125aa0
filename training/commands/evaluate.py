"""A model and ratings in, every method's agreement out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.commands.photos import rated_features
from training.config import AdaptConfig, EvaluateConfig
from training.cues import cue_names
from training.data import Rated, hold_back
from training.evaluate import Report, Task, compare, fits_of
from training.model import Model
from training.views import views_of
from uniqa.console import progress, say, warn


def evaluate(
    model: Model, rated: Rated, config: EvaluateConfig, adapt_config: AdaptConfig, cache: Path
) -> tuple[Report, dict[str, Any]]:
    """Compare all methods; also facts for the reader: task, scale, leakage.

    Raises:
        InputError: too few photos on either side of the split, or constant ratings.
    """
    found, good = rated_features(model, rated, cache)
    usable = rated.take(good)
    pool, test = hold_back(usable, config.test_fraction, config.seed)
    ids = [found.ids[at] for at in good]
    task_name = rated.task or model.task
    views = views_of(model, found.values, task_name, cache, ids)
    leaked = [row for row in test if ids[row] in model.trained_on]
    if leaked:
        warn(
            f"{len(leaked)} of {len(test)} test photos were learned from in pre-training: "
            "these numbers are too good"
        )
    lent = sum(ids[row] in model.trained_on for row in pool)
    if lent:
        say(
            f"captions of {lent} of the {len(pool)} photos to learn from were in pre-training: if "
            "ratings guided them, zero-shot, fused and adapter know more than the labels counted "
            "here, ridge does not",
            "dim",
        )
    # Drawn by identity: the same draws wherever the photos lie.
    task = Task(views, usable.scores, usable.groups, ids, pool, test)
    with progress() as bar:
        job = bar.add_task("evaluating", total=fits_of(task, config), note="")
        report = compare(
            task, config, adapt_config, lambda what: bar.update(job, advance=1, note=what)
        )
    return report, {
        "task": task_name,
        "cues": cue_names(task_name),
        "scale": rated.scale.name,
        "split": "the table's own" if "test" in usable.splits else "by group, seeded",
        "seen_in_pretraining": len(leaked),
        "pool_in_pretraining": lent,
        "unreadable": len(rated.images) - len(good),
        "config": asdict(config),
        "model": model.provenance,
    }
