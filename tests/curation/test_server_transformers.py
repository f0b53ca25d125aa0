"""The server engine and a server that is not vLLM: `transformers serve`, with a pocket model."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from curation.engines import make_engine
from curation.engines.base import Answer, Request, Sampling
from curation.engines.spec import ModelSpec
from curation.pocket.shipped import shipped_models
from curation.prompts import PromptLibrary
from uniqa.errors import UniqaError
from uniqa.photos import read_photo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(find_spec, ("transformers", "fastapi", "uvicorn", "accelerate")))
        or "pocket-a" not in shipped_models(),
        reason="needs transformers[serving], accelerate and the pocket models",
    ),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's address, once it is there."""
    folder = tmp_path_factory.mktemp("serve")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from transformers.cli.transformers import main; main()"
    command = [sys.executable, "-c", code, "serve", str(shipped_models()["pocket-a"])]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        until = time.monotonic() + 180
        while True:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def test_photos_are_described_by_a_server_that_lists_no_models(
    url: str, tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    spec = ModelSpec(id=str(shipped_models()["pocket-a"]), engine="server", url=url)
    engine = make_engine(spec)
    try:
        engine.start()
        requests = []
        for number in range(2):
            photo = read_photo(make_photo(tmp_path / f"{number}.png", seed=number), max_side=512)
            question = PromptLibrary().question(
                "quality", "overall", image_id=photo.image_id, level="", seed=0
            )
            how = Sampling(temperature=0.0, max_tokens=40)
            requests.append(
                Request(f"n{number}", photo.image_id, engine.prepare(photo), question, how, 7)
            )
        results = engine.generate(requests)
        assert [type(one) for one in results] == [Answer, Answer], results
        assert all(isinstance(one, Answer) and len(one.text.split()) > 3 for one in results)
        assert [one.tokens for one in results if isinstance(one, Answer) and one.tokens]
    finally:
        engine.close()


def test_a_model_that_it_does_not_know_is_one_line(url: str) -> None:
    with pytest.raises(UniqaError, match=r"has no model|no list of models"):
        _ = make_engine(ModelSpec(id="nobody/nothing", engine="server", url=url)).revision
