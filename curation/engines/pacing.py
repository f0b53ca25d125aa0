"""How many requests to keep in flight at a server, and how long to wait before one is sent again.

`next_pace` and `backoff` are pure: policy is tested without a server. `Pacer` only counts and
keeps time. Must not know of requests, of HTTP, or of what a failure was about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

FIRST_WINDOW = 4
"""Few enough for any server to begin with."""

GAIN = 1.1
"""Twice as many in flight must deliver this many times as much, else they only queue there."""

INTERVALS_HELD = 12
"""A plateau is left for a trial after so many intervals: other users come and go."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One interval: with `window` requests in flight, `finished` were answered in `seconds`.

    `pushed_back` of them met a server that said it had too much to do, or that ran out of time.
    """

    window: int
    finished: int
    seconds: float
    pushed_back: int = 0

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.finished / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class Pace:
    """The requests to keep in flight, and what was best so far."""

    window: int = FIRST_WINDOW
    growing: bool = True
    best_window: int = 0
    best_rate: float = 0.0
    held: int = 0


def next_pace(pace: Pace, seen: Observation, most: int) -> Pace:
    """The pace after an interval.

    Doubles while throughput grows, returns to the window before when it does not, holds there,
    tries more now and then; halves when the server pushed back, and holds.

    Args:
        pace: the pace during the interval.
        seen: what was observed.
        most: never more than this in flight.

    Returns:
        The next pace; its window lies between 1 and `most`.
    """
    if seen.pushed_back:
        return Pace(max(1, min(seen.window, most) // 2), growing=False)
    if not pace.growing:
        # The mean follows a server that becomes slower or faster.
        usual = (pace.best_rate + seen.rate) / 2 if pace.best_rate else seen.rate
        held = Pace(pace.window, False, pace.window, usual, pace.held + 1)
        if held.held < INTERVALS_HELD or pace.window >= most:
            return held
        return replace(held, window=_more(pace.window, most), growing=True, held=0)
    if seen.rate <= pace.best_rate * GAIN:
        return Pace(pace.best_window, False, pace.best_window, pace.best_rate)
    wider = _more(pace.window, most)
    return Pace(wider, wider > pace.window, pace.window, seen.rate)


def _more(window: int, most: int) -> int:
    return min(most, window * 2)


class Pacer:
    """Turns finished requests into observations, an interval being a window's worth of answers.

    Requests that were sent at an earlier pace tell nothing about the present one, so each carries
    the `epoch` at which it was sent.
    """

    def __init__(self, most: int) -> None:
        """Begin with a few, but never with more than `most`."""
        self.pace = Pace(min(FIRST_WINDOW, most))
        self.epoch = 0
        self._most = most
        self._since: float | None = None
        self._finished = 0

    @property
    def window(self) -> int:
        """How many requests may be in flight now."""
        return self.pace.window

    def finished(self, epoch: int, now: float) -> None:
        """A request of that epoch was answered."""
        if epoch != self.epoch:
            return
        if self._since is None:
            # From answer to answer: the wait for the first one is no throughput.
            self._since = now
            return
        self._finished += 1
        if self._finished >= self.window:
            self._observe(Observation(self.window, self._finished, now - self._since))

    def pushed_back(self, epoch: int) -> None:
        """A request of that epoch met a server that has too much to do; a burst counts once."""
        if epoch == self.epoch:
            self._observe(Observation(self.window, 0, 0.0, 1))

    def idle(self) -> None:
        """Fewer requests than the window are in flight: this interval tells nothing."""
        self._since = None
        self._finished = 0

    def _observe(self, seen: Observation) -> None:
        before = self.window
        self.pace = next_pace(self.pace, seen, self._most)
        if self.window != before or seen.pushed_back:
            self.epoch += 1
        self.idle()


def backoff(attempt: int, chance: Random, *, base: float = 0.5, most: float = 30.0) -> float:
    """Seconds to wait after failed attempt number `attempt` (1 is the first).

    Anything from nothing to a span that doubles each time (full jitter), so that requests that
    failed together do not come back together.
    """
    return chance.uniform(0.0, min(most, base * 2.0 ** (attempt - 1)))


def retry_after(
    header: str | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> float | None:
    """Seconds that a Retry-After header asks for, given as a number or a date; None if neither."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            until = parsedate_to_datetime(header)
        except ValueError:
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = (until - now()).total_seconds()
    return max(0.0, seconds) if abs(seconds) < 1e9 else None
