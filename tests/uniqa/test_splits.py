from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uniqa.splits import DEFAULT_FRACTIONS, seeded_key, split_groups

groups = st.lists(st.text("abcdefgh", min_size=1, max_size=3), max_size=80)


@given(names=groups, seed=st.integers(0, 5), data=st.data())
def test_order_never_matters(names: list[str], seed: int, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(names))
    assert split_groups(names, seed=seed) == split_groups(shuffled, seed=seed)


@given(names=groups)
def test_every_group_gets_exactly_one_split(names: list[str]) -> None:
    split = split_groups(names)
    assert set(split) == set(names)
    assert set(split.values()) <= set(DEFAULT_FRACTIONS)


@pytest.mark.parametrize("seed", range(3))
def test_shares_come_near_the_fractions(seed: int) -> None:
    names = [f"scene{number % 300}" for number in range(1200)]
    split = split_groups(names, seed=seed)
    shares = Counter(split[name] for name in names)
    for name, fraction in DEFAULT_FRACTIONS.items():
        assert shares[name] / 1200 == pytest.approx(fraction, abs=0.01)


def test_a_handful_of_groups_fills_every_split() -> None:
    names = [f"scene{number}" for number in range(10)]
    assert set(split_groups(names).values()) == {"train", "val", "test"}


def test_another_seed_is_another_draw() -> None:
    names = [str(number) for number in range(50)]
    assert split_groups(names, seed=1) == split_groups(names, seed=1)
    assert split_groups(names, seed=1) != split_groups(names, seed=2)
    assert seeded_key(1, "a") != seeded_key(2, "a")


def test_a_split_without_a_share_stays_empty() -> None:
    split = split_groups(map(str, range(30)), fractions={"train": 0.5, "test": 0.5, "val": 0})
    assert Counter(split.values()) == {"train": 15, "test": 15}
    assert split_groups([]) == {}


@pytest.mark.parametrize("fractions", [{"train": 0.5}, {"train": 1.5, "test": -0.5}])
def test_impossible_fractions_are_refused(fractions: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        split_groups(["a"], fractions=fractions)
