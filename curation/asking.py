"""One thread that asks an engine, window after window, while the main thread stores and prepares.

A daemon thread: a second Ctrl-C ends the program without waiting for an answer. Must not know what
is asked or of the corpus, which belongs to the main thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from curation.engines.base import Answer, Refused, Request

Results = list[Answer | Refused]


class Asking:
    """Runs `ask` on every window given to `submit`, in order, one at a time."""

    def __init__(self, ask: Callable[[Sequence[Request]], Results]) -> None:
        self._ask = ask
        self._closed = False
        self._windows: queue.SimpleQueue[tuple[Sequence[Request], Future[Results]] | None]
        self._windows = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="asking", daemon=True)
        self._thread.start()

    def submit(self, requests: Sequence[Request]) -> Future[Results]:
        """The results to come; they carry the engine's exception if it raises one."""
        future: Future[Results] = Future()
        self._windows.put((requests, future))
        return future

    def close(self) -> None:
        """Begin no more windows; the one at work is not waited for."""
        self._closed = True
        self._windows.put(None)

    def _work(self) -> None:
        while (item := self._windows.get()) is not None:
            requests, future = item
            if self._closed:
                # Begun now, it would start an engine again that is being closed.
                future.cancel()
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
