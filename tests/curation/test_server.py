"""The server engine against a server that fails as it is told, over real sockets."""

from __future__ import annotations

import base64
import io
import logging
import math
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curation.engines.base import Answer, Engine, Refused, Request, Sampling
from curation.engines.chat_api import PhotoUrl, endpoint
from curation.engines.key import Key
from curation.engines.pacing import Observation, Pace, Pacer, backoff, next_pace, retry_after
from curation.engines.server import OPTIONS, ServerEngine
from curation.prompts import Exemplar, Question
from tests.curation.faulty_server import Fault, FaultyServer, chat_reply
from uniqa.errors import EngineError, UsageError
from uniqa.photos import read_photo

SECRET = "sk-Very+Secret/0123456789"


@pytest.fixture
def serve() -> Iterator[Callable[..., FaultyServer]]:
    with ExitStack() as stack:
        yield lambda **told: stack.enter_context(FaultyServer(**told).running())


@pytest.fixture
def engine_for() -> Iterator[Callable[..., ServerEngine]]:
    """Makes engines in front of a server; impatient ones, and closed in the end."""
    made: list[ServerEngine] = []

    def make(
        server: FaultyServer, model: str = "seer", *, timeout: float = 20.0, **told: Any
    ) -> ServerEngine:
        options = {name: told.pop(name) for name in OPTIONS if name in told}
        engine = ServerEngine(model, url=server.url, timeout=timeout, options=options, **told)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits a tenth as long; how long is for the tests of pacing."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(
        "curation.engines.exchange.backoff", lambda *args: backoff(*args, base=0.05, most=0.2)
    )


def request(seed: int, **question: Any) -> Request:
    photo = f"data:image/png;base64,{seed}"
    asked = Question("quality", "noise", "", "t", "You judge photos.", "Is it noisy?", **question)
    return Request(f"caption{seed}", f"image{seed}", photo, asked, Sampling(), seed)


def only(results: list[Answer | Refused]) -> Answer | Refused:
    (result,) = results
    return result


# What is sent, and what is read.


def test_asks_as_the_conversation_goes(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    server = serve()
    engine: Engine = engine_for(server, extra={"reasoning_effort": "low"})
    shot = Exemplar("other", "other.jpg", "Is it sharp?", "Very sharp.")
    asked = replace(request(7, exemplars=(shot,)), shots=("data:image/png;base64,shot",))
    answer = only(engine.generate([asked]))
    assert answer == Answer("caption7", "Sharp and clean.", "stop", 40, 5, 32)
    (fields,) = server.asked
    assert [turn["role"] for turn in fields["messages"]] == ["system", "user", "assistant", "user"]
    assert fields["messages"][1]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,shot"}},
        {"type": "text", "text": "Is it sharp?"},
    ]
    assert fields["messages"][3]["content"][0]["image_url"]["url"] == "data:image/png;base64,7"
    settings = {name: fields[name] for name in ("seed", "temperature", "top_p", "max_tokens")}
    assert settings == {"seed": 7, "temperature": 0.7, "top_p": 0.95, "max_tokens": 160}
    assert (fields["model"], fields["reasoning_effort"]) == ("seer", "low")


def test_photos_keep_their_pixels_unless_jpeg_is_wanted(
    make_photo: Callable[..., Path], tmp_path: Path
) -> None:
    photo = read_photo(make_photo(tmp_path / "a.png"))
    engine = ServerEngine("seer", url="http://localhost:8000")
    url = pickle.loads(pickle.dumps(engine.prepare))(photo)
    head, _, data = url.partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert np.array_equal(np.asarray(image), photo.pixels)
    assert PhotoUrl("jpeg")(photo).startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (chat_reply(None), "empty", "finish_reason stop"),
        (chat_reply("  \n"), "empty", "nothing"),
        (chat_reply(None, finish_reason="length"), "empty", "length"),
        (chat_reply("Half a", finish_reason="content_filter"), "filtered", "filter"),
    ],
)
def test_no_text_is_a_permanent_refusal(
    serve: Callable[..., FaultyServer],
    engine_for: Callable[..., ServerEngine],
    reply: dict[str, Any],
    kind: str,
    says: str,
) -> None:
    server = serve(answers={1: reply})
    result = only(engine_for(server).generate([request(1)]))
    assert isinstance(result, Refused)
    assert (result.kind, result.permanent) == (kind, True)
    assert says in result.message
    assert server.attempts(1) == 1


def test_cut_off_and_oddly_shaped_replies_are_read(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    bare = {"choices": [{"message": {"content": [{"type": "text", "text": " Fine. "}]}}]}
    server = serve(answers={1: chat_reply("The photo is", finish_reason="length"), 2: bare})
    first, second = engine_for(server).generate([request(1), request(2)])
    assert first == Answer("caption1", "The photo is", "length", 40, 5, 32)
    assert second == Answer("caption2", "Fine.", "stop")


# Levels.


def logprobs(*positions: dict[str, float]) -> dict[str, Any]:
    """Per position the candidates; the first one was chosen."""
    content = [
        {
            "token": next(iter(one)),
            "logprob": math.log(next(iter(one.values()))),
            "top_logprobs": [{"token": token, "logprob": math.log(p)} for token, p in one.items()],
        }
        for one in positions
    ]
    return {"logprobs": {"content": content}}


def test_a_question_for_a_level_is_answered_by_a_distribution(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    likely = {"Good": 0.3, " good": 0.1, "fair": 0.2, "Perf": 0.1, "Well": 0.2, "p": 0.1}
    server = serve(answers={1: chat_reply("Good", **logprobs({'"': 0.9, "Bad": 0.1}, likely))})
    answer = only(engine_for(server).generate([request(1, answer_start="Its quality is")]))
    assert isinstance(answer, Answer)
    assert answer.text == "Its quality is good."
    assert answer.levels == pytest.approx((0, 0, 0.2 / 0.7, 0.4 / 0.7, 0.1 / 0.7))
    (fields,) = server.asked
    assert (fields["logprobs"], fields["top_logprobs"]) == (True, 20)
    assert fields["temperature"] == 0.0
    assert fields["messages"][-1]["role"] == "user", "not every server goes on from a beginning"
    assert "Its quality is" in fields["messages"][-1]["content"][1]["text"]
    assert "logprob_token_ids" not in fields


@pytest.mark.parametrize(
    "reply", [chat_reply("Great", **logprobs({"Great": 0.9, "Superb": 0.1})), chat_reply("Good")]
)
def test_no_level_among_the_likely_words_is_refused(
    serve: Callable[..., FaultyServer],
    engine_for: Callable[..., ServerEngine],
    reply: dict[str, Any],
) -> None:
    server = serve(answers={1: reply})
    result = only(engine_for(server).generate([request(1, answer_start="Its quality is")]))
    assert isinstance(result, Refused)
    assert (result.kind, result.permanent) == ("no_level", False)
    assert "log-probabilities" in result.message


# Faults.


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(429), "429"),
        (Fault(500), "500"),
        (Fault(502), "502"),
        (Fault(503), "503"),
        (Fault(504), "504"),
        (Fault(kind="half"), "connection"),
        (Fault(kind="drop"), "connection"),
        (Fault(kind="not_json"), "unreadable"),
        (Fault(kind="no_choices"), "unreadable"),
    ],
)
def test_what_may_pass_is_tried_again(
    serve: Callable[..., FaultyServer],
    engine_for: Callable[..., ServerEngine],
    fault: Fault,
    reason: str,
) -> None:
    server = serve(plan={1: [fault, fault], 2: [fault] * 9})
    engine = engine_for(server, attempts=4)
    first, second = engine.generate([request(1), request(2)])
    assert isinstance(first, Answer)
    assert server.attempts(1) == 3
    assert isinstance(second, Refused)
    assert (second.kind, second.permanent) == ("server_failed", False)
    assert "after 4 attempts" in second.message
    assert server.attempts(2) == 4
    assert engine.retries == {reason: 5}


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_rejected_request_is_tried_once_and_stands_alone(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine], status: int
) -> None:
    body = {"error": {"message": "The prompt\nis too long", "type": "BadRequestError"}}
    server = serve(plan={2: [Fault(status, body=body)]})
    first, second, third = engine_for(server).generate([request(n) for n in (1, 2, 3)])
    assert isinstance(first, Answer)
    assert isinstance(third, Answer)
    message = f"status {status}: The prompt is too long"
    assert second == Refused("caption2", "rejected", message, False)
    assert server.attempts(2) == 1


def test_the_server_says_how_long_to_wait(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    server = serve(plan={1: [Fault(429, headers={"Retry-After": "1"})]})
    engine = engine_for(server)
    engine.start()
    started = time.monotonic()
    assert isinstance(only(engine.generate([request(1)])), Answer)
    assert time.monotonic() - started >= 1.0
    assert server.attempts(1) == 2


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(429, headers={"Retry-After": "86400"}), "asks to wait for 86400 s"),
        (Fault(429, body={"error": {"message": "Pay", "code": "insufficient_quota"}}), "no quota"),
        (Fault(401), "refused the key"),
        (Fault(403), "refused the key"),
    ],
)
def test_what_no_waiting_helps_ends_the_run(
    serve: Callable[..., FaultyServer],
    engine_for: Callable[..., ServerEngine],
    fault: Fault,
    says: str,
) -> None:
    server = serve(plan={1: [fault]})
    with pytest.raises(EngineError, match=says):
        engine_for(server).generate([request(1)])
    assert server.attempts(1) == 1


def test_answers_made_before_the_end_are_handed_over(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    server = serve(plan={9: [Fault(401)]})
    engine = engine_for(server, most_in_flight=1)
    first, second, third = engine.generate([request(1), request(9), request(2)])
    assert isinstance(first, Answer)
    for result in (second, third):
        assert isinstance(result, Refused)
        assert (result.kind, result.permanent) == ("engine_stopped", False)
    with pytest.raises(EngineError, match="refused the key"):
        engine.generate([request(3)])
    assert server.attempts(3) == 0


def test_a_hang_is_bounded(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    server = serve(plan={1: [Fault(kind="hang")] * 9})
    engine = engine_for(server, timeout=2.0)
    first, second = engine.generate([request(1), request(2)])
    assert isinstance(first, Refused)
    assert (first.kind, first.permanent) == ("timed_out", False)
    assert isinstance(second, Answer)
    assert server.attempts(1) == 2
    assert engine.retries == {"timeout": 1}


def test_a_server_that_is_gone_ends_the_run(engine_for: Callable[..., ServerEngine]) -> None:
    told = FaultyServer()
    with told.running():
        engine = engine_for(told, unreachable=0.5)
        assert isinstance(only(engine.generate([request(1)])), Answer)
    with pytest.raises(EngineError, match=rf"{told.url}.*has not answered"):
        engine.generate([request(2)])
    assert engine.retries["unreachable"] > 0


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_that_is_gone_behind_a_gateway_ends_the_run(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine], status: int
) -> None:
    server = serve(plan={2: [Fault(status)] * 200})
    engine = engine_for(server, unreachable=0.5, attempts=200, timeout=2.0)
    assert isinstance(only(engine.generate([request(1)])), Answer)
    with pytest.raises(EngineError, match=rf"has not answered for .*status {status}"):
        engine.generate([request(2)])


def test_a_server_that_says_when_to_come_back_is_not_gone(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    server = serve(plan={1: [Fault(503, headers={"Retry-After": "1"})] * 2})
    assert isinstance(only(engine_for(server, unreachable=0.5).generate([request(1)])), Answer)
    assert server.attempts(1) == 3


def test_a_server_that_comes_back_is_used_again(engine_for: Callable[..., ServerEngine]) -> None:
    told = FaultyServer()
    with told.running():
        engine = engine_for(told, unreachable=30.0)
        engine.start()
    port = int(told.url.rpartition(":")[2])
    results: list[Answer | Refused] = []
    thread = threading.Thread(target=lambda: results.extend(engine.generate([request(1)])))
    thread.start()
    while not engine.retries["unreachable"]:
        time.sleep(0.01)
    with FaultyServer().running(port):
        thread.join(30)
    assert [type(one) for one in results] == [Answer]


def test_the_window_grows_while_more_is_answered(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    server = serve(seconds=0.02)
    engine = engine_for(server, most_in_flight=16)
    assert engine.in_flight == 4
    results = engine.generate([request(seed) for seed in range(160)])
    assert all(isinstance(one, Answer) for one in results)
    assert [one.caption_id for one in results] == [f"caption{seed}" for seed in range(160)]
    assert 4 < server.most_at_once <= 16


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_the_window_shrinks_when_the_server_is_busy(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine], status: int
) -> None:
    server = serve(plan={seed: [Fault(status)] for seed in range(4)})
    engine = engine_for(server)
    results = engine.generate([request(seed) for seed in range(8)])
    assert all(isinstance(one, Answer) for one in results)
    assert engine.in_flight < 4
    assert engine.retries == {str(status): 4}


# Start.


def test_nothing_is_asked_before_it_is_needed() -> None:
    engine = ServerEngine("seer", url="http://127.0.0.1:9/v1", revision="r1")
    assert (engine.model, engine.revision, engine.context) == ("seer", "r1", None)
    engine.close()
    engine.close()


def test_nobody_there_is_one_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        engine = ServerEngine("seer", url=url)
        with pytest.raises(EngineError, match=f"{url}/v1 cannot be reached.*Start it"):
            engine.start()
        with pytest.raises(EngineError, match="cannot be reached"):
            _ = engine.revision


def test_an_unknown_model_is_told_with_the_nearest(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    with pytest.raises(UsageError, match=r"no model 'seeer'. Did you mean 'seer'\?"):
        engine_for(serve(), "seeer").start()


def test_the_card_gives_revision_and_context(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    card = {"id": "seer", "root": "/models/seer", "created": 1, "max_model_len": 2048}
    engine = engine_for(serve(cards=[card]))
    engine.start()
    assert engine.context == 2048
    assert engine.revision.startswith("served-")
    later = engine_for(serve(cards=[{**card, "created": 2}]))
    assert later.revision == engine.revision
    other = engine_for(serve(cards=[{**card, "root": "/models/seer-2"}]))
    assert other.revision != engine.revision
    assert engine_for(serve(), revision="r1").revision == "r1"
    assert engine_for(serve()).revision == "server"
    assert engine_for(serve(), photo="jpeg").revision == "server+jpeg"
    assert engine_for(serve(), extra={"x": 1}).revision != "server"


def test_a_model_that_does_not_see_is_noticed_at_the_start(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    body = {"error": {"message": "At most 1 image(s) may be provided in one prompt."}}
    server = serve(trial=Fault(400, body=body))
    with pytest.raises(EngineError, match=r"rejects .* 3 photos .*At most 1 image.*exemplars"):
        engine_for(server, shots=2).start()
    (trial,) = server.trials
    kinds = [part["type"] for part in trial["messages"][-1]["content"]]
    assert kinds == ["image_url"] * 3 + ["text"]


def test_a_server_that_wants_the_newer_field_gets_it(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    body = {"error": {"message": "Unsupported 'max_tokens'. Use 'max_completion_tokens'."}}
    server = serve(trial=Fault(400, body=body, kind="once"))
    assert isinstance(only(engine_for(server).generate([request(1)])), Answer)
    (fields,) = server.asked
    assert fields["max_completion_tokens"] == 160
    assert "max_tokens" not in fields


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("https://x.org/api/v2", "https://x.org/api/v2"),
        ("https://x.org/v1/chat/completions", "https://x.org/v1"),
    ],
)
def test_urls_are_taken_as_people_write_them(url: str, address: str) -> None:
    assert endpoint(url) == address


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{SECRET.replace('/', '')}@localhost:8000",
        f"http://localhost:8000/v1?key={SECRET}",
        "localhost:8000",
        "ftp://localhost",
        "http://",
        "http://localhost:port",
    ],
)
def test_urls_that_cannot_be_meant_are_one_error(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        ServerEngine("seer", url=url)
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timeout": 0}, "timeout must be above 0"),
        ({"window": 0}, "window must be above 0"),
        ({"options": {"most_in_flight": 0}}, "most_in_flight must be a whole number above 0"),
        ({"options": {"attempts": 1.5}}, "attempts must be a whole number above 0"),
        ({"options": {"unreachable": "long"}}, "unreachable must be seconds"),
        ({"options": {"photo": "webp"}}, "png or jpeg"),
        ({"options": {"extra": 3}}, "extra must be a mapping"),
        ({"options": {"extra": {"temperature": 1}}}, "'temperature' of requests is set by UniQA"),
        ({"options": {"attempt": 3}}, "no option 'attempt'. Did you mean 'attempts'"),
    ],
)
def test_options_that_cannot_be_meant_are_one_error(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ServerEngine("seer", url="http://localhost:8000", **options)


# The key.


def test_the_key_is_sent_and_seen_nowhere(
    serve: Callable[..., FaultyServer],
    engine_for: Callable[..., ServerEngine],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Even where a server repeats the header it was sent: in errors, in refusals, in answers."""
    monkeypatch.setenv("MY_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    server = serve(key=SECRET)
    server.plan = {
        1: [Fault(400, kind="echo")],
        2: [Fault(500, kind="echo")] * 9,
        3: [],
        4: [Fault(401, kind="echo")],
    }
    server.answers[3] = chat_reply(f"The key is {SECRET}.")
    engine = engine_for(server, key_variable="MY_KEY", attempts=2)
    results = engine.generate([request(1), request(2), request(3)])
    assert [type(one) for one in results] == [Refused, Refused, Answer]
    with pytest.raises(EngineError, match=r"refused the key.*\*\*\*.*Check.*MY_KEY") as caught:
        engine.generate([request(4)])
    server.trial = Fault(403, kind="echo")
    with pytest.raises(EngineError, match=r"refused the key.*\*\*\*") as at_start:
        engine.start()
    said = capfd.readouterr()
    everything = [
        *map(repr, (engine, engine.__dict__, Key("MY_KEY"), results, engine.retries)),
        pickle.dumps([results, Key("MY_KEY")]).decode("latin-1"),
        *(repr(one.value) + str(one.getrepr(style="long")) for one in (caught, at_start)),
        *(record.getMessage() for record in caplog.records),
        *(said.out, said.err),
    ]
    assert len(caplog.records) > 0
    for text in everything:
        assert "Very+Secret" not in text


def test_a_wrong_or_missing_key_is_noticed_at_the_start(
    serve: Callable[..., FaultyServer],
    engine_for: Callable[..., ServerEngine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = serve(key=SECRET)
    with pytest.raises(EngineError, match=r"Put a key into .* OPENAI_API_KEY"):
        engine_for(server).start()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-but-long")
    with pytest.raises(EngineError, match=r"Check the key in .* OPENAI_API_KEY") as caught:
        engine_for(server).start()
    assert "wrong-but" not in str(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", "two\nlines")
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as caught_too:
        engine_for(server).start()
    assert "lines" not in str(caught_too.value)


def test_ctrl_c_cancels_what_is_in_flight(
    serve: Callable[..., FaultyServer], engine_for: Callable[..., ServerEngine]
) -> None:
    server = serve(plan={seed: [Fault(kind="hang")] for seed in range(8)})
    engine = engine_for(server)
    engine.start()
    before = len(server.asked)
    # Whoever runs tests in the background or side by side may have it ignored.
    old = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt() -> None:
        # Not before a question is on its way: starting has asked something, too.
        while len(server.asked) == before:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            engine.generate([request(seed) for seed in range(8)])
    finally:
        signal.signal(signal.SIGINT, old)
    until = time.monotonic() + 20
    while [one for one in threading.enumerate() if one.name == "uniqa-server"]:
        assert time.monotonic() < until, "its thread goes on"
        time.sleep(0.05)
    assert isinstance(only(engine.generate([request(99)])), Answer), "it can be used again"


# Pacing, without a server.


def walk(rate: Callable[[int], float], most: int, intervals: int = 10) -> list[int]:
    """The windows that follow from a throughput that depends on the window alone."""
    pace, windows = Pace(), []
    for _ in range(intervals):
        windows.append(pace.window)
        pace = next_pace(pace, Observation(pace.window, 100, 100 / rate(pace.window)), most)
    return windows


def test_the_pace_grows_with_throughput_and_holds_at_the_plateau() -> None:
    assert walk(lambda window: window, most=64)[:6] == [4, 8, 16, 32, 64, 64]
    # A server that works on 8 at once: 16 deliver no more, so 8 it is.
    assert walk(lambda window: min(window, 8), most=64)[:6] == [4, 8, 16, 8, 8, 8]
    assert max(walk(lambda window: window, most=6)) == 6


def test_the_plateau_is_left_for_a_trial_now_and_then() -> None:
    windows = walk(lambda window: min(window, 8), most=64, intervals=40)
    assert windows.count(16) in {2, 3}
    assert windows[-1] == 8 or windows[-2] == 8


def test_a_push_back_halves_the_pace_and_ends_growth() -> None:
    pace = next_pace(Pace(32), Observation(32, 5, 1.0, pushed_back=3), 64)
    assert (pace.window, pace.growing) == (16, False)
    assert next_pace(Pace(1), Observation(1, 0, 1.0, pushed_back=1), 64).window == 1


def test_a_burst_of_push_backs_counts_once() -> None:
    pacer = Pacer(64)
    assert pacer.window == 4
    for _ in range(4):
        pacer.pushed_back(0)
    assert pacer.window == 2
    pacer.pushed_back(1)
    assert pacer.window == 1


def test_only_full_intervals_of_the_present_pace_are_counted() -> None:
    pacer = Pacer(64)
    for now in (0.0, 1.0, 2.0, 3.0):
        pacer.finished(0, now)
    pacer.idle()
    assert pacer.window == 4
    for now in (4.0, 5.0, 6.0, 7.0, 8.0):
        pacer.finished(0, now)
    assert (pacer.window, pacer.epoch) == (8, 1)
    for now in range(9, 99):
        pacer.finished(0, float(now))
    assert pacer.window == 8, "requests sent at an earlier pace tell nothing"


def test_backoff_is_jittered_bounded_and_repeatable() -> None:
    assert backoff(3, Random(1)) == backoff(3, Random(1))
    spans = [max(backoff(attempt, Random(n)) for n in range(200)) for attempt in (1, 2, 3, 20)]
    assert spans == pytest.approx([0.5, 1.0, 2.0, 30.0], rel=0.05)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("Thu, 01 Jan 2026 00:00:10 GMT", 10.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, lambda: datetime(2026, 1, 1, tzinfo=UTC)) == seconds
