import json
import os
from pathlib import Path

import numpy as np
import pytest

from training.adapt import fit_head, predict
from training.config import AdaptConfig
from training.folds import out_of_fold
from training.intervals import Residuals, decide, needed, residuals_of, why_none
from uniqa.errors import InputError


def alone(n):
    return [str(k) for k in range(n)]


@pytest.mark.parametrize(
    ("n", "confidence", "rank"),
    [(9, 0.9, 9), (8, 0.9, None), (19, 0.95, 19), (18, 0.95, None), (100, 0.9, 91), (3, 0.5, 2)],
)
def test_the_quantile_is_the_finite_sample_one(n, confidence, rank):
    truth = np.zeros(n)
    scores = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    half = Residuals.of(scores, truth, alone(n)).half_width(confidence)
    assert half == (None if rank is None else float(rank))
    assert (n >= needed(confidence)) == (half is not None)


def test_photos_of_one_group_count_as_one_draw():
    # Nine groups of one photo each and one of ninety: the ninety weigh as much as a single one.
    scores = np.concatenate([np.arange(1.0, 10.0), np.full(90, 100.0)])
    groups = [*alone(9), *["many"] * 90]
    residuals = Residuals.of(scores, np.zeros(99), groups)
    assert residuals.groups == 10
    assert residuals.half_width(0.8) == 9.0  # 0.8 · 11 = 8.8 of 9 single groups
    assert residuals.half_width(0.9) == 100.0


def test_intervals_hold_as_often_as_they_say(rng):
    """Exchangeable residuals: the mean coverage is at least 1 − α, and at most 1/(n + 1) more."""
    held, n = [], 39
    for _ in range(4000):
        missed = np.abs(rng.standard_t(3, size=n + 1))
        half = Residuals.of(missed[:n], np.zeros(n), alone(n)).half_width(0.9)
        held.append(missed[n] <= half)
    assert 0.885 <= np.mean(held) <= 0.94


def test_intervals_hold_for_new_groups(rng):
    """Contents with errors of their own: counted as single photos the intervals are too narrow."""
    held, too_narrow = [], []
    for _ in range(1500):
        own = rng.normal(size=20)
        missed = np.repeat(own, 6) + 0.2 * rng.normal(size=120)
        groups = [str(k // 6) for k in range(120)]
        new = abs(rng.normal() + 0.2 * rng.normal())
        held.append(new <= Residuals.of(missed, np.zeros(120), groups).half_width(0.9))
        too_narrow.append(new <= Residuals.of(missed, np.zeros(120), alone(120)).half_width(0.9))
    assert np.mean(held) >= 0.885
    assert np.mean(too_narrow) < np.mean(held)


def test_facts_carry_them(rng):
    scores = rng.uniform(size=40)
    for groups in (alone(40), [str(k // 2) for k in range(40)]):
        one = Residuals.of(scores, np.zeros(40), groups)
        facts = json.loads(json.dumps({"residuals": one.as_facts()}))
        two = residuals_of(facts)
        assert two.half_width(0.9) == pytest.approx(one.half_width(0.9), abs=1e-6)
    assert residuals_of({}) is None


@pytest.mark.parametrize(
    "damaged",
    [3, [], {"values": ["x"], "groups": 1}, {"values": [0.1]},
     {"values": [0.1], "weights": [1, 1], "groups": 1}],
)  # fmt: skip
def test_damaged_facts_are_refused(damaged):
    with pytest.raises(InputError, match="residuals are damaged"):
        residuals_of({"residuals": damaged})


def test_why_there_is_none_is_said():
    few = Residuals.of(np.arange(8.0), np.zeros(8), alone(8))
    assert "need 9 groups, there are 8" in why_none(few, 0.9)
    assert "no folds" in why_none(None, 0.9)
    assert why_none(few, 0.5) == ""


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1, 2])
def test_a_confidence_lies_between_0_and_1(confidence):
    with pytest.raises(ValueError, match="between 0 and 1"):
        Residuals.of(np.ones(20), np.zeros(20), alone(20)).half_width(confidence)


def test_decisions_at_a_pass_mark():
    scores = np.array([0.9, 0.8, 0.55, 0.45, 0.1, 0.2])
    truth = np.array([0.8, 0.4, 0.70, 0.30, 0.2, 0.9])
    found = decide(scores, 0.1, truth, 0.5)
    assert (found.passed, found.failed, found.left) == (2, 2, 2)
    assert found.automated == pytest.approx(4 / 6)
    assert found.wrong == pytest.approx(2 / 4)
    nothing = decide(scores, 1.0, truth, 0.5)
    assert nothing.automated == 0
    assert np.isnan(nothing.wrong)


def test_folds_leave_whole_groups_out(toy_views, rng):
    views, scores, groups = toy_views(60)
    found = out_of_fold("ridge", views, scores, groups, AdaptConfig())
    assert np.isfinite(found).all()
    # A label that is changed must not change the score of its own group.
    other = scores.copy()
    own = [row for row, group in enumerate(groups) if group == groups[0]]
    other[own] = 1 - other[own]
    again = out_of_fold("ridge", views, other, groups, AdaptConfig())
    assert again[own] == pytest.approx(found[own], abs=1e-12)
    assert np.abs(again - found).max() > 1e-6


def test_folds_that_are_not_possible_are_none(toy_views):
    views, scores, _ = toy_views(12)
    assert out_of_fold("ridge", views, scores, ["one"] * 12, AdaptConfig()) is None
    flat = np.full(12, 0.5)
    flat[0] = 0.7  # Without it the others are all the same.
    assert out_of_fold("ridge", views, flat, alone(12), AdaptConfig()) is None


def test_coverage_of_a_real_head(toy_views):
    held = []
    for seed in range(12):
        views, scores, groups = toy_views(160, seed)
        rows, rest = list(range(60)), list(range(60, 160))
        here, own = views.take(rows), [groups[row] for row in rows]
        apart = out_of_fold("ridge", here, scores[rows], own, AdaptConfig())
        half = Residuals.of(apart, scores[rows], own).half_width(0.9)
        head = fit_head("ridge", here, scores[rows], own, AdaptConfig())
        there = predict(head, views.take(rest))
        held.append(np.mean(np.abs(there - scores[rest]) <= half))
    assert 0.86 <= np.mean(held) <= 0.97


def test_coverage_on_oasis_beauty(cache, model_dir):
    """Real photos and ratings; UNIQA_DATA names a folder that holds oasis_beauty."""
    folder = Path(os.environ.get("UNIQA_DATA", "")) / "oasis_beauty"
    if not os.environ.get("UNIQA_DATA") or not folder.is_dir():
        pytest.skip("UNIQA_DATA names no folder with oasis_beauty")
    from training.commands.photos import rated_features
    from training.data import read_rated
    from training.model import load_model
    from training.views import views_of

    model, rated = load_model(model_dir), read_rated(folder / "scores.csv")
    kept = Path(os.environ.get("UNIQA_CACHE", cache))
    found, _ = rated_features(model, rated, kept)
    views = views_of(model, found.values, "aesthetic", kept)
    held = []
    for seed in range(8):
        order = np.random.default_rng(seed).permutation(len(rated.scores))
        rows, rest = order[:100], order[100:]
        own = [rated.groups[row] for row in rows]
        apart = out_of_fold("ridge", views.take(rows), rated.scores[rows], own, AdaptConfig())
        half = Residuals.of(apart, rated.scores[rows], own).half_width(0.9)
        head = fit_head("ridge", views.take(rows), rated.scores[rows], own, AdaptConfig())
        missed = np.abs(predict(head, views.take(rest)) - rated.scores[rest])
        held.append(np.mean(missed <= half))
    assert 0.87 <= np.mean(held) <= 0.96
