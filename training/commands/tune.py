"""A manifest in, tuned towers out: everything around `training.tuning.loop`."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from training.commands.stored import features_of, pairs_of
from training.config import PretrainConfig, RunConfig
from training.data import Manifest, draw
from training.encoders import ImageTower, TextTower
from training.model import make_towers
from training.pretrain import History, start_projections
from training.projections import Projections
from training.tuning import checkpoint as checkpoints
from training.tuning.checkpoint import Checkpoint
from training.tuning.data import Examples
from training.tuning.learners import (
    AnyLearner,
    CompactLearner,
    HuggingFaceLearner,
    choose_what_learns,
    finish,
)
from training.tuning.live import Display, display
from training.tuning.loop import Hooks, Interrupted, Loop, Record
from training.tuning.lora import need_peft
from training.tuning.photos import PixelCache
from training.tuning.tensorboard import Curves
from training.tuning.validation import Validation
from training.tuning.world import World, joined
from uniqa.console import draining, say, warn
from uniqa.errors import InputError

START_PHOTOS = 4000
"""Photos that the projections' closed-form start of `compact` is measured on."""

CHECKPOINT_FORMAT = 2


@dataclass
class Learnt:
    """What either kind of pre-training leaves."""

    image: ImageTower
    text: TextTower
    projections: Projections
    history: History
    rows: dict[str, list[int]]
    """The manifest's rows that were used, per split."""
    crossfit: dict[str, torch.Tensor] = field(default_factory=dict)


def tune(
    manifest: Manifest,
    rows: dict[str, list[int]],
    config: PretrainConfig,
    cache: Path,
    run: RunConfig,
) -> Learnt:
    """The towers themselves learn, on pixels.

    Raises:
        InputError: towers that cannot be loaded, or fewer than two photos.
        UsageError: a checkpoint that does not fit, or a package that an option needs is missing.
        KeyboardInterrupt: a person stopped it; the checkpoint is written.
    """
    if config.lora:
        need_peft()
    with joined() as world, ExitStack() as stack:
        found = _found(run)
        learner, start = _learner(manifest, rows["train"], config, cache, world, found)
        examples = Examples.of(manifest, rows["train"])
        pixels = PixelCache(cache, int(run.pixel_cache_gib * 2**30), (world.rank, world.size))
        validation = Validation(manifest, _few(manifest, rows["val"], config), config, pixels)
        loop = Loop(
            learner,
            examples,
            config,
            pixels,
            world=world,
            workers=run.workers,
            checkpoint_steps=run.checkpoint_steps,
            checkpoint_seconds=60 * run.checkpoint_minutes,
        )
        about = {
            "format": CHECKPOINT_FORMAT,
            "config": asdict(config) | {"epochs": config.epochs_used, "lr": config.lr_used},
            "manifest": manifest.sha256,
            "start": start,
            "processes": world.size,
        }
        if found is not None:
            checkpoints.check_same(found.about, about, run.out or Path())
            loop.restore(found)
            if world.first:
                say(f"going on after step {loop.done} of {loop.plan.steps}", "dim")
        loop.hooks = _hooks(loop, learner, validation, about, run, stack)
        try:
            records = loop.run()
        except Interrupted as stop:
            how = "the same command" + (" without --overwrite" if run.overwrite else "")
            if world.first:
                say(
                    f"stopped after step {stop.step} of {loop.plan.steps}; the checkpoint is in "
                    f"{run.out}: {how} goes on from there"
                )
            raise KeyboardInterrupt from None
        finish(learner, lora=bool(config.lora))
    image, text, projections = learner.towers()
    used = [row for at, row in enumerate(rows["train"]) if at not in loop.reader.broken]
    history = History(records, kept=config.epochs_used)
    return Learnt(image, text, projections, history, {"train": used, "val": validation.rows})


def _found(run: RunConfig) -> Checkpoint | None:
    if run.out is None:
        return None
    if run.overwrite:
        checkpoints.remove(run.out)
        return None
    path = checkpoints.find(run.out)
    return checkpoints.read(path) if path else None


def _few(manifest: Manifest, rows: list[int], config: PretrainConfig) -> list[int]:
    """At most `Validation.LIMIT` validation rows, drawn by identity."""
    few = draw([manifest.ids[row] for row in rows], Validation.LIMIT, config.seed)
    return [rows[at] for at in few]


def _learner(
    manifest: Manifest,
    rows: list[int],
    config: PretrainConfig,
    cache: Path,
    world: World,
    found: Checkpoint | None,
) -> tuple[AnyLearner, dict[str, str]]:
    """What learns, and the names of the towers it starts from."""
    biased = config.loss == "sigmoid"
    compact = config.model == "compact"
    image, text = make_towers(*(("compact", "") if compact else ("huggingface", config.model)))
    start = {"image": image.name, "text": text.name, "views": image.policy}
    learner: AnyLearner
    if compact:
        with _in_turn(world):
            projections = (
                Projections(image.dim, text.dim, config.dim)
                if found is not None
                else _closed_form(manifest, rows, config, cache, image, text)
            )
        tuned = (config.tunes_image, config.tunes_text)
        learner = CompactLearner(projections, tuned=tuned, biased=biased)
    else:
        towers: Any = image
        learner = HuggingFaceLearner(towers.towers, biased=biased)
    choose_what_learns(
        learner,
        image=config.tunes_image,
        text=config.tunes_text,
        lora=config.lora,
        seed=config.seed,
    )
    if config.recompute:
        learner.recompute()
    return learner, start


def _closed_form(
    manifest: Manifest,
    rows: list[int],
    config: PretrainConfig,
    cache: Path,
    image: ImageTower,
    text: TextTower,
) -> Projections:
    """Projections between the packaged towers, from features of some photos."""
    few = draw([manifest.ids[row] for row in rows], START_PHOTOS, config.seed)
    some = [rows[at] for at in few]
    found = features_of(manifest, some, image, cache)
    some = [row for row in some if row in found]
    if len(some) < 2:
        raise InputError(f"of {manifest.path} fewer than 2 train photos can be read")
    pairs = pairs_of(manifest, some, found, text, cache)
    assert hasattr(image, "blocks")
    return start_projections(pairs, image.blocks, config.dim, config.seed)


@contextmanager
def _in_turn(world: World) -> Iterator[None]:
    """The first process goes first; the others then find what it stored."""
    if not world.first:
        world.wait()
    yield
    if world.first:
        world.wait()


def _hooks(
    loop: Loop,
    learner: AnyLearner,
    validation: Validation,
    about: dict[str, Any],
    run: RunConfig,
    stack: ExitStack,
) -> Hooks:
    """Metrics, display, checkpoints and Ctrl-C; only the first process writes and speaks."""
    hooks = Hooks(validate=lambda: validation(learner), report=warn)
    main = threading.current_thread() is threading.main_thread()
    if run.out is not None and main:
        hooks.stop = stack.enter_context(draining())

    def save(checkpoint: Checkpoint) -> None:
        if loop.world.first and run.out is not None:
            checkpoint.about = about
            checkpoints.write(run.out, checkpoint)

    if run.out is not None:
        hooks.save = save
    if loop.world.first:
        shown: Display = stack.enter_context(display(loop.plan.steps, loop.done))
        listeners: list[Callable[[Record], None]] = [shown.tell]
        if run.out is not None:
            listeners.append(_metrics(checkpoints.metrics_file(run.out), loop.records))
            if run.tensorboard:
                curves = stack.enter_context(Curves(run.out / "tensorboard"))
                listeners.append(curves.tell)

        def tell(record: Record) -> None:
            for listener in listeners:
                listener(record)

        hooks.tell = tell
    return hooks


def _metrics(path: Path, so_far: list[Record]) -> Callable[[Record], None]:
    """A line per record in a file that first gets those of the checkpoint."""

    def line(record: Record) -> str:
        plain = {n: v if math.isfinite(v) else None for n, v in record.items()}
        return json.dumps(plain) + "\n"

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(map(line, so_far)), encoding="utf-8")

    def tell(record: Record) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(line(record))

    return tell
