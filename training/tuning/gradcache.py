"""Gradients of a large batch in the memory of a small one.

GradCache (Gao et al., arXiv 2101.06983): a contrastive loss needs all embeddings of a batch at
once, but not all graphs. Embed in chunks without a graph, take the loss's gradients with respect to
embeddings, then embed each chunk again with a graph and send its rows of those gradients back. Both
forwards of a chunk start from the same state of the random generators, so dropout drops the same.
Must not know what is embedded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Half:
    """One side of the batch."""

    loads: Sequence[Callable[[], Any]]
    """Give a chunk's input; called twice where there are several, and must give the same twice."""
    embed: Callable[[Any], torch.Tensor]
    """A chunk's input → (rows, d)."""
    learns: bool = True
    """Whether anything behind `embed` wants a gradient; if not, chunks are embedded once."""


def cached_backward(halves: Sequence[Half], loss: Callable[..., torch.Tensor]) -> torch.Tensor:
    """Add the batch's gradients to everything that learns; returns what `loss` returned.

    Args:
        halves: sides of the batch. With one chunk the graph is kept and nothing is computed twice.
        loss: hears one (n, d) leaf per half, in order, and must run `backward` itself.
    """
    leaves, graphs, states = [], [], []
    for half in halves:
        keep = half.learns and len(half.loads) == 1
        parts, before = [], []
        for load in half.loads:
            given = load()
            before.append(_Randomness())
            with torch.set_grad_enabled(keep):
                parts.append(half.embed(given))
        leaves.append(torch.cat(parts).detach().requires_grad_(half.learns))
        graphs.append(parts if keep else None)
        states.append((before, [len(part) for part in parts]))
    value = loss(*leaves)
    for half, leaf, graph, (before, sizes) in zip(halves, leaves, graphs, states, strict=True):
        if not half.learns or leaf.grad is None:
            continue
        if graph is not None:
            graph[0].backward(leaf.grad)
            continue
        for load, state, gradient in zip(half.loads, before, leaf.grad.split(sizes), strict=True):
            given = load()
            with state.again():
                embedded = half.embed(given)
            # The gradient of the dot product Σ e·g with respect to weights, without forming it.
            embedded.backward(gradient)
    return value


class _Randomness:
    """The state of torch's generators at one moment."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None

    @contextmanager
    def again(self) -> Iterator[None]:
        """Inside, draw as from that moment on; afterwards as if nothing had been drawn."""
        devices = [torch.cuda.current_device()] if self._cuda is not None else []
        with torch.random.fork_rng(devices):
            torch.set_rng_state(self._cpu)
            if self._cuda is not None:
                torch.cuda.set_rng_state(self._cuda)
            yield
