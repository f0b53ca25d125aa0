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


@pytest.mark.parametrize("n", [2, 6, 33, 256])
def test_beta_zero_and_one_caption_each_is_the_clip_loss_bit_for_bit(n):
    logits = some(n, seed=n).requires_grad_()
    scores = torch.linspace(0, 1, n)
    scores[n // 2] = float("nan")
    targets = soft_targets(torch.arange(n), scores, torch.zeros(n), beta=0.0, sigma=0.1)
    assert torch.equal(targets, torch.eye(n))
    soft, plain = soft_target_loss(logits, targets), clip_loss(logits)
    assert torch.equal(soft, plain)
    one = torch.autograd.grad(soft, logits, retain_graph=True)[0]
    other = torch.autograd.grad(plain, logits)[0]
    assert torch.allclose(one, other, rtol=0, atol=1e-7)


def test_clip_loss_is_torchs_cross_entropy():
    logits, truth = some(9), torch.arange(9)
    known = (
        torch.nn.functional.cross_entropy(logits, truth)
        + torch.nn.functional.cross_entropy(logits.T, truth)
    ) / 2
    assert torch.allclose(clip_loss(logits), known, rtol=0, atol=1e-6)


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


def test_captions_apart_from_photos_follow_the_same_formula():
    scores, captions = torch.tensor([0.2, 0.4]), torch.tensor([0.2, 0.2, 0.4])
    targets = soft_targets(
        torch.tensor([7, 9]),
        scores,
        torch.tensor([0, 0]),
        beta=0.5,
        sigma=0.2,
        captions=(torch.tensor([7, 7, 9]), captions, torch.tensor([0, -1, 0])),
    )
    near = 0.5 * math.exp(-0.5)
    expected = torch.tensor([[1.5, 1.0, near], [near, 0.0, 1.5]])
    assert torch.allclose(targets, expected), "a caption of no task is positive for its own only"


def test_weights_of_captions_and_photos_count():
    logits, targets = some(3), torch.eye(3)
    rows, columns = -logits.log_softmax(1).diag(), -logits.log_softmax(0).diag()
    photos, captions = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([5.0, 1.0, 1.0])
    by_hand = ((photos * rows).sum() / 6 + (captions * columns).sum() / 7) / 2
    weighed = soft_target_loss(logits, targets, photos, captions)
    assert torch.allclose(weighed, by_hand)
    assert torch.allclose(soft_target_loss(logits, targets, 9 * photos, 2 * captions), by_hand)
    assert not torch.allclose(soft_target_loss(logits, targets), by_hand)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="square"):
        clip_loss(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="targets"):
        soft_target_loss(torch.zeros(2, 2), torch.zeros(3, 3))
