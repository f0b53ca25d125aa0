"""What a user may ask of the corpus: queries that only read, conditions on a caption alone.

Must not know how it is stored.
"""

from __future__ import annotations

import json
import re
from itertools import count
from typing import TYPE_CHECKING

import pyarrow as pa

from curation.corpus.opening import reason_of
from curation.readonly import check_statement, check_tree
from uniqa.errors import UsageError, nearest

if TYPE_CHECKING:
    from curation.corpus.store import Corpus

VERDICT_COLUMNS = frozenset(
    "kept dropped_by dropped_value dropped_threshold weight run_id created_at".split()
)
"""Columns of the view `corpus` that no policy may use: they follow from runs, not from captions."""

_MOMENTS = frozenset("current_date current_time current_timestamp localtime localtimestamp".split())


def check_reads(corpus: Corpus, query: str) -> None:
    """Raise UsageError unless the query is one statement that only reads the corpus."""
    import duckdb

    # What EXPLAIN ANALYZE explains is also run.
    explained = re.match(r"\s*explain\s+(analyze\s+)?(?!\s)", query, re.IGNORECASE)
    if explained:
        query = query[explained.end() :]
    statements = duckdb.extract_statements(query)
    if len(statements) != 1:
        raise UsageError(f"write one query, not {len(statements)}")
    try:
        kind = statements[0].type.name
    except ValueError:
        kind = "that"  # a statement that DuckDB's own Python names do not have
    check_statement(kind)
    tree = json.loads(corpus.value("SELECT json_serialize_sql(?)", [query]))
    if tree.get("error"):
        raise UsageError(f"the query does not parse: {tree.get('error_message', '')}")
    check_tree(tree, {row[0] for row in corpus.rows("SHOW TABLES")})


def check_condition(corpus: Corpus, condition: str, where: str) -> None:
    """Raise UsageError unless `condition` decides on a caption alone, and always the same.

    A boolean SQL expression over the view `corpus` without earlier verdicts and runs, without
    subqueries, and without functions whose value changes from call to call.
    """
    import duckdb

    words = set(re.findall(r"\w+", re.sub(r"'[^']*'", "''", condition.lower())))
    fickle = words & (_fickle_functions(corpus) | _MOMENTS)
    if fickle:
        raise UsageError(f"{where}: '{min(fickle)}' is not the same every time")
    if "select" in words:
        raise UsageError(f"{where}: a condition holds no subquery")
    hidden = ", ".join(sorted(VERDICT_COLUMNS))
    query = (
        f"SELECT count(*) FROM (SELECT * EXCLUDE ({hidden}) FROM corpus LIMIT 0) "
        f"WHERE ({condition})"
    )
    try:
        check_reads(corpus, query)
        corpus.rows(query)
    except UsageError as error:
        raise UsageError(f"{where}: the condition '{condition}': {error}") from error
    except duckdb.Error as error:
        raise UsageError(
            f"{where}: the condition '{condition}' fails: {reason_of(error)}"
        ) from error


def check_column(corpus: Corpus, name: str, where: str) -> None:
    """Raise UsageError unless the view `corpus` has a column of this name."""
    known = [column for column in corpus.columns("corpus") if column not in VERDICT_COLUMNS]
    if name not in known:
        raise UsageError(f"{where}: unknown signal or column '{name}'", nearest(name, known))


def distinct_names(table: pa.Table) -> pa.Table:
    """Two columns of one name become `name` and `name_1`, so that no row loses one as a mapping."""
    names: list[str] = []
    for name in table.column_names:
        again = (f"{name}_{number}" for number in count(1))
        names.append(name if name not in names else next(n for n in again if n not in names))
    return table.rename_columns(names)


def _fickle_functions(corpus: Corpus) -> set[str]:
    rows = corpus.rows(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
        "WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
    )
    return {row[0] for row in rows if row[0].isidentifier()}
