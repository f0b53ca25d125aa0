import math

import pytest
import torch

from training.losses import clip_loss, soft_target_loss, soft_targets


def some(n=6, d=8, seed=0):
    rng = torch.Generator().manual_seed(seed)
    image = torch.nn.functional.normalize(torch.randn(n, d, generator=rng), dim=1)
    text = torch.nn.functional.normalize(torch.randn(n, d, generator=rng), dim=1)
    return 10 * image @ text.T


def test_clip_loss_of_uniform_logits_is_log_n():
    assert float(clip_loss(torch.zeros(5, 5))) == pytest.approx(math.log(5))


def test_clip_loss_by_hand():
    logits = some()
    rows = -torch.log_softmax(logits, 1).diag().mean()
    columns = -torch.log_softmax(logits, 0).diag().mean()
    assert torch.allclose(clip_loss(logits), (rows + columns) / 2)


def test_beta_zero_and_one_caption_each_is_the_clip_loss():
    logits = some().requires_grad_()
    scores = torch.tensor([0.1, 0.1, 0.5, float("nan"), 0.9, 0.9])
    targets = soft_targets(torch.arange(6), scores, torch.zeros(6), beta=0.0, sigma=0.1)
    assert torch.equal(targets, torch.eye(6))
    soft, plain = soft_target_loss(logits, targets), clip_loss(logits)
    assert torch.allclose(soft, plain, rtol=0, atol=1e-6)
    one = torch.autograd.grad(soft, logits, retain_graph=True)[0]
    other = torch.autograd.grad(plain, logits)[0]
    assert torch.allclose(one, other, rtol=0, atol=1e-6)


def test_targets_follow_the_formula():
    scores = torch.tensor([0.2, 0.3, 0.3, float("nan")])
    images = torch.tensor([0, 1, 1, 2])
    tasks = torch.tensor([0, 0, 1, 0])
    targets = soft_targets(images, scores, tasks, beta=0.5, sigma=0.1)
    assert targets[0, 1] == pytest.approx(0.5 * math.exp(-0.5))
    assert targets[1, 2] == 1.0, "the same photo, another task"
    assert targets[0, 2] == 0.0, "another task is not comparable"
    assert targets[3].tolist() == [0, 0, 0, 1], "nobody rated it"
    assert torch.equal(targets, targets.T)


def test_negative_task_is_never_comparable():
    targets = soft_targets(
        torch.arange(2), torch.tensor([0.5, 0.5]), torch.tensor([-1, -1]), beta=1.0, sigma=0.1
    )
    assert torch.equal(targets, torch.eye(2))


def test_more_captions_of_one_photo_are_positives():
    logits = torch.full((2, 2), 3.0)
    together = soft_targets(
        torch.tensor([4, 4]), torch.full((2,), float("nan")), torch.zeros(2), beta=0.0, sigma=0.1
    )
    assert float(soft_target_loss(logits, together)) == pytest.approx(math.log(2))


@pytest.mark.parametrize(("beta", "sigma"), [(-0.1, 0.1), (0.5, 0.0)])
def test_bad_weights_are_refused(beta, sigma):
    with pytest.raises(ValueError, match="β"):
        soft_targets(torch.arange(2), torch.zeros(2), torch.zeros(2), beta=beta, sigma=sigma)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="square"):
        clip_loss(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="targets"):
        soft_target_loss(torch.zeros(2, 2), torch.zeros(3, 3))
