"""Filter: a policy's verdict on every caption, each drop with its rule, value and threshold.

The first rule that a caption breaks is its reason. Before all rules of the policy stand two that
no policy can lift: a caption whose prompt told a rating never leaves the train split, so that no
test score reaches a model by way of a text; and one that a newer caption supersedes is not used.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import pyarrow as pa

from curation.corpus import Corpus, now
from curation.policy import Policy, Rule, check_policy

LEAK = Rule("rating_leak", where="split = 'train' OR coalesce(prompt_level, '') = ''")
SUPERSEDED = Rule("superseded", where="NOT superseded")


@dataclass(frozen=True)
class Filtered:
    """What a filter run decided; `by_rule` is in the order in which the rules apply."""

    filter_id: str
    captions: int
    kept: int
    by_rule: dict[str, int]

    @property
    def dropped(self) -> int:
        """Captions that are not in the manifest."""
        return self.captions - self.kept


def apply_policy(corpus: Corpus, policy: Policy, *, shown_as: str) -> tuple[Filtered, pa.Table]:
    """Judge every caption; nothing is written yet.

    Args:
        corpus: refined, so that the signals are there.
        policy: the rules.
        shown_as: the policy's name or file, for errors.

    Returns:
        The counts, and one row of the table `verdicts` per caption.

    Raises:
        UsageError: the policy names what the corpus does not have.
    """
    check_policy(policy, corpus, shown_as)
    rules = (LEAK, SUPERSEDED, *policy.rules)
    filter_id = _filter_id(corpus, policy)
    broken = " ".join(f"WHEN NOT {rule.condition} THEN {i}" for i, rule in enumerate(rules))
    # Asked like a user's query: a rule may fail on a value that no check could foresee.
    judged = corpus.ask(
        f"WITH judged AS (SELECT *, CASE {broken} ELSE {len(rules)} END AS broken FROM corpus), "
        f"placed AS (SELECT *, CASE WHEN broken = {len(rules)} THEN row_number() OVER ("
        f'PARTITION BY image_id, broken ORDER BY "{policy.order_by}" NULLS LAST, caption_id) '
        f"END AS place FROM judged) "
        f"SELECT caption_id, broken, place, CASE broken "
        + " ".join(f"WHEN {i} THEN {rule.value}" for i, rule in enumerate(rules))
        + " ELSE '' END AS value FROM placed ORDER BY caption_id"
    )
    names = [*(rule.name for rule in rules), "per_image"]
    thresholds = [*(rule.threshold for rule in rules), f"≤ {policy.per_image}"]
    kept, rule_names, values, limits = [], [], [], []
    for row in judged.to_pylist():
        place, broken_rule, value = row["place"], row["broken"], row["value"]
        over = policy.per_image and place is not None and place > policy.per_image
        fine = place is not None and not over
        kept.append(fine)
        rule_names.append("" if fine else names[broken_rule])
        values.append(str(place) if over else value)
        limits.append("" if fine else thresholds[broken_rule])
    verdicts = pa.table(
        {
            "filter_id": pa.array([filter_id] * len(kept), pa.string()),
            "caption_id": judged["caption_id"],
            "kept": pa.array(kept, pa.bool_()),
            "rule": pa.array(rule_names, pa.string()),
            "value": pa.array(values, pa.string()),
            "threshold": pa.array(limits, pa.string()),
        }
    )
    by_rule = {name: rule_names.count(name) for name in names}
    if not by_rule["superseded"]:
        del by_rule["superseded"]
    if not policy.per_image:
        del by_rule["per_image"]
    return Filtered(filter_id, len(kept), sum(kept), by_rule), verdicts


def store_verdicts(
    corpus: Corpus, policy: Policy, filtered: Filtered, verdicts: pa.Table, *, run_id: str, to: str
) -> None:
    """Write the verdicts; they become what the view `corpus` shows."""
    with corpus.transaction():
        corpus.put(
            "filters",
            [
                {
                    "filter_id": filtered.filter_id,
                    "policy": policy.name,
                    "manifest": to,
                    "run_id": run_id,
                    "filtered_at": now(),
                }
            ],
        )
        corpus.put("verdicts", verdicts)


def snapshot_hash(corpus: Corpus) -> str:
    """A hash of what was written and rated, whatever runs it took to get there."""
    captions = corpus.value(
        "SELECT sha256(string_agg(caption_id || sha256(text), '' ORDER BY caption_id)) "
        "FROM current_captions"
    )
    ratings = corpus.value(
        "SELECT sha256(string_agg(concat_ws('|', image_id, dataset, task, mos, std, split, "
        "group_id), '\n' ORDER BY image_id, dataset, task)) FROM ratings"
    )
    return hashlib.sha256(f"{captions}|{ratings}".encode()).hexdigest()


def _filter_id(corpus: Corpus, policy: Policy) -> str:
    rules = json.dumps(policy.source, sort_keys=True, default=str)
    refined = corpus.rows("SELECT DISTINCT encoder, threshold FROM signals ORDER BY ALL")
    identity = f"{rules}|{refined}|{snapshot_hash(corpus)}"
    return hashlib.sha256(identity.encode()).hexdigest()[:16]
