import numpy as np
import pytest

from training import logistic
from training.logistic import Curve, fit_logistic


def vqeg(x, b1, b2, b3, b4):
    return b2 + (b1 - b2) / (1 + np.exp(-(x - b3) / abs(b4)))


def test_known_parameters_are_found_again():
    x = np.linspace(0, 1, 60)
    curve = fit_logistic(x, vqeg(x, 0.9, 0.1, 0.45, 0.08))
    assert curve.kind == "logistic"
    assert curve.note == ""
    found = (curve.upper, curve.lower, curve.middle, curve.width)
    assert found == pytest.approx((0.9, 0.1, 0.45, 0.08), abs=1e-4)
    assert curve(x) == pytest.approx(vqeg(x, 0.9, 0.1, 0.45, 0.08), abs=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_a_curve_never_reorders_and_never_fits_worse_than_a_line(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=40) * rng.choice([0.01, 1, 100])
    y = x / np.abs(x).max() + rng.normal(size=40) * rng.choice([0.05, 1])
    curve = fit_logistic(x, y)
    order = np.argsort(x)
    assert (np.diff(curve(x)[order]) >= 0).all()
    if curve.kind != "none":
        line = np.polyval(np.polyfit(x, y, 1), x)
        assert np.square(curve(x) - y).sum() <= np.square(line - y).sum() + 1e-9


def test_it_carries_scores_to_the_raters_scale(rng):
    truth = rng.uniform(1, 5, 200)
    scores = 1 / (1 + np.exp(-3 * (truth - 3))) + 0.02 * rng.normal(size=200)
    curve = fit_logistic(scores[:100], truth[:100])
    straight = np.polyval(np.polyfit(scores[:100], truth[:100], 1), scores[100:])
    left = np.abs(curve(scores[100:]) - truth[100:]).mean()
    assert left <= np.abs(straight - truth[100:]).mean()


@pytest.mark.parametrize(
    ("x", "y", "kind", "why"),
    [
        (np.arange(6.0), np.arange(6.0), "line", "too few"),
        (np.arange(20.0), -np.arange(20.0), "none", "do not rise"),
        (np.ones(20), np.arange(20.0), "none", "too few different"),
        (np.arange(20.0), np.ones(20), "none", "too few different"),
        (np.array([0.0, 1.0]), np.array([0.0, 1.0]), "none", "too few different"),
    ],
)
def test_what_it_does_where_no_logistic_is_possible_is_said(x, y, kind, why):
    curve = fit_logistic(x, y)
    assert curve.kind == kind
    assert why in curve.note
    assert np.isfinite(curve(x)).all()
    if kind == "none":
        assert curve(x) is x


def test_a_fit_that_does_not_converge_is_a_line(monkeypatch, rng):
    monkeypatch.setattr(logistic, "_converged", lambda x, y: None)
    x = rng.normal(size=30)
    curve = fit_logistic(x, 2 * x + 1)
    assert curve.kind == "line"
    assert "did not converge" in curve.note
    assert curve(np.array([0.0, 1.0])) == pytest.approx([1.0, 3.0])


def test_unknown_scores_are_left_out():
    x = np.linspace(0, 1, 30)
    y = vqeg(x, 0.9, 0.1, 0.45, 0.08)
    x[3], y[7] = np.nan, np.nan
    assert fit_logistic(x, y).kind == "logistic"


def test_the_identity_is_the_default():
    assert Curve("none")(np.array([0.3])) == pytest.approx([0.3])
