"""One process among several: what `torchrun` started, and a gather that gradients go through.

The pieces of a batch may differ in length. Must not know models or losses.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist


@dataclass(frozen=True, slots=True)
class World:
    """This process's number and how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def mine(self, count: int) -> slice:
        """This process's part of `count` things in order; parts differ by one at most."""
        share, more = divmod(count, self.size)
        start = self.rank * share + min(self.rank, more)
        return slice(start, start + share + (self.rank < more))

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """All processes' rows, in the order of their numbers; gradients flow back to their own."""
        if self.size == 1:
            return rows
        gathered: torch.Tensor = _Gather.apply(rows, self)
        return gathered

    def lengths(self, count: int, device: torch.device) -> list[int]:
        """Every process's `count`."""
        if self.size == 1:
            return [count]
        own = torch.tensor([count], device=device)
        counts = [torch.zeros_like(own) for _ in range(self.size)]
        dist.all_gather(counts, own)
        return [int(one) for one in counts]

    def add_up(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in one message."""
        tensors = list(tensors)
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([one.reshape(-1) for one in tensors])
        dist.all_reduce(flat)
        start = 0
        for one in tensors:
            one.copy_(flat[start : start + one.numel()].view_as(one))
            start += one.numel()

    def any(self, wish: bool, device: torch.device) -> bool:
        """Whether any process wishes it: all get the same answer."""
        if self.size == 1:
            return wish
        asked = torch.tensor([float(wish)], device=device)
        dist.all_reduce(asked)
        return bool(asked > 0)

    def union(self, numbers: set[int]) -> set[int]:
        """What all processes' sets hold together."""
        if self.size == 1:
            return numbers
        sets: list[set[int]] = [set() for _ in range(self.size)]
        dist.all_gather_object(sets, numbers)
        return set().union(*sets)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()


class _Gather(torch.autograd.Function):
    """Rows of all processes; backward adds up what every process's loss says about one's own."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, world: World) -> torch.Tensor:
        counts = world.lengths(len(rows), rows.device)
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows.detach()
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        ctx.start, ctx.stop = sum(counts[: world.rank]), sum(counts[: world.rank + 1])
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.start : ctx.stop], None


@contextmanager
def joined() -> Iterator[World]:
    """The world that `torchrun` describes in the environment; a world of one without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield World(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()
