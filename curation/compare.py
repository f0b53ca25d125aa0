"""Comparing two filters: which captions only one of them kept, and for what reason the other not.

Each side is a stored filter run or a policy, which is then judged without being stored. Must not
know how it is shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curation.corpus import Corpus
from curation.filter import apply_policy
from curation.policy import read_policy, shipped_policies
from curation.rules import literal
from uniqa.errors import UsageError, nearest

Row = tuple[Any, ...]
EXAMPLES = 3
_MOST_IMAGES = 10


@dataclass(frozen=True)
class Side:
    """One filter: how it is called, how many captions it judged and kept, and its id."""

    name: str
    filter_id: str
    captions: int
    kept: int


@dataclass(frozen=True)
class Difference:
    """What two filters disagree about; `only` is ``first`` or ``second``, whoever kept it.

    Args:
        both, only_first, only_second, neither: numbers of captions.
        by_rule: only, the rule by which the other side dropped it, captions.
        by_model: model, kept by the first alone, by the second alone.
        by_level: the rated level of the photo, kept by the first alone, by the second alone.
        by_image: the photos with the most differences: path, first alone, second alone.
        examples: only, rule, value, threshold, caption id, text.
    """

    first: Side
    second: Side
    both: int
    only_first: int
    only_second: int
    neither: int
    by_rule: list[Row]
    by_model: list[Row]
    by_level: list[Row]
    by_image: list[Row]
    examples: list[Row]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def compare(corpus: Corpus, first: str, second: str) -> Difference:
    """Compare two filters.

    Args:
        corpus: refined; only read.
        first, second: each the id of a stored filter (a prefix is enough), the manifest that it
            wrote, ``last``, a shipped policy's name, or a policy file.

    Raises:
        UsageError: neither of these, or a prefix of several ids.
    """
    left, right = _side(corpus, first, "first_v"), _side(corpus, second, "second_v")
    corpus.stage(
        "differences",
        "SELECT caption_id, coalesce(a.kept, false) AS a, coalesce(b.kept, false) AS b, "
        "CASE WHEN coalesce(a.kept, false) THEN 'first' ELSE 'second' END AS side, "
        "CASE WHEN coalesce(a.kept, false) THEN coalesce(b.rule, 'not judged') "
        "ELSE coalesce(a.rule, 'not judged') END AS rule, "
        "CASE WHEN coalesce(a.kept, false) THEN b.value ELSE a.value END AS value, "
        "CASE WHEN coalesce(a.kept, false) THEN b.threshold ELSE a.threshold END AS threshold "
        "FROM first_v a FULL JOIN second_v b USING (caption_id)",
    )
    both, only_first, only_second, neither = corpus.rows(
        "SELECT count(*) FILTER (a AND b), count(*) FILTER (a AND NOT b), "
        "count(*) FILTER (b AND NOT a), count(*) FILTER (NOT a AND NOT b) FROM differences"
    )[0]
    corpus.stage(
        "differing",
        "SELECT d.*, c.model, c.source, c.rated_level, c.path, c.text FROM differences d "
        "JOIN corpus c USING (caption_id) WHERE a <> b",
    )
    sums = "count(*) FILTER (a), count(*) FILTER (b)"
    return Difference(
        left,
        right,
        both,
        only_first,
        only_second,
        neither,
        by_rule=corpus.rows(
            "SELECT side, rule, count(*) FROM differing GROUP BY ALL ORDER BY side, count(*) DESC, "
            "rule"
        ),
        by_model=corpus.rows(
            f"SELECT CASE WHEN source = 'person' THEN 'people (' || model || ')' ELSE model END "
            f"AS who, {sums} FROM differing GROUP BY who ORDER BY count(*) DESC, who"
        ),
        by_level=corpus.rows(
            f"SELECT coalesce(rated_level, 'not rated') AS level, {sums} FROM differing "
            "GROUP BY level ORDER BY list_position(['bad','poor','fair','good','perfect'], level) "
            "NULLS LAST"
        ),
        by_image=corpus.rows(
            f"SELECT path, {sums} FROM differing GROUP BY path ORDER BY count(*) DESC, path "
            f"LIMIT {_MOST_IMAGES}"
        ),
        examples=corpus.rows(
            "SELECT side, rule, value, threshold, caption_id, text FROM differing "
            "QUALIFY row_number() OVER (PARTITION BY side, rule ORDER BY caption_id) "
            f"<= {EXAMPLES} ORDER BY side, rule, caption_id"
        ),
    )


def find_filter(corpus: Corpus, name: str) -> tuple[str, str] | None:
    """Id and policy name of a stored filter: ``last``, a prefix of its id, or its manifest.

    Raises:
        UsageError: a prefix of several ids, or ``last`` of none.
    """
    order = "ORDER BY filtered_at DESC, filter_id LIMIT 1"
    if name == "last":
        found = corpus.rows(f"SELECT filter_id, policy FROM filters {order}")
        if not found:
            raise UsageError("no filter has been run on this corpus", "Run uniqa-curate filter")
        return found[0]
    wrote = corpus.rows(
        f"SELECT filter_id, policy FROM filters WHERE manifest = ? {order}",
        [str(Path(name).absolute())],
    )
    if wrote:
        return wrote[0]
    found = corpus.rows(
        "SELECT filter_id, policy FROM filters WHERE starts_with(filter_id, ?) ORDER BY filter_id",
        [name],
    )
    if len(found) > 1:
        raise UsageError(f"{len(found)} filters have an id that begins with '{name}'")
    return found[0] if found else None


def _side(corpus: Corpus, name: str, table: str) -> Side:
    if name in shipped_policies() or Path(name).suffix in {".yaml", ".yml"}:
        filtered, verdicts = apply_policy(corpus, read_policy(name), shown_as=name)
        corpus.stage(table, "SELECT * FROM {data}", verdicts)
        return Side(name, filtered.filter_id, filtered.captions, filtered.kept)
    found = find_filter(corpus, name)
    if found is None:
        ids = [row[0] for row in corpus.rows("SELECT filter_id FROM filters")]
        raise UsageError(
            f"--diff: '{name}' is neither a policy nor a filter that was run",
            nearest(name, [*shipped_policies(), *ids, "last"]),
        )
    filter_id, policy = found
    corpus.stage(table, f"SELECT * FROM verdicts WHERE filter_id = {literal(filter_id)}")
    captions, kept = corpus.rows(f"SELECT count(*), count(*) FILTER (kept) FROM {table}")[0]
    return Side(f"{policy} ({filter_id})", filter_id, captions, kept)
