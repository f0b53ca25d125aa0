"""A multi-cue adapter that starts as the zero-shot score and moves only as far as labels carry it.

v = norm(f + W2 ReLU(W1 f)) with W2 = 0 at the start, so nothing changes before learning (UniQA's
outer ReLU, arXiv 2406.01069, would stop the gradient there). Level shares per cue as in zero-shot;
q = gain · (Σ_c w_c Σ_k v_k p_ck + γ · m) + offset: cue weights w (a softmax, equal at first), level
values v, the magnitude cue m = standardised log ‖f‖ (a photo that the tower has much to say of has
a long feature; γ = 0 at first), gain > 0. It learns by squared error, by cross entropy to soft
levels and by fidelity of pairs together. How long it learns is decided by folds of the labels:
replicas without each fold learn side by side with the one on all of them, and the step where the
left-out photos are told best is the step that is kept; step 0 is calibrated zero-shot. Must not
know photos, tables or files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from training.adapter import one_thread
from training.cues import LEVEL_VALUES
from training.ordinal import fidelity_loss, soft_level_loss
from training.panels import Panel

CHECKPOINTS = (0, 8, 16, 30, 60, 120, 240)
"""Steps among which the folds choose; learning ends when two in a row are worse than the best."""

PAIRS = 1000
"""At most so many pairs of labels are compared at a step."""

_LR = 1e-3
_DECAY = 1e-2
_HIDDEN = 64
SOFT, FIDELITY = 0.05, 0.2
"""Weights of the soft-level and fidelity losses beside the squared error."""

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class CueAdapter:
    """The learned tensors; with a leading axis where replicas learn together."""

    first: torch.Tensor
    """W1, (h, d)."""
    second: torch.Tensor
    """W2, (d, h)."""
    values: torch.Tensor
    """What the five levels are worth, (5,)."""
    rows: torch.Tensor
    """(cues,) logits of the cue weights."""
    line: torch.Tensor
    """(3,): log gain, offset, γ."""
    magnitude: torch.Tensor
    """(2,): mean and deviation of log ‖f‖ over the labels; never learned."""

    def predict(
        self, embeddings: torch.Tensor, prompts: torch.Tensor, scale: torch.Tensor
    ) -> Scores:
        """(n, d) un-normalised embeddings → (n,) scores, not yet clipped to 0–1."""
        with torch.inference_mode():
            score, _ = self.forward(embeddings, prompts, scale)
        out: Scores = score.double().numpy()
        return out

    def forward(
        self, embeddings: torch.Tensor, prompts: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, d) → (…, n) scores and (…, n, 5) level shares, averaged over cues by their weights.

        Args:
            embeddings: (n, d), not normalised.
            prompts: (cues, 5, d), unit length.
            scale: the contrastive temperature's inverse.
        """
        unit = normalize(embeddings, dim=-1)
        moved = normalize(unit + (unit @ self.first.mT).relu() @ self.second.mT, dim=-1)
        logits = scale * (moved @ prompts.flatten(0, 1).T)
        per_cue = logits.unflatten(-1, prompts.shape[:2]).softmax(-1)
        weights = self.rows.softmax(-1)[..., None, :, None]
        shares = (weights * per_cue).sum(-2)
        told = (shares * self.values[..., None, :]).sum(-1)
        gain, offset, lean = (part[..., None] for part in self.line.unbind(-1))
        mean, deviation = self.magnitude.unbind(-1)
        length = (embeddings.norm(dim=-1).clamp_min(1e-9).log() - mean[..., None]) / deviation[
            ..., None
        ]
        return gain.exp() * (told + lean * length.clamp(-3, 3)) + offset, shares


def start(dim: int, cues: int, seed: int) -> CueAdapter:
    """The adapter before learning: exactly the zero-shot score."""
    rng = torch.Generator().manual_seed(seed)
    bound = math.sqrt(1 / dim)
    return CueAdapter(
        first=(torch.rand(_HIDDEN, dim, generator=rng) * 2 - 1) * bound,
        second=torch.zeros(dim, _HIDDEN),
        values=torch.tensor(LEVEL_VALUES),
        rows=torch.zeros(cues),
        line=torch.zeros(3),
        magnitude=torch.tensor([0.0, 1.0]),
    )


def fit_cue_adapter(
    embeddings: torch.Tensor,
    scores: Scores,
    folds: Sequence[Sequence[int]],
    prompts: torch.Tensor,
    scale: torch.Tensor,
    *,
    seed: int = 0,
    panel: Panel | None = None,
) -> tuple[CueAdapter, int, list[float]]:
    """Learn from all labels for as many steps as the folds say.

    Args:
        embeddings: (n, d), not normalised.
        scores: (n,) unified.
        folds: rows left out together; with fewer than two, nothing is learned but the line.
        prompts: (cues, 5, d), unit length.
        scale: the contrastive temperature's inverse.
        seed: of the start and of the pairs.
        panel: whose ratings they are; one dataset with unknown spread of votes when not given.

    Returns:
        The adapter, the step it stopped at, and the left-out RMSE at every checkpoint.
    """
    n = len(scores)
    left_out = [list(fold) for fold in folds] if len(folds) > 1 else []
    counted = torch.ones(len(left_out) + 1, n)
    for replica, fold in enumerate(left_out, start=1):
        counted[replica, fold] = 0
    with one_thread():
        return _learn(
            embeddings.float(),
            torch.from_numpy(scores).float(),
            counted,
            prompts,
            scale.detach(),
            seed,
            panel or Panel.unknown(n),
        )


def _learn(
    embeddings: torch.Tensor,
    truth: torch.Tensor,
    counted: torch.Tensor,
    prompts: torch.Tensor,
    scale: torch.Tensor,
    seed: int,
    panel: Panel,
) -> tuple[CueAdapter, int, list[float]]:
    """All replicas side by side; `counted` (replicas, n) is 1 where a replica may look."""
    shares = counted / counted.sum(1, keepdim=True)
    adapters = _replicas(embeddings, truth, shares, prompts, scale, seed)
    learned = {
        name: getattr(adapters, name).clone().requires_grad_()
        for name in ("first", "second", "values", "rows", "line")
    }
    live = replace(adapters, **learned)
    targets = panel.soft_targets(truth)
    pairs = panel.pairs(range(len(truth)), PAIRS, seed)
    both = counted[:, pairs[:, 0]] * counted[:, pairs[:, 1]]
    both = both / both.sum(1, keepdim=True).clamp_min(1)
    optimizer = torch.optim.AdamW(
        [
            {"params": [learned["second"]], "weight_decay": _DECAY},
            {
                "params": [learned[n] for n in ("first", "values", "rows", "line")],
                "weight_decay": 0.0,
            },
        ],
        lr=_LR,
    )
    spread = float(truth.std()) or 1.0
    can_choose = len(counted) > 1
    errors: list[float] = []
    kept: list[CueAdapter] = []
    for step in range(CHECKPOINTS[-1] + 1 if can_choose else 1):
        predicted, levels = live.forward(embeddings, prompts, scale)
        if step in CHECKPOINTS:
            away = (predicted.detach() - truth).square() * (1 - counted)
            missed = away[1:].sum() / (1 - counted[1:]).sum() if can_choose else away.new_zeros(())
            errors.append(float(missed.sqrt()))
            kept.append(_take(live, 0))
            if len(errors) > 2 and min(errors[-2:]) > min(errors[:-2]):
                break
        # Summed over replicas: none of them feels another's gradient.
        squared = ((predicted - truth).square() / spread**2 * shares).sum()
        soft = (soft_level_loss(levels, targets) * shares).sum()
        ordered = (fidelity_loss(predicted, truth, pairs, spread) * both).sum()
        loss = squared + SOFT * soft + FIDELITY * ordered
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    best = min(range(len(errors)), key=lambda k: (round(errors[k], 6), k))
    return kept[best], CHECKPOINTS[best], errors


def _replicas(
    embeddings: torch.Tensor,
    truth: torch.Tensor,
    shares: torch.Tensor,
    prompts: torch.Tensor,
    scale: torch.Tensor,
    seed: int,
) -> CueAdapter:
    """The zero-shot start of every replica, its line fitted to the labels it may look at."""
    one = start(embeddings.shape[1], len(prompts), seed)
    lengths = embeddings.norm(dim=-1).clamp_min(1e-9).log()
    mean = shares @ lengths
    deviation = (shares @ lengths.square() - mean.square()).clamp_min(1e-12).sqrt()
    with torch.no_grad():
        told, _ = one.forward(embeddings, prompts, scale)
        centre, level = shares @ told, shares @ truth
        spread = (shares @ told.square() - centre.square()).clamp_min(1e-12)
        slope = (shares @ (told * truth) - centre * level) / spread
        # An order that the labels contradict is flattened, never turned round.
        gain = slope.clamp_min(0.05)
    count = len(shares)
    line = torch.stack([gain.log(), level - gain * centre, torch.zeros(count)], dim=1)
    repeated = {
        name: torch.stack([getattr(one, name)] * count)
        for name in ("first", "second", "values", "rows")
    }
    return CueAdapter(**repeated, line=line, magnitude=torch.stack([mean, deviation], dim=1))


def _take(adapter: CueAdapter, replica: int) -> CueAdapter:
    return CueAdapter(**{name: t[replica].detach().clone() for name, t in vars(adapter).items()})
