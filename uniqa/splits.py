"""Splits that groups never straddle.

Photos of one content (the same scene, the same source photo) share a group; a model that saw one
of them has seen them all. Both programs split with this one function, so that a table without a
split column is split the same way everywhere.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping

SPLITS = ("train", "val", "test")
DEFAULT_FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


def seeded_key(seed: int, text: str) -> str:
    """A hash that orders texts at random, but always the same way for one seed."""
    return hashlib.sha256(f"{seed}\x1f{text}".encode()).hexdigest()


def split_groups(
    groups: Iterable[str],
    *,
    seed: int = 0,
    fractions: Mapping[str, float] = DEFAULT_FRACTIONS,
) -> dict[str, str]:
    """Give every group a split, so that the splits' shares of images come near `fractions`.

    Args:
        groups: one group name per image (repeats count as that group's size).
        seed: another seed, another draw; the order of `groups` never matters.
        fractions: share of images per split, in [0, 1], summing to 1.

    Returns:
        group → split name. In seeded random order each group goes to the split that is furthest
        below its share, so that even a handful of groups fills every split.

    Raises:
        ValueError: fractions that are negative or do not sum to 1.
    """
    if min(fractions.values()) < 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise ValueError(f"split fractions must be ≥ 0 and sum to 1, not {dict(fractions)}")
    sizes = Counter(groups)
    total = sum(sizes.values())
    room = {name: share * total for name, share in fractions.items() if share > 0}
    split: dict[str, str] = {}
    for group in sorted(sizes, key=lambda name: (seeded_key(seed, name), name)):
        name = max(room, key=lambda candidate: room[candidate])
        split[group] = name
        room[name] -= sizes[group]
    return split


def split_stratified(
    sizes: Mapping[str, int],
    strata: Mapping[str, str],
    *,
    seed: int = 0,
    fractions: Mapping[str, float] = DEFAULT_FRACTIONS,
    pinned: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Give every group a split, so that every stratum's shares of images come near `fractions`.

    Args:
        sizes: group → images in it.
        strata: group → whatever shall be spread evenly over the splits.
        seed: another seed, another draw; the order of the mappings never matters.
        fractions: share of images per split, in [0, 1], summing to 1.
        pinned: group → the split in which it stays; it counts in its stratum's shares.

    Returns:
        group → split name. Within a stratum as `split_groups` does it; what a split got too much or
        too little of in one stratum is made up for in the next, so that many small strata do not
        add up to shares that are far off.

    Raises:
        ValueError: fractions that are negative or do not sum to 1.
    """
    if min(fractions.values()) < 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise ValueError(f"split fractions must be ≥ 0 and sum to 1, not {dict(fractions)}")
    fixed = pinned or {}
    members: dict[str, list[str]] = {}
    for group in sizes:
        members.setdefault(strata[group], []).append(group)
    split: dict[str, str] = {}
    owed = dict.fromkeys(fractions, 0.0)
    for stratum in sorted(members):
        groups = members[stratum]
        total = sum(sizes[group] for group in groups)
        room = {name: owed[name] + share * total for name, share in fractions.items()}
        for group in groups:
            if group in fixed:
                split[group] = fixed[group]
                room[fixed[group]] = room.get(fixed[group], 0.0) - sizes[group]
        open_to = [name for name, share in fractions.items() if share > 0]
        for group in sorted(groups, key=lambda name: (seeded_key(seed, name), name)):
            if group not in fixed:
                name = max(open_to, key=lambda candidate: room[candidate])
                split[group] = name
                room[name] -= sizes[group]
        owed = {name: room.get(name, 0.0) for name in fractions}
    return split
