"""What a policy consists of, and the SQL that each part stands for.

Rules judge a caption by itself; limits choose among those that are left; weights say how much one
counts; splits may be drawn anew. Must not know of YAML, nor where SQL is run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from uniqa.splits import SPLITS

LIMIT_PARTS = {
    "image": "image_id",
    "group": "group_id",
    "dataset": "dataset",
    "task": "task",
    "source": "source",
    "model": "model",
    "cue": "cue",
    "level": "rated_level",
}
"""What a limit can be counted by, and the column that tells it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition. A numeric rule has `minimum` and/or `maximum`; others `equals` or `where`.

    It speaks about captions for which `only` holds, all where it is empty; a caption whose signal
    is not known passes if `unknown` is true.
    """

    name: str
    signal: str = ""
    minimum: float | None = None
    maximum: float | None = None
    equals: str | float | None = None
    where: str = ""
    only: str = ""
    unknown: bool = False

    @property
    def condition(self) -> str:
        """SQL over the view `corpus` that holds for captions that pass."""
        passed = f"coalesce(({self._test}), {str(self.unknown).lower()})"
        return f"(NOT coalesce(({self.only}), false) OR {passed})" if self.only else passed

    @property
    def _test(self) -> str:
        if self.where:
            return self.where
        column = f'"{self.signal}"'
        if self.equals is not None:
            return f"{column} = {literal(self.equals)}"
        parts = []
        if self.minimum is not None:
            parts.append(f"{column} >= {self.minimum!r}")
        if self.maximum is not None:
            parts.append(f"{column} <= {self.maximum!r}")
        return " AND ".join(parts)

    @property
    def value(self) -> str:
        """SQL for the value that decided, as text."""
        return "''" if self.where else f"coalesce(CAST(\"{self.signal}\" AS VARCHAR), 'unknown')"

    @property
    def threshold(self) -> str:
        """The rule's limit, for people."""
        if self.where:
            return self.where
        if self.equals is not None:
            return f"= {self.equals!r}"
        bounds = (("≥", self.minimum), ("≤", self.maximum))
        return " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


@dataclass(frozen=True, slots=True)
class Order:
    """By what the best come first; captions whose signal is unknown come last."""

    signal: str = "rank"
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Order:
        """Read ``rank``, ``air desc`` or ``rank asc``.

        Raises:
            ValueError: anything else.
        """
        name, _, way = text.strip().partition(" ")
        if not name or way.strip().lower() not in {"", "asc", "desc"}:
            raise ValueError(text)
        return cls(name, way.strip().lower() == "desc")

    @property
    def sql(self) -> str:
        """The direction, after the column."""
        return "DESC NULLS LAST" if self.descending else "ASC NULLS LAST"

    def __str__(self) -> str:
        return f"{self.signal} desc" if self.descending else self.signal


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `keep` captions for each combination of `parts`, the best by `order`.

    Only captions for which `only` holds are counted and dropped.
    """

    name: str
    parts: tuple[str, ...]
    keep: int
    order: Order = field(default_factory=Order)
    only: str = ""

    @property
    def threshold(self) -> str:
        """The limit, for people."""
        return f"≤ {self.keep}"


@dataclass(frozen=True, slots=True)
class Term:
    """A signal carried linearly from [`begin`, `end`] to [`low`, `high`], and clipped there."""

    signal: str
    begin: float
    end: float
    low: float = 0.0
    high: float = 1.0
    unknown: float = 1.0

    @property
    def sql(self) -> str:
        """SQL over the view `corpus`, never null."""
        share = f'(CAST("{self.signal}" AS DOUBLE) - {self.begin!r}) / {self.end - self.begin!r}'
        clipped = f"least(1.0, greatest(0.0, {share}))"
        # Asked first: least and greatest pass over what is null.
        return (
            f'CASE WHEN "{self.signal}" IS NULL THEN {self.unknown!r} '
            f"ELSE {self.low!r} + {self.high - self.low!r} * {clipped} END"
        )


@dataclass(frozen=True, slots=True)
class Weights:
    """A caption's weight: the product (or sum) of its terms, clipped to [`minimum`, `maximum`]."""

    terms: tuple[Term, ...] = ()
    combine: str = "product"
    minimum: float = 0.01
    maximum: float = 1.0

    @property
    def sql(self) -> str:
        """SQL over the view `corpus` for the weight, to four digits."""
        if not self.terms:
            return "1.0"
        joined = (" * " if self.combine == "product" else " + ").join(t.sql for t in self.terms)
        clipped = f"least({self.maximum!r}, greatest({self.minimum!r}, {joined}))"
        return f"round({clipped}, 4)"


@dataclass(frozen=True, slots=True)
class Splits:
    """Shares of rated images per split, drawn by group and spread evenly over `stratify`."""

    fractions: dict[str, float]
    stratify: tuple[str, ...] = ("level", "dataset")

    def __post_init__(self) -> None:
        """Shares stand in the splits' own order, however they were written."""
        ordered = {name: self.fractions.get(name, 0.0) for name in SPLITS}
        object.__setattr__(self, "fractions", ordered)


@dataclass(frozen=True, slots=True)
class Policy:
    """A named set of rules, limits, weights and splits.

    `minimum_per_image` 0 means none; without `splits` those of the ratings tables stand. `source`
    is the YAML as it was read.
    """

    name: str
    seed: int = 0
    rules: tuple[Rule, ...] = ()
    limits: tuple[Limit, ...] = ()
    minimum_per_image: int = 0
    weights: Weights = field(default_factory=Weights)
    splits: Splits | None = None
    source: dict[str, Any] = field(default_factory=dict)


def literal(value: str | float) -> str:
    """A text or number as SQL."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)
