import pytest
import torch
from torch import nn

from training.losses import clip_loss
from training.tuning.gradcache import Half, cached_backward


def towers(dropout):
    torch.manual_seed(0)
    return [
        nn.Sequential(nn.Linear(5, 8), nn.Dropout(dropout), nn.Tanh(), nn.Linear(8, 4))
        for _ in range(2)
    ]


def loss_of(image, text):
    logits = 5 * nn.functional.normalize(image, dim=1) @ nn.functional.normalize(text, dim=1).T
    return clip_loss(logits)


def run_backward(*leaves):
    loss = loss_of(*leaves)
    loss.backward()
    return loss.detach()


def plain_gradients(modules, batches):
    """One graph over all chunks, as memory would have to hold it."""
    torch.manual_seed(7)
    image, text = (
        torch.cat([module(chunk) for chunk in chunks])
        for module, chunks in zip(modules, batches, strict=True)
    )
    loss = loss_of(image, text)
    parameters = [p for module in modules for p in module.parameters()]
    return loss, torch.autograd.grad(loss, parameters)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("sizes", [[12], [4, 4, 4], [5, 5, 2]])
def test_cached_gradients_are_the_full_batchs(dropout, sizes):
    modules = towers(dropout)
    rng = torch.Generator().manual_seed(1)
    batches = [torch.randn(12, 5, generator=rng).split(sizes) for _ in range(2)]
    loss, known = plain_gradients(modules, batches)
    torch.manual_seed(7)
    halves = [
        Half([lambda chunk=chunk: chunk for chunk in chunks], module)
        for module, chunks in zip(modules, batches, strict=True)
    ]
    value = cached_backward(halves, run_backward)
    assert torch.allclose(value, loss)
    for parameter, gradient in zip(
        [p for m in modules for p in m.parameters()], known, strict=True
    ):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)


def test_dropout_without_the_generators_state_would_differ():
    """The identity above is not trivially true: other masks give other gradients."""
    modules = towers(0.5)
    rng = torch.Generator().manual_seed(1)
    batches = [torch.randn(12, 5, generator=rng).split([4, 4, 4]) for _ in range(2)]
    _, one = plain_gradients(modules, batches)
    torch.manual_seed(8)
    image, text = (
        torch.cat([m(chunk) for chunk in chunks])
        for m, chunks in zip(modules, batches, strict=True)
    )
    other = torch.autograd.grad(loss_of(image, text), [p for m in modules for p in m.parameters()])
    assert not torch.allclose(one[0], other[0], atol=1e-3)


def test_draws_after_it_are_as_if_chunks_had_been_seen_once():
    modules = towers(0.5)
    chunks = torch.randn(6, 5).split(2)
    torch.manual_seed(3)
    for module in modules:
        for chunk in chunks:
            module(chunk)
    expected = torch.rand(1)
    torch.manual_seed(3)
    cached_backward([Half([lambda c=c: c for c in chunks], m) for m in modules], run_backward)
    assert torch.equal(torch.rand(1), expected)


def test_no_graph_outlives_its_chunk_and_frozen_sides_are_seen_once():
    seen = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(5, 4)

        def forward(self, x):
            seen.append((len(x), torch.is_grad_enabled()))
            return self.linear(x)

    learning, frozen = Watched(), Watched().requires_grad_(False)
    chunks = torch.randn(6, 5).split(2)
    loads = [lambda c=c: c for c in chunks]
    cached_backward([Half(loads, learning), Half(loads, frozen, learns=False)], run_backward)
    assert seen == [(2, False)] * 6 + [(2, True)] * 3
    assert frozen.linear.weight.grad is None
    assert learning.linear.weight.grad is not None
