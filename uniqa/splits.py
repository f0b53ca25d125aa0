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
