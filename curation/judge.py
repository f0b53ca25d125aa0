"""Judging: a policy as one query over a staged table, with a verdict per caption.

Everything that a policy asks of the view `corpus` is evaluated once and kept in a temporary table,
so that verdicts, counts per rule and every point of a sweep come from it without touching the
signals again. Must not know who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from curation.corpus import Corpus
from curation.groups import Places
from curation.rules import LIMIT_PARTS, Limit, Policy, Rule, literal
from uniqa.errors import UsageError

LEAK = Rule("rating_leak", where="split = 'train' OR coalesce(prompt_level, '') = ''")
SUPERSEDED = Rule("superseded", where="NOT superseded")
MINIMUM = "minimum_per_image"

_ALWAYS = "caption_id image_id group_id dataset split task source model cue".split()
_ALWAYS += ["rated_level", "similarity"]


@dataclass(frozen=True)
class Staged:
    """A policy's questions, answered for every caption in the temporary table `judged`.

    Args:
        policy: whose.
        rules: UniQA's own two, then the policy's.
        extra: name → column of what else was asked for.
    """

    policy: Policy
    rules: tuple[Rule, ...]
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """All reasons for which a caption may be dropped, in the order in which they apply."""
        names = [rule.name for rule in self.rules]
        names += [limit.name for limit in self.policy.limits]
        return [*names, MINIMUM] if self.policy.minimum_per_image else names

    @property
    def thresholds(self) -> list[str]:
        """The limit of each of `names`, for people."""
        found = [rule.threshold for rule in self.rules]
        found += [limit.threshold for limit in self.policy.limits]
        least = self.policy.minimum_per_image
        return [*found, f"≥ {least}"] if least else found

    def verdicts(
        self,
        *,
        tests: Mapping[int, str] | None = None,
        limits: Sequence[Limit] | None = None,
        minimum: bool = True,
    ) -> str:
        """SQL for `judged` with the columns `broken` (number in `names`, null if kept) and `value`.

        Args:
            tests: number of a rule → SQL to take instead of its condition.
            limits: in place of the policy's; as many, and about the same captions.
            minimum: whether the minimum per image counts.
        """
        other = tests or {}
        cases = " ".join(
            f"WHEN NOT {other.get(n, f'r{n}')} THEN {n}" for n in range(len(self.rules))
        )
        values = " ".join(f"WHEN {n} THEN v{n}" for n in range(len(self.rules)))
        query = f"SELECT *, CASE {cases} END AS broken FROM judged"
        query = f"SELECT *, CASE broken {values} END AS value FROM ({query})"
        for place, limit in enumerate(self.policy.limits if limits is None else limits):
            number = len(self.rules) + place
            query = self._limited(query, place, number, limit)
        least = self.policy.minimum_per_image if minimum else 0
        if least:
            number = len(self.names) - 1
            few = f"broken IS NULL AND left_over < {least}"
            query = (
                f"SELECT * REPLACE (CASE WHEN {few} THEN CAST(left_over AS VARCHAR) ELSE value END "
                f"AS value, CASE WHEN {few} THEN {number} ELSE broken END AS broken) "
                "FROM (SELECT *, count(*) FILTER (broken IS NULL) OVER (PARTITION BY image_id) "
                f"AS left_over FROM ({query}))"
            )
        return query

    def _limited(self, query: str, place: int, number: int, limit: Limit) -> str:
        counted = f"(broken IS NULL AND l{place})"
        return (
            f"SELECT * REPLACE (CASE WHEN turn{place} > {limit.keep} THEN "
            f"CAST(turn{place} AS VARCHAR) ELSE value END AS value, "
            f"CASE WHEN turn{place} > {limit.keep} THEN {number} ELSE broken END AS broken) "
            f"FROM (SELECT *, CASE WHEN {counted} THEN row_number() OVER "
            f"(PARTITION BY {counted}, {_columns(limit)} ORDER BY {_order(limit, place)}) "
            f"END AS turn{place} FROM ({query}))"
        )

    def alone(self, corpus: Corpus) -> dict[str, int]:
        """What each rule and limit would drop if there were no other."""
        sums = [f"count(*) FILTER (NOT r{n})" for n in range(len(self.rules))]
        turns = []
        for place, limit in enumerate(self.policy.limits):
            turns.append(
                f"CASE WHEN l{place} THEN row_number() OVER (PARTITION BY l{place}, "
                f"{_columns(limit)} ORDER BY {_order(limit, place)}) END AS turn{place}"
            )
            sums.append(f"count(*) FILTER (turn{place} > {limit.keep})")
        least = self.policy.minimum_per_image
        if least:
            turns.append("count(*) OVER (PARTITION BY image_id) AS there")
            sums.append(f"count(*) FILTER (there < {least})")
        source = f"SELECT *, {', '.join(turns)} FROM judged" if turns else "FROM judged"
        row = corpus.rows(f"SELECT {', '.join(sums)} FROM ({source})")[0]
        return dict(zip(self.names, map(int, row), strict=True))


def stage(
    corpus: Corpus, policy: Policy, places: Places, extra: Mapping[str, str] | None = None
) -> Staged:
    """Answer a policy's questions for every caption.

    Args:
        corpus: open in either way.
        policy: checked against the corpus.
        places: group and split of every photo; rules see these.
        extra: column → SQL over the view `corpus`, of what is to be kept beside.

    Raises:
        UsageError: a condition fails on some value, or a limit orders by what nobody computed.
    """
    more = dict(extra or {})
    staged = Staged(policy, (LEAK, SUPERSEDED, *policy.rules), more)
    columns = [f'"{name}"' for name in _ALWAYS]
    for number, rule in enumerate(staged.rules):
        columns += [f"{rule.condition} AS r{number}", f"{rule.value} AS v{number}"]
    for number, limit in enumerate(policy.limits):
        only = f"coalesce(({limit.only}), false)" if limit.only else "true"
        columns += [f"{only} AS l{number}", f'"{limit.order.signal}" AS o{number}']
    columns.append(f"{policy.weights.sql} AS weight")
    columns += [f"{sql} AS {name}" for name, sql in more.items()]
    if policy.limits:
        columns.append(f"md5_number_lower({literal(f'{policy.seed}|')} || caption_id) AS tie")
    corpus.stage("placed", "SELECT * FROM {data}", places.table)
    corpus.stage(
        "judged",
        f"SELECT {', '.join(columns)} FROM (SELECT c.* REPLACE (p.group_id AS group_id, "
        "p.split AS split) FROM corpus c JOIN placed p USING (image_id))",
    )
    _check_orders(corpus, policy)
    return staged


def _check_orders(corpus: Corpus, policy: Policy) -> None:
    computed = set(corpus.columns("signals"))
    for number, limit in enumerate(policy.limits):
        if limit.order.signal not in computed:
            continue
        meant, known = corpus.rows(
            f"SELECT count(*), count(o{number}) FROM judged WHERE l{number}"
        )[0]
        if meant and not known:
            raise UsageError(
                f"policy {policy.name}, limit '{limit.name}': no caption that it speaks of has "
                f"the signal '{limit.order.signal}' yet",
                "Run uniqa-curate refine",
            )


def verdict_table(corpus: Corpus, staged: Staged, filter_id: str) -> pa.Table:
    """One row of the table `verdicts` per caption, by id, from the staged table `verdict`."""
    names = _picked(staged.names)
    thresholds = _picked(staged.thresholds)
    return corpus.table(
        f"SELECT {literal(filter_id)} AS filter_id, caption_id, broken IS NULL AS kept, "
        f"{names} AS rule, coalesce(value, '') AS value, {thresholds} AS threshold, "
        "CAST(weight AS FLOAT) AS weight FROM verdict ORDER BY caption_id"
    )


def _picked(texts: Sequence[str]) -> str:
    cases = " ".join(f"WHEN {number} THEN {literal(text)}" for number, text in enumerate(texts))
    return f"CASE broken {cases} ELSE '' END"


def _columns(limit: Limit) -> str:
    return ", ".join(LIMIT_PARTS[part] for part in limit.parts)


def _order(limit: Limit, place: int) -> str:
    """By the signal; what is equal by it in an order that the policy's seed shuffles."""
    return f"o{place} {limit.order.sql}, tie, caption_id"
