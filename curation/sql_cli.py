"""``uniqa-curate sql`` and ``schema``: parse, call and print."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from curation.cli_options import DEFAULT_CORPUS, JsonOption
from uniqa.console import print_json, print_rows, print_table, say
from uniqa.errors import UsageError, nearest

CorpusOption = Annotated[
    Path, typer.Option("--corpus", help="The corpus, a DuckDB file.", show_default=True)
]
PagerOption = Annotated[
    bool,
    typer.Option(
        "--pager/--no-pager",
        help="On a terminal, show what is longer than the screen in $PAGER (less -R -S).",
    ),
]


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over the corpus's tables and views.")],
    corpus: CorpusOption = DEFAULT_CORPUS,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    limit: Annotated[
        int, typer.Option(min=0, help="Rows shown in the table; 0 shows all. No limit on files.")
    ] = 1000,
    pager: PagerOption = True,
) -> None:
    """Ask the corpus in SQL, read-only: nothing can be written, attached, copied or read beside.

    While generate writes, a recent snapshot answers. docs/sql.md has twenty queries to start from.
    """
    from curation.reading import reading
    from uniqa.pager import paged

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude one another")
    with reading(corpus) as store:
        result = store.ask(query)
    if as_json:
        print_json(result.to_pylist())
        return
    if as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(result.column_names)
        writer.writerows(_cells(result))
        return
    import pyarrow.types as kinds

    numbers = [
        field.name
        for field in result.schema
        if kinds.is_integer(field.type) or kinds.is_floating(field.type)
    ]
    shown = result.slice(0, limit) if limit else result
    with paged(wanted=pager) as console:
        print_rows(result.column_names, _cells(shown), right=numbers, console=console)
    if shown.num_rows < result.num_rows:
        say(f"{shown.num_rows:,} of {result.num_rows:,} rows shown; --limit 0 shows all")


def schema(
    table: Annotated[
        str | None, typer.Argument(help="One table or view.", show_default="all of them")
    ] = None,
    corpus: CorpusOption = DEFAULT_CORPUS,
    as_json: JsonOption = False,
    pager: PagerOption = True,
) -> None:
    """The corpus's tables and views: every column with its type and what it means."""
    from curation.reading import reading
    from curation.schema import read_schema
    from uniqa.pager import paged

    with reading(corpus) as store:
        found = read_schema(store)
    if table is not None:
        names = [one.name for one in found]
        if table not in names:
            raise UsageError(f"the corpus has no table or view '{table}'", nearest(table, names))
        found = [one for one in found if one.name == table]
    if as_json:
        print_json([one.as_dict() for one in found])
        return
    with paged(wanted=pager) as console:
        for one in found:
            print_table(
                f"{one.kind} {one.name}: {one.meaning}",
                ["column", "type", "meaning"],
                [(column.name, column.type, column.meaning) for column in one.columns],
                console=console,
            )


def _cells(result: Any) -> list[list[Any]]:
    return [list(row.values()) for row in result.to_pylist()] if result.num_columns else []
