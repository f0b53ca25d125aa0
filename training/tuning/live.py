"""A run's progress for people: a live table on a terminal, plain lines elsewhere.

Must not know what a step is; it hears records only.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.live import Live
from rich.table import Table

from uniqa.console import clock, people, say

QUIET_SECONDS = 15.0
"""Least time between plain lines of windows; epochs always have theirs."""

_ROWS = 8


class Display(Protocol):
    """Hears each record."""

    def tell(self, record: dict[str, float]) -> None:
        """Show it."""
        ...


class Pace:
    """Time left, from the steps done since the run, or its continuation, began."""

    def __init__(self, total: int, done: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._first, self._clock = total, done, clock
        self._began = clock()

    def left(self, step: float) -> str:
        """``1:02:03``, or a dash before the first step."""
        passed = step - self._first
        if passed <= 0:
            return "–"
        return clock((self._clock() - self._began) / passed * (self._total - step))


def sentence(record: dict[str, float], total: int, left: str) -> str:
    """One record as a line."""
    step = f"step {record['step']:.0f}/{total}"
    if "epoch" in record:
        words = [f"epoch {record['epoch']:.0f}", step, f"loss {record['train_loss']:.4f}"]
        if "val_loss" in record:
            words += [
                f"val loss {record['val_loss']:.4f}",
                f"R@1 image→text {record['val_r1']:.1%}",
                f"text→image {record['val_r1_text']:.1%}",
            ]
    else:
        words = [
            step,
            f"loss {record['loss']:.4f}",
            f"temperature {record['temperature']:.1f}",
            f"lr {record['lr']:.2e}",
            f"{record['images_per_second']:,.1f} images/s",
        ]
    return ", ".join([*words, f"{left} left"])


class Lines:
    """A line now and then."""

    def __init__(self, total: int, done: int) -> None:
        self._total, self._pace, self._last = total, Pace(total, done), 0.0

    def tell(self, record: dict[str, float]) -> None:
        """Say it, unless the last line was a moment ago."""
        now = time.monotonic()
        if "epoch" in record or now - self._last >= QUIET_SECONDS:
            self._last = now
            say(sentence(record, self._total, self._pace.left(record["step"])), "dim")


_COLUMNS = (
    *("step", "loss", "val loss", "R@1 image→text", "R@1 text→image"),
    *("temperature", "lr", "images/s", "left"),
)


class Rows:
    """The last windows and epochs as a table; an epoch's figures stand in its last window's row."""

    def __init__(self, total: int, done: int, live: Live) -> None:
        self._total, self._pace, self._live = total, Pace(total, done), live
        self._rows: deque[list[str]] = deque(maxlen=_ROWS)

    def tell(self, record: dict[str, float]) -> None:
        """Redraw."""
        if "epoch" not in record:
            self._rows.append(
                [
                    f"{record['step']:.0f}/{self._total}",
                    f"{record['loss']:.4f}",
                    *[""] * 3,
                    f"{record['temperature']:.1f}",
                    f"{record['lr']:.2e}",
                    f"{record['images_per_second']:,.1f}",
                    self._pace.left(record["step"]),
                ]
            )
        elif "val_loss" in record:
            figures = [
                f"{record['val_loss']:.4f}",
                f"{record['val_r1']:.1%}",
                f"{record['val_r1_text']:.1%}",
            ]
            blank = [f"{record['step']:.0f}/{self._total}", f"{record['train_loss']:.4f}"]
            if not self._rows or self._rows[-1][0] != blank[0]:
                self._rows.append([*blank, *[""] * 7])
            self._rows[-1][2:5] = figures
        self._live.update(self.table())

    def table(self) -> Table:
        """What stands on the terminal."""
        table = Table(*_COLUMNS, header_style="bold", title="tuning towers", title_justify="left")
        for column in table.columns:
            column.justify = "right"
        for row in self._rows:
            table.add_row(*row)
        return table


@contextmanager
def display(total: int, done: int) -> Iterator[Display]:
    """A table on a terminal, lines elsewhere.

    Args:
        total: steps of the whole run.
        done: steps of it that an earlier part did.
    """
    if not people.is_terminal:
        yield Lines(total, done)
        return
    with Live(console=people, refresh_per_second=4, transient=False) as live:
        yield Rows(total, done, live)
