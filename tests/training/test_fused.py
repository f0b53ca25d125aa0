import numpy as np
import pytest

from training import fused as module
from training.fused import Recipe, fit_fused
from training.recipes import recipes_for
from training.ridge import left_out_errors
from uniqa.errors import InputError

RANGES = {"a": (0, 20), "b": (20, 30), "empty": (30, 30)}
LINEAR = Recipe("a", (("a", 1.0),), False)
CURVED = Recipe("a and b", (("a", 1.0), ("b", 0.5)), True)


def photos(rng, n=80):
    x = rng.normal(size=(n, 30)).astype(np.float32)
    y = 0.5 + 0.1 * x[:, 0] + 0.05 * np.sin(3 * x[:, 21])
    return x, y, [str(k) for k in range(n)]


def test_what_is_learned_carries_over(rng):
    x, y, groups = photos(rng, 240)
    head = fit_fused(x[:160], y[:160], groups[:160], RANGES, [LINEAR, CURVED])
    assert np.corrcoef(head.predict(x[160:]), y[160:])[0, 1] > 0.8
    assert sum(term.share for term in head.terms) == pytest.approx(1)


def test_left_out_errors_are_what_leaving_out_gives(rng):
    """The closed form against refitting without each group, on the same kernel."""
    x, y, _ = photos(rng, 24)
    groups = [str(k // 2) for k in range(24)]
    mean = x.mean(0)
    sides = module._directions(x, mean, RANGES, ["a"])["a"].astype(float)
    kernel = sides @ sides.T
    for alpha, error in left_out_errors(kernel, y, groups)[::5]:
        squared = []
        size = np.trace(kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()) / 24
        for group in sorted(set(groups)):
            out = np.array([g == group for g in groups])
            k, away = kernel[np.ix_(~out, ~out)], y[~out] - y[~out].mean()
            centred = k - k.mean(0) - k.mean(1)[:, None] + k.mean()
            dual = np.linalg.solve(centred + alpha * size * np.eye(len(k)), away)
            told = (kernel[np.ix_(out, ~out)] - k.mean(0)) @ dual + y[~out].mean()
            squared += list((told - y[out]) ** 2)
        assert error == pytest.approx(np.mean(squared), rel=0.1)


def test_a_useless_recipe_gets_no_say(rng):
    x, y, groups = photos(rng, 160)
    y = 0.5 + 0.1 * x[:, 0]
    noise = Recipe("b", (("b", 1.0),), False)
    head = fit_fused(x, y, groups, RANGES, [LINEAR, noise])
    assert [term.recipe.name for term in head.terms] == ["a"]


def test_blocks_that_are_not_there_are_left_out_and_recipes_not_doubled(rng):
    x, y, groups = photos(rng)
    doubled = Recipe("a and nothing", (("a", 1.0), ("empty", 1.0), ("missing", 1.0)), False)
    head = fit_fused(x, y, groups, RANGES, [LINEAR, doubled])
    assert len(head.terms) == 1


def test_landmarks_stand_for_all_photos(rng, monkeypatch):
    x, y, groups = photos(rng, 300)
    whole = fit_fused(x[:200], y[:200], groups[:200], RANGES, [CURVED])
    monkeypatch.setattr(module, "LANDMARKS", 120)
    few = fit_fused(x[:200], y[:200], groups[:200], RANGES, [CURVED])
    assert len(few.landmarks) == 120
    assert np.corrcoef(few.predict(x[200:]), whole.predict(x[200:]))[0, 1] > 0.97


def test_landmarks_of_every_photo_are_the_exact_solution(rng):
    """The subset-of-regressors form with all photos as the subset is kernel ridge itself."""
    x, y, _ = photos(rng, 40)
    sides = module._directions(x, x.mean(0), RANGES, ["a", "b"])
    kernel = module._similarity({b: s.astype(float) @ s.T for b, s in sides.items()}, CURVED, 1.0)
    dual, bias = module._solve(kernel, None, y, 0.1)
    sums = module._Sums.none(40)
    for part in (slice(0, 15), slice(15, 40)):
        sums.add(kernel[part], y[part] - y.mean())
    dual2, bias2 = module._solve(kernel, sums, y, 0.1)
    assert np.allclose(kernel @ dual + bias, kernel @ dual2 + bias2, atol=1e-5)


def test_a_photo_s_score_does_not_depend_on_its_neighbours(rng):
    x, y, groups = photos(rng)
    head = fit_fused(x, y, groups, RANGES, [LINEAR, CURVED])
    alone = np.concatenate([head.predict(row[None]) for row in x[:5]])
    assert np.allclose(alone, head.predict(x)[:5], atol=1e-6)


def test_labels_that_teach_nothing_are_refused(rng):
    x, _, groups = photos(rng)
    with pytest.raises(InputError, match="the same"):
        fit_fused(x, np.full(80, 0.5), groups, RANGES, [LINEAR])


@pytest.mark.parametrize("task", ["quality", "aesthetic"])
def test_recipes_name_blocks_of_the_tower(task):
    families = {"everything": ("s1", "s2", "s3"), "late": ("s3",)}
    recipes = recipes_for(task, families)
    assert len({recipe.name for recipe in recipes}) == len(recipes)
    named = {block for recipe in recipes for block, _ in recipe.weights}
    assert named <= {"s1", "s2", "s3", "names", "embedding", "cues"}
    for recipe in recipes:
        image = sum(share for block, share in recipe.weights if block.startswith("s"))
        assert image == pytest.approx(1)
