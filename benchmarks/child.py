"""Runs a measurement in a process of its own, so that its peak memory is its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def run(module: str, *arguments: object) -> dict[str, Any]:
    """What ``python -m module arguments`` prints as JSON on its last line."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def measured() -> Iterator[dict[str, Any]]:
    """Fills a dictionary: seconds by the clock, CPU seconds, peak GiB of the process, load.

    The load is what the system had to do besides, on average over the last minute at the start.
    """
    found: dict[str, Any] = {"load": os.getloadavg()[0]}
    wall, cpu = time.perf_counter(), time.process_time()
    yield found
    found["seconds"] = time.perf_counter() - wall
    found["cpu"] = time.process_time() - cpu
    found["gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
