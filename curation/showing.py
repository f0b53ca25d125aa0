"""The progress of one model, for people: done of total, pace, cache hits, what is left to wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType

from rich.progress import Progress

from curation.generate import Generation
from uniqa.console import clock, people, progress, say

RECENT_SECONDS = 30.0
"""The pace shown is that of the last half minute."""

LINE_SECONDS = 60.0
"""Where stderr is no terminal, such as a log, a line comes this often in place of a bar."""


class Display:
    """The progress of captions: a bar, or lines where stderr is no terminal.

    Use it as a context manager.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._context = progress()
        self._lock = threading.Lock()
        self._total = self._passed = self._under_way = self._answered = 0
        self._recent: deque[tuple[float, int]] = deque()
        self._note = ""

    def __enter__(self) -> Display:
        """The display, shown."""
        self._bar: Progress = self._context.__enter__()
        self._task = self._bar.add_task(f"{self._model}: captions", total=None, note="starting …")
        self._began = self._told = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar as it stands."""
        self._context.__exit__(kind, error, trace)

    def expect(self, captions: int) -> None:
        """How many captions there will be in all, those of earlier runs included."""
        self._total = captions
        self._bar.update(self._task, total=captions)

    def answered(self, captions: int) -> None:
        """So many more came from the engine, but are not stored yet; called by its threads."""
        with self._lock:
            self._under_way += captions
            self._show()

    def advance(self, captions: int, results: int, generation: Generation) -> None:
        """So many more were passed, of which the engine has just given `results`."""
        with self._lock:
            self._passed += captions
            self._answered += results
            self._under_way = max(0, self._under_way - results)
            self._note = _note(generation, time.monotonic() - self._began)
            self._show()

    def _show(self) -> None:
        done, rate = self._passed + self._under_way, self._rate()
        self._bar.update(self._task, completed=done, note=self._note, rate=rate)
        now = time.monotonic()
        if people.is_terminal or now - self._told < LINE_SECONDS:
            return
        self._told = now
        left = f", {clock((self._total - done) / rate)} left" if rate else ""
        note = f", {self._note}" if self._note else ""
        say(f"{self._model}: {done:,} of {self._total:,} captions, {rate:,.1f}/s{left}{note}")

    def _rate(self) -> float:
        """Answers per second of late; what was there already is passed over at once and is none."""
        now = time.monotonic()
        self._recent.append((now, self._answered + self._under_way))
        while len(self._recent) > 2 and now - self._recent[1][0] > RECENT_SECONDS:
            self._recent.popleft()
        (began, before), (ended, after) = self._recent[0], self._recent[-1]
        return (after - before) / (ended - began) if ended > began else 0.0


def _note(generation: Generation, elapsed: float) -> str:
    counts, seconds = generation.counts, generation.seconds
    working = max(1e-9, elapsed - seconds.loading)
    parts = []
    if counts.tokens:
        parts.append(f"{counts.tokens / working:,.0f} tokens/s")
    if counts.prompt_tokens:
        parts.append(f"cache {counts.cached_tokens / counts.prompt_tokens:.0%}")
    if counts.resumed:
        parts.append(f"{counts.resumed:,} resumed")
    failed = counts.failed + counts.photos_failed
    parts.append(f"{failed:,} failed")
    return ", ".join(parts)
