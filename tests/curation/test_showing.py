"""What people see of a run: a pace that is of answers alone, and lines where nothing can move."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from curation import showing
from curation.bottleneck import Seconds
from curation.generate import Counts
from uniqa import console


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(showing, "time", made)
    return made


def generation(**counts: int) -> Any:
    return SimpleNamespace(counts=Counts(**counts), seconds=Seconds(loading=2.0))


def test_a_log_gets_a_line_now_and_then(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there already is passed over at once, and says nothing of the time that is left."""
    monkeypatch.setattr(showing, "LINE_SECONDS", 10.0)
    with showing.Display("pocket-a") as display:
        display.expect(10_000)
        display.advance(8_000, 0, generation(resumed=8_000))
        for _ in range(12):
            clock.now += 1
            display.answered(20)
            display.advance(20, 20, generation(resumed=8_000, tokens=4_400, failed=1))
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "pocket-a: 8,200 of 10,000 captions, 20.0/s, 0:01:30 left, "
        "629 tokens/s, 8,000 resumed, 1 failed"
    )


def test_the_pace_forgets_what_is_long_ago(clock: Clock) -> None:
    with showing.Display("measured") as display:
        display.expect(10_000)
        for seconds, results in ((1, 100), (1, 100), (40, 100), (20, 100)):
            clock.now += seconds
            display.advance(results, results, generation())
        assert display._rate() == pytest.approx(200 / 60), "the first two are gone"


def test_a_bar_shows_the_rate_that_a_task_has(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=140)
    monkeypatch.setattr(console, "people", screen)
    with console.progress() as bar:
        task = bar.add_task("captions", total=1_000, note="")
        bar.update(task, completed=900, rate=10.0)
        bar.refresh()
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "10.0/s" in shown
    assert "0:00:10" in shown
