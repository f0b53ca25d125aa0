"""A model and ratings in, the model with a head out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.adapt import FEW, Choice, facts_of, learn
from training.commands.photos import check_differ, one_per_photo, rated_features
from training.commands.rate import learn_tower
from training.config import AdaptConfig
from training.cues import cue_names
from training.data import Rated, draw
from training.explain import typical_of
from training.folds import out_of_fold
from training.heads import Learned
from training.intervals import Residuals
from training.model import Head, Model, versions
from training.panels import Panel
from training.scales import IDENTITY, Line, align_scales
from training.tuning.lora import need_peft
from training.tuning.rate import Labelled
from training.views import Scores, Views, views_of
from uniqa.console import progress, say, warn
from uniqa.errors import InputError


@dataclass(frozen=True)
class _Labels:
    """Photos to learn from, of one dataset or several."""

    views: Views
    scores: Scores
    groups: list[str]
    panel: Panel
    ids: list[str]
    images: list[Path]
    table: Path
    """The file that the (first) ratings are in."""

    @property
    def datasets(self) -> list[str]:
        """The dataset of each, by name."""
        return self.panel.datasets

    def own(self) -> NDArray[np.intp]:
        """Rows of the first dataset."""
        return np.flatnonzero([name == self.datasets[0] for name in self.datasets])


def adapt(
    model: Model,
    rated: Rated,
    config: AdaptConfig,
    cache: Path,
    others: Sequence[Rated] = (),
) -> tuple[Model, Head]:
    """The same model with a head learned from ratings; by `lora` its image tower learns too.

    Rows of split `train` are used where the table has splits, all rows otherwise.

    Args:
        model: pre-trained.
        rated: the ratings whose scale scores will be on.
        config: method, how many of `rated`'s labels, seed.
        cache: folder of stored features.
        others: further datasets for the same task, whole; each is carried to `rated`'s scale by a
            monotone line of its own (`training.scales`).

    Raises:
        InputError: no usable labels, or all the same; a dataset given twice.
        UsageError: a package that the method needs is missing.
    """
    if config.method == "lora":
        need_peft("--method lora")
    task = rated.task or model.task
    tables = [rated, *others]
    names = _names_of(tables)
    parts = _parts_of(model, dict(zip(names, tables, strict=True)), task, config, cache)
    labels = _joined(parts)
    _warn_of_seen(model, labels, config)
    targets, panel, lines = labels.scores, labels.panel, dict[str, Line]()
    if len(parts) > 1:
        targets, lines = _one_scale(labels, config)
        # A line's gain stretches the spread of votes as it stretches scores.
        gains = np.array([lines[name].gain for name in panel.datasets])
        panel = replace(panel, stds=panel.stds / gains)
    apart: Scores | None = None
    learned: Learned
    more: dict[str, Any] = {}
    if config.method == "lora":
        labelled = Labelled(labels.images, labels.ids, targets, panel, task)
        tower = learn_tower(model, labels.views, labelled, config, cache)
        # What a tower has learned from is no test of it, nor are folds.
        model = replace(tower.model, trained_on=model.trained_on | set(labels.ids))
        method, learned, choice = "lora", tower.line, Choice("lora", "as asked", {})
        labels = replace(labels, views=tower.views)
        more = {"label_rmse": tower.rmse}
    else:
        with progress() as bar:
            note = f"{len(targets)} labels"
            bar.add_task(f"learning {config.method}", total=None, note=note)
            method, learned, choice = learn(labels.views, targets, labels.groups, config, panel)
            bar.add_task(f"{method} on folds, for intervals", total=None, note=note)
            apart = out_of_fold(method, labels.views, targets, labels.groups, config, panel)
    if config.method == "auto":
        say(f"auto picked {method}: {choice.why}")
    facts = facts_of(choice, len(targets), task) | more
    facts["typical"] = typical_of(labels.views.cues, cue_names(task), apart)
    if apart is not None:
        own = labels.own()
        groups = [labels.groups[row] for row in own]
        facts["residuals"] = Residuals.of(apart[own], targets[own], groups).as_facts()
    if len(parts) > 1:
        facts["datasets"] = {
            name: {"labels": labels.datasets.count(name), "gain": line.gain, "offset": line.offset}
            for name, line in lines.items()
        }
    head = Head(method, learned, task, rated.scale.name, facts)
    provenance = {
        "command": "adapt",
        "ratings": [table.path.name for table in {t.path.resolve(): t for t in tables}.values()],
        "datasets": list(dict.fromkeys(panel.datasets)),
        "config": asdict(config) | {"epochs": config.epochs_used, "lr": config.lr_used},
        "labels": len(targets),
        "method": method,
        "why": choice.why,
        "versions": versions(),
        "pretraining": model.provenance.get("pretraining", model.provenance),
    }
    if method == "lora":
        provenance["tower"] = {"lora_rank": config.rank_used, "labels": len(targets)}
    elif "tower" in model.provenance:
        provenance["tower"] = model.provenance["tower"]
    seen = model.trained_on | set(labels.ids)
    return replace(model, head=head, seen=seen, provenance=provenance), head


def _parts_of(
    model: Model, tables: dict[str, Rated], task: str, config: AdaptConfig, cache: Path
) -> list[_Labels]:
    """Labels of every dataset, by its name; `--labels` is of the first."""
    parts: list[_Labels] = []
    files: set[Path] = set()
    for name, table in tables.items():
        file = table.path.resolve()
        some = replace(config, labels=0) if parts else config
        beside = [one for one in tables.values() if one is not table and one.path.resolve() == file]
        try:
            labels = _labels_of(model, _without_tested(table, beside), name, task, some, cache)
        except InputError as error:
            if file not in files:
                raise
            # Nobody named it: it came along with the larger one of its table.
            warn(f"{name} is left out: {error}")
            continue
        files.add(file)
        parts.append(labels)
    return parts


def _without_tested(table: Rated, beside: Sequence[Rated]) -> Rated:
    """The table without photos of groups that another dataset of the same file holds back."""
    held = {
        group
        for one in beside
        for group, split in zip(one.groups, one.splits, strict=True)
        if split in ("val", "test")
    }
    kept = [row for row, group in enumerate(table.groups) if group not in held]
    if not kept:
        raise InputError(f"all groups of {table.called} are in val or test of another dataset")
    if len(kept) < len(table.groups):
        warn(
            f"{table.called}: {len(table.groups) - len(kept)} photos left out: their group is in "
            "val or test of another dataset of the table"
        )
    return table.take(kept)


def _names_of(tables: Sequence[Rated]) -> list[str]:
    """What each dataset is called in the head's facts and in lines to people."""
    # Parts of one dataset may lie in several files, of one name in several folders.
    ways = (
        [table.dataset for table in tables],
        [f"{table.dataset} in {table.path.name}" for table in tables],
        [f"{table.dataset} in {table.path.resolve()}" for table in tables],
    )
    names = next((way for way in ways if len(set(way)) == len(way)), None)
    if names is None:
        twice = next(name for name in ways[-1] if ways[-1].count(name) > 1)
        raise InputError(f"the dataset {twice} is given twice", "Name it once")
    return names


def _warn_of_seen(model: Model, labels: _Labels, config: AdaptConfig) -> None:
    """Say so where folds would trust what the model has seen of these very photos."""
    known = sum(key in model.trained_on for key in labels.ids)
    if known and "tower" in model.provenance and config.method != "lora":
        warn(
            f"the image tower has learned from ratings, perhaps of some of these {known} photos: "
            "folds, and intervals made of them, are too good"
        )
    elif known and not model.crossfit and config.method not in ("ridge", "lora"):
        warn(
            f"pre-training saw captions of {known} of these photos, and kept no embeddings by "
            "models that did not: what was learned from them may be trusted too much"
        )


def _labels_of(
    model: Model,
    rated: Rated,
    name: str,
    task: str,
    config: AdaptConfig,
    cache: Path,
) -> _Labels:
    rows = [row for row, split in enumerate(rated.splits) if split == "train"]
    if not any(rated.splits):
        rows = list(range(len(rated.splits)))
    elif not rows:
        raise InputError(f"{rated.called} has splits, but no row of split 'train'")
    found, good = rated_features(model, rated.take(rows), cache)
    usable, good = one_per_photo(rated.take(rows), found, good)
    drawn = draw([found.ids[at] for at in good], config.labels, config.seed)
    if config.labels > len(good):
        warn(f"--labels {config.labels}: only {len(good)} rated photos to learn from, all are used")
    labels = usable.take(drawn)
    check_differ(usable, drawn, "to learn from")
    if len(drawn) < FEW:
        warn(
            f"{rated.called}: {len(drawn)} ratings are very few to learn from; give {FEW} or more, "
            "better 50"
        )
    ids = [found.ids[good[at]] for at in drawn]
    features = found.values[[int(found.rows[good[at]]) for at in drawn]]
    # What a tower is to learn must not start from another one's embeddings.
    apart = ids if config.method != "lora" else []
    views = views_of(model, features, task, cache, apart)
    panel = Panel([name] * len(drawn), labels.stds)
    return _Labels(views, labels.scores, labels.groups, panel, ids, labels.images, rated.path)


def _joined(parts: Sequence[_Labels]) -> _Labels:
    """All datasets' labels; a photo rated in several is learned from in the first alone."""
    views = parts[0].views.beside(*(part.views for part in parts[1:]))
    ids = [key for part in parts for key in part.ids]
    images = [path for part in parts for path in part.images]
    first = {key: row for row, key in reversed(list(enumerate(ids)))}
    rows = sorted(first.values())
    if len(rows) < len(ids):
        warn(f"{len(ids) - len(rows)} photos are rated in several datasets: the first one counts")
    scores = np.concatenate([part.scores for part in parts])
    # Groups of two files may share a name by chance; those of one file are one group, whatever the
    # dataset: photos that are alike, or one photo that several panels rated.
    files = list(dict.fromkeys(part.table.resolve() for part in parts))
    groups = [
        f"{files.index(part.table.resolve())}/{group}" if len(files) > 1 else group
        for part in parts
        for group in part.groups
    ]
    datasets = [name for part in parts for name in part.datasets]
    panel = Panel(datasets, np.concatenate([part.panel.stds for part in parts]))
    return _Labels(
        views.take(rows),
        scores[rows],
        [groups[row] for row in rows],
        panel.take(rows),
        [ids[row] for row in rows],
        [images[row] for row in rows],
        parts[0].table,
    )


def _one_scale(labels: _Labels, config: AdaptConfig) -> tuple[Scores, dict[str, Line]]:
    def apart(targets: Scores) -> Scores:
        told = out_of_fold("ridge", labels.views, targets, labels.groups, config)
        if told is None:
            raise InputError(
                "too few groups of photos to bring datasets to one scale",
                "Learn from one: leave --also out, or choose one by --dataset",
            )
        return told

    targets, lines = align_scales(labels.scores, labels.datasets, apart)
    for name, line in list(lines.items())[1:]:
        if line == IDENTITY:
            warn(
                f"{name}: too few labels, or too little in common with {labels.datasets[0]}, to "
                "tell its scale: taken as it is"
            )
            continue
        say(
            f"{name}: {labels.datasets.count(name)} labels, its score = {line.gain:.2f} × shared "
            f"{line.offset:+.2f}"
        )
    return targets, lines
