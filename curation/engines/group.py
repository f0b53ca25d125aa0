"""Several equal engines as one: one per GPU, each watched on its own.

A window is cut into pieces that keep a photo's questions together, and engines take the next piece
when they are idle, so that a slow one holds nobody up. While an engine works on a piece, another is
set aside for it, of the next window if this one is given out: it may begin on that one, and is then
never idle. An engine that gives up hands its pieces to the others. Must not know what its engines
run on.
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
"""Pieces per engine of a window: one to work on and one ahead, which together fill an engine's
batches."""

Ahead = dict[int, list[Request]]
"""By an engine's number, what it may have begun."""


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
        self.ahead: Callable[[], Sequence[Request]] = nothing_ahead
        for number, one in enumerate(engines):
            one.ahead = partial(self._ahead_of, number)
        self._lost: dict[int, EngineError] = {}
        self._work: _Work | None = None
        self._promised: Ahead = {}
        """Pieces of the windows to come."""

    @property
    def engines(self) -> int:
        """How many still run, side by side."""
        return len(self._running())

    @property
    def window(self) -> int:
        """As many requests as all engines that still run like at once."""
        return sum(self._engines[number].window for number in self._running()) or 1

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
        self._promised.clear()
        errors = _together([one.start for one in self._engines])
        failed = [error for error in errors if error is not None]
        if failed:
            self.close()
            raise failed[0]

    def generate(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        """One answer per request, in their order.

        Raises:
            EngineError: no engine is left, and the last one's reason; or the group was closed.
        """
        running = self._running()
        if not running:
            raise next(iter(self._lost.values()))
        begun = self._begun(requests)
        work = self._work = _Work(self._cut(requests, begun), begun, self._promised, self._upcoming)
        try:
            errors = _together([partial(self._serve, number, work) for number in running])
        except BaseException:
            work.stop()
            raise
        finally:
            # Not kept until the next window comes: pixels are large.
            self._work = None
        for error in errors:
            if error is not None and not isinstance(error, EngineError):
                raise error
        if work.left():
            closed = EngineError(f"the engines of '{self.model}' were closed while at work")
            raise next(reversed(self._lost.values()), closed)
        return in_order(requests, work.results)

    def close(self) -> None:
        """Close all engines; one that cannot be closed does not keep the others open."""
        work = self._work
        if work is not None:
            # First: an engine that waits would be given the pieces of those closed before it.
            work.stop()
        for error in _together([one.close for one in self._engines]):
            if error is not None:
                raise error

    def _running(self) -> list[int]:
        return [number for number in range(len(self._engines)) if number not in self._lost]

    def _cut(self, requests: Sequence[Request], begun: Ahead) -> list[list[Request]]:
        """Pieces of what no engine has begun."""
        first = self._engines[self._running()[0]]
        size = min(len(requests) // (SHARES * self.engines), first.window)
        given = {one.caption_id for some in begun.values() for one in some}
        return pieces([one for one in requests if one.caption_id not in given], max(1, size))

    def _begun(self, requests: Sequence[Request]) -> Ahead:
        """What engines may have begun of these requests; what is for later stays promised."""
        asked = {one.caption_id for one in requests}
        begun: Ahead = {}
        for number, some in list(self._promised.items()):
            now = [one for one in some if one.caption_id in asked]
            later = [one for one in some if one.caption_id not in asked]
            del self._promised[number]
            if number not in self._lost:
                begun |= {number: now} if now else {}
                self._promised |= {number: later} if later else {}
        return begun

    def _upcoming(self) -> list[list[Request]]:
        """Pieces of the next window, without what is promised of it; none if it is not known."""
        requests = self.ahead()
        return self._cut(requests, self._promised) if requests and self._running() else []

    def _ahead_of(self, number: int) -> Sequence[Request]:
        work = self._work
        return () if work is None else work.ahead(number)

    def _serve(self, number: int, work: _Work) -> None:
        engine = self._engines[number]
        while (piece := work.take(number)) is not None:
            try:
                work.done(engine.generate(piece))
            except BaseException as error:
                if isinstance(error, EngineError):
                    self._lost[number] = error
                else:
                    work.stop()
                work.back(number, piece)
                if number in self._lost:
                    with suppress(Exception):
                        engine.close()
                raise


class _Work:
    """The pieces of a window; engines wait for one as long as another may have to give one back.

    Args:
        waiting: pieces for whoever is idle.
        begun: pieces that are set aside for an engine.
        promised: filled with pieces of the next window, once this one is given out.
        upcoming: asked for those.
    """

    def __init__(
        self,
        waiting: Sequence[list[Request]],
        begun: Ahead,
        promised: Ahead,
        upcoming: Callable[[], list[list[Request]]],
    ) -> None:
        self.results: list[Answer | Refused] = []
        self._waiting = deque(waiting)
        self._begun = begun
        self._promised = promised
        self._upcoming = upcoming
        self._later: deque[list[Request]] = deque()
        self._cut = False
        self._busy = 0
        self._stopped = False
        self._changed = threading.Condition()

    def take(self, engine: int) -> list[Request] | None:
        """The engine's next piece; None if there will be none."""
        with self._changed:
            while not self._stopped and not self._waiting and engine not in self._begun:
                if not (self._busy or self._begun):
                    return None
                self._changed.wait()
            if self._stopped:
                return None
            self._busy += 1
            return self._begun.pop(engine, None) or self._waiting.popleft()

    def ahead(self, engine: int) -> Sequence[Request]:
        """What the engine will be given next; from now on nobody else is."""
        with self._changed:
            if self._stopped:
                return ()
            if self._waiting and engine not in self._begun:
                self._begun[engine] = self._waiting.popleft()
            if engine in self._begun:
                return self._begun[engine]
            if engine not in self._promised and self._next_window():
                self._promised[engine] = self._later.popleft()
            return self._promised.get(engine, ())

    def _next_window(self) -> bool:
        """Whether a piece of the next window is there to promise; it is cut once it is known."""
        if not self._cut:
            self._later.extend(self._upcoming())
            self._cut = bool(self._later)
        return bool(self._later)

    def done(self, results: Sequence[Answer | Refused]) -> None:
        """A piece is answered."""
        with self._changed:
            self.results += results
            self._busy -= 1
            self._changed.notify_all()

    def back(self, engine: int, piece: list[Request]) -> None:
        """An engine gives up, with this piece at work, and perhaps one that was set aside."""
        with self._changed:
            self._waiting.extendleft(filter(None, (self._begun.pop(engine, None), piece)))
            self._promised.pop(engine, None)
            self._busy -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Give out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def left(self) -> bool:
        """Whether a piece has no answer."""
        with self._changed:
            return bool(self._waiting or self._begun or self._busy)


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
