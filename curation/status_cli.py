"""``uniqa-curate status``: parses, calls and prints; see `curation.status`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curation.cli_options import DEFAULT_CORPUS, JsonOption
from uniqa.console import print_json, print_table, say


def status(
    corpus: Annotated[
        Path, typer.Option("--corpus", help="The corpus, a DuckDB file.", show_default=True)
    ] = DEFAULT_CORPUS,
    as_json: JsonOption = False,
) -> None:
    """What is in a corpus, what is running, what failed, what to do next."""
    from curation.reading import reading
    from curation.status import read_status

    with reading(corpus) as store:
        state = read_status(store)
    if as_json:
        print_json(state.as_dict() | {"next": state.next_step(corpus)})
        return
    for title, columns, rows, right in state.tables():
        if rows:
            print_table(title, columns, rows, right=right)
    if state.running is not None:
        say(state.running.told())
    say(f"Next: {state.next_step(corpus)}")
