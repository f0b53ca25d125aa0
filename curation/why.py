"""Why a caption was kept or dropped: its record, and every rule of the filter with its value.

The verdict is the one that was stored; beside it all rules are asked again, so that one sees what
else would have dropped the caption. Must not know how it is shown.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curation.compare import find_filter
from curation.corpus import VERDICT_COLUMNS, Corpus
from curation.judge import LEAK, MINIMUM, SUPERSEDED
from curation.policy import check_policy, parse_policy
from curation.rules import LIMIT_PARTS, Policy, Rule, literal
from uniqa.errors import InputError, UsageError


@dataclass(frozen=True, slots=True)
class Asked:
    """One rule about the caption. `passed` is None where it did not come to it."""

    rule: str
    value: str
    threshold: str
    passed: bool | None


@dataclass(frozen=True)
class Why:
    """A caption's record (columns of the view `corpus`), its verdict and all rules.

    `kept` is None when the filter did not see the caption, or none was run.
    """

    caption: dict[str, Any]
    policy: str
    filter_id: str
    kept: bool | None
    weight: float | None
    dropped_by: str
    rules: list[Asked]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def explain(corpus: Corpus, caption: str, filter_name: str = "last") -> Why:
    """Explain a verdict.

    Args:
        corpus: only read.
        caption: the id, or so much of its beginning that no other begins so.
        filter_name: as for `curation.compare.find_filter`.

    Raises:
        InputError: no such caption, or several.
        UsageError: no such filter.
    """
    caption_id = _find_caption(corpus, caption)
    record = corpus.table("SELECT * FROM corpus WHERE caption_id = ?", [caption_id]).to_pylist()[0]
    shown = {
        name: value
        for name, value in record.items()
        if name not in VERDICT_COLUMNS or name in {"run_id", "created_at"}
    }
    if filter_name == "last" and not corpus.value("SELECT count(*) FROM filters"):
        return Why(shown, "", "", None, None, "", [])
    found = find_filter(corpus, filter_name)
    if found is None:
        raise UsageError(f"no filter '{filter_name}' was run on this corpus")
    filter_id, name = found
    stored = corpus.rows(
        "SELECT kept, rule, value, threshold, weight FROM verdicts "
        "WHERE filter_id = ? AND caption_id = ?",
        [filter_id, caption_id],
    )
    if not stored:
        return Why(shown, name, filter_id, None, None, "", [])
    kept, dropped_by, value, threshold, weight = stored[0]
    policy = _policy(corpus, filter_id, name)
    rules = _asked(corpus, policy, filter_id, caption_id) if policy else []
    rules = [_as_stored(one, dropped_by, value, threshold) for one in rules]
    if policy:
        rules += _chosen(corpus, policy, caption_id, (kept, dropped_by, value, threshold))
    elif dropped_by:
        rules = [Asked(dropped_by, value, threshold, False)]
    return Why(shown, name, filter_id, kept, weight, dropped_by, rules)


def _find_caption(corpus: Corpus, caption: str) -> str:
    found = corpus.rows(
        "SELECT caption_id FROM captions WHERE starts_with(caption_id, ?) ORDER BY 1 LIMIT 2",
        [caption.strip().lower()] if caption.strip() else ["?"],
    )
    if not found:
        raise InputError(
            f"{corpus.path} has no caption whose id begins with '{caption}'",
            'uniqa-curate sql "SELECT caption_id, text FROM corpus" shows ids',
        )
    if len(found) > 1 and found[0][0] != caption:
        raise InputError(f"several captions have an id that begins with '{caption}'", "Say more")
    return str(found[0][0])


def _policy(corpus: Corpus, filter_id: str, name: str) -> Policy | None:
    """The policy that was stored with the filter; None for filters older than that."""
    text = corpus.value("SELECT source FROM filters WHERE filter_id = ?", [filter_id])
    if text is None:
        return None
    policy = parse_policy(Path(name), json.loads(text))
    check_policy(policy, corpus, name)
    return policy


def _asked(corpus: Corpus, policy: Policy, filter_id: str, caption_id: str) -> list[Asked]:
    rules: tuple[Rule, ...] = (LEAK, SUPERSEDED, *policy.rules)
    columns = ", ".join(f"{rule.condition}, {_value(rule)}" for rule in rules)
    answers = corpus.rows(
        f"SELECT {columns} FROM (SELECT c.* REPLACE (p.group_id AS group_id, p.split AS split) "
        f"FROM corpus c JOIN places p ON p.image_id = c.image_id "
        f"AND p.filter_id = {literal(filter_id)} WHERE caption_id = {literal(caption_id)})"
    )[0]
    return [
        Asked(rule.name, answers[2 * n + 1], rule.threshold, bool(answers[2 * n]))
        for n, rule in enumerate(rules)
    ]


def _value(rule: Rule) -> str:
    """For UniQA's own rule the facts behind it; a condition of the policy has no single value."""
    if rule is LEAK:
        return "concat('split ', split, ', told ', coalesce(prompt_level, 'nothing'))"
    return rule.value


def _as_stored(asked: Asked, rule: str, value: str, threshold: str) -> Asked:
    """For the rule that dropped it, what was stored when it did."""
    if asked.rule != rule:
        return asked
    return Asked(rule, value or asked.value, threshold, False)


def _chosen(
    corpus: Corpus, policy: Policy, caption_id: str, stored: tuple[bool, str, str, str]
) -> list[Asked]:
    """The limits: the one that dropped it with its value, those before it passed."""
    kept, dropped_by, value, threshold = stored
    names = [limit.name for limit in policy.limits]
    thresholds = {limit.name: limit.threshold for limit in policy.limits}
    if policy.minimum_per_image:
        names.append(MINIMUM)
        thresholds[MINIMUM] = f"≥ {policy.minimum_per_image}"
    reached = len(names) if kept else names.index(dropped_by) if dropped_by in names else -1
    about = _spoken_of(corpus, policy, caption_id)
    rows = []
    for number, name in enumerate(names):
        if name == dropped_by:
            rows.append(Asked(name, value, threshold, False))
        elif number < reached:
            rows.append(Asked(name, about.get(name, ""), thresholds[name], True))
        else:
            rows.append(Asked(name, "", thresholds[name], None))
    return rows


def _spoken_of(corpus: Corpus, policy: Policy, caption_id: str) -> dict[str, str]:
    """For each limit the signal that it orders by, or that it is not about this caption."""
    words = {}
    for limit in policy.limits:
        only = f"coalesce(({limit.only}), false)" if limit.only else "true"
        order = limit.order.signal
        parts = " and ".join(LIMIT_PARTS[part] for part in limit.parts)
        meant, value = corpus.rows(
            f'SELECT {only}, CAST("{order}" AS VARCHAR) FROM corpus '
            f"WHERE caption_id = {literal(caption_id)}"
        )[0]
        told = "unknown" if value is None else value
        words[limit.name] = f"{order} {told}, per {parts}" if meant else "not about this caption"
    return words
