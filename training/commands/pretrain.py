"""A manifest in, a contrastive model out."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict
from pathlib import Path

import torch

from training.commands.stored import features_of, pairs_of
from training.commands.tune import Learnt, tune
from training.config import PretrainConfig, RunConfig
from training.data import Manifest
from training.model import KEPT, Model, make_towers, new_directory, versions
from training.pretrain import (
    History,
    cross_fit,
    fit_projections,
    start_projections,
)
from training.tuning.checkpoint import FOLDER, find, not_reached
from training.tuning.learners import shared_space
from training.tuning.tensorboard import need_tensorboard
from uniqa.console import progress, warn
from uniqa.errors import InputError, UsageError

CROSSFIT_LIMIT = 20_000
"""With more photos than this each one's own captions no longer bend its embedding noticeably."""


def pretrain(
    manifest: Manifest, config: PretrainConfig, cache: Path, run: RunConfig | None = None
) -> tuple[Model, History]:
    """Learn a contrastive model from a manifest's train rows.

    Raises:
        InputError: fewer than two usable train rows, or towers that cannot be loaded.
        UsageError: a checkpoint that does not fit, or none where one is insisted on.
    """
    if torch.cuda.is_available():
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(config.seed)
    rows = {split: manifest.rows(split) for split in ("train", "val")}
    bare = sum(1 for row, s in enumerate(manifest.splits) if s == "train") - len(rows["train"])
    if bare:
        warn(f"{bare} train rows left out: no captions")
    if len(rows["train"]) < 2:
        raise InputError(
            f"{manifest.path} has {len(rows['train'])} train rows with captions", "Give 2 or more"
        )
    if config.tuned:
        learnt = tune(manifest, rows, config, cache, run or RunConfig())
    else:
        learnt = _frozen(manifest, rows, config, cache)
    image, text, history = learnt.image, learnt.text, learnt.history
    learned = frozenset(manifest.ids[row] for row in learnt.rows["train"])
    provenance = {
        "command": "pretrain",
        "manifest": {"name": manifest.path.name, "sha256": manifest.sha256},
        "config": asdict(config) | {"epochs": config.epochs_used, "lr": config.lr_used},
        "encoders": {"image": image.name, "text": text.name, "crop_policy": image.policy},
        "photos": {
            split: len({manifest.ids[row] for row in members})
            for split, members in learnt.rows.items()
        },
        "kept_epoch": history.kept,
        "versions": versions(),
    }
    model = Model(
        kind=_kind(config),
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


def _kind(config: PretrainConfig) -> str:
    return "compact" if config.model == "compact" else "huggingface"


def _frozen(
    manifest: Manifest, rows: dict[str, list[int]], config: PretrainConfig, cache: Path
) -> Learnt:
    """Only the projections learn, on stored features."""
    image, text = make_towers(_kind(config), "" if config.model == "compact" else config.model)
    found = features_of(manifest, [*rows["train"], *rows["val"]], image, cache)
    rows = {split: [row for row in members if row in found] for split, members in rows.items()}
    if len(rows["train"]) < 2:
        raise InputError(f"of {manifest.path} fewer than 2 train photos can be read")
    compact = config.model == "compact"
    train = pairs_of(manifest, rows["train"], found, text, cache)
    val = pairs_of(manifest, rows["val"], found, text, cache) if rows["val"] else None
    if compact:
        projections = start_projections(train, image.blocks, config.dim, config.seed)
    else:
        projections = shared_space(image, text)
    start = copy.deepcopy(projections)
    with progress() as bar:
        job = bar.add_task("pre-training", total=config.epochs_used + 1, note="")

        def tell(record: dict[str, float]) -> None:
            note = f"loss {record['train_loss']:.3f}, val {record['val_loss']:.3f}"
            bar.update(job, advance=1, note=note)

        history = fit_projections(projections, train, val, config, tell)
    if len(train) > CROSSFIT_LIMIT:
        return Learnt(image, text, projections, history, rows)
    groups = [manifest.groups[row] for row in rows["train"]]
    with progress() as bar:
        bar.add_task("cross-fitting", total=None, note="")
        apart = cross_fit(start, train, groups, val, config, realign=compact)
    crossfit = {manifest.ids[r]: e for r, e in zip(rows["train"], apart, strict=True)}
    return Learnt(image, text, projections, history, rows, crossfit)


def check_place(config: PretrainConfig, run: RunConfig) -> None:
    """Before any work: the model can be written to `run.out`, and options have what they need.

    Raises:
        UsageError: something else is there, there is nothing to resume, or a package is missing.
    """
    assert run.out is not None
    found = find(run.out) is not None and config.tuned
    if run.resume and not found:
        raise UsageError(
            f"{run.out} has no checkpoint to go on from", "Leave --resume out to start"
        )
    if run.resume and run.overwrite:
        raise UsageError("--resume goes on, --overwrite starts anew", "Give one of them")
    if run.tensorboard:
        if not config.tuned:
            raise UsageError("--tensorboard is for towers that learn", "Add --towers tuned")
        need_tensorboard()
    if not found or run.overwrite:
        # A run that was killed before its first checkpoint begins anew by the same command.
        left = (FOLDER, *KEPT) if not_reached(run.out) else ()
        new_directory(run.out, overwrite=run.overwrite, left=left)


def last_validation(history: History) -> dict[str, float]:
    """The kept epoch's record, for the closing line."""
    kept = [r for r in history.records if "epoch" in r and int(r["epoch"]) == history.kept]
    return kept[0] if kept else dict.fromkeys(("val_loss", "val_r1", "val_r1_text"), math.nan)
