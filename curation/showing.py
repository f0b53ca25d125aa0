"""The progress of one model, for people: done of total, pace, cache hits, what is left to wait."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from rich.progress import Progress

from curation.generate import Generation
from uniqa.console import progress


class Display:
    """A bar of captions; use it as a context manager. Where stderr is no terminal it is silent."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._context = progress()
        self._lock = threading.Lock()
        self._passed = self._under_way = 0

    def __enter__(self) -> Display:
        """The display, shown."""
        self._bar: Progress = self._context.__enter__()
        self._task = self._bar.add_task(f"{self._model}: captions", total=None, note="starting …")
        self._began = time.monotonic()
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
            self._under_way = max(0, self._under_way - results)
            self._show(self._note(generation))

    def _show(self, note: str | None = None) -> None:
        if note is not None:
            self._bar.update(self._task, note=note)
        self._bar.update(self._task, completed=self._passed + self._under_way)

    def _note(self, generation: Generation) -> str:
        counts, seconds = generation.counts, generation.seconds
        working = max(1e-9, time.monotonic() - self._began - seconds.loading)
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
