import numpy as np
import pytest

from training import adapt
from training.adapt import FEW, LEARNED, STANDARD, choose
from training.config import AdaptConfig


def groups(count, size=1):
    return [str(k // size) for k in range(count)]


def test_a_small_but_steady_gain_is_clear_and_a_lucky_one_is_not(rng):
    theirs = rng.random(60)
    assert adapt._clearly_less(theirs - 0.01, theirs, groups(60))
    lucky = theirs + 0.002
    lucky[0] -= 0.6
    assert not adapt._clearly_less(lucky, theirs, groups(60))
    assert not adapt._clearly_less(theirs + 0.01, theirs, groups(60))


def test_photos_of_one_group_are_one_piece_of_evidence(rng):
    theirs = rng.random(60)
    ours = theirs - np.repeat([0.3, *[-0.02] * 9, *[0.001] * 2], 5)
    assert not adapt._clearly_less(ours, theirs, groups(60, 5))
    assert not adapt._clearly_less(theirs - 0.1, theirs, ["one"] * 60)


def test_the_standard_is_kept_when_nothing_speaks_clearly_against_it(toy_views):
    views, scores, names = toy_views(60)
    choice = choose(views, scores, names, AdaptConfig())
    assert choice.method in (STANDARD, "ridge")
    assert set(choice.errors) == set(LEARNED)
    if choice.method == STANDARD:
        assert "no method misses" in choice.why or "smallest error" in choice.why


def test_a_method_that_is_clearly_better_is_taken(toy_views, monkeypatch):
    """All but ridge are made to tell nothing."""
    views, scores, names = toy_views(60)
    real = adapt.predict

    def only_ridge(head, there):
        told = real(head, there)
        return told if isinstance(head, adapt.Ridge) else np.full_like(told, scores.mean())

    monkeypatch.setattr(adapt, "predict", only_ridge)
    choice = choose(views, scores, names, AdaptConfig())
    assert choice.method == "ridge"
    assert "clearly less" in choice.why


@pytest.mark.parametrize("count", [4, FEW - 1])
def test_a_handful_of_labels_gets_ridge(toy_views, count):
    views, scores, names = toy_views(count)
    assert choose(views, scores, names, AdaptConfig()).method == "ridge"
