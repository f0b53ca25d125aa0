import numpy as np
import pytest

from training.ridge import BOUND, _centre, fit_ridge, left_out_errors
from uniqa.errors import InputError


def brute_force(x, y, groups, alpha):
    """Every group predicted by a fit without it, intercept and all, strength held fixed."""
    kernel = x @ x.T
    penalty = alpha * np.trace(_centre(kernel)) / len(x)
    errors = np.empty(len(y))
    for group in set(groups):
        out = np.array([g == group for g in groups])
        part, centre = x[~out], x[~out].mean(0)
        gram = (part - centre).T @ (part - centre) + penalty * np.eye(x.shape[1])
        w = np.linalg.solve(gram, (part - centre).T @ (y[~out] - y[~out].mean()))
        errors[out] = y[out] - ((x[out] - centre) @ w + y[~out].mean())
    return float(np.mean(errors**2))


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("shape", [(24, 5), (24, 60)])
def test_left_out_error_is_exact(rng, size, shape):
    x = rng.normal(size=shape)
    y = x[:, 0] + 0.3 * rng.normal(size=len(x))
    groups = [str(k // size) for k in range(len(x))]
    alphas = (0.01, 0.3, 5.0)
    for alpha, error in left_out_errors(x @ x.T, y, groups, alphas):
        assert error == pytest.approx(brute_force(x, y, groups, alpha), rel=1e-6)


def test_primal_and_dual_agree(rng):
    x = rng.normal(size=(40, 30)).astype(np.float32)
    y = np.clip(0.5 + 0.1 * x[:, 3], 0, 1).astype(float)
    groups = [str(k) for k in range(40)]
    wide = np.concatenate([x, np.zeros((40, 100), np.float32)], axis=1)
    few = fit_ridge(x, y, groups, {"all": [(0, 30)]})
    many = fit_ridge(wide, y, groups, {"all": [(0, 30)]})
    assert np.allclose(few.predict(x), many.predict(wide), atol=1e-6)


def test_the_informative_block_is_chosen(rng):
    x = rng.normal(size=(60, 40))
    y = 0.5 + 0.1 * x[:, 35]
    ridge = fit_ridge(x, y, [str(k) for k in range(60)], {"noise": [(0, 30)], "good": [(30, 40)]})
    assert ridge.choice == "good"
    assert not ridge.weights[:30].any()


def test_wild_and_constant_features_are_harmless(rng):
    x = rng.normal(size=(20, 4))
    x[:, 2] = 7.0
    ridge = fit_ridge(x, x[:, 0], [str(k) for k in range(20)], {"all": [(0, 4)]})
    wild = np.array([[1e9, 0, 1e9, 0]])
    limit = np.array([[ridge.mean[0] + BOUND * ridge.std[0], 0, 7.0, 0]])
    assert ridge.predict(wild) == pytest.approx(ridge.predict(limit))


@pytest.mark.parametrize(
    ("scores", "words"), [([0.5] * 4, "the same"), ([0.5], "1 rated photo"), ([], "0 rated photo")]
)
def test_labels_that_teach_nothing_are_refused(scores, words):
    x = np.ones((len(scores), 3))
    with pytest.raises(InputError, match=words):
        fit_ridge(x, np.array(scores), ["g"] * len(scores), {"all": [(0, 3)]})


def test_two_labels_are_enough(rng):
    x = rng.normal(size=(2, 3))
    ridge = fit_ridge(x, np.array([0.2, 0.8]), ["a", "b"], {"all": [(0, 3)]})
    assert np.isfinite(ridge.predict(x)).all()
