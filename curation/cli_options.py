"""Options that several commands share, and checks of their words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from uniqa.errors import UsageError, nearest

DEFAULT_CORPUS = Path("corpus.duckdb")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def one_of(word: str, known: tuple[str, ...], option: str) -> str:
    """The word, if the option knows it. Raises UsageError, naming the nearest, if not."""
    if word not in known:
        raise UsageError(f"{option} does not know '{word}'", nearest(word, known))
    return word
