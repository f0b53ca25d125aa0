import math

import pytest
import torch

from training.losses import positives, sigmoid_loss


def test_by_hand():
    logits = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    own = positives(torch.arange(2), torch.arange(2))
    signed = [1.0, 2.0, -0.5, 3.0]
    expected = sum(math.log1p(math.exp(-x)) for x in signed) / 2
    assert float(sigmoid_loss(logits, own)) == pytest.approx(expected)


def test_uniform_zero_logits_owe_log_two_per_pair():
    own = positives(torch.arange(4), torch.arange(4))
    assert float(sigmoid_loss(torch.zeros(4, 4), own)) == pytest.approx(4 * math.log(2))


def test_weights_move_their_columns_and_their_scale_does_not_matter():
    logits = torch.tensor([[1.0, -2.0], [0.5, -3.0]])
    own = positives(torch.arange(2), torch.arange(2))
    plain = sigmoid_loss(logits, own)
    heavy = sigmoid_loss(logits, own, torch.tensor([1.0, 3.0]))
    assert heavy > plain, "the second caption is the worse one"
    assert torch.allclose(heavy, sigmoid_loss(logits, own, torch.tensor([2.0, 6.0])))
    assert torch.allclose(plain, sigmoid_loss(logits, own, torch.ones(2)))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="positives"):
        sigmoid_loss(torch.zeros(2, 3), torch.zeros(2, 2))
