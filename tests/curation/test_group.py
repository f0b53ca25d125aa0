"""A group of engines: who is given what, what is begun ahead, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from curation.engines.base import Answer, Refused, Request, Sampling, nothing_ahead, untold
from curation.engines.group import EngineGroup
from curation.prompts import Question
from uniqa.errors import EngineError
from uniqa.photos import Photo

PATIENCE = 30.0


class Fake:
    """Answers at once, or does what `meets` says; remembers what it was asked and offered."""

    name, model, revision, max_side = "fake", "fake", "r1", 0
    samples = listens = True
    context: int | None = None

    def __init__(self, meets: Callable[[Fake], object] = lambda _fake: None) -> None:
        self.window = 4
        self.on_answered: Callable[[int], None] = untold
        self.ahead: Callable[[], Sequence[Request]] = nothing_ahead
        self.meets = meets
        self.asked: list[list[str]] = []
        self.offered: list[list[str]] = []
        self.closed = threading.Event()

    @staticmethod
    def prepare(photo: Photo) -> Any:
        return photo.pixels

    def start(self) -> None:
        self.closed.clear()

    def generate(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        self.asked.append(names(requests))
        self.meets(self)
        return [Answer(one.caption_id, "fine", "stop") for one in requests]

    def look_ahead(self) -> None:
        self.offered.append(names(self.ahead()))
        assert names(self.ahead()) == self.offered[-1], "asked again, the same is offered"

    def close(self) -> None:
        self.closed.set()


def names(some: Sequence[Request | Answer | Refused]) -> list[str]:
    return [one.caption_id for one in some]


def requests(first: int, count: int) -> list[Request]:
    asked = Question("quality", "overall", "", "t", "s", "fine")
    return [
        Request(f"n{number:02}", f"image{number // 2}", None, asked, Sampling(), 0)
        for number in range(first, first + count)
    ]


def in_step() -> list[Fake]:
    """Two engines that look ahead and then wait for each other."""
    together = threading.Barrier(2, timeout=PATIENCE)

    def meets(fake: Fake) -> None:
        fake.look_ahead()
        together.wait()

    return [Fake(meets), Fake(meets)]


def test_engines_get_ahead_with_what_they_are_given_next() -> None:
    engines = in_step()
    group = EngineGroup(engines)
    windows = [requests(0, 8), requests(8, 8), requests(16, 8)]
    for number, window in enumerate(windows):
        group.ahead = lambda after=windows[number + 1 :]: after[0] if after else ()
        assert names(group.generate(window)) == names(window)
    for engine in engines:
        assert [len(piece) for piece in engine.asked] == [2] * 6
        assert engine.offered == [*engine.asked[1:], []], "across windows, too"
    every = sorted(name for engine in engines for piece in engine.asked for name in piece)
    assert every == names(requests(0, 24)), "nothing is asked twice"


def test_what_is_begun_of_a_window_that_comes_in_parts_is_asked_of_the_same_engine() -> None:
    engines = in_step()
    group = EngineGroup(engines)
    window, after = requests(0, 8), requests(8, 8)
    group.ahead = lambda: after
    group.generate(window)
    begun = [set(engine.offered[-1]) for engine in engines]
    assert all(begun)
    group.ahead = nothing_ahead
    for engine in engines:
        engine.meets = lambda _fake: None
    for part in (after[:2], after[2:]):
        assert names(group.generate(part)) == names(part)
    for engine, some in zip(engines, begun, strict=True):
        asked = {name for piece in engine.asked[2:] for name in piece}
        assert some <= asked


def test_what_a_lost_engine_had_begun_goes_to_the_others() -> None:
    together = threading.Barrier(2, timeout=PATIENCE)

    def gives_up(fake: Fake) -> None:
        fake.look_ahead()
        together.wait()
        raise EngineError("no more")

    def goes_on(fake: Fake) -> None:
        if len(fake.asked) == 1:
            together.wait()

    lost, other = Fake(gives_up), Fake(goes_on)
    group = EngineGroup([lost, other])
    window, after = requests(0, 8), requests(8, 8)
    group.ahead = lambda: after
    assert names(group.generate(window)) == names(window)
    assert lost.offered[0], "it had begun on one"
    assert lost.closed.is_set()
    assert sorted(name for piece in other.asked for name in piece) == names(window)
    assert names(group.generate(after)) == names(after)


def test_closing_a_group_gives_nothing_to_an_engine_that_waits() -> None:
    holding = threading.Event()

    def holds(fake: Fake) -> None:
        holding.set()
        assert fake.closed.wait(PATIENCE)
        raise EngineError("closed")

    held, waiting = Fake(holds), Fake(lambda _fake: holding.wait(PATIENCE))
    group = EngineGroup([held, waiting])
    errors: list[Exception] = []

    def ask() -> None:
        try:
            group.generate(requests(0, 8))
        except EngineError as error:
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    until = time.monotonic() + PATIENCE
    while len(waiting.asked) < 3:
        assert time.monotonic() < until
        time.sleep(0.01)
    group.close()
    asking.join(PATIENCE)
    assert not asking.is_alive()
    assert [str(error) for error in errors] == ["closed"]
    assert len(held.asked) == 1
    assert held.asked[0] not in waiting.asked


def test_a_group_closed_between_two_pieces_says_so() -> None:
    group: EngineGroup

    def closes(fake: Fake) -> None:
        if len(fake.asked) == 1:
            group.close()

    group = EngineGroup([Fake(closes)])
    with pytest.raises(EngineError, match="closed while at work"):
        group.generate(requests(0, 8))
    group.start()
    assert names(group.generate(requests(0, 8))) == names(requests(0, 8))
