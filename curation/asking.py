"""One thread that asks an engine, window after window, while the main thread stores and prepares.

A daemon thread: a second Ctrl-C ends the program without waiting for an answer. Must not know what
is asked or of the corpus, which belongs to the main thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from curation.engines.base import Answer, Refused, Request

Results = list[Answer | Refused]


class Asking:
    """Runs `ask` on every window given to `submit`, in order, one at a time."""

    def __init__(self, ask: Callable[[Sequence[Request]], Results]) -> None:
        self._ask = ask
        self._closed = False
        self._waiting: deque[tuple[Sequence[Request], Future[Results]]] = deque()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="asking", daemon=True)
        self._thread.start()

    def submit(self, requests: Sequence[Request]) -> Future[Results]:
        """The results to come; they carry the engine's exception if it raises one."""
        future: Future[Results] = Future()
        with self._changed:
            self._waiting.append((requests, future))
            self._changed.notify()
        return future

    def ahead(self) -> Sequence[Request]:
        """The window that will be asked next; empty if there is none, or it was cancelled."""
        with self._changed:
            if self._closed or not self._waiting:
                return ()
            requests, future = self._waiting[0]
            return () if future.cancelled() else requests

    def close(self) -> None:
        """Begin no more windows; the one at work is not waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _work(self) -> None:
        while (item := self._next()) is not None:
            requests, future = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                results = self._ask(requests)
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                future.set_exception(error)
            else:
                future.set_result(results)
            # Not kept until the next window comes: pixels are large.
            del item, requests, future

    def _next(self) -> tuple[Sequence[Request], Future[Results]] | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                # Begun now, they would start an engine again that is being closed.
                for _, future in self._waiting:
                    future.cancel()
                self._waiting.clear()
                return None
            return self._waiting.popleft()
