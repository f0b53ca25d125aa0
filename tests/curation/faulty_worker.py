"""A child process that speaks the vLLM worker's protocol and fails as it is told: faults at will.

What a request's question says happens: ``kill``, ``hang``, ``die``; ``idle`` shows signs of life
and answers nothing; ``crowd`` fails for want of memory in windows of more than `ROOM` requests,
``crush`` is killed for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

from curation.engines import worker
from curation.engines.base import Answer, Request

ROOM = 3


def main(pipe: Connection, parent: int, setting: worker.Setting) -> None:
    """Stand in for `worker.main`; a log file's name is told each window's size."""
    os.setsid()
    threading.Thread(target=worker._follow, args=(parent,), daemon=True).start()
    core = subprocess.Popen(["sleep", "600"])
    pipe.send(("ready", worker.Ready(2048, None, (core.pid,))))
    while True:
        try:
            kind, window = pipe.recv()
        except EOFError:
            kind = "stop"
        if kind == "stop":
            core.kill()
            return
        if setting.log:
            with Path(setting.log).open("a") as log:
                log.write(f"{len(window.requests)} {len(window.photos)} {len(window.shots)}\n")
        for request in window.requests:
            while request.question.text == "idle":
                pipe.send(("some", []))
                time.sleep(0.1)
            why = _fate(request, len(window.requests))
            if why:
                pipe.send(("died", (why, "memory" in why)))
                return
            pipe.send(("some", [Answer(request.caption_id, "fine", "stop")]))


def _fate(request: Request, crowd: int) -> str:
    text = request.question.text
    if text == "kill" or (text == "crush" and crowd > ROOM):
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "hang":
        time.sleep(600)
    if text == "crowd" and crowd > ROOM:
        return "OutOfMemoryError: out of memory"
    return "RuntimeError: nothing goes" if text == "die" else ""
