"""Which queries read the corpus and nothing else: a judgement on DuckDB's own syntax tree.

What is not known to be harmless is refused: statements other than SELECT, table functions but for
a few, tables that are named like files. DuckDB's locks (no external access, read-only file) stand
behind this; but they let a query write over the corpus file itself, change settings, and stop the
process. Must not know DuckDB: a tree is a mapping, as ``json_serialize_sql`` makes it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from uniqa.errors import UsageError

REMEDY = "Write one SELECT over the corpus's tables and views (see uniqa-curate schema)"

NODES = frozenset("SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE".split())
"""Query nodes that change nothing; a CTE can also hold INSERT, UPDATE, DELETE and MERGE."""

TABLE_FUNCTIONS = frozenset(
    "duckdb_columns duckdb_constraints duckdb_functions duckdb_indexes duckdb_keywords "
    "duckdb_schemas duckdb_tables duckdb_types duckdb_views generate_series icu_calendar_names "
    "json_each json_tree pragma_table_info pragma_version range repeat summary unnest".split()
)
"""Functions that a query may take rows from: they read the catalogue, or their own arguments."""

FORBIDDEN_FUNCTIONS = frozenset("currval current_setting getenv nextval setval write_log".split())
"""Scalar functions that read or change more than their arguments."""

TREE_FUNCTIONS = frozenset("json_execute_serialized_sql query query_table".split())
"""Functions that run a text as a query: it would have no tree to judge."""


def check_statement(kind: str) -> None:
    """Raise UsageError unless a statement of this kind (DuckDB's word for it) only reads."""
    if kind == "MULTI":
        raise UsageError(
            "a PIVOT must name its values: PIVOT … ON column IN ('a', 'b')", "Or use GROUP BY"
        )
    if kind != "SELECT":
        word = kind.replace("_", " ")
        raise UsageError(f"queries only read the corpus; {word} is refused", REMEDY)


def check_tree(tree: Mapping[str, Any], tables: Collection[str]) -> None:
    """Raise UsageError where a SELECT's tree does more than read `tables`.

    Args:
        tree: of one SELECT, as DuckDB serialises it.
        tables: names of tables and views whose names are no plain words, besides the query's own.
    """
    nodes = list(_nodes(tree))
    own = {str(one["key"]).lower() for one in nodes if "key" in one and "value" in one}
    known = own | {table.lower() for table in tables}
    for node in nodes:
        _check_node(node, known)


def _check_node(node: Mapping[str, Any], known: Collection[str]) -> None:
    kind = str(node.get("type", ""))
    if kind.endswith("_NODE") and kind not in NODES:
        word = kind.removesuffix("_NODE").removesuffix("_QUERY")
        raise UsageError(f"queries only read the corpus; {word} is refused", REMEDY)
    if kind == "TABLE_FUNCTION":
        function = node.get("function") or {}
        name = str(function.get("function_name", "")).lower()
        if name not in TABLE_FUNCTIONS:
            raise UsageError(f"queries only read the corpus; {name}() is refused", REMEDY)
    if "function_name" in node:
        name = str(node["function_name"]).lower()
        if name in FORBIDDEN_FUNCTIONS | TREE_FUNCTIONS:
            raise UsageError(f"queries only read the corpus; {name}() is refused", REMEDY)
    if kind == "BASE_TABLE":
        name = str(node.get("table_name", ""))
        if not re.fullmatch(r"\w+", name) and name.lower() not in known:
            raise UsageError(f"queries read no files; '{name}' is no table of the corpus", REMEDY)


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping in the tree; without recursion, for deep queries."""
    rest = [tree]
    while rest:
        one = rest.pop()
        if isinstance(one, Mapping):
            yield one
            rest += one.values()
        elif isinstance(one, list):
            rest += one
