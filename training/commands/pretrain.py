"""A manifest in, a contrastive model out."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.config import PretrainConfig
from training.data import Manifest
from training.encoders import Features, ImageTower, TextTower
from training.features import photo_features, text_features
from training.model import Model, make_towers, versions
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
from uniqa.console import progress, warn, warn_each
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


def last_validation(history: History) -> dict[str, float]:
    """The kept epoch's record, for the closing line."""
    kept = [r for r in history.records if int(r["epoch"]) == history.kept]
    return kept[0] if kept else {"val_loss": math.nan, "val_r1": math.nan}
