"""The small parts of vLLM's child process that need no vLLM."""

from __future__ import annotations

import subprocess
from typing import Any

import psutil
import pytest

from curation.engines import worker


def test_a_helper_that_ends_while_its_model_loads_is_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    living, ended = (subprocess.Popen(["sleep", "600"]) for _ in range(2))
    try:
        both = [psutil.Process(one.pid) for one in (ended, living)]
        ended.kill()
        ended.wait()

        def children(_self: psutil.Process, **_how: Any) -> list[psutil.Process]:
            return both

        monkeypatch.setattr(psutil.Process, "children", children)
        assert worker._family() == (living.pid,)
    finally:
        living.kill()
        living.wait()
