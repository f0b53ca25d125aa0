"""Ctrl-C while a program is still loading its modules: one line, not the traceback of an import.

Must import next to nothing: until it is loaded itself, Python's own tracebacks are what one gets.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def start(load: Callable[[], Callable[[], None]]) -> None:
    """Load a program and run it; as long as it loads, Ctrl-C ends it with the code 130."""
    before = signal.getsignal(signal.SIGINT)
    # Else whoever started us wants Ctrl-C to be ignored, or has a way of its own.
    ours = before is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, _leave)
    run = load()
    try:
        if ours:
            signal.signal(signal.SIGINT, before)
        run()
    except KeyboardInterrupt:
        # Between loading and running there is a moment that neither hears for itself.
        _leave(signal.SIGINT, None)


def _leave(_number: int, _frame: FrameType | None) -> None:
    # Not an exception: modules that are half loaded turn one into errors of their own.
    os.write(2, b"error: interrupted\n")
    os._exit(130)
