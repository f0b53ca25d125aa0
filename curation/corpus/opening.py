"""The corpus's file: opening it so that queries see nothing else, and what goes wrong with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psutil

from uniqa.errors import CorpusBusyError, CorpusWriteError, InputError

_HEADERS = 3 * 4096
"""Bytes of a DuckDB file without anything in it."""

_LOCKED = "Could not set lock"

SETTINGS = (
    ("enable_external_access", "false"),
    ("python_enable_replacements", "false"),
    ("autoinstall_known_extensions", "false"),
    ("autoload_known_extensions", "false"),
    ("allow_community_extensions", "false"),
    ("preserve_insertion_order", "true"),
)
"""Of every connection; a reader's are locked as well, so that nothing switches them on again."""


def connect(path: Path, *, read_only: bool) -> Any:
    """A connection to the file; one that DuckDB was stopped while making is made anew.

    Raises:
        InputError: it is no DuckDB file, or cannot be read.
        CorpusBusyError: another process has it open for writing.
    """
    import duckdb

    try:
        try:
            return duckdb.connect(str(path), read_only=read_only)
        except duckdb.IOException as error:
            # Whoever is just making it holds the lock.
            if read_only or _LOCKED in str(error) or not _half_made(path):
                raise
            path.unlink()
            return duckdb.connect(str(path))
    except duckdb.IOException as error:
        raise _explain(path, str(error)) from error
    except duckdb.Error as error:
        raise InputError(f"{path} cannot be opened as a corpus ({reason_of(error)})") from error


def _half_made(path: Path) -> bool:
    """Whether DuckDB was stopped while it made the file: it holds nothing, and cannot be opened."""
    if not path.is_file() or path.stat().st_size >= _HEADERS:
        return False
    head = path.read_bytes()[:12]
    return not head or head[8:] == b"DUCK"


def _explain(path: Path, text: str) -> Exception:
    if _LOCKED not in text:
        return InputError(f"{path} cannot be opened as a corpus ({text.splitlines()[0]})")
    match = re.search(r"PID (\d+)", text)
    holder = f"process {match[1]}" if match else "another process"
    if match:
        try:
            command = " ".join(psutil.Process(int(match[1])).cmdline())
            holder += f" ({command[:120]})"
        except psutil.Error:
            pass
    return CorpusBusyError(f"{path} is in use by {holder}", "Wait for it to end, or stop it")


def raise_trouble(path: Path, error: BaseException | None) -> None:
    """Raise CorpusWriteError if an error of DuckDB's is the machine's doing, and not ours.

    A commit that found no room was rolled back, and so was one during which DuckDB could not fold
    its log into the file (then it refuses everything until it is opened anew); what was committed
    before stands either way.
    """
    if error is None:
        return
    import duckdb

    if isinstance(error, duckdb.OutOfMemoryException):
        remedy = "Make memory and disk free, and repeat the command"
    elif isinstance(error, duckdb.IOException | duckdb.FatalException) or (
        isinstance(error, duckdb.TransactionException) and "Could not write" in str(error)
    ):
        remedy = "Make room, or mend the disk, and repeat the command"
    else:
        return
    # The system's own words, of which DuckDB makes a sentence with several files and causes.
    system = re.search(r'Could not \w+ file "[^"]*": ([^"\n]+)', str(error))
    why = system[1] if system else reason_of(error)
    raise CorpusWriteError(
        f"{path} cannot be written or read any more: {why}",
        f"What was stored before is safe. {remedy}",
    ) from error


def reason_of(error: Exception) -> str:
    """The first line of what DuckDB says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
