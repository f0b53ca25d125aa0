from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from curation import cover as module
from curation.cover import UNIT, cover, greedy, whole
from tests.curation.test_diversity import units


def by_hand(square: NDArray[np.float64]) -> tuple[list[int], list[float]]:
    """Greedy facility location straight from its definition, all sets evaluated anew."""
    unit = whole(square)
    count = len(unit)
    chosen: list[int] = []
    gains: list[float] = []

    def value(some: list[int]) -> float:
        return float(unit[:, some].max(axis=1).sum()) if some else 0.0

    while len(chosen) < count:
        rest = [place for place in range(count) if place not in chosen]
        best = max(rest, key=lambda place: (value([*chosen, place]), -place))
        gains.append((value([*chosen, best]) - value(chosen)) / UNIT)
        chosen.append(best)
    return chosen, gains


def clustered(count: int, seed: int) -> NDArray[np.float32]:
    """Vectors of which many repeat or nearly repeat others."""
    rng = np.random.default_rng(seed)
    vectors = units(max(1, count // 2), 6, seed)[rng.integers(0, max(1, count // 2), count)]
    vectors = vectors + rng.choice([0.0, 0.0, 0.2], size=(count, 1)) * units(count, 6, seed + 1)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / norms, dtype=np.float32)


@given(st.integers(1, 12), st.integers(0, 50))
def test_greedy_and_cover_are_brute_force_greedy(count: int, seed: int) -> None:
    vectors = clustered(count, seed)
    wide = vectors.astype(np.float64)
    order, gains = by_hand(wide @ wide.T)
    together, added = greedy((wide @ wide.T)[None])
    assert together[0].tolist() == order
    np.testing.assert_allclose(added[0], gains, atol=1e-9)
    chosen, gained = cover(vectors, count)
    assert chosen.tolist() == order
    np.testing.assert_allclose(gained, gains, atol=1e-9)


@given(st.permutations(range(8)), st.integers(2, 8), st.integers(0, 50))
def test_what_is_gained_does_not_depend_on_the_order(
    places: list[int], count: int, seed: int
) -> None:
    vectors = np.abs(units(count, 6, seed))
    shuffled = [place for place in places if place < count]
    _, gains = cover(vectors, count)
    _, gained = cover(vectors[shuffled], count)
    # Two that are each other's nearest may be tied, and the earlier is taken.
    assert gained.tolist() == gains.tolist()


def test_many_captions_of_one_image_are_chosen_lazily_and_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    squares = []
    for seed in range(3):
        wide = clustered(40, seed).astype(np.float64)
        squares.append(wide @ wide.T)
    stack = np.stack(squares)
    order, gains = greedy(stack)
    monkeypatch.setattr(module, "_TOGETHER", 10)
    again, gained = greedy(stack)
    assert again.tolist() == order.tolist()
    assert gained.tolist() == gains.tolist()


def test_without_room_for_a_square_the_choice_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clustered(700, 1)
    order, gains = cover(vectors, 20)
    monkeypatch.setattr(module, "_LARGEST_SQUARE", 100)
    again, gained = cover(vectors, 20)
    assert again.tolist() == order.tolist()
    np.testing.assert_allclose(gained, gains, atol=1e-9)


def test_gains_sum_to_the_captions_and_never_grow() -> None:
    wide = clustered(30, 4).astype(np.float64)
    _, gains = greedy((wide @ wide.T)[None])
    assert gains.sum() == pytest.approx(30, abs=1e-3)
    assert (np.diff(gains[0]) <= 1e-9).all()


def test_one_of_each_kind_comes_before_any_repeat() -> None:
    kinds = np.eye(3, dtype=np.float32)[[0, 1, 0, 2, 1, 0]]
    order, gains = cover(kinds, 6)
    assert order.tolist() == [0, 1, 3, 2, 4, 5]  # most repeated first, ties and repeats by place
    assert gains.tolist() == [3, 2, 1, 0, 0, 0]


@pytest.mark.parametrize("k", [1, 2, 4])
def test_greedy_is_nearly_as_good_as_the_best_set(k: int) -> None:
    vectors = units(9, 5, 3)
    wide = vectors.astype(np.float64)
    square = np.maximum(wide @ wide.T, 0)
    best = max(square[:, some].max(axis=1).sum() for some in combinations(range(9), k))
    _, gains = cover(vectors, k)
    assert (1 - 1 / np.e) * best <= gains.sum() <= best + 1e-6


def test_opposites_cover_nothing_of_each_other() -> None:
    order, gains = cover(np.array([[1, 0], [-1, 0]], np.float32), 2)
    assert order.tolist() == [0, 1]
    assert gains.tolist() == [1, 1]


def test_k_is_not_negative_and_may_be_too_large() -> None:
    assert len(cover(units(3, 4), 10)[0]) == 3
    assert cover(units(3, 4), 0)[0].tolist() == []
    assert cover(units(0, 4), 2)[0].tolist() == []
    with pytest.raises(ValueError, match="-1"):
        cover(units(3, 4), -1)
