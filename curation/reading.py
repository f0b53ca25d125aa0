"""Opening a corpus to read it, and saying when what is read is a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curation.corpus import Corpus
from uniqa.console import say


@contextmanager
def reading(path: Path) -> Iterator[Corpus]:
    """The corpus at `path`, open for reading; people are told if it is a snapshot.

    Raises:
        InputError: there is no corpus.
        CorpusBusyError: another process writes it and has published no snapshot.
    """
    with Corpus(path) as corpus:
        told = snapshot_note(corpus)
        if told:
            say(told)
        yield corpus


def snapshot_note(corpus: Corpus) -> str:
    """``snapshot of HH:MM:SS, N captions``; empty for the corpus itself."""
    if corpus.snapshot is None:
        return ""
    captions = corpus.value("SELECT count(*) FROM captions")
    return f"snapshot of {corpus.snapshot:%H:%M:%S}, {captions:,} captions"
