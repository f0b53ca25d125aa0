"""Policies: strict YAML that says which captions training may learn from.

A policy has a name, rules that every caption must pass, and limits per image. Unknown keys,
signals and impossible rules are errors that name the nearest valid word. Must not know of
manifests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from curation.corpus import Corpus, check_column
from uniqa.errors import InputError, UsageError, nearest

RESERVED = frozenset({"rating_leak", "superseded", "per_image"})
"""Reasons that `filter` itself gives, so that no rule of a policy may bear them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition. A numeric rule has `minimum` and/or `maximum`; others `equals` or `where`."""

    name: str
    signal: str = ""
    minimum: float | None = None
    maximum: float | None = None
    equals: str | float | None = None
    where: str = ""

    @property
    def condition(self) -> str:
        """SQL over the view `corpus` that holds for captions that pass."""
        if self.where:
            return f"coalesce(({self.where}), false)"
        column = f'"{self.signal}"'
        if self.equals is not None:
            return f"coalesce({column} = {_literal(self.equals)}, false)"
        parts = []
        if self.minimum is not None:
            parts.append(f"{column} >= {self.minimum!r}")
        if self.maximum is not None:
            parts.append(f"{column} <= {self.maximum!r}")
        return f"coalesce({' AND '.join(parts)}, false)"

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
class Policy:
    """A named set of rules and limits; `per_image` 0 means no limit."""

    name: str
    seed: int = 0
    rules: tuple[Rule, ...] = ()
    per_image: int = 0
    order_by: str = "rank"
    source: dict[str, Any] = field(default_factory=dict)


def read_policy(name: str) -> Policy:
    """A shipped policy by its name, or any by its file.

    Raises:
        UsageError: no such policy, or one with an unknown key or an impossible rule.
    """
    shipped = {path.stem: path for path in _folder().glob("*.yaml")}
    path = shipped.get(name) or Path(name)
    if not path.is_file():
        if path.suffix in {".yaml", ".yml"}:
            raise InputError(f"no policy file at {path}", "Check the path")
        raise UsageError(f"unknown policy '{name}'", nearest(name, shipped))
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} is not valid YAML ({' '.join(str(error).split())})") from error
    return _parse(path, data)


def check_policy(policy: Policy, corpus: Corpus, path: str) -> None:
    """Raise UsageError for a signal that the corpus does not have, or SQL that fails."""
    for rule in policy.rules:
        where = f"{path}, rule '{rule.name}'"
        if rule.signal:
            check_column(corpus, rule.signal, where)
        corpus.check_condition(rule.where or rule.condition, where)
    check_column(corpus, policy.order_by, f"{path}, limits")


def _folder() -> Path:
    return Path(__file__).resolve().parent / "data" / "policies"


def _parse(path: Path, data: Any) -> Policy:
    _check(path, data, {"name", "seed", "rules", "limits"}, "the policy")
    limits = data.get("limits") or {}
    _check(path, limits, {"per_image", "order_by"}, "limits")
    rules = data.get("rules") or []
    if not isinstance(rules, list):
        raise UsageError(f"{path}: 'rules' is not a list")
    names = [rule.get("rule") for rule in rules if isinstance(rule, dict)]
    for name in names:
        if name in RESERVED:
            raise UsageError(f"{path}: '{name}' is a rule of UniQA's own", "Choose another name")
        if names.count(name) > 1:
            raise UsageError(f"{path}: two rules are called '{name}'")
    per_image = limits.get("per_image", 0)
    if not _is_number(per_image) or per_image != int(per_image) or per_image < 0:
        raise UsageError(f"{path}: 'per_image' is a whole number from 0, not {per_image!r}")
    seed = data.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UsageError(f"{path}: 'seed' is a whole number, not {seed!r}")
    return Policy(
        name=str(data.get("name") or path.stem),
        seed=seed,
        rules=tuple(_rule(path, rule) for rule in rules),
        per_image=int(per_image),
        order_by=str(limits.get("order_by", "rank")),
        source=data,
    )


def _rule(path: Path, data: Any) -> Rule:
    _check(path, data, {"rule", "signal", "min", "max", "equals", "where"}, "a rule")
    name = data.get("rule")
    if not name:
        raise UsageError(f"{path}: a rule has no name ('rule: …')")
    tests = {"min", "max", "equals"} & set(data)
    if ("where" in data) == ("signal" in data) or bool(tests) == ("where" in data):
        raise UsageError(
            f"{path}: rule '{name}' needs either 'signal' with 'min', 'max' or 'equals', or 'where'"
        )
    if "equals" in tests and len(tests) > 1:
        raise UsageError(f"{path}: rule '{name}' has 'equals' beside 'min' or 'max'")
    for bound in ("min", "max"):
        if bound in data and not _is_number(data[bound]):
            raise UsageError(f"{path}: rule '{name}': '{bound}' is not a number")
    if {"min", "max"} <= tests and data["min"] > data["max"]:
        raise UsageError(f"{path}: rule '{name}' has a 'min' above its 'max': nothing could pass")
    if "equals" in tests and not isinstance(data["equals"], str | int | float):
        raise UsageError(f"{path}: rule '{name}': 'equals' is neither a text nor a number")
    return Rule(
        name=str(name),
        signal=str(data.get("signal", "")),
        minimum=data.get("min"),
        maximum=data.get("max"),
        equals=data.get("equals"),
        where=str(data.get("where", "")),
    )


def _check(path: Path, data: Any, allowed: set[str], where: str) -> None:
    if not isinstance(data, dict):
        raise UsageError(f"{path}: {where} is not a mapping")
    for key in data:
        if key not in allowed:
            raise UsageError(f"{path}: {where} has the unknown key '{key}'", nearest(key, allowed))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _literal(value: str | float) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)
