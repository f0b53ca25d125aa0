"""An image tower learns from ratings through low-rank matrices, together with its cue line.

LoRA (Hu et al., arXiv 2106.09685) for quality as UniQA (Zhou et al., arXiv 2406.01069) tries it
beside the adapter. The score is the zero-shot rule on the photo's embedding: level shares per cue
by a softmax over prompts that never move, values of the levels, weights of the cues, and a line
with gain > 0 to the ratings' scale. The matrices change nothing at first and the line is fitted
beforehand, so that learning begins at calibrated zero-shot. The loss is squared error, soft levels
and fidelity of the batch's pairs (`training.ordinal`); Adam warms up and follows half a cosine to 0
over a fixed number of passes: nothing is chosen by the labels. What is drawn is a function of seed
and step. Must not know tables, model directories or the command line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.config import AdaptConfig
from training.cue_adapter import FIDELITY, PAIRS, SOFT, CueAdapter
from training.ordinal import fidelity_loss, soft_level_loss
from training.panels import Panel
from training.tuning.augment import draw_view
from training.tuning.learners import AnyLearner, Learner
from training.tuning.photos import PixelCache, Reader
from training.tuning.plan import Plan
from training.tuning.schedule import warmup_cosine
from uniqa.errors import InputError
from uniqa.photos import Pixels

WARMUP = 0.1
"""Share of the steps in which the learning rate rises."""

_HEAD_LR = 1e-3
"""Peak for levels' values, cue weights and the line, as in the cue adapter."""

_READERS = 2

Record = dict[str, float]


@dataclass(frozen=True)
class Labelled:
    """Photos to learn from."""

    paths: Sequence[Path]
    ids: Sequence[str]
    """SHA-256 of each file's bytes."""
    scores: NDArray[np.float64]
    """(n,) unified, on one scale."""
    panel: Panel
    """Whose scale each was rated on, and how far votes spread."""
    task: str


class CueLine:
    """The learnable part after the tower: (n, d) unit-length embeddings → scores.

    The line turns about the labels' mean, so that its gain may learn without moving the level.
    """

    def __init__(
        self,
        start: CueAdapter,
        prompts: torch.Tensor,
        scale: torch.Tensor,
        device: torch.device,
        *,
        mean: float,
    ) -> None:
        fixed = {name: tensor.detach().to(device) for name, tensor in vars(start).items()}
        self.values = fixed["values"].clone().requires_grad_()
        self.rows = fixed["rows"].clone().requires_grad_()
        self.gain = fixed["line"][0].clone().requires_grad_()
        self.level = torch.tensor(mean, device=device, requires_grad=True)
        self._centre = (mean - fixed["line"][1]) / fixed["line"][0].exp()
        self._fixed = CueAdapter(**fixed)
        # An embedding's length is no cue here: the tower that learns may change it.
        self._lean = torch.zeros((), device=device)
        self._prompts, self._scale = prompts.to(device), scale.detach().to(device)

    def parameters(self) -> list[torch.Tensor]:
        """What learns."""
        return [self.values, self.rows, self.gain, self.level]

    def __call__(self, embeddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(n,) scores and (n, 5) level shares."""
        return self._live().forward(embeddings, self._prompts, self._scale)

    def learned(self) -> CueAdapter:
        """As it is now, for a head's file."""
        live = self._live()
        return CueAdapter(**{n: t.detach().cpu().clone() for n, t in vars(live).items()})

    def _live(self) -> CueAdapter:
        offset = self.level - self.gain.exp() * self._centre
        line = torch.stack([self.gain, offset, self._lean])
        return replace(self._fixed, values=self.values, rows=self.rows, line=line)


def still(adapter: CueAdapter) -> CueAdapter:
    """The same without the residual, which the tower's own learning stands in for."""
    dim = adapter.first.shape[-1]
    return replace(adapter, first=torch.zeros(1, dim), second=torch.zeros(dim, 1))


def learn_ratings(
    learner: AnyLearner,
    line: CueLine,
    labelled: Labelled,
    config: AdaptConfig,
    cache: PixelCache,
    *,
    tell: Callable[[Record], None] = lambda _: None,
    report: Callable[[str], None] = lambda _: None,
) -> list[Record]:
    """Learn, in place, and return a record per epoch.

    Args:
        learner: whose low-rank matrices want gradients, and nothing else of it.
        line: where scores begin.
        labelled: at least two photos.
        config: passes, step size, batch, seed.
        cache: of decoded photos.
        tell: hears of each step; a record with `epoch` ends an epoch.
        report: hears of photos that cannot be read any more.

    Raises:
        InputError: the loss is no number, or no photo of a batch can be read any more.
    """
    side: Learner = learner

    def prepare(pixels: Pixels, row: int, step: int) -> Any:
        view = draw_view(config.seed, step, labelled.ids[row], labelled.task)
        return side.prepare(pixels, view)

    plan = Plan(len(labelled.ids), config.batch_size, config.epochs_used, config.seed)
    warmup = min(math.ceil(WARMUP * plan.steps), plan.steps - 1)
    low_rank = [p for p in learner.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(
        [
            {"params": low_rank, "lr": config.lr_used, "peak": config.lr_used},
            {"params": line.parameters(), "lr": _HEAD_LR, "peak": _HEAD_LR},
        ]
    )
    loss_of = _Loss(labelled, learner.device)
    reader = Reader(
        list(labelled.paths), list(labelled.ids), cache, prepare, workers=_READERS, report=report
    )
    records: list[Record] = []
    epoch: list[Record] = []
    try:
        for step in range(plan.steps):
            got = reader.finish(step, plan.rows(step), again=False)
            if step + 1 < plan.steps:
                reader.start(step + 1, plan.rows(step + 1))
            rows = [row for row in plan.rows(step) if row in got]
            if not rows:
                raise InputError(
                    "the photos to learn from can no longer be read", "Check --ratings"
                )
            share = warmup_cosine(step, plan.steps, warmup)
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * share
            embeddings = side.embed_images(side.collate([got[row] for row in rows]))
            loss, parts = loss_of(*line(embeddings), rows)
            if not math.isfinite(float(loss.detach())):
                raise InputError(f"the loss is not a number at step {step + 1}", "Lower --lr")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            epoch.append(parts)
            tell({"step": step + 1.0, "steps": float(plan.steps), "loss": parts["loss"]})
            if (step + 1) % plan.per_epoch == 0:
                means = {name: float(np.mean([p[name] for p in epoch])) for name in parts}
                number = float((step + 1) // plan.per_epoch)
                records.append({"epoch": number, "step": step + 1.0, **means})
                tell({**records[-1], "steps": float(plan.steps)})
                epoch = []
    finally:
        reader.close()
    return records


class _Loss:
    """What a batch of scores misses."""

    def __init__(self, labelled: Labelled, device: torch.device) -> None:
        truth = torch.from_numpy(labelled.scores).float()
        self._levels = labelled.panel.soft_targets(truth).to(device)
        self._spread = float(truth.std()) or 1.0
        self._truth = truth.to(device)
        self._panel = labelled.panel

    def __call__(
        self, scores: torch.Tensor, shares: torch.Tensor, rows: Sequence[int]
    ) -> tuple[torch.Tensor, Record]:
        """The loss of a batch, and its parts by name."""
        truth = self._truth[list(rows)]
        squared = ((scores - truth) / self._spread).square().mean()
        soft = soft_level_loss(shares, self._levels[list(rows)]).mean()
        loss = squared + SOFT * soft
        pairs = self._panel.pairs(rows, PAIRS, 0).to(scores.device)
        fidelity = scores.new_zeros(())
        if len(pairs):
            fidelity = fidelity_loss(scores, truth, pairs, self._spread).mean()
            loss = loss + FIDELITY * fidelity
        parts = {"loss": loss, "squared": squared, "soft": soft, "fidelity": fidelity}
        return loss, {name: float(part.detach()) for name, part in parts.items()}
