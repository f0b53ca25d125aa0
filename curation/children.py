"""Starting child processes so that Ctrl-C stays the affair of this one.

A terminal sends Ctrl-C to all processes of a program. Children ignore it once they run; but for
the second or two in which they load their modules it would end them, with a traceback.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Processes that this thread starts meanwhile do not hear Ctrl-C; this program does, later."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    # It starts with the first child and unblocks the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _put_off():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _put_off() -> Iterator[None]:
    """Hear Ctrl-C afterwards: a child whose start is interrupted fails with a traceback.

    Blocking the signal is not enough, as another thread of this program may get it.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    heard: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _number, frame: heard.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        for frame in heard:
            handler(signal.SIGINT, frame)
