"""Errors that a person can act on, and the exit code each one means.

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | more items failed than allowed, or nothing succeeded; what was made is stored |
| 2 | wrong command line, policy or configuration |
| 3 | input that cannot be used: a folder, table, photo, manifest or model; a full disk |
| 4 | the corpus is held by another process |
| 5 | an engine could not be started or kept dying |
| 70 | a defect of UniQA itself; the line names a file with the details |
| 130 | interrupted; what was finished is stored |
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UniqaError(Exception):
    """One clear line for a person: what is wrong (`message`) and what to do (`remedy`)."""

    exit_code = 3

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}".strip() if self.remedy else self.message


class UsageError(UniqaError):
    """The command line, a policy or a configuration says something that cannot be meant."""

    exit_code = 2


class InputError(UniqaError):
    """A folder, table, manifest or model that cannot be used."""

    exit_code = 3


class CorpusBusyError(UniqaError):
    """Another process has the corpus open."""

    exit_code = 4


class CorpusWriteError(UniqaError):
    """The corpus cannot be written or read any more: a full disk, a broken one, no memory."""

    exit_code = 3


class EngineError(UniqaError):
    """An engine could not be started, or died more often than it may."""

    exit_code = 5


class TooManyFailuresError(UniqaError):
    """A larger share of the work failed than was allowed; what was made is stored."""

    exit_code = 1


def nearest(word: str, known: Iterable[str]) -> str:
    """The remedy for an unknown word: the nearest known one, else all of them."""
    options = sorted(known)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(options)}"
