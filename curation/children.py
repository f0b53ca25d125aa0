"""Starting child processes so that Ctrl-C stays the affair of this one.

A terminal sends Ctrl-C to all processes of a program. Children ignore it once they run; but for
the second or two in which they load their modules it would end them, with a traceback.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Processes that this thread starts meanwhile do not hear Ctrl-C; this program still does."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    # It starts with the first child and unblocks the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
