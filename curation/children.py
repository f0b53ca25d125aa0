"""Starting child processes so that Ctrl-C and SIGTERM stay the affair of this one.

A terminal sends Ctrl-C to all processes of a program, a batch system or a service manager SIGTERM.
This program then finishes what is under way, for which it needs its children, and ends them itself.
Children ignore both once they run; but for the second or two in which they load their modules they
would be ended, with a traceback.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any


@contextmanager
def without_ctrl_c(*also: signal.Signals) -> Iterator[None]:
    """Processes that this thread starts meanwhile do not hear Ctrl-C; this program does, later.

    Args:
        also: further signals that they do not hear, before they call `unheeding`.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    # It starts with the first child and unblocks the signals again.
    resource_tracker.ensure_running()
    numbers = {signal.SIGINT, *also}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        with ExitStack() as stack:
            for number in numbers:
                stack.enter_context(_put_off(number))
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unheeding() -> None:
    """In a child, once it runs: ignore Ctrl-C and SIGTERM; whoever started it kills it.

    What it starts itself may hear SIGTERM again.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


class _Killed(SpawnProcess):
    """Is killed where the standard library would terminate it, which it ignores, and then wait."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:
        started = SpawnProcess._Popen(process_obj)
        started.terminate = started.kill  # type: ignore[method-assign]
        return started


class Unheeding(SpawnContext):
    """Starts processes that call `unheeding`."""

    # Spawned, not forked: DuckDB and torch have threads by now.
    Process = _Killed


@contextmanager
def _put_off(number: int) -> Iterator[None]:
    """Hear a signal afterwards: a child whose start is interrupted fails with a traceback.

    Blocking the signal is not enough, as another thread of this program may get it.
    """
    handler = signal.getsignal(number)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    heard: list[FrameType | None] = []
    signal.signal(number, lambda _number, frame: heard.append(frame))
    try:
        yield
    finally:
        signal.signal(number, handler)
        for frame in heard:
            handler(number, frame)
