import math

import numpy as np
import pytest
from scipy import stats

from training.metrics import krcc, pairwise_accuracy, plcc, rmse, srcc, with_intervals


def test_correlations_equal_scipy(rng):
    a, b = rng.normal(size=50), rng.integers(0, 6, 50).astype(float)
    assert srcc(a, b) == pytest.approx(stats.spearmanr(a, b)[0])
    assert plcc(a, b) == pytest.approx(stats.pearsonr(a, b)[0])
    assert krcc(a, b) == pytest.approx(stats.kendalltau(a, b)[0])


def test_constant_scores_have_no_correlation():
    a, b = np.full(4, 0.5), np.arange(4.0)
    assert math.isnan(srcc(a, b))
    assert math.isnan(plcc(b, a))
    assert math.isnan(krcc(a, b))


def test_rmse():
    assert rmse(np.array([0.0, 1.0]), np.array([0.0, 0.0])) == pytest.approx(math.sqrt(0.5))


def test_pairwise_accuracy_counts_by_hand():
    truth = np.array([1.0, 2.0, 3.0, 3.0])
    assert pairwise_accuracy(truth, truth) == 1.0
    assert pairwise_accuracy(-truth, truth) == 0.0
    # Five pairs differ; (1,2) is wrong, (2,3) twice a tie.
    assert pairwise_accuracy(np.array([2.0, 1.0, 3.0, 1.0]), truth) == pytest.approx(2.5 / 5)
    assert math.isnan(pairwise_accuracy(truth, np.ones(4)))


def test_intervals_hold_the_value_and_repeat(rng):
    truth = rng.normal(size=60)
    scores = truth + 0.5 * rng.normal(size=60)
    groups = [str(k // 3) for k in range(60)]
    first = with_intervals(scores, truth, groups, resamples=200, seed=3)
    assert first == with_intervals(scores, truth, groups, resamples=200, seed=3)
    for estimate in first.values():
        assert estimate.low <= estimate.value <= estimate.high


def test_groups_widen_the_interval(rng):
    level = np.repeat(rng.normal(size=10), 12)
    truth, scores = (
        level + 0.1 * rng.normal(size=120),
        level + 0.5 * np.repeat(rng.normal(size=10), 12),
    )
    whole = with_intervals(scores, truth, [str(k // 12) for k in range(120)], resamples=300)["srcc"]
    alone = with_intervals(scores, truth, [str(k) for k in range(120)], resamples=300)["srcc"]
    assert whole.high - whole.low > alone.high - alone.low


def test_one_group_has_no_interval():
    told = with_intervals(np.arange(4.0), np.arange(4.0), ["a"] * 4)["srcc"]
    assert told.value == 1.0
    assert math.isnan(told.low)


def test_lengths_are_checked():
    with pytest.raises(ValueError, match="groups"):
        with_intervals(np.arange(2.0), np.arange(2.0), ["a"])
