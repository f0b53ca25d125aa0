from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uniqa.splits import DEFAULT_FRACTIONS, seeded_key, split_groups, split_stratified

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


def test_strata_are_spread_evenly_and_small_ones_add_up() -> None:
    sizes = {f"group{n}": 1 + n % 3 for n in range(300)}
    strata = {group: str(int(group[5:]) % 40) for group in sizes}
    fractions = {"train": 0.6, "val": 0.1, "test": 0.3}
    split = split_stratified(sizes, strata, seed=1, fractions=fractions)
    total = sum(sizes.values())
    for name, share in fractions.items():
        got = sum(size for group, size in sizes.items() if split[group] == name)
        assert got / total == pytest.approx(share, abs=0.02)
    backwards = dict(reversed(sizes.items()))
    assert split_stratified(backwards, strata, seed=1, fractions=fractions) == split
    assert split_stratified(sizes, strata, seed=2, fractions=fractions) != split


def test_pinned_groups_stay_and_count() -> None:
    sizes = {f"group{n}": 1 for n in range(100)}
    strata = dict.fromkeys(sizes, "")
    pinned = {f"group{n}": "train" for n in range(50)}
    fractions = {"train": 0.5, "val": 0.0, "test": 0.5}
    split = split_stratified(sizes, strata, fractions=fractions, pinned=pinned)
    assert {split[group] for group in pinned} == {"train"}
    assert {split[group] for group in sizes if group not in pinned} == {"test"}
    with pytest.raises(ValueError, match="sum to 1"):
        split_stratified(sizes, strata, fractions={"train": 0.5})
