"""Messages to a child process, sent by a thread: a child that hangs must not hang whoever writes.

A pipe takes in little; the rest of a window's pixels waits until the child reads them. That it
never will is noticed by whoever waits for its answers, and ended by killing it. Must not know what
is sent.
"""

from __future__ import annotations

import queue
import threading
from multiprocessing.connection import Connection
from typing import Any

_PATIENCE = 10.0


class Post:
    """Sends what it is given, in order, over a pipe that the others only read from."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="post", daemon=True)
        self._thread.start()

    def send(self, message: Any) -> None:
        """Have it sent; a child that is gone is noticed by whoever reads."""
        self._messages.put(message)

    def close(self) -> None:
        """Send what is left and end; the child reads it, or is dead by now."""
        self._messages.put(None)
        self._thread.join(_PATIENCE)

    def _work(self) -> None:
        while (message := self._messages.get()) is not None:
            try:
                self._pipe.send(message)
            except (OSError, ValueError):
                return
            # Not kept until the next message comes: pixels are large.
            del message
