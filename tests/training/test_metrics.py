import math

import numpy as np
import pytest
from scipy import stats

from training import metrics
from training.metrics import (
    Resamples,
    krcc,
    pairwise_accuracy,
    plcc,
    rmse,
    srcc,
    weighted_orders,
    weighted_plcc,
    weighted_rmse,
    weighted_srcc,
    with_intervals,
)


def test_correlations_equal_scipy(rng):
    a, b = rng.normal(size=50), rng.integers(0, 6, 50).astype(float)
    assert srcc(a, b) == pytest.approx(stats.spearmanr(a, b)[0])
    assert plcc(a, b) == pytest.approx(stats.pearsonr(a, b)[0])
    assert krcc(a, b) == pytest.approx(stats.kendalltau(a, b)[0])


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e9 + 1 / 7])
def test_constant_scores_have_no_correlation(value):
    a, b = np.full(7, value), np.arange(7.0)
    for metric in (srcc, plcc, krcc):
        assert math.isnan(metric(a, b))
        assert math.isnan(metric(b, a))
    assert pairwise_accuracy(a, b) == 0.5
    assert math.isnan(pairwise_accuracy(b, a))


def test_a_tiny_spread_is_not_a_constant():
    b = np.arange(7.0)
    assert plcc(0.5 + 1e-6 * b, b) == pytest.approx(1.0)
    assert srcc(0.5 + 1e-12 * b, b) == pytest.approx(1.0)


def test_rmse():
    assert rmse(np.array([0.0, 1.0]), np.array([0.0, 0.0])) == pytest.approx(math.sqrt(0.5))


def test_pairwise_accuracy_counts_by_hand():
    truth = np.array([1.0, 2.0, 3.0, 3.0])
    assert pairwise_accuracy(truth, truth) == 1.0
    assert pairwise_accuracy(-truth, truth) == 0.0
    # Five pairs differ; (1,2) is wrong, (2,3) twice a tie.
    assert pairwise_accuracy(np.array([2.0, 1.0, 3.0, 1.0]), truth) == pytest.approx(2.5 / 5)
    assert math.isnan(pairwise_accuracy(truth, np.ones(4)))


@pytest.mark.parametrize("block", [1, 40, 4_000_000])
def test_weights_mean_the_same_as_repeated_rows(rng, monkeypatch, block):
    monkeypatch.setattr(metrics, "_AT_ONCE", block)
    a, b = rng.integers(0, 9, 40).astype(float), rng.integers(0, 6, 40).astype(float)
    groups = [f"g{k % 11}" for k in range(40)]
    drawn = Resamples.draw(groups, 30, 0)
    assert (drawn.counts[0] == 1).all()
    assert (drawn.counts.sum(1) == 11).all()
    per_photo = drawn.counts[:, drawn.codes]
    taus, rights = weighted_orders(a, b, drawn.counts, drawn.codes)
    for at, counts in enumerate(per_photo.astype(int)):
        rows = np.repeat(np.arange(40), counts)
        x, y = a[rows], b[rows]
        one = per_photo[at : at + 1]
        assert weighted_srcc(a, b, one)[0] == pytest.approx(stats.spearmanr(x, y)[0])
        assert weighted_plcc(a, b, one)[0] == pytest.approx(stats.pearsonr(x, y)[0])
        assert weighted_rmse(a, b, one)[0] == pytest.approx(rmse(x, y))
        assert taus[at] == pytest.approx(stats.kendalltau(x, y)[0])
        first, second = np.triu_indices(len(x), 1)
        told, said = np.sign(y[first] - y[second]), np.sign(x[first] - x[second])
        half = 0.5 * (said == 0)
        assert rights[at] == pytest.approx(((told == said) + half)[told != 0].mean())


def test_intervals_hold_the_value_and_repeat(rng):
    truth = rng.normal(size=60)
    scores = truth + 0.5 * rng.normal(size=60)
    groups = [str(k // 3) for k in range(60)]
    first = with_intervals(scores, truth, groups, resamples=200, seed=3)
    assert first == with_intervals(scores, truth, groups, resamples=200, seed=3)
    assert first != with_intervals(scores, truth, groups, resamples=200, seed=4)
    for estimate in first.values():
        assert estimate.low <= estimate.value <= estimate.high


def test_a_curve_adds_its_own_numbers(rng):
    truth = rng.normal(size=40)
    found = with_intervals(truth**3, truth, [str(k) for k in range(40)], mapped=truth, resamples=20)
    assert found["plcc"].value < 0.95
    assert found["plcc_logistic"].value == pytest.approx(1.0)
    assert found["rmse_logistic"].value == 0.0
    assert found["srcc"].value == pytest.approx(1.0)


def test_intervals_hold_the_truth_as_often_as_they_say(rng):
    # Pearson's r of bivariate normals is known: 95 % intervals of 200 samples must nearly all hold.
    held = 0
    for _ in range(200):
        x = rng.normal(size=80)
        y = 0.6 * x + 0.8 * rng.normal(size=80)
        found = with_intervals(x, y, [str(k) for k in range(80)], resamples=200)["plcc"]
        held += found.low <= 0.6 <= found.high
    assert 178 <= held <= 199


def test_groups_widen_the_interval(rng):
    level = np.repeat(rng.normal(size=10), 12)
    truth, scores = (
        level + 0.1 * rng.normal(size=120),
        level + 0.5 * np.repeat(rng.normal(size=10), 12),
    )
    whole = with_intervals(scores, truth, [str(k // 12) for k in range(120)], resamples=300)["srcc"]
    alone = with_intervals(scores, truth, [str(k) for k in range(120)], resamples=300)["srcc"]
    assert whole.high - whole.low > alone.high - alone.low


def test_one_group_has_no_interval(rng):
    truth = rng.normal(size=9)
    estimate = with_intervals(truth, truth, ["one"] * 9)["srcc"]
    assert estimate.value == pytest.approx(1.0)
    assert math.isnan(estimate.low)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 truths"):
        with_intervals(np.ones(3), np.ones(2), ["a"] * 3)
    with pytest.raises(ValueError, match="no scores"):
        with_intervals(np.ones(0), np.ones(0), [])


@pytest.mark.parametrize("carry", [np.sqrt, np.exp, lambda x: x**3 + 2, lambda x: 1e6 * x])
def test_orders_ask_nothing_of_scales(rng, carry):
    """What compares orders is the same for every rising map of scores or ratings; PLCC is not."""
    scores, truth = rng.random(60), rng.integers(1, 20, 60) / 20
    for metric in (srcc, krcc, pairwise_accuracy):
        assert metric(carry(scores), truth) == pytest.approx(metric(scores, truth), abs=1e-12)
        assert metric(scores, carry(truth)) == pytest.approx(metric(scores, truth), abs=1e-12)
    assert plcc(np.exp(4 * scores), scores) < 0.99
