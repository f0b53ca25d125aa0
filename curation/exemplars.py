"""Exemplar sets: which answered questions a model is shown before it is asked about a photo.

Several sets spread style over the corpus; which one an image gets follows from its identity. No
image ever sees itself or an image of its own group, whose answers would give its own away. Must
not know where exemplars come from: `curation.bank` reads or draws them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.prompts import Exemplar
from uniqa.errors import InputError
from uniqa.levels import LEVELS
from uniqa.splits import seeded_key

_RANKS = {level: rank for rank, level in enumerate(LEVELS)}


class ExemplarSets:
    """The exemplar sets of one task: equally long, disjoint by group, each spread over levels."""

    def __init__(
        self,
        task: str,
        sets: Sequence[Sequence[Exemplar]],
        *,
        seed: int,
        spares: Sequence[Exemplar] = (),
        groups: Mapping[str, str] | None = None,
        kin: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        """Take sets as they are; `compose` makes them.

        Args:
            task: what the exemplars answer about.
            sets: at least one, none of them empty.
            seed: another seed, other sets for the images.
            spares: stand in for an exemplar that an image must not see, where no other set helps.
            groups: image_id → group of further images, as far as a bank tells them.
            kin: image_id → groups that ratings give an exemplar's photo: those must not see it
                either. They never decide how sets are made, so that ratings that come later leave
                everybody else what was shown before.

        Raises:
            ValueError: no set, an empty one, or two sets that share an image or group.
        """
        if not sets or not all(sets):
            raise ValueError("exemplar sets hold at least one exemplar each")
        owners = Counter(key for one in sets for key in {_group(shot) for shot in one})
        shared = [key for key, count in owners.items() if count > 1]
        if shared:
            raise ValueError(f"two exemplar sets share the group {min(shared)!r}")
        self.task = task
        self.seed = seed
        self.sets: tuple[tuple[Exemplar, ...], ...] = tuple(tuple(one) for one in sets)
        self.spares = tuple(spares)
        every = (*(shot for one in self.sets for shot in one), *self.spares)
        self.groups = {**(groups or {}), **{shot.image_id: _group(shot) for shot in every}}
        self._images = [frozenset(shot.image_id for shot in one) for one in self.sets]
        self.kin = {image_id: frozenset(told) for image_id, told in (kin or {}).items()}
        self._groups = [
            frozenset(key for shot in one for key in self._keys(shot)) for one in self.sets
        ]
        self._changed: dict[tuple[Exemplar, ...], tuple[Exemplar, ...]] = {}

    def _keys(self, shot: Exemplar) -> frozenset[str]:
        return self.kin.get(shot.image_id, frozenset()) | {_group(shot)}

    @classmethod
    def compose(
        cls,
        task: str,
        exemplars: Iterable[Exemplar],
        *,
        shots: int,
        sets: int,
        seed: int,
        kin: Mapping[str, Collection[str]] | None = None,
    ) -> ExemplarSets:
        """Sets of `shots` exemplars each, as many as there are exemplars for, up to `sets`.

        The order of the exemplars never matters. One exemplar per group is used.

        Raises:
            InputError: too few exemplars of different groups for a single set.
        """
        bank = list(exemplars)
        groups = len({_group(shot) for shot in bank})
        if groups < shots:
            raise InputError(
                f"{shots} exemplars for the task '{task}' are wanted, but there are {groups} of "
                "different groups",
                "Add some, or lower --shots",
            )
        chosen = choose(bank, shots * min(sets, groups // shots), seed=seed)
        dealt = cls.dealt(task, chosen, rest=bank, shots=shots, seed=seed)
        # A photo of the bank that is in no set still has the group that the bank gives it.
        told = {shot.image_id: _group(shot) for shot in bank}
        return cls(task, dealt.sets, seed=seed, spares=dealt.spares, groups=told, kin=kin)

    @classmethod
    def dealt(
        cls,
        task: str,
        chosen: Sequence[Exemplar],
        *,
        rest: Iterable[Exemplar] = (),
        shots: int,
        seed: int,
    ) -> ExemplarSets:
        """Deal chosen exemplars, a multiple of `shots`, into sets that are alike in levels.

        Args:
            task: what they answer about.
            chosen: one per group.
            rest: of those whose groups are not among the chosen ones, up to `shots` are spares.
            shots: exemplars per set.
            seed: decides their order, so that a set does not rise from bad to perfect.
        """
        count = len(chosen) // shots
        ordered = sorted(
            chosen, key=lambda shot: (_rank(shot), seeded_key(seed, shot.image_id), shot.image_id)
        )
        # Like cards: of every level each set gets as many as any other, or one more.
        hands = [ordered[place::count] for place in range(count)]
        for hand in hands:
            hand.sort(key=lambda shot: seeded_key(seed, f"place|{shot.image_id}"))
        used = {_group(shot) for shot in chosen}
        left = [shot for shot in rest if _group(shot) not in used]
        free = len({_group(shot) for shot in left})
        spares = choose(left, min(shots, free), seed=seed) if free else []
        return cls(task, hands, seed=seed, spares=spares)

    def for_image(self, image_id: str, *groups: str) -> tuple[Exemplar, ...]:
        """The exemplars an image is shown: always the same, never itself nor one of its groups.

        Equal answers are one object. Where every set holds the image or its groups, the exemplars
        concerned are replaced by spares, of the same level if there are, or left out.

        Args:
            image_id: SHA-256 of the photo.
            groups: its groups in the ratings, in any order. What the bank says counts too.
        """
        kin = self.kin.get(image_id, ())
        own = {image_id, self.groups.get(image_id, image_id), *kin, *groups}
        digest = hashlib.sha256(f"{self.seed}|{self.task}|exemplars|{image_id}".encode()).digest()
        first = int.from_bytes(digest[:8], "big") % len(self.sets)
        for step in range(len(self.sets)):
            place = (first + step) % len(self.sets)
            if image_id not in self._images[place] and own.isdisjoint(self._groups[place]):
                return self.sets[place]
        return self._without(self.sets[first], image_id, own)

    def _without(
        self, shots: tuple[Exemplar, ...], image_id: str, groups: set[str]
    ) -> tuple[Exemplar, ...]:
        def may_be_seen(shot: Exemplar) -> bool:
            return shot.image_id != image_id and groups.isdisjoint(self._keys(shot))

        spares = [one for one in self.spares if may_be_seen(one)]
        kept: list[Exemplar] = []
        for shot in shots:
            if may_be_seen(shot):
                kept.append(shot)
            elif spares:
                alike = [one for one in spares if one.level == shot.level]
                kept.append((alike or spares)[0])
                spares.remove(kept[-1])
        found = tuple(kept)
        return self._changed.setdefault(found, found)

    @property
    def bank_id(self) -> str:
        """What the sets are, wherever the photos lie: 16 hexadecimal digits."""
        data = self.as_dict()
        for shot in (*(shot for one in data["sets"] for shot in one), *data["spares"]):
            del shot["path"]
        text = json.dumps(data, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def images(self) -> dict[str, str]:
        """image_id → path of every photo that may be shown, spares included."""
        every = (*(shot for one in self.sets for shot in one), *self.spares)
        return {shot.image_id: shot.path for shot in every}

    def as_dict(self) -> dict[str, Any]:
        """For storing as JSON: a run that is resumed must show what it showed before."""
        return {
            "task": self.task,
            "seed": self.seed,
            "sets": [[asdict(shot) for shot in one] for one in self.sets],
            "spares": [asdict(shot) for shot in self.spares],
            "groups": dict(sorted(self.groups.items())),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExemplarSets:
        """What `as_dict` made."""
        return cls(
            data["task"],
            [[Exemplar(**shot) for shot in one] for one in data["sets"]],
            seed=data["seed"],
            spares=[Exemplar(**shot) for shot in data["spares"]],
            groups=data["groups"],
        )


def choose(
    exemplars: Iterable[Exemplar],
    count: int,
    *,
    seed: int,
    vectors: Mapping[str, NDArray[np.float32]] | None = None,
) -> list[Exemplar]:
    """`count` exemplars of different groups, spread over the levels as evenly as can be.

    Round by round each level gives one more until it has no more. With vectors the next one is
    always that which is least like those chosen before (greedy farthest point), else it is drawn.

    Args:
        exemplars: in any order; the result does not depend on it.
        count: how many.
        seed: decides the first one, and ties.
        vectors: image_id → unit-length embedding of the exemplar's answer.

    Raises:
        InputError: fewer than `count` groups.
    """
    pool = sorted(exemplars, key=lambda shot: (seeded_key(seed, shot.image_id), shot.image_id))
    choice = _Choice(pool, vectors)
    while len(choice.chosen) < count:
        ready = choice.levels()
        if not ready:
            raise InputError(
                f"{count} exemplars of different groups are wanted, but there are "
                f"{len(choice.chosen)}"
            )
        fewest = min(choice.taken[level] for level in ready)
        turn = [level for level in ready if choice.taken[level] == fewest]
        for level in _spread(turn, count - len(choice.chosen)):
            choice.take(level)
    return choice.chosen


class _Choice:
    """The state of `choose`: who is chosen, and how far everyone else is from them."""

    def __init__(
        self, pool: list[Exemplar], vectors: Mapping[str, NDArray[np.float32]] | None
    ) -> None:
        self.chosen: list[Exemplar] = []
        self.taken: Counter[int] = Counter()
        self._pool = pool
        self._vectors = np.stack([vectors[one.image_id] for one in pool]) if vectors else None
        self._distance = np.full(len(pool), np.inf)
        self._free = np.ones(len(pool), dtype=bool)
        self._ranks = np.array([_rank(one) for one in pool], dtype=int)
        self._groups = np.array([_group(one) for one in pool])

    def levels(self) -> list[int]:
        """Ranks of the levels that can still give, those with the fewest groups left first."""
        left = {
            int(rank): len(set(self._groups[self._free & (self._ranks == rank)]))
            for rank in np.unique(self._ranks[self._free])
        }
        return sorted(left, key=lambda rank: (left[rank], rank))

    def take(self, rank: int) -> None:
        """Choose the farthest of a level, if a level taken before has left it any."""
        places = np.flatnonzero(self._free & (self._ranks == rank))
        if not len(places):
            return
        place = int(places[np.argmax(self._distance[places])])
        self.chosen.append(self._pool[place])
        self.taken[rank] += 1
        self._free &= self._groups != self._groups[place]
        if self._vectors is not None:
            # Rounded: embeddings differ in the last digits with the batch they were made in.
            apart = np.round(1.0 - self._vectors @ self._vectors[place], 4)
            self._distance = np.minimum(self._distance, apart)


def _spread(ranks: list[int], count: int) -> list[int]:
    """All ranks in their order, or `count` of them that lie evenly between worst and best."""
    if count >= len(ranks):
        return ranks
    ordered = sorted(ranks)
    return [ordered[int((turn + 0.5) * len(ordered) / count)] for turn in range(count)]


def _group(shot: Exemplar) -> str:
    return shot.group or shot.image_id


def _rank(shot: Exemplar) -> int:
    return _RANKS.get(shot.level, len(LEVELS))
