"""Sweeps: what one threshold costs, at many values, from the staged signals alone.

A sweep moves a rule's bound, a limit's number, or puts a condition on any signal; everything else
of the policy stays. Nothing is embedded again and nothing is written. Must not know of manifests.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from curation.corpus import Corpus, check_column, check_condition
from curation.groups import place_photos
from curation.judge import Staged, stage
from curation.policy import check_policy
from curation.rules import Limit, Policy, Rule
from uniqa.errors import UsageError, nearest
from uniqa.levels import LEVELS

_WRITTEN = re.compile(r"\s*(\w+)\s*(<=|>=|=)\s*([^:]+):([^:]+):([^:]+)\s*")
MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class Range:
    """What is swept: a name, how it is compared (``=`` leaves that to the policy), the values."""

    name: str
    sign: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Point:
    """What is left at one value.

    Args:
        value: of the threshold.
        kept, images: captions, and images with at least one.
        distinct: different texts among the captions, as a share.
        mean_similarity: mean over kept captions of the cosine to the better-ranked caption of their
            image that they are nearest to; None if no image has two.
        levels: level → kept captions of photos rated so for the captions' task.
    """

    value: float
    kept: int
    images: int
    distinct: float
    mean_similarity: float | None
    levels: dict[str, int]

    @property
    def balance(self) -> float | None:
        """Entropy of the levels' shares over its largest value: 1 even, 0 one level alone."""
        total = sum(self.levels.values())
        if not total:
            return None
        shares = [count / total for count in self.levels.values() if count]
        return sum(-share * math.log(share) for share in shares) / math.log(len(LEVELS))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "value": self.value,
            "kept": self.kept,
            "images": self.images,
            "distinct_texts": self.distinct,
            "mean_similarity": self.mean_similarity,
            "level_balance": self.balance,
            "levels": self.levels,
        }


@dataclass(frozen=True)
class Sweep:
    """All points, and in words what was moved."""

    meaning: str
    captions: int
    points: list[Point]


def parse_range(text: str) -> Range:
    """Read ``similarity=0.80:0.98:0.02``; both ends count.

    Raises:
        UsageError: not written so, no step towards the end, or too many points.
    """
    found = _WRITTEN.fullmatch(text)
    try:
        if not found:
            raise ValueError
        begin, end, step = (float(found[number]) for number in (3, 4, 5))
        if not all(map(math.isfinite, (begin, end, step))):
            raise ValueError
    except ValueError:
        raise UsageError(
            f"--sweep '{text}' is not RULE=FROM:TO:STEP", "Like: similarity=0.80:0.98:0.02"
        ) from None
    if step == 0 or (end - begin) / step < 0:
        raise UsageError(f"--sweep '{text}' never gets from {begin:g} to {end:g} by {step:g}")
    count = math.floor((end - begin) / step + 1e-9) + 1
    if count > MOST_POINTS:
        raise UsageError(f"--sweep '{text}' has {count:,} points; {MOST_POINTS} are the most")
    values = tuple(round(begin + number * step, 10) for number in range(count))
    return Range(found[1], found[2], values)


def sweep(corpus: Corpus, policy: Policy, wanted: Range, *, shown_as: str) -> Sweep:
    """Count what the policy would keep at each value.

    Args:
        corpus: refined; only read.
        policy: to be varied.
        wanted: a rule's or limit's name, or a signal.
        shown_as: the policy's name or file, for errors.

    Raises:
        UsageError: nothing of that name, or a name that does not say what to move.
    """
    check_policy(policy, corpus, shown_as)
    moved = _find(corpus, policy, wanted)
    places = place_photos(corpus, moved.policy)
    extra = {"swept": f'"{moved.signal}"'} if moved.signal else {}
    only = moved.policy.rules[moved.rule].only if moved.rule >= 0 else ""
    if only:
        extra["meant"] = f"coalesce(({only}), false)"
    staged = stage(corpus, moved.policy, places, {**extra, "text_key": "hash(text)"})
    points = [_point(corpus, staged, moved, value) for value in wanted.values]
    total = int(corpus.value("SELECT count(*) FROM judged"))
    return Sweep(moved.meaning, total, points)


@dataclass(frozen=True)
class _Moved:
    """The policy with a place for what is moved, and how its condition reads at a value."""

    policy: Policy
    meaning: str
    signal: str = ""
    rule: int = -1
    limit: int = -1
    form: str = ""

    def at(self, value: float) -> tuple[dict[int, str], list[Limit]]:
        """The rules' tests and the limits at one value."""
        limits = list(self.policy.limits)
        if self.limit >= 0:
            limits[self.limit] = replace(limits[self.limit], keep=int(value))
            return {}, limits
        # UniQA's own two rules stand before the policy's.
        return {self.rule + 2: self.form.replace("{value}", repr(value))}, limits


def _find(corpus: Corpus, policy: Policy, wanted: Range) -> _Moved:
    for number, limit in enumerate(policy.limits):
        if limit.name == wanted.name and wanted.sign == "=":
            if any(value != int(value) or value < 0 for value in wanted.values):
                raise UsageError(f"limit '{limit.name}' is a whole number from 0")
            return _Moved(policy, f"limit '{limit.name}': at most so many", limit=number)
    named = [n for n, rule in enumerate(policy.rules) if rule.name == wanted.name]
    with_signal = [n for n, rule in enumerate(policy.rules) if rule.signal == wanted.name]
    numeric = [
        n
        for n in named or with_signal
        if (policy.rules[n].minimum is None) != (policy.rules[n].maximum is None)
    ]
    if wanted.sign == "=" and len(numeric) == 1:
        return _bound(policy, numeric[0])
    if named and wanted.sign == "=":
        raise UsageError(
            f"rule '{wanted.name}' has no single bound that could be moved",
            "Sweep a signal, like words>=2:10:2",
        )
    return _condition(corpus, policy, wanted)


def _bound(policy: Policy, number: int) -> _Moved:
    rule = policy.rules[number]
    sign = ">=" if rule.minimum is not None else "<="
    form = f"coalesce(swept {sign} {{value}}, {str(rule.unknown).lower()})"
    if rule.only:
        form = f"(NOT meant OR {form})"
    shown = sign.replace(">=", "≥").replace("<=", "≤")
    return _Moved(
        policy, f"rule '{rule.name}': {rule.signal} {shown} value", rule.signal, number, form=form
    )


def _condition(corpus: Corpus, policy: Policy, wanted: Range) -> _Moved:
    known = [*(rule.name for rule in policy.rules), *(limit.name for limit in policy.limits)]
    columns = corpus.columns("corpus")
    if wanted.name not in columns:
        raise UsageError(
            f"--sweep: neither a rule, a limit nor a signal is called '{wanted.name}'",
            nearest(wanted.name, [*known, *columns]),
        )
    check_column(corpus, wanted.name, "--sweep")
    check_condition(corpus, f'"{wanted.name}" >= 0.0', "--sweep")
    number, rules = len(policy.rules), policy.rules
    if wanted.name == "similarity" and wanted.sign == "=":
        form = "coalesce(swept < {value}, false)"
        meaning = (
            "duplicates are captions whose stored similarity (to the better-ranked caption they "
            "repeat, or the nearest kept at refine's threshold) is at least the value; exact "
            "repetitions always are"
        )
        # In place of the threshold that refine had.
        rules = tuple(rule for rule in rules if rule.signal != "duplicate_kind")
        number = len(rules)
    elif wanted.sign == "=":
        raise UsageError(
            f"no rule of policy '{policy.name}' bounds '{wanted.name}' on one side",
            f"Say which way: {wanted.name}>=… or {wanted.name}<=…",
        )
    else:
        form = f"coalesce(swept {wanted.sign} {{value}}, false)"
        shown = wanted.sign.replace(">=", "≥").replace("<=", "≤")
        meaning = f"one more condition: {wanted.name} {shown} value"
    rules = (*rules, Rule(f"sweep of {wanted.name}", where="true"))
    return _Moved(replace(policy, rules=rules), meaning, wanted.name, number, form=form)


def _point(corpus: Corpus, staged: Staged, moved: _Moved, value: float) -> Point:
    tests, limits = moved.at(value)
    levels = ", ".join(f"count(*) FILTER (rated_level = '{level}')" for level in LEVELS)
    row = corpus.rows(
        f"SELECT count(*), count(DISTINCT image_id), count(DISTINCT text_key), "
        f"avg(similarity) FILTER (similarity > -1), {levels} "
        f"FROM ({staged.verdicts(tests=tests, limits=limits)}) WHERE broken IS NULL"
    )[0]
    kept, images, texts, similarity, *counts = row
    return Point(
        value=value,
        kept=kept,
        images=images,
        distinct=texts / kept if kept else 0.0,
        mean_similarity=similarity,
        levels=dict(zip(LEVELS, counts, strict=True)),
    )


def sweep_rows(found: Sweep) -> Iterator[list[str]]:
    """Cells of the table that people see, a row per point."""
    for point in found.points:
        balance, similarity = point.balance, point.mean_similarity
        total = sum(point.levels.values())
        yield [
            f"{point.value:g}",
            f"{point.kept:,}",
            f"{point.kept / max(1, found.captions):.1%}",
            f"{point.images:,}",
            f"{point.distinct:.1%}",
            "–" if similarity is None else f"{similarity:.3f}",
            "–" if balance is None else f"{balance:.3f}",
            *(f"{count / total:.0%}" if total else "–" for count in point.levels.values()),
        ]


SWEEP_COLUMNS = ["value", "kept", "share", "images", "distinct texts", "mean similarity"]
SWEEP_COLUMNS += ["level balance", *LEVELS]
