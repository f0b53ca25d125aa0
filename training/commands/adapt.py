"""A model and ratings in, the model with a head out."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from training.adapt import FEW, facts_of, learn
from training.commands.photos import check_differ, one_per_photo, rated_features
from training.config import AdaptConfig
from training.cues import cue_names
from training.data import Rated, draw
from training.explain import typical_of
from training.folds import out_of_fold
from training.intervals import Residuals
from training.model import Head, Model, versions
from training.views import views_of
from uniqa.console import progress, say, warn
from uniqa.errors import InputError


def adapt(model: Model, rated: Rated, config: AdaptConfig, cache: Path) -> tuple[Model, Head]:
    """The same model with a head learned from ratings.

    Rows of split `train` are used where the table has splits, all rows otherwise.

    Raises:
        InputError: no usable labels, or all the same.
    """
    rows = [row for row, split in enumerate(rated.splits) if split == "train"]
    if not any(rated.splits):
        rows = list(range(len(rated.splits)))
    elif not rows:
        raise InputError(f"{rated.path} has splits, but no row of split 'train'")
    found, good = rated_features(model, rated.take(rows), cache)
    usable, good = one_per_photo(rated.take(rows), found, good)
    drawn = draw([found.ids[at] for at in good], config.labels, config.seed)
    if config.labels > len(good):
        warn(f"--labels {config.labels}: only {len(good)} rated photos to learn from, all are used")
    labels = usable.take(drawn)
    check_differ(usable, drawn, "to learn from")
    if len(drawn) < FEW:
        warn(
            f"{rated.path}: {len(drawn)} ratings are very few to learn from; give {FEW} or more, "
            "better 50"
        )
    task = rated.task or model.task
    features = found.values[[int(found.rows[good[at]]) for at in drawn]]
    views = views_of(model, features, task, cache, [found.ids[good[at]] for at in drawn])
    with progress() as bar:
        note = f"{len(drawn)} labels"
        bar.add_task(f"learning {config.method}", total=None, note=note)
        method, learned, choice = learn(views, labels.scores, labels.groups, config)
        bar.add_task(f"{method} on folds, for intervals", total=None, note=note)
        apart = out_of_fold(method, views, labels.scores, labels.groups, config)
    if config.method == "auto":
        say(f"auto picked {method}: {choice.why}")
    facts = facts_of(choice, len(drawn), task)
    facts["typical"] = typical_of(views.cues, cue_names(task), apart)
    if apart is not None:
        facts["residuals"] = Residuals.of(apart, labels.scores, labels.groups).as_facts()
    head = Head(method, learned, task, rated.scale.name, facts)
    provenance = {
        "command": "adapt",
        "ratings": rated.path.name,
        "config": asdict(config),
        "labels": len(drawn),
        "method": method,
        "why": choice.why,
        "versions": versions(),
        "pretraining": model.provenance.get("pretraining", model.provenance),
    }
    seen = model.trained_on | {found.ids[good[at]] for at in drawn}
    return replace(model, head=head, seen=seen, provenance=provenance), head
