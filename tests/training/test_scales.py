import numpy as np
import pytest

from training.scales import FEWEST, IDENTITY, Line, align_scales


def world(rng, n=400, gain=0.6, offset=0.25):
    """Two datasets of the same world, the second on a flatter and kinder scale."""
    x = rng.normal(size=(n, 5))
    truth = np.clip(0.5 + 0.12 * x @ np.array([1, 0.5, 0, 0, -0.5]), 0, 1)
    names = ["a"] * (n // 2) + ["b"] * (n // 2)
    scores = truth + 0.03 * rng.normal(size=n)
    scores[n // 2 :] = gain * scores[n // 2 :] + offset
    return x, truth, scores, names


def leave_out(x):
    """Out-of-fold least squares."""

    def told(targets):
        out = np.zeros(len(x))
        for fold in range(5):
            mine = np.arange(len(x)) % 5 == fold
            design = np.column_stack([x, np.ones(len(x))])
            weights = np.linalg.lstsq(design[~mine], targets[~mine], rcond=None)[0]
            out[mine] = design[mine] @ weights
        return out

    return told


def test_a_flatter_and_kinder_scale_is_found_and_undone(rng):
    x, truth, scores, names = world(rng)
    targets, lines = align_scales(scores, names, leave_out(x))
    assert lines["a"] == IDENTITY
    assert lines["b"].gain == pytest.approx(0.6, abs=0.08)
    assert lines["b"].offset == pytest.approx(0.25, abs=0.06)
    before = np.abs(scores - truth)[200:].mean()
    assert np.abs(targets - truth)[200:].mean() < before / 2
    assert np.array_equal(targets[:200], scores[:200])


def test_datasets_that_agree_stay_as_they_are(rng):
    x, _, scores, names = world(rng, gain=1.0, offset=0.0)
    _, lines = align_scales(scores, names, leave_out(x))
    assert lines["b"].gain == pytest.approx(1, abs=0.1)
    assert lines["b"].offset == pytest.approx(0, abs=0.06)


def test_the_first_table_is_the_reference_whichever_it_is(rng):
    x, _, scores, names = world(rng)
    order = np.r_[200:400, 0:200]
    _, lines = align_scales(scores[order], [names[k] for k in order], leave_out(x[order]))
    assert lines["b"] == IDENTITY
    assert lines["a"].gain == pytest.approx(1 / 0.6, rel=0.15)


def test_a_handful_of_photos_moves_no_scale(rng):
    x, _, scores, _ = world(rng)
    names = ["a"] * (400 - FEWEST + 1) + ["b"] * (FEWEST - 1)
    targets, lines = align_scales(scores, names, leave_out(x))
    assert lines["b"] == IDENTITY
    assert np.array_equal(targets, scores)


def test_a_rule_that_tells_nothing_moves_no_scale(rng):
    _, _, scores, names = world(rng)
    noise = rng.normal(size=(400, 5))
    targets, lines = align_scales(scores, names, leave_out(noise))
    assert lines["b"] == IDENTITY
    assert np.array_equal(targets, scores)


def test_one_dataset_is_left_alone(rng):
    x, _, scores, _ = world(rng)
    targets, lines = align_scales(scores, ["only"] * 400, leave_out(x))
    assert targets is scores
    assert lines == {"only": IDENTITY}


def test_a_line_goes_there_and_back(rng):
    line, scores = Line(0.7, 0.2), rng.random(20)
    assert np.allclose(line.shared(line.own(scores)), scores)
    assert (np.diff(line.own(np.sort(scores))) > 0).all()
