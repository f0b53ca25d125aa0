import math

import pytest
import torch

from training.losses import clip_loss, multi_positive_loss, positives


def test_one_caption_each_is_the_clip_loss_bit_for_bit():
    logits = torch.randn(7, 7, generator=torch.Generator().manual_seed(0))
    own = positives(torch.arange(7), torch.arange(7))
    assert torch.equal(multi_positive_loss(logits, own), clip_loss(logits))


def test_all_own_captions_are_positive_by_hand():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.5, 3.0]])
    own = positives(torch.tensor([4, 8]), torch.tensor([4, 4, 8]))
    assert own.tolist() == [[1, 1, 0], [0, 0, 1]]
    rows = -logits.log_softmax(1)
    columns = -logits.log_softmax(0)
    photos = ((rows[0, 0] + rows[0, 1]) / 2 + rows[1, 2]) / 2
    captions = (columns[0, 0] + columns[0, 1] + columns[1, 2]) / 3
    assert torch.allclose(multi_positive_loss(logits, own), (photos + captions) / 2)


def test_a_perfect_photo_with_two_captions_still_owes_log_two():
    logits = torch.tensor([[50.0, 50.0, 0.0], [0.0, 0.0, 50.0]])
    own = positives(torch.tensor([0, 1]), torch.tensor([0, 0, 1]))
    assert float(multi_positive_loss(logits, own)) == pytest.approx(math.log(2) / 4)


def test_lonely_captions_are_refused():
    with pytest.raises(ValueError, match="own caption"):
        multi_positive_loss(torch.zeros(2, 2), torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
