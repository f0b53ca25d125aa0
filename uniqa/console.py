"""How programs speak: data on stdout, people on stderr, one line per error, progress with an ETA.

Must not know what is being done; `curation.cli` and `training.cli` hang their commands on it.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from types import FrameType
from typing import Any

import typer
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from uniqa.errors import InputError, UniqaError

people = Console(stderr=True, highlight=False)
"""For people: stderr, so that stdout stays clean for data."""


def say(message: str, style: str = "") -> None:
    """One line for people; `message` is plain text, not markup."""
    people.print(Text(visible(message), style=style), soft_wrap=True)


def warn(message: str) -> None:
    """One line of warning for people."""
    people.print(Text.assemble(("warning: ", "yellow"), visible(message)), soft_wrap=True)


def visible(text: str) -> str:
    """The text with control characters written out: a file's name must not steer a terminal."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


MOST_LINES = 10
"""Items of one kind that are told one by one."""


def warn_each(lines: Sequence[str]) -> None:
    """A warning per line, up to ten; then how many more there are."""
    for line in lines[:MOST_LINES]:
        warn(line)
    if len(lines) > MOST_LINES:
        warn(f"… and {len(lines) - MOST_LINES:,} more like these")


def print_json(value: Any) -> None:
    """One JSON document on stdout, for machines."""
    text = json.dumps(_finite(value), ensure_ascii=False, indent=2, default=str, allow_nan=False)
    sys.stdout.write(text + "\n")


def _finite(value: Any) -> Any:
    """The value with null where JSON has no number: NaN and the infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Iterable[str] = (),
    to_people: bool = False,
    console: Console | None = None,
) -> None:
    """A table people can read; cells are printed literally, columns in `right` right-aligned.

    It goes to `console`, if one is given, else to stdout. Where there is no room for its words it
    becomes one block per row.
    """
    target = people if to_people else console or Console(highlight=False)
    if not target.is_terminal and not os.environ.get("COLUMNS"):
        # A pipe or a log has no width: 80 columns would fold paths and texts needlessly.
        target = Console(file=target.file, highlight=False, width=140)
    cells = [[cell(value) for value in row] for row in rows]
    needed = [
        min(_LONGEST_WORD, max(_longest_word(text) for text in (column, *texts)))
        for column, *texts in zip(columns, *cells, strict=True)
    ]
    if sum(needed) + 3 * len(needed) + 1 > target.width:
        _print_blocks(target, title, columns, cells)
        return
    table = Table(title=escape(title) or None, title_justify="left", header_style="bold")
    to_right = set(right)
    for column, width in zip(columns, needed, strict=True):
        justify: JustifyMethod = "right" if column in to_right else "left"
        table.add_column(escape(column), justify=justify, overflow="fold", min_width=width)
    for texts in cells:
        table.add_row(*map(Text, texts))
    target.print(table)


_LONGEST_WORD = 20
"""Letters from which on a word may be broken: paths and hashes are."""


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _print_blocks(
    target: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    if title:
        target.print(Text(title, style="italic"), soft_wrap=True)
    longest = max(map(len, columns), default=0)
    for number, row in enumerate(rows, start=1):
        target.print(Text(f"row {number}", style="bold"))
        for column, text in zip(columns, row, strict=True):
            target.print(Text(f"  {column:{longest}}  {text}"), soft_wrap=True)


def print_rows(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    right: Iterable[str],
    console: Console | None = None,
) -> None:
    """A table, or one block per row where so many columns would leave no room for words."""
    target = console or Console(highlight=False)
    width = target.width if target.is_terminal or os.environ.get("COLUMNS") else 140
    if len(columns) * 10 <= width:
        print_table("", columns, rows, right=right, console=console)
        return
    _print_blocks(target, "", columns, [[cell(value) for value in row] for row in rows])


def cell(value: object) -> str:
    """One value as it stands in a table: control characters made visible, long texts cut."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:,.0f}"
    text = str(value)
    text = "".join(c if c.isprintable() else ("⏎" if c == "\n" else "·") for c in text)
    return text if len(text) <= 500 else text[:497] + "…"


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Items per second: the task's own ``rate``, or rich's over the last half minute."""
        rate = task.fields.get("rate")
        speed = (task.finished_speed or task.speed) if rate is None else rate
        return Text(f"{speed:,.1f}/s" if speed else "–/s")


class _LeftColumn(TimeRemainingColumn):
    def render(self, task: Task) -> Text:
        """As rich has it, but by the task's own ``rate`` if it has one."""
        rate, left = task.fields.get("rate"), task.remaining
        if rate is None or left is None or task.finished:
            return super().render(task)
        return Text(clock(left / rate) if rate else "-:--:--", style="progress.remaining")


def clock(seconds: float) -> str:
    """A duration as progress bars show it: h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress display on stderr: stage, bar, done/total, rate, elapsed, remaining, notes.

    Tasks may carry a ``note`` field, and a ``rate`` in items per second where what was passed over
    at once would make rich's own wrong. Where stderr is no terminal nothing moves; the commands'
    closing lines say what was done.
    """
    # On a narrow terminal the total and the time left matter more than the note.
    wide = people.width >= 110
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24 if wide else 10),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        _LeftColumn(),
        *([TextColumn("{task.fields[note]}")] if wide else []),
        console=people,
        transient=False,
        disable=not people.is_terminal,
    )
    with bar:
        yield bar


def run(app: typer.Typer, name: str) -> None:
    """Run a typer app so that every error a person can act on is one line and an exit code."""
    # Threads that spin while they wait cost a busy machine many times what they save; tokenizers
    # need none beside a process pool. Both are read when the libraries load, after this.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # What a killed child leaves is taken away by a helper of Python's, which would tell people so.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.resource_tracker")
    try:
        command = typer.main.get_command(app)
        # Not app(): that turns Ctrl-C and a closed pipe into silent exit codes of its own.
        with command.make_context(name, sys.argv[1:]) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except UniqaError as error:
        _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        if not error.format_message():
            sys.exit(error.exit_code)  # no command was given: the help was printed instead
        _fail(error.format_message(), error.exit_code, f"See {name} --help")
    except typer.Abort:
        _fail("interrupted", 130)
    except KeyboardInterrupt:
        _fail("interrupted; what was finished is stored", 130)
    except BrokenPipeError:
        # The reader (head, less) has gone: no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        # A full disk, a folder that may not be written: the system's words, in one line.
        where = f" {error.filename}" if error.filename else ""
        reason = error.strerror or str(error) or type(error).__name__
        _fail(f"cannot use{where}: {reason}", InputError.exit_code, "Check the path and the disk")
    except Exception as error:  # noqa: BLE001 - a defect of ours: one line, and all in a file
        _defect(name, error)
    sys.exit(0)


def _defect(name: str, error: Exception) -> None:
    with NamedTemporaryFile("w", prefix=f"{name}-", suffix=".log", delete=False) as file:
        file.write(f"{sys.argv}\n\n{''.join(traceback.format_exception(error))}")
    _fail(
        f"a defect of {name}, not of your input ({type(error).__name__}: {error})",
        70,
        f"What was finished is stored. Please report it with {file.name}",
    )


def _fail(message: str, code: int, remedy: str = "") -> None:
    line = " ".join(message.split())
    if remedy and not line.endswith((".", "?", "!")):
        line += "."
    people.print(
        Text.assemble(("error: ", "bold red"), f"{line} {remedy}".rstrip()), soft_wrap=True
    )
    sys.exit(code)


@contextmanager
def draining() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or SIGTERM) into a wish to stop; a second one stops at once.

    Yields:
        A function that says whether stopping was asked for.
    """
    asked = at_once = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked, at_once
        if asked:
            at_once = True
            raise KeyboardInterrupt
        asked = True
        warn("stopping after the window in flight (again: at once)")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    except Exception as error:
        if at_once:
            # A library that was interrupted, DuckDB for one, tells it as an error of its own.
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
