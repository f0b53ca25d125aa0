"""The whole of each command but its words: manifests and ratings in, model directories out.

`cli` parses and prints; the modules below know one thing each; here they are joined. Progress and
warnings go to people, nothing to stdout.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.adapt import facts_of, learn
from training.config import AdaptConfig, EvaluateConfig, PretrainConfig
from training.cues import cue_names
from training.data import Manifest, Rated, draw, hold_back
from training.encoders import Features, ImageTower, TextTower
from training.evaluate import Report, Task, compare, fits_of
from training.features import PhotoFeatures, photo_features, text_features
from training.model import Head, Model, make_towers, versions
from training.pretrain import (
    History,
    Pairs,
    cross_fit,
    fit_projections,
    make_pairs,
    start_projections,
    validate,
)
from training.projections import Projections
from training.views import views_of
from uniqa.console import progress, say, warn, warn_each
from uniqa.errors import InputError

CROSSFIT_LIMIT = 20_000
"""With more photos than this each one's own captions no longer bend its embedding noticeably."""


def pretrain(manifest: Manifest, config: PretrainConfig, cache: Path) -> tuple[Model, History]:
    """Learn a contrastive model from a manifest's train rows.

    Raises:
        InputError: fewer than two usable train rows, or towers that cannot be loaded.
    """
    if torch.cuda.is_available():
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(config.seed)
    kind = "compact" if config.model == "compact" else "huggingface"
    rows = {split: manifest.rows(split) for split in ("train", "val")}
    bare = sum(1 for row, s in enumerate(manifest.splits) if s == "train") - len(rows["train"])
    if bare:
        warn(f"{bare} train rows left out: no captions")
    if len(rows["train"]) < 2:
        raise InputError(
            f"{manifest.path} has {len(rows['train'])} train rows with captions", "Give 2 or more"
        )
    image, text = make_towers(kind, config.model)
    found = _features_of(manifest, [*rows["train"], *rows["val"]], image, cache)
    rows = {split: [row for row in members if row in found] for split, members in rows.items()}
    if len(rows["train"]) < 2:
        raise InputError(f"of {manifest.path} fewer than 2 train photos can be read")
    work = _tuned if config.tuned else _frozen
    learnt = work(manifest, rows, config, found, image, text, cache)
    image, text, history = learnt.image, learnt.text, learnt.history
    learned = frozenset(manifest.ids[row] for row in rows["train"])
    provenance = {
        "command": "pretrain",
        "manifest": {"name": manifest.path.name, "sha256": manifest.sha256},
        "config": asdict(config) | {"epochs": config.epochs_used, "lr": config.lr_used},
        "encoders": {"image": image.name, "text": text.name, "crop_policy": image.policy},
        "photos": {split: len(members) for split, members in rows.items()},
        "kept_epoch": history.kept,
        "versions": versions(),
    }
    model = Model(
        kind=kind,
        image=image,
        text=text,
        projections=learnt.projections.eval().requires_grad_(False),
        task=manifest.main_task(),
        provenance=provenance,
        seen=learned,
        trained_on=learned,
        crossfit=learnt.crossfit,
        metrics=list(history.records),
    )
    return model, history


@dataclass
class _Learnt:
    image: ImageTower
    text: TextTower
    projections: Projections
    history: History
    crossfit: dict[str, torch.Tensor]


def _frozen(
    manifest: Manifest,
    rows: dict[str, list[int]],
    config: PretrainConfig,
    found: dict[int, Features],
    image: ImageTower,
    text: TextTower,
    cache: Path,
) -> _Learnt:
    """Only the projections learn, on stored features."""
    compact = config.model == "compact"
    train = _pairs(manifest, rows["train"], found, text, cache)
    val = _pairs(manifest, rows["val"], found, text, cache) if rows["val"] else None
    if compact:
        projections = start_projections(train, image.blocks, config.dim, config.seed)
    else:
        projections = _shared_space(image, text)
    start = copy.deepcopy(projections)
    with progress() as bar:
        job = bar.add_task("pre-training", total=config.epochs_used + 1, note="")

        def tell(record: dict[str, float]) -> None:
            note = f"loss {record['train_loss']:.3f}, val {record['val_loss']:.3f}"
            bar.update(job, advance=1, note=note)

        history = fit_projections(projections, train, val, config, tell)
    if len(train) > CROSSFIT_LIMIT:
        return _Learnt(image, text, projections, history, {})
    groups = [manifest.groups[row] for row in rows["train"]]
    with progress() as bar:
        bar.add_task("cross-fitting", total=None, note="")
        apart = cross_fit(start, train, groups, val, config, realign=compact)
    crossfit = {manifest.ids[r]: e for r, e in zip(rows["train"], apart, strict=True)}
    return _Learnt(image, text, projections, history, crossfit)


def _tuned(
    manifest: Manifest,
    rows: dict[str, list[int]],
    config: PretrainConfig,
    found: dict[int, Features],
    image: ImageTower,
    text: TextTower,
    cache: Path,
) -> _Learnt:
    """The towers themselves learn, on pixels."""
    from training.huggingface import HuggingFaceImageTower, wrap
    from training.tune import tune_towers

    assert isinstance(image, HuggingFaceImageTower)
    towers, history = image.towers, History(kept=config.epochs_used)
    pairs = _pairs(manifest, rows["train"], found, text, cache)
    with progress() as bar:
        job = bar.add_task("tuning towers", total=config.epochs_used, note="")

        def tell(record: dict[str, float]) -> None:
            history.records.append(record)
            bar.update(job, advance=1, note=f"loss {record['train_loss']:.3f}")

        tune_towers(towers, manifest, rows["train"], pairs, config, tell)
    image, text = wrap(towers)
    projections = _shared_space(image, text)
    val = None
    if rows["val"]:
        seen = _features_of(manifest, rows["val"], image, cache)
        val = _pairs(manifest, rows["val"], seen, text, cache)
    history.records[-1] |= validate(projections, val, config)
    return _Learnt(image, text, projections, history, {})


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
    found, good = _rated_features(model, rated.take(rows), cache)
    usable = rated.take([rows[at] for at in good])
    drawn = draw([found.ids[at] for at in good], config.labels, config.seed)
    if config.labels > len(good):
        warn(f"--labels {config.labels}: only {len(good)} rated photos to learn from, all are used")
    labels = usable.take(drawn)
    task = rated.task or model.task
    features = found.values[[int(found.rows[good[at]]) for at in drawn]]
    views = views_of(model, features, task, cache, [found.ids[good[at]] for at in drawn])
    with progress() as bar:
        bar.add_task(f"learning {config.method}", total=None, note=f"{len(drawn)} labels")
        method, learned, choice = learn(views, labels.scores, labels.groups, config)
    if config.method == "auto":
        say(f"auto picked {method}: {choice.why}")
    facts = facts_of(choice, len(drawn), task)
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


def evaluate(
    model: Model, rated: Rated, config: EvaluateConfig, adapt_config: AdaptConfig, cache: Path
) -> tuple[Report, dict[str, Any]]:
    """Compare all methods; also facts for the reader: task, scale, leakage.

    Raises:
        InputError: too few photos on either side of the split, or constant ratings.
    """
    found, good = _rated_features(model, rated, cache)
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


def _features_of(
    manifest: Manifest, rows: Sequence[int], tower: Any, cache: Path
) -> dict[int, Features]:
    got = photo_features(
        [manifest.images[row] for row in rows],
        tower,
        cache,
        ids=[manifest.ids[row] for row in rows],
        label="looking at photos",
    )
    warn_each([f"{manifest.images[rows[at]]}: {why}" for at, why in sorted(got.errors.items())])
    return {row: got.values[int(got.rows[at])] for at, row in enumerate(rows) if got.rows[at] >= 0}


def _pairs(
    manifest: Manifest, rows: Sequence[int], found: dict[int, Features], tower: Any, cache: Path
) -> Pairs:
    texts = sorted({caption.text for row in rows for caption in manifest.captions[row]})
    features = text_features(texts, tower, cache, label="reading captions")
    where = {text: at for at, text in enumerate(texts)}
    return make_pairs(manifest, rows, np.stack([found[row] for row in rows]), features, where)


def _shared_space(image: ImageTower, text: TextTower) -> Projections:
    """Projections that leave the space of one Hugging Face model's towers as it is."""
    from training.huggingface import HuggingFaceImageTower, log_temperature

    assert isinstance(image, HuggingFaceImageTower)
    projections = Projections(image.dim, text.dim, text.dim)
    projections.start_as_mean()
    with torch.no_grad():
        projections.logit_scale.fill_(log_temperature(image.towers.model))
    return projections


def _rated_features(model: Model, rated: Rated, cache: Path) -> tuple[PhotoFeatures, list[int]]:
    found = photo_features(rated.images, model.image, cache, label="looking at photos")
    warn_each([f"{rated.images[at]}: {why}" for at, why in sorted(found.errors.items())])
    good = [int(at) for at in found.good]
    if not good:
        raise InputError(f"no photo of {rated.path} can be read", "Check --images-root")
    return found, good


def last_validation(history: History) -> dict[str, float]:
    """The kept epoch's record, for the closing line."""
    kept = [r for r in history.records if int(r["epoch"]) == history.kept]
    return kept[0] if kept else {"val_loss": math.nan, "val_r1": math.nan}
