"""Several equal engines as one: one per GPU, each watched on its own.

A window is cut into pieces that keep a photo's questions together, and engines take the next piece
when they are idle, so that a slow one holds nobody up. An engine that gives up hands its piece to
the others. Must not know what its engines run on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from curation.engines.base import Answer, Engine, Refused, Request, nothing_ahead
from curation.engines.pieces import in_order, pieces
from uniqa.errors import EngineError, UsageError
from uniqa.photos import Photo

SHARES = 2
"""Pieces per engine of a window: enough that none waits long for the last, and few enough to fill
an engine's batches."""


class EngineGroup:
    """Obeys the `Engine` protocol over engines that would give the same answers."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        """Take the engines, of which none has started yet.

        Args:
            engines: equal ones: same model, revision and options, each with a device of its own.

        Raises:
            UsageError: no engine, or engines of different models.
        """
        if len({(one.name, one.model, one.revision) for one in engines}) != 1:
            raise UsageError("a group needs engines, all of the same model and revision")
        first = engines[0]
        self.name = first.name
        self.model = first.model
        self.revision = first.revision
        self.max_side = first.max_side
        self.samples = first.samples
        self.listens = first.listens
        # The first engine's own, not a method of the group: reading processes get it by pickle,
        # and engines are nothing to send there.
        self.prepare: Callable[[Photo], Any] = first.prepare
        self._engines = tuple(engines)
        # Not looked at: engines that are idle take the next piece of the window at once.
        self.ahead: Callable[[], Sequence[Request]] = nothing_ahead
        self._lost: dict[int, EngineError] = {}

    @property
    def window(self) -> int:
        """As many requests as all engines that still run like at once."""
        return sum(one.window for one in self._running()) or 1

    @window.setter
    def window(self, size: int) -> None:
        for one in self._engines:
            one.window = max(1, size // len(self._engines))

    @property
    def context(self) -> int | None:
        """The first engine's; None before `start`."""
        return self._engines[0].context

    @context.setter
    def context(self, tokens: int | None) -> None:
        for one in self._engines:
            one.context = tokens

    @property
    def on_answered(self) -> Callable[[int], None]:
        """Whom all engines tell; they do so from threads of their own."""
        return self._engines[0].on_answered

    @on_answered.setter
    def on_answered(self, told: Callable[[int], None]) -> None:
        for one in self._engines:
            one.on_answered = told

    def start(self) -> None:
        """Start all engines at the same time.

        Raises:
            EngineError: one of them could not start; none runs then.
        """
        self._lost.clear()
        errors = _together([one.start for one in self._engines])
        failed = [error for error in errors if error is not None]
        if failed:
            self.close()
            raise failed[0]

    def generate(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        """One answer per request, in their order.

        Raises:
            EngineError: no engine is left; the last one's reason.
        """
        running = self._running()
        if not running:
            raise next(iter(self._lost.values()))
        size = min(max(1, len(requests) // (SHARES * len(running))), running[0].window)
        work = _Work(pieces(requests, size))
        try:
            errors = _together([partial(self._serve, one, work) for one in running])
        except BaseException:
            work.stop()
            raise
        for error in errors:
            if error is not None and not isinstance(error, EngineError):
                raise error
        if work.left():
            raise next(reversed(self._lost.values()))
        return in_order(requests, work.results)

    def close(self) -> None:
        """Close all engines; one that cannot be closed does not keep the others open."""
        for error in _together([one.close for one in self._engines]):
            if error is not None:
                raise error

    def _running(self) -> list[Engine]:
        return [one for number, one in enumerate(self._engines) if number not in self._lost]

    def _serve(self, engine: Engine, work: _Work) -> None:
        while (piece := work.take()) is not None:
            try:
                work.done(engine.generate(piece))
            except BaseException as error:
                work.back(piece)
                if isinstance(error, EngineError):
                    self._lost[self._engines.index(engine)] = error
                    with suppress(Exception):
                        engine.close()
                else:
                    work.stop()
                raise


class _Work:
    """The pieces of a window; engines wait for one as long as another may have to give one back."""

    def __init__(self, waiting: Sequence[list[Request]]) -> None:
        self.results: list[Answer | Refused] = []
        self._waiting = deque(waiting)
        self._busy = 0
        self._changed = threading.Condition()

    def take(self) -> list[Request] | None:
        with self._changed:
            while not self._waiting and self._busy:
                self._changed.wait()
            if not self._waiting:
                return None
            self._busy += 1
            return self._waiting.popleft()

    def done(self, results: Sequence[Answer | Refused]) -> None:
        with self._changed:
            self.results += results
            self._busy -= 1
            self._changed.notify_all()

    def back(self, piece: list[Request]) -> None:
        with self._changed:
            self._waiting.appendleft(piece)
            self._busy -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()

    def left(self) -> bool:
        with self._changed:
            return bool(self._waiting)


def _together(calls: Sequence[Callable[[], None]]) -> list[BaseException | None]:
    """Make all calls at the same time, each in a thread; what each raised, in their order."""
    errors: list[BaseException | None] = [None] * len(calls)

    def run(number: int, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - it is raised where the threads end
            errors[number] = error

    threads = [
        threading.Thread(target=run, args=(number, call), daemon=True)
        for number, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors
