"""Policies: strict YAML that says which captions training may learn from.

Unknown keys, signals and impossible rules are errors that name the nearest valid word. What the
parts mean stands in `curation.rules`. Must not know of manifests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from curation.corpus import Corpus, check_column, check_condition
from curation.rules import LIMIT_PARTS, Limit, Order, Policy, Rule, Splits, Term, Weights
from curation.strict import read_yaml
from uniqa.errors import InputError, UsageError, nearest
from uniqa.splits import SPLITS

RESERVED = frozenset({"rating_leak", "superseded", "minimum_per_image"})
"""Reasons that `filter` itself gives, so that no rule of a policy may bear them."""

_RULE_KEYS = {"rule", "signal", "min", "max", "equals", "where", "for", "unknown"}
_LIMIT_KEYS = {"rule", "keep", "order_by", "for"}
_STRATA = ("level", "dataset")


def shipped_policies() -> dict[str, Path]:
    """Name → file of every policy that comes with UniQA."""
    folder = Path(__file__).resolve().parent / "data" / "policies"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_policy(name: str) -> Policy:
    """A shipped policy by its name, or any by its file.

    Raises:
        UsageError: no such policy, or one with an unknown key or an impossible rule.
        InputError: no such file.
    """
    shipped = shipped_policies()
    path = shipped.get(name) or Path(name)
    if not path.is_file():
        if path.suffix in {".yaml", ".yml"}:
            raise InputError(f"no policy file at {path}", "Check the path")
        raise UsageError(f"unknown policy '{name}'", nearest(name, shipped))
    try:
        data = read_yaml(path)
    except InputError as error:
        raise UsageError(error.message, error.remedy) from error
    return parse_policy(path, data)


def parse_policy(path: Path, data: Any) -> Policy:
    """A policy from what its YAML holds; `path` stands in errors, and names it if it does not.

    Raises:
        UsageError: an unknown key or an impossible rule.
    """
    _check(path, data, {"name", "seed", "rules", "limits", "weights", "splits"}, "the policy")
    rules = data.get("rules") or []
    if not isinstance(rules, list):
        raise UsageError(f"{path}: 'rules' is not a list")
    seed = data.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UsageError(f"{path}: 'seed' is a whole number, not {seed!r}")
    limits, minimum = _limits(path, data.get("limits") or {})
    policy = Policy(
        name=str(data.get("name") or path.stem),
        seed=seed,
        rules=tuple(_rule(path, rule) for rule in rules),
        limits=limits,
        minimum_per_image=minimum,
        weights=_weights(path, data["weights"]) if data.get("weights") else Weights(),
        splits=_splits(path, data["splits"]) if data.get("splits") else None,
        source=data,
    )
    names = [rule.name for rule in policy.rules] + [limit.name for limit in policy.limits]
    for name in names:
        if name in RESERVED:
            raise UsageError(f"{path}: '{name}' is a rule of UniQA's own", "Choose another name")
        if names.count(name) > 1:
            raise UsageError(f"{path}: two rules are called '{name}'")
    return policy


def check_policy(policy: Policy, corpus: Corpus, path: str) -> None:
    """Raise UsageError for a signal that the corpus does not have, or SQL that fails."""
    for rule in policy.rules:
        where = f"{path}, rule '{rule.name}'"
        if rule.signal:
            check_column(corpus, rule.signal, where)
        if rule.only:
            check_condition(corpus, rule.only, where)
        check_condition(corpus, rule.where or rule.condition, where)
        if rule.signal:
            _check_known(corpus, rule, where)
    for limit in policy.limits:
        where = f"{path}, limit '{limit.name}'"
        check_column(corpus, limit.order.signal, where)
        if limit.only:
            check_condition(corpus, limit.only, where)
    for term in policy.weights.terms:
        where = f"{path}, weights"
        check_column(corpus, term.signal, where)
        check_condition(corpus, f"{term.sql} > 0", where)


def _check_known(corpus: Corpus, rule: Rule, where: str) -> None:
    """A signal that no caption has would drop everything, silently: it was never computed."""
    if rule.unknown or rule.signal not in corpus.columns("signals"):
        return
    column = rule.signal
    if corpus.value("SELECT count(*) FROM signals") and not corpus.value(
        f'SELECT count("{column}") FROM signals'
    ):
        raise UsageError(
            f"{where}: no caption has the signal '{column}' yet", "Run uniqa-curate refine"
        )


def _rule(path: Path, data: Any) -> Rule:
    _check(path, data, _RULE_KEYS, "a rule")
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
    unknown = data.get("unknown", "drop")
    if unknown not in {"keep", "drop"}:
        raise UsageError(f"{path}: rule '{name}': 'unknown' is keep or drop, not {unknown!r}")
    return Rule(
        name=str(name),
        signal=str(data.get("signal", "")),
        minimum=data.get("min"),
        maximum=data.get("max"),
        equals=data.get("equals"),
        where=str(data.get("where", "")),
        only=str(data.get("for", "")),
        unknown=unknown == "keep",
    )


def _limits(path: Path, data: Any) -> tuple[tuple[Limit, ...], int]:
    """The limits in the order in which they are written, and the minimum per image."""
    if not isinstance(data, dict):
        raise UsageError(f"{path}: limits is not a mapping")
    order = _order(path, data.get("order_by", "rank"))
    limits: list[Limit] = []
    minimum = 0
    for key, value in data.items():
        if key == "order_by":
            continue
        if key == "minimum_per_image":
            minimum = _whole(path, key, value)
            continue
        if key == "diverse":
            keep = _whole(path, key, value)
            limits += [Limit("diverse", ("image",), keep, Order("gain_rank"))] if keep else []
            continue
        parts = _parts(path, str(key))
        for entry in value if isinstance(value, list) else [value]:
            limits += _limit(path, str(key), parts, entry, order)
    return tuple(limits), minimum


def _limit(path: Path, key: str, parts: tuple[str, ...], data: Any, order: Order) -> list[Limit]:
    if not isinstance(data, dict):
        keep = _whole(path, key, data)
        return [Limit(key, parts, keep, order)] if keep else []
    _check(path, data, _LIMIT_KEYS, f"limit '{key}'")
    if "keep" not in data:
        raise UsageError(f"{path}: limit '{key}' does not say how many to keep ('keep: …')")
    if "order_by" in data:
        order = _order(path, data["order_by"])
    name = str(data.get("rule") or key)
    keep = _whole(path, f"keep' of '{key}", data["keep"])
    return [Limit(name, parts, keep, order, str(data.get("for", "")))]


def _parts(path: Path, key: str) -> tuple[str, ...]:
    words = key.removeprefix("per_").split("_") if key.startswith("per_") else []
    if not words or not set(words) <= set(LIMIT_PARTS) or len(set(words)) < len(words):
        usual = ["per_image", "per_model", "per_cue", "per_image_model", "per_image_cue"]
        usual += ["per_group", "per_level", "per_dataset", "per_task", "per_source"]
        usual += ["diverse", "minimum_per_image", "order_by"]
        raise UsageError(f"{path}: limits has the unknown key '{key}'", nearest(key, usual))
    return tuple(words)


def _order(path: Path, text: Any) -> Order:
    try:
        return Order.parse(str(text))
    except ValueError:
        raise UsageError(
            f"{path}: order_by '{text}' is no signal with asc or desc", "Like: air desc"
        ) from None


def _weights(path: Path, data: Any) -> Weights:
    _check(path, data, {"combine", "min", "max", "terms"}, "weights")
    combine = data.get("combine", "product")
    if combine not in {"product", "sum"}:
        raise UsageError(f"{path}: weights: 'combine' is product or sum, not {combine!r}")
    terms = data.get("terms") or []
    if not isinstance(terms, list) or not terms:
        raise UsageError(f"{path}: weights: 'terms' is not a list with a signal in it")
    low, high = (_number(path, "weights", data, *one) for one in (("min", 0.01), ("max", 1.0)))
    if not 0 < low <= high:
        raise UsageError(f"{path}: weights: 0 < min ≤ max must hold, not {low:g} and {high:g}")
    return Weights(tuple(_term(path, term) for term in terms), combine, low, high)


def _term(path: Path, data: Any) -> Term:
    _check(path, data, {"signal", "from", "to", "low", "high", "unknown"}, "a term of weights")
    if not data.get("signal"):
        raise UsageError(f"{path}: a term of weights has no signal ('signal: …')")
    where = f"weights, signal '{data['signal']}'"
    for key in ("from", "to"):
        if key not in data:
            raise UsageError(f"{path}: {where}: '{key}' is missing")
    begin, end = _number(path, where, data, "from", 0.0), _number(path, where, data, "to", 1.0)
    if begin == end:
        raise UsageError(f"{path}: {where}: 'from' and 'to' are the same")
    others = {key: _number(path, where, data, key, default)
              for key, default in (("low", 0.0), ("high", 1.0), ("unknown", 1.0))}  # fmt: skip
    return Term(str(data["signal"]), begin, end, **others)


def _splits(path: Path, data: Any) -> Splits:
    _check(path, data, {*SPLITS, "stratify"}, "splits")
    shares = {name: _number(path, "splits", data, name, 0.0) for name in SPLITS}
    if min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise UsageError(f"{path}: splits: shares are from 0 and sum to 1, not {shares}")
    strata = data.get("stratify", list(_STRATA))
    if not isinstance(strata, list):
        raise UsageError(f"{path}: splits: 'stratify' is not a list")
    for word in strata:
        if word not in _STRATA:
            raise UsageError(
                f"{path}: splits: cannot stratify by '{word}'", nearest(str(word), _STRATA)
            )
    return Splits(shares, tuple(strata))


def _check(path: Path, data: Any, allowed: Iterable[str], where: str) -> None:
    if not isinstance(data, dict):
        raise UsageError(f"{path}: {where} is not a mapping")
    for key in data:
        if key not in allowed:
            raise UsageError(
                f"{path}: {where} has the unknown key '{key}'", nearest(str(key), allowed)
            )


def _whole(path: Path, key: str, value: Any) -> int:
    if not _is_number(value) or value != int(value) or value < 0:
        raise UsageError(f"{path}: '{key}' is a whole number from 0, not {value!r}")
    return int(value)


def _number(path: Path, where: str, data: Mapping[str, Any], key: str, default: float) -> float:
    value = data.get(key, default)
    if not _is_number(value):
        raise UsageError(f"{path}: {where}: '{key}' is not a number")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
