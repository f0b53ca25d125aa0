import pytest
import torch

from training.losses import Batch, Objective, Side, clip_loss, sigmoid_loss, soft_targets
from training.losses.soft import soft_target_loss


def unit(n, seed):
    drawn = torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=1)


def batch(owners, captions, weights=None):
    photos, texts = torch.tensor(owners), torch.tensor(captions)
    score = torch.linspace(0.1, 0.9, max(owners) + 1)
    heavy = None
    if weights is not None:
        weights = torch.tensor(weights)
        heavy = torch.stack([weights[texts == one].sum() for one in photos])
    zeros = torch.zeros_like
    return Batch(
        Side(photos, score[photos], zeros(photos), heavy),
        Side(texts, score[texts], zeros(texts), weights),
    )


SCALE = torch.tensor(7.0)


@pytest.mark.parametrize("objective", [Objective("clip"), Objective("soft", 0.0)])
def test_one_caption_each_and_no_beta_is_the_clip_loss(objective):
    image, text = unit(9, 0), unit(9, 1)
    about = batch(range(9), range(9))
    loss = objective(image, text, SCALE, None, about)
    assert torch.allclose(loss, clip_loss(SCALE * image @ text.T), rtol=0, atol=1e-7)


def test_beta_makes_photos_rated_alike_positive():
    image, text = unit(5, 0), unit(5, 1)
    about = batch(range(5), range(5))
    loss = Objective("soft", 0.7, 0.3)(image, text, SCALE, None, about)
    targets = soft_targets(
        about.photos.owners, about.photos.scores, about.photos.kinds, beta=0.7, sigma=0.3
    )
    assert torch.allclose(loss, soft_target_loss(SCALE * image @ text.T, targets))
    assert not torch.allclose(loss, Objective("clip")(image, text, SCALE, None, about))


def test_sigmoid_uses_the_bias():
    image, text, bias = unit(4, 0), unit(4, 1), torch.tensor(-3.0)
    about = batch(range(4), range(4))
    loss = Objective("sigmoid")(image, text, SCALE, bias, about)
    assert torch.allclose(loss, sigmoid_loss(SCALE * image @ text.T + bias, torch.eye(4)))
    with pytest.raises(ValueError, match="bias"):
        Objective("sigmoid")(image, text, SCALE, None, about)


@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 3.0, 1.0, 2.0, 0.1]])
@pytest.mark.parametrize("name", ["clip", "soft", "sigmoid"])
def test_parts_add_up_to_the_whole_with_their_gradients(name, weights):
    image, text = unit(4, 0).requires_grad_(), unit(6, 1).requires_grad_()
    about = batch([0, 1, 2, 3], [0, 0, 1, 2, 3, 3], weights)
    objective, bias = Objective(name, 0.5, 0.2), torch.tensor(-1.0)
    whole = objective(image, text, SCALE, bias, about)
    known = torch.autograd.grad(whole, [image, text])
    parts = [
        objective(image, text, SCALE, bias, about, *cut)
        for cut in ((slice(0, 3), slice(0, 1)), (slice(3, 4), slice(1, 6)))
    ]
    assert torch.allclose(sum(parts), whole, atol=1e-6)
    for one, other in zip(torch.autograd.grad(sum(parts), [image, text]), known, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("name", ["clip", "soft", "sigmoid"])
def test_weights_of_captions_matter_and_equal_ones_do_not(name):
    image, text, bias = unit(3, 0), unit(3, 1), torch.tensor(-1.0)
    objective = Objective(name, 0.5, 0.2)

    def loss(weights):
        return objective(image, text, SCALE, bias, batch(range(3), range(3), weights))

    assert torch.allclose(loss([2.0, 2.0, 2.0]), loss(None), atol=1e-6)
    assert not torch.allclose(loss([2.0, 1.0, 0.1]), loss(None), atol=1e-3)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="clap"):
        Objective("clap")
