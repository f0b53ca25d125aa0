"""Long output on a terminal goes through a pager, as git's does; in a pipe or a file never.

``$UNIQA_PAGER``, else ``$PAGER``, else ``less -R -S``; an empty one or ``cat`` means none. Must not
know what is shown.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO

from rich.console import Console


def pager_command() -> list[str]:
    """The pager as a command line; empty where there is none, or none is wanted."""
    named = os.environ.get("UNIQA_PAGER", os.environ.get("PAGER"))
    command = shlex.split("less -R -S" if named is None else named)
    return command if command and command[0] != "cat" and shutil.which(command[0]) else []


@contextmanager
def paged(*, wanted: bool = True) -> Iterator[Console]:
    """A console whose output is shown at the end: by a pager if it is longer than the screen.

    Args:
        wanted: False shows everything at once, whatever its length.

    Yields:
        A rich console, in the terminal's width and colours.
    """
    terminal = Console(highlight=False)
    if not (wanted and terminal.is_terminal and sys.stdin.isatty() and pager_command()):
        yield terminal
        return
    kept = StringIO()
    yield Console(
        file=kept,
        force_terminal=True,
        width=terminal.width,
        color_system="auto",
        highlight=False,
    )
    text = kept.getvalue()
    if text.count("\n") < terminal.height and _fits(text, terminal.width):
        sys.stdout.write(text)
        return
    _page(text)


def _fits(text: str, width: int) -> bool:
    return all(len(line) <= 4 * width for line in text.splitlines())


def _page(text: str) -> None:
    # -F -X as git: nothing is cleared away when the pager ends.
    environment = {"LESS": "FRX", **os.environ}
    # Ctrl-C is the pager's while it shows: it stops a search, not this program.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with (
            subprocess.Popen(
                pager_command(), stdin=subprocess.PIPE, env=environment, text=True, encoding="utf-8"
            ) as pager,
            suppress(BrokenPipeError),
        ):
            pager.communicate(text)
    finally:
        signal.signal(signal.SIGINT, before)
