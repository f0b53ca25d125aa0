import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.ordinal import fidelity_loss, pairs_within, soft_level_loss, soft_levels

LEVELS = torch.arange(1, 6, dtype=torch.float64)


@given(
    st.lists(
        st.tuples(st.floats(1, 5), st.one_of(st.floats(0.01, 3), st.just(float("nan")))),
        min_size=1,
        max_size=20,
    )
)
def test_soft_levels_are_shares_with_the_rating_as_mean(ratings):
    mos, std = (torch.tensor(column, dtype=torch.float64) for column in zip(*ratings, strict=True))
    shares = soft_levels(mos, std)
    assert (shares >= 0).all()
    assert torch.allclose(shares.sum(1), torch.ones(len(mos), dtype=torch.float64), atol=1e-9)
    assert torch.allclose(shares @ LEVELS, mos, atol=1e-9)


def test_more_disagreement_spreads_the_levels_wider():
    mos = torch.full((3,), 3.0, dtype=torch.float64)
    shares = soft_levels(mos, torch.tensor([0.3, 0.8, 1.2], dtype=torch.float64))
    variance = (shares * (LEVELS - 3) ** 2).sum(1)
    assert variance[0] < variance[1] < variance[2]
    assert shares[0, 2] > 0.85


def test_single_precision_spreads_as_double_does():
    mos, std = torch.tensor([2.3, 4.1, 3.0]), torch.tensor([0.7, 0.9, 1.0])
    assert torch.allclose(
        soft_levels(mos, std).double(), soft_levels(mos.double(), std.double()), atol=1e-5
    )


def test_ratings_off_the_level_scale_are_refused():
    with pytest.raises(ValueError, match="1 to 5"):
        soft_levels(torch.tensor([0.5]), torch.tensor([1.0]))


def test_the_soft_level_loss_is_smallest_for_the_target_itself():
    target = soft_levels(torch.tensor([2.3]), torch.tensor([0.7]))
    other = soft_levels(torch.tensor([4.1]), torch.tensor([0.7]))
    assert soft_level_loss(target, target) < soft_level_loss(other, target)


def test_fidelity_is_least_where_differences_agree():
    truth = torch.tensor([0.1, 0.4, 0.9])
    pairs = pairs_within([0, 0, 0], 100, 0)
    right = fidelity_loss(truth * 1.0, truth, pairs).sum()
    assert right == pytest.approx(0, abs=1e-5)
    wrong = fidelity_loss(-truth, truth, pairs).sum()
    # What is added to every score changes nothing: only differences count.
    shifted = fidelity_loss(truth + 5, truth + 2, pairs).sum()
    assert shifted == pytest.approx(float(right), abs=1e-5)
    assert wrong > right + 0.01


def test_a_rank_loss_is_the_same_for_every_dataset_s_own_offset():
    """Scales of two datasets differ by anything; no pair straddles them, so nothing changes."""
    truth = torch.tensor([0.1, 0.4, 0.2, 0.9])
    moved = truth + torch.tensor([0.0, 0.0, 0.7, 0.7])
    predicted = torch.tensor([0.2, 0.1, 0.5, 0.6])
    pairs = pairs_within([0, 0, 1, 1], 100, 0)
    assert pairs.tolist() == [[0, 1], [2, 3]]
    assert torch.allclose(
        fidelity_loss(predicted, truth, pairs), fidelity_loss(predicted, moved, pairs)
    )


def test_pairs_are_drawn_by_seed():
    some = pairs_within([0] * 50, 100, 3)
    assert len(some) == 100
    assert torch.equal(some, pairs_within([0] * 50, 100, 3))
    assert not torch.equal(some, pairs_within([0] * 50, 100, 4))
    assert len(set(map(tuple, some.tolist()))) == 100


def test_pairs_of_many_labels_are_drawn_without_listing_them_all():
    datasets = [k % 2 for k in range(3000)]
    pairs = pairs_within(datasets, 500, 1)
    assert 450 <= len(pairs) <= 500
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert ((pairs[:, 0] - pairs[:, 1]) % 2 == 0).all()
    assert torch.equal(pairs, pairs_within(datasets, 500, 1))


MAPS = {
    "square root": torch.sqrt,
    "cube": lambda x: x**3,
    "exponential": torch.exp,
    "steps apart": lambda x: x.argsort().argsort().to(x.dtype) * 2,
}


@pytest.mark.parametrize("name", MAPS)
def test_fidelity_keeps_its_direction_under_monotone_maps_of_ratings_not_its_size(name):
    """Equal scores are driven apart as the ratings are ordered, by how much depends on the map."""
    truth = torch.tensor([0.1, 0.35, 0.4, 0.9], dtype=torch.float64)
    pairs = pairs_within([0] * 4, 100, 0)

    def pulls(ratings):
        scores = torch.full((4,), 0.5, dtype=torch.float64, requires_grad=True)
        each = fidelity_loss(scores, ratings, pairs)
        grads = [torch.autograd.grad(one, scores, retain_graph=True)[0] for one in each]
        return torch.stack([g[i] - g[j] for g, (i, j) in zip(grads, pairs, strict=True)])

    before, after = pulls(truth), pulls(MAPS[name](truth))
    wanted = -(truth[pairs[:, 0]] - truth[pairs[:, 1]]).sign()
    assert torch.equal(before.sign(), wanted)
    assert torch.equal(after.sign(), wanted)
    assert not torch.allclose(before, after, rtol=0.01)


@given(gain=st.floats(0.1, 10), offset=st.floats(-5, 5))
def test_fidelity_is_the_same_for_lines_of_everything(gain, offset):
    truth = torch.tensor([0.1, 0.4, 0.2, 0.9], dtype=torch.float64)
    scores = torch.tensor([0.2, 0.1, 0.5, 0.6], dtype=torch.float64)
    pairs = pairs_within([0] * 4, 100, 0)
    known = fidelity_loss(scores, truth, pairs, 0.3)
    carried = fidelity_loss(gain * scores + 1, gain * truth + offset, pairs, 0.3 * gain)
    assert torch.allclose(carried, known, atol=1e-9)
