"""UniQA's adapter (arXiv 2406.01069, section 3.4), learned on frozen, stored features.

v = norm(f + ReLU(W2 ReLU(W1 f))) with W1: d → d/2 and W2: d/2 → d, no bias; five level prompts
per cue; q = mean over cues of Σ c_k p_k with the five c learned from 0.2 … 1.0; mean squared error
to the unified score; Adam 2e-4, cosine, batch 8. W2 starts near zero, so that the adapter starts
as the zero-shot score: exactly zero would stop ReLU's gradient. Features are one fixed vector per
photo where the paper crops at random.

Several replicas (draws, folds) learn side by side in one set of batched matrices; each one's
result is what it would be alone. Must not know photos, tables or files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from training.config import AdaptConfig
from training.cues import LEVEL_VALUES, cue_scores

_START = 1e-3
"""Deviation of W2's start."""


@dataclass(frozen=True)
class Adapter:
    """One fitted adapter: W1 (d/2, d), W2 (d, d/2), c (5,)."""

    first: torch.Tensor
    second: torch.Tensor
    values: torch.Tensor

    def predict(
        self, embeddings: torch.Tensor, prompts: torch.Tensor, scale: torch.Tensor
    ) -> NDArray[np.float64]:
        """(n, d) un-normalised embeddings → (n,) scores, not yet clipped to 0–1."""
        with torch.inference_mode():
            cues = _forward(embeddings, prompts, scale, self.first, self.second, self.values)
            scores: NDArray[np.float64] = cues.mean(-1).double().numpy()
        return scores


def start(dim: int, seed: int) -> Adapter:
    """The adapter before learning: zero-shot up to a few thousandths."""
    rng = torch.Generator().manual_seed(seed)
    hidden = max(1, dim // 2)
    bound = math.sqrt(1 / dim)
    first = (torch.rand(hidden, dim, generator=rng) * 2 - 1) * bound
    second = torch.randn(dim, hidden, generator=rng) * _START
    return Adapter(first, second, torch.tensor(LEVEL_VALUES))


def fit_adapters(
    embeddings: torch.Tensor,
    scores: NDArray[np.float64],
    subsets: Sequence[Sequence[int]],
    prompts: torch.Tensor,
    scale: torch.Tensor,
    config: AdaptConfig,
    every_epoch: Callable[[int, list[Adapter]], None] | None = None,
) -> list[Adapter]:
    """One adapter per subset of rows.

    Args:
        embeddings: (n, d), not normalised.
        scores: (n,) unified.
        subsets: rows that each replica learns from; replicas of one size learn together.
        prompts: (cues, 5, d) unit length.
        scale: the contrastive temperature's inverse.
        config: epochs, lr, batch size, seed.
        every_epoch: hears the epoch (from 1) and the replicas that learn together as they are then.
    """
    # The scale of f against the residual branch must not depend on the tower.
    unit = normalize(embeddings, dim=-1)
    truth = torch.from_numpy(scores).float()
    fitted: dict[int, Adapter] = {}
    by_size: dict[int, list[int]] = {}
    for number, rows in enumerate(subsets):
        by_size.setdefault(len(rows), []).append(number)
    with one_thread():
        for numbers in by_size.values():
            together = [list(subsets[number]) for number in numbers]
            found = _fit_together(
                unit, truth, together, prompts, scale.detach(), config, every_epoch
            )
            fitted.update(zip(numbers, found, strict=True))
    return [fitted[number] for number in range(len(subsets))]


@contextmanager
def one_thread() -> Iterator[None]:
    """Matrices this small only lose by waking other threads, on a busy machine tenfold."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit_together(
    unit: torch.Tensor,
    truth: torch.Tensor,
    subsets: list[list[int]],
    prompts: torch.Tensor,
    scale: torch.Tensor,
    config: AdaptConfig,
    every_epoch: Callable[[int, list[Adapter]], None] | None,
) -> list[Adapter]:
    first, second, values = (
        torch.stack([tensor] * len(subsets)).requires_grad_()
        for tensor in vars(start(unit.shape[1], config.seed)).values()
    )
    optimizer = torch.optim.Adam([first, second, values], lr=config.lr_used)
    rows = torch.tensor(subsets)
    steps = config.epochs_used * math.ceil(rows.shape[1] / config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    rng = torch.Generator().manual_seed(config.seed)
    for epoch in range(1, config.epochs_used + 1):
        order = torch.randperm(rows.shape[1], generator=rng)
        for batch in order.split(config.batch_size):
            chosen = rows[:, batch]
            cues = _forward(unit[chosen], prompts, scale, first, second, values)
            # Summed over replicas: none of them feels another's gradient.
            loss = (cues.mean(-1) - truth[chosen]).square().mean(-1).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        if every_epoch is not None:
            every_epoch(epoch, _as_they_are(first, second, values))
    return _as_they_are(first, second, values)


def _as_they_are(first: torch.Tensor, second: torch.Tensor, values: torch.Tensor) -> list[Adapter]:
    # Copies: the optimizer goes on writing into its own.
    return [
        Adapter(first[k].detach().clone(), second[k].detach().clone(), values[k].detach().clone())
        for k in range(len(first))
    ]


def _forward(
    embeddings: torch.Tensor,
    prompts: torch.Tensor,
    scale: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    values: torch.Tensor,
) -> torch.Tensor:
    """(…, n, d) → (…, n, cues)."""
    unit = normalize(embeddings, dim=-1)
    hidden = (unit @ first.mT).relu()
    moved = normalize(unit + (hidden @ second.mT).relu(), dim=-1)
    return cue_scores(moved, prompts, scale, values)
