"""The training loop, from the first step, or the last checkpoint, to the last step.

A step: photos and captions by `plan`, embeddings and gradients by `gradcache`, the loss in blocks,
gradients added up over processes, AdamW at the schedule's rate, the temperature clamped, the
average updated. All that is drawn is a function of seed and step. Must not know the command line
or the model directory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, zip_longest
from typing import Any

import torch

from training.config import PretrainConfig
from training.losses import Batch, Objective, Side
from training.tuning.augment import draw_view, stream
from training.tuning.checkpoint import (
    Checkpoint,
    optimizer_tensors,
    restore_optimizer,
)
from training.tuning.data import Examples
from training.tuning.ema import Ema
from training.tuning.gradcache import Half, cached_backward
from training.tuning.groups import parameter_groups
from training.tuning.learners import AnyLearner, clamp_temperature, learning_mode, side_learns
from training.tuning.memory import return_large_blocks
from training.tuning.photos import PixelCache, Reader
from training.tuning.plan import Plan, draw_captions
from training.tuning.schedule import warmup_cosine
from training.tuning.world import World
from uniqa.errors import InputError
from uniqa.photos import Pixels

WINDOW = 10
"""Steps per line of metrics."""

BLOCK = 256
"""Rows of the logits that are computed at a time in large batches."""

Record = dict[str, float]


class Interrupted(Exception):
    """A wish to stop was followed after `step` steps."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


@dataclass
class Hooks:
    """What others do with a run's news; all may be left out."""

    tell: Callable[[Record], None] = lambda _: None
    """Hears each window's and epoch's record."""
    validate: Callable[[], Record] = dict
    """Asked at the end of each epoch, with the weights that would be saved."""
    save: Callable[[Checkpoint], None] | None = None
    """Keeps a checkpoint."""
    stop: Callable[[], bool] = lambda: False
    """Whether a person wishes to stop."""
    report: Callable[[str], None] = lambda _: None
    """Hears of photos that are left out."""


@dataclass
class _Drawn:
    """The photos and captions of one chunk."""

    rows: list[int] = field(default_factory=list)
    picks: list[list[int]] = field(default_factory=list)


class Loop:
    """One run of contrastive training; `run` does it."""

    def __init__(
        self,
        learner: AnyLearner,
        examples: Examples,
        config: PretrainConfig,
        cache: PixelCache,
        hooks: Hooks | None = None,
        *,
        world: World | None = None,
        workers: int = 2,
        checkpoint_steps: int = 0,
        checkpoint_seconds: float = math.inf,
    ) -> None:
        self.learner, self.examples, self.config = learner, examples, config
        self.hooks, self.world = hooks or Hooks(), world or World()
        self.device = learner.device
        self.plan = Plan(
            len(examples), config.batch_size, config.epochs_used, config.seed, max(2, self._size)
        )
        self.warmup = min(round(config.warmup * self.plan.steps), self.plan.steps - 1)
        self.objective = Objective(config.loss, config.beta, config.sigma)
        groups = parameter_groups(
            learner.named_parameters(),
            lr=config.lr_used,
            weight_decay=config.weight_decay,
            layer_decay=config.layer_decay,
            factors=learner.factors,
        )
        self.optimizer = torch.optim.AdamW(groups, lr=config.lr_used, fused=True)
        self.learning = [p for group in groups for p in group["params"]]
        self.ema = Ema(learner, config.ema) if config.ema else None
        self.reader = Reader(
            examples.paths,
            examples.ids,
            cache,
            self._prepare,
            workers=workers,
            report=self._report,
        )
        if config.chunk and self.device.type == "cpu":
            return_large_blocks()
        self.records: list[Record] = []
        self.done = 0
        self._epoch_losses: list[float] = []
        self._told = 0
        """How many broken photos all processes know of."""
        self._every, self._seconds = checkpoint_steps, checkpoint_seconds
        self._spares: tuple[int, Iterator[int]] = (-1, iter(()))

    @property
    def _size(self) -> int:
        return self.world.size

    def run(self) -> list[Record]:
        """Train to the end; the learner then has the weights to be kept.

        Raises:
            Interrupted: `hooks.stop` said so; the checkpoint is written.
            InputError: fewer than two photos can be read, or the loss is no number.
        """
        learning_mode(self.learner)
        saved = began = time.monotonic()
        window: list[float] = []
        seen = 0
        try:
            while self.done < self.plan.steps:
                loss, count = self.step()
                window.append(loss)
                self._epoch_losses.append(loss)
                seen += count
                last = self.done == self.plan.steps
                if self.done % WINDOW == 0 or last:
                    self._tell_window(window, seen / max(time.monotonic() - began, 1e-9))
                    window, seen, began = [], 0, time.monotonic()
                if self.done % self.plan.per_epoch == 0:
                    before = time.monotonic()
                    self._tell_epoch()
                    # Validation is left out of the pace; the window's photos so far are not.
                    began += time.monotonic() - before
                stop = self.world.any(self.hooks.stop() and not last, self.device)
                due = self._every and self.done % self._every == 0
                late = time.monotonic() - saved > self._seconds
                if self.hooks.save and (stop or due or late or last):
                    self.hooks.save(self.checkpoint())
                    saved = time.monotonic()
                if stop:
                    raise Interrupted(self.done)
        finally:
            self.reader.close()
        if self.ema:
            self.ema.apply()
        return self.records

    def step(self) -> tuple[float, int]:
        """One update; returns the batch's loss and how many photos it had."""
        self.backward()
        share = warmup_cosine(self.done, self.plan.steps, self.warmup)
        self._lr = self.config.lr_used * share
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        if not math.isfinite(self._loss):
            raise InputError(
                f"the loss is not a number at step {self.done + 1}", "Lower --lr, or warm up longer"
            )
        self.optimizer.step()
        clamp_temperature(self.learner)
        if self.ema:
            self.ema.update()
        self.done += 1
        return self._loss, self._count

    def backward(self) -> None:
        """The gradients of the next step's batch, the same in every process."""
        step, config = self.done, self.config
        own = self._planned(step)
        size = config.chunk or max(len(own), 1)
        chunks = [own[at : at + size] for at in range(0, max(len(own), 1), size)]
        drawn: list[_Drawn] = [_Drawn() for _ in chunks]
        self.optimizer.zero_grad(set_to_none=True)
        torch.manual_seed(int(stream(config.seed, step, f"rank {self.world.rank}").integers(2**62)))
        image_side, text_side = self.learner.sides()
        halves = (
            Half(
                [partial(self._load_photos, step, chunks, drawn, k) for k in range(len(chunks))],
                partial(self._embed, self.learner.embed_images),
                side_learns(image_side),
            ),
            Half(
                [partial(self._load_captions, drawn, k) for k in range(len(chunks))],
                partial(self._embed, self.learner.embed_texts),
                side_learns(text_side),
            ),
        )
        loss = cached_backward(halves, lambda image, text: self._contrast(image, text, drawn))
        self.reader.forget(step)
        gradients = [p.grad for p in self.learning if p.grad is not None]
        known = len(self.reader.broken)
        news = torch.tensor([float(known - self._told)], device=loss.device)
        self.world.add_up([*gradients, loss, news])
        if news:
            self.reader.broken = self.world.union(self.reader.broken)
        self._told = len(self.reader.broken)
        self._loss = float(loss)

    def _embed(self, embed: Callable[[Any], torch.Tensor], given: Any) -> torch.Tensor:
        bf16 = self.config.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16):
            return embed(given).float()

    def _report(self, line: str) -> None:
        self.hooks.report(line)

    def _prepare(self, pixels: Pixels, row: int, step: int) -> Any:
        view = draw_view(self.config.seed, step, self.examples.ids[row], self.examples.tasks[row])
        return self.learner.prepare(pixels, view)

    def _load_photos(
        self, step: int, chunks: Sequence[list[int]], drawn: list[_Drawn], k: int
    ) -> Any:
        """A chunk's photos; broken ones are replaced when it is first loaded."""
        again = len(chunks) > 1
        chunk = drawn[k]
        first = not chunk.rows
        got = self.reader.finish(step, chunk.rows or chunks[k], again=again and first)
        if first:
            rows = [row for row in chunks[k] if row in got]
            for row in self._replacements(step, chunks[k], len(chunks[k]) - len(rows), drawn):
                found = self.reader.finish(step, [row], again=again)
                if found:
                    got |= found
                    rows.append(row)
                if len(rows) >= len(chunks[k]):
                    break
            if not rows:
                raise InputError(
                    "fewer than two photos can be read any more", "Check the manifest's folder"
                )
            chunk.rows = rows
            chunk.picks = [self._draw(row, step) for row in rows]
        elif len(got) < len(chunk.rows):
            raise InputError(
                f"a photo vanished in the middle of step {step + 1}",
                "The same command goes on from the last checkpoint without it",
            )
        self._ask_ahead(step, chunks, drawn, k, second=not first)
        return self.learner.collate([got[row] for row in chunk.rows])

    def _replacements(
        self, step: int, planned: list[int], missing: int, drawn: list[_Drawn]
    ) -> Iterator[int]:
        """Photos that may stand in: others first; where a whole chunk is gone, those already in."""
        if missing <= 0:
            return
        if self._spares[0] != step:
            taken = {*self.reader.broken, *planned, *(row for c in drawn for row in c.rows)}
            spares = self.plan.spares(step, taken)
            self._spares = (step, iter(spares[self.world.rank :: self.world.size]))
        yield from self._spares[1]
        if missing == len(planned):
            yield from [row for chunk in drawn for row in chunk.rows][:1]

    def _ask_ahead(
        self, step: int, chunks: Sequence[list[int]], drawn: list[_Drawn], k: int, *, second: bool
    ) -> None:
        """Have the reader start on what is loaded next."""
        if k + 1 < len(chunks):
            self.reader.start(step, drawn[k + 1].rows or chunks[k + 1])
        elif len(chunks) > 1 and not second:
            self.reader.start(step, drawn[0].rows)
        elif step + 1 < self.plan.steps:
            own = self._planned(step + 1)
            self.reader.start(step + 1, own[: self.config.chunk or len(own)])

    def _planned(self, step: int) -> list[int]:
        """This process's photos of a step, others in the place of those known to be broken."""
        broken = self.reader.broken
        rows = [row for row in self.plan.rows(step) if row not in broken]
        missing = len(self.plan.rows(step)) - len(rows)
        if missing:
            rows += self.plan.spares(step, broken)[:missing]
        return rows[self.world.mine(len(rows))]

    def _draw(self, row: int, step: int) -> list[int]:
        return draw_captions(
            self.examples.weights[row],
            self.config.captions_per_photo,
            by_weight=self.config.weigh == "draw",
            seed=self.config.seed,
            step=step,
            key=self.examples.ids[row],
        )

    def _load_captions(self, drawn: list[_Drawn], k: int) -> dict[str, torch.Tensor]:
        chunk = drawn[k]
        return self.learner.tokenize(
            [
                self.examples.captions[row][pick].text
                for row, picks in zip(chunk.rows, chunk.picks, strict=True)
                for pick in picks
            ]
        )

    def _contrast(
        self, image: torch.Tensor, text: torch.Tensor, drawn: list[_Drawn]
    ) -> torch.Tensor:
        """Run the loss's backward into both leaves; returns this process's share of the loss."""
        rows = [row for chunk in drawn for row in chunk.rows]
        picks = [one for chunk in drawn for one in chunk.picks]
        batch = self._gathered(self.examples.batch(rows, picks, self.config.weigh == "loss"))
        photos = self.world.lengths(len(image), self.device)
        captions = self.world.lengths(len(text), self.device)
        self._count = sum(photos)
        if self._count < 2:
            raise InputError(
                "fewer than two photos can be read any more", "Check the manifest's folder"
            )
        everywhere = self.world.gather(image), self.world.gather(text)
        leaves = [one.detach().requires_grad_(one.requires_grad) for one in everywhere]
        total = torch.zeros((), device=self.device)
        for photo_part, caption_part in zip_longest(
            _blocks(photos, self.world.rank, self._block),
            _blocks(captions, self.world.rank, self._block),
            fillvalue=slice(0, 0),
        ):
            share = self.objective(
                leaves[0], leaves[1], self.learner.scale(), self.learner.bias(), batch,
                photo_part, caption_part,
            )  # fmt: skip
            share.backward()
            total += share.detach()
        for whole, leaf in zip(everywhere, leaves, strict=True):
            if leaf.grad is not None:
                whole.backward(leaf.grad)
        return total

    @property
    def _block(self) -> int:
        return max(BLOCK, self.config.chunk) if self.config.chunk else 0

    def _gathered(self, batch: Batch) -> Batch:
        def everywhere(side: Side) -> Side:
            parts = (side.owners, side.scores, side.kinds, side.weights)
            return Side(
                *(None if p is None else self.world.gather(p.to(self.device)) for p in parts)  # type: ignore[arg-type]
            )

        return Batch(everywhere(batch.photos), everywhere(batch.captions))

    def _tell_window(self, losses: list[float], rate: float) -> None:
        self._tell(
            {
                "step": float(self.done),
                "loss": sum(losses) / len(losses),
                "lr": self._lr,
                "temperature": float(self.learner.scale().detach()),
                "images_per_second": rate,
            }
        )

    def _tell_epoch(self) -> None:
        record = {
            "epoch": float(self.done // self.plan.per_epoch),
            "step": float(self.done),
            "train_loss": sum(self._epoch_losses) / len(self._epoch_losses),
            "scale": float(self.learner.scale().detach()),
        }
        self._epoch_losses = []
        if self.world.first:
            self.learner.eval()
            if self.ema:
                with self.ema.applied():
                    record |= self.hooks.validate()
            else:
                record |= self.hooks.validate()
            learning_mode(self.learner)
        self.world.wait()
        self._tell(record)

    def _tell(self, record: Record) -> None:
        self.records.append(record)
        self.hooks.tell(record)

    def checkpoint(self) -> Checkpoint:
        """Everything the steps to come depend on."""
        learned = {name: p.detach() for name, p in self.learner.named_parameters()
                   if p.requires_grad}  # fmt: skip
        return Checkpoint(
            step=self.done,
            about={},
            weights=learned | dict(self._measured()),
            optimizer=optimizer_tensors(self.optimizer),
            average=dict(self.ema.average) if self.ema else {},
            facts={
                "records": self.records,
                "broken": sorted(self.examples.ids[row] for row in self.reader.broken),
                "epoch_losses": self._epoch_losses,
                "averaged": self.ema.steps if self.ema else 0,
            },
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of a run with the same settings.

        Raises:
            InputError: its weights do not fit.
        """
        learned = {n: p for n, p in self.learner.named_parameters() if p.requires_grad}
        there = learned | dict(self._measured())
        if there.keys() != checkpoint.weights.keys():
            raise InputError("the checkpoint has other weights", "Start anew with --overwrite")
        with torch.no_grad():
            for name, value in there.items():
                value.copy_(checkpoint.weights[name])
            if self.ema:
                for name, value in self.ema.average.items():
                    value.copy_(checkpoint.average[name])
                self.ema.steps = int(checkpoint.facts["averaged"])
        restore_optimizer(self.optimizer, checkpoint.optimizer)
        broken = set(checkpoint.facts["broken"])
        self.reader.broken = {row for row, one in enumerate(self.examples.ids) if one in broken}
        self._told = len(self.reader.broken)
        self.records = list(checkpoint.facts["records"])
        self._epoch_losses = list(checkpoint.facts["epoch_losses"])
        self.done = checkpoint.step

    def _measured(self) -> Iterator[tuple[str, torch.Tensor]]:
        """What the projections' closed-form start left that does not learn."""
        state = chain(self.learner.named_buffers(), self.learner.named_parameters())
        return (
            (name, value.detach())
            for name, value in state
            if name.startswith("projections.") and not value.requires_grad
        )


def _blocks(lengths: Sequence[int], rank: int, size: int) -> Iterator[slice]:
    """This process's rows of what all have, cut into blocks; 0: one block."""
    start = sum(lengths[:rank])
    stop = start + lengths[rank]
    step = size or max(stop - start, 1)
    return (slice(at, min(at + step, stop)) for at in range(start, stop, step))
