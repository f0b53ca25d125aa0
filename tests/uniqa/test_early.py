"""Ctrl-C in the first moments, while modules are being loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

STARTED = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from {0} import __main__ as program
load = program._load
program._load = lambda: (os.write(1, b"!"), load())[1]
program.main()
"""
"""As the console's script does, with a mark on stdout where the program begins to load.

What is started in the background ignores Ctrl-C, and so would its children.
"""


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("curation", ["--help"]),
        ("curation", ["doctor"]),
        ("training", ["--help"]),
        ("training", ["score", "no-model", "no-photo.jpg"]),
    ],
)
def test_ctrl_c_at_any_moment_of_the_start_is_one_line(package: str, command: list[str]) -> None:
    interrupted = 0
    for delay in (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6):
        program = subprocess.Popen(
            [sys.executable, "-c", STARTED.format(package), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert program.stdout is not None
        assert os.read(program.stdout.fileno(), 1) == b"!"
        time.sleep(delay)
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=60)
        assert "Traceback" not in said, (delay, said)
        # It may have been done by then, or (-2) just about to end.
        assert program.returncode in (0, 3, 130, -signal.SIGINT), (delay, said)
        if program.returncode == 130:
            interrupted += 1
            assert len(said.splitlines()) == 1, said
            assert "interrupted" in said
    assert interrupted, "at least the first one is heard while it loads"


def test_ctrl_c_stays_ignored_where_it_was() -> None:
    code = (
        "import signal, os\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from uniqa.early import start\n"
        "def load():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return lambda: print('went on')\n"
        "start(load)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "went on"
