"""One window of requests on its way to a server: sent, sent again where that can help, settled.

Stops when no request will be answered any more (a refused key, a server that is gone) and keeps
what was answered by then. How many are in flight is `pacing`'s decision; how requests are worded
and replies read is `chat_api`'s. Must not know which model is asked, nor what a caption is for.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar

import httpx

from curation.engines.base import Answer, Refused, Request, untold
from curation.engines.chat_api import (
    Again,
    Dialect,
    Hopeless,
    body,
    is_loopback,
    read_failure,
    read_reply,
)
from curation.engines.key import Key
from curation.engines.pacing import Pacer, backoff, retry_after

CONNECT_SECONDS = 10.0
"""A server that takes longer to accept a connection is not there."""

MOST_TIMEOUTS = 2
"""A request that ran out of time twice would hold a place for as long a third time."""

LONGEST_WAIT = 300.0
"""A server that asks to wait longer (a daily quota) ends the run."""

SILENCE = frozenset({"unreachable", "connection", "timeout", "500", "502", "503", "504"})
"""Reasons to try again that may be no word of the server: gateways answer for one that is gone."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for one answer, attempts at most, seconds of silence that end the run."""

    timeout: float
    attempts: int
    unreachable: float


class Line:
    """Connections to a server and the thread they live in, so that no caller's event loop minds."""

    def __init__(self, url: str, key: Key, most: int, timeout: float) -> None:
        self.url = url
        self.key = key
        self.client = httpx.AsyncClient(
            headers=key.headers(),
            timeout=httpx.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout)),
            limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
            trust_env=not is_loopback(url),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="uniqa-server", daemon=True
        )
        self._thread.start()
        self._heard = 0.0
        self._silent_since: float | None = None

    def heard(self) -> None:
        """The server has answered something just now."""
        self._heard = time.monotonic()
        self._silent_since = None

    def silent(self, since: float, now: float) -> float:
        """Seconds without any answer, now that a request sent at `since` got none."""
        self._silent_since = min(self._silent_since or since, since)
        return now - max(self._silent_since, self._heard)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the loop; interrupted, it is cancelled and has ended on return."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result(CONNECT_SECONDS)
            raise

    def close(self) -> None:
        """End connections and thread."""
        try:
            self.run(self.client.aclose())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(CONNECT_SECONDS)
            if not self._thread.is_alive():
                self._loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        if task is not None:
            task.cancel()
    await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)


@dataclass(order=True, slots=True)
class _Turn:
    """A request that waits to be sent; sorted by when it may be, then by the order it came in."""

    not_before: float
    number: int
    request: Request = field(compare=False)
    attempts: int = field(default=0, compare=False)
    timeouts: int = field(default=0, compare=False)
    missed: int = field(default=0, compare=False)
    """Attempts that found no server; they are bounded by time, not by number."""
    sent: float = field(default=0.0, compare=False)
    epoch: int = field(default=0, compare=False)


Outcome = Answer | Refused | Again | Hopeless


class Exchange:
    """One window of requests on its way: a single task sends and settles, so nothing is locked."""

    def __init__(
        self,
        line: Line,
        dialect: Dialect,
        limits: Limits,
        pacer: Pacer,
        retries: Counter[str],
    ) -> None:
        self.results: dict[str, Answer | Refused] = {}
        self.on_answered: Callable[[int], None] = untold
        self.stopped: Hopeless | None = None
        self.level_ids: Mapping[str, tuple[int, ...]] = {}
        self._line = line
        self._dialect = dialect
        self._limits = limits
        self._pacer = pacer
        self._retries = retries
        self._waiting: list[_Turn] = []
        self._flying: dict[asyncio.Task[Outcome], _Turn] = {}
        self._quiet_until = 0.0

    async def answer(self, requests: Sequence[Request]) -> None:
        """Fill `results`; or set `stopped`, and leave out what was not answered by then."""
        self._waiting = [_Turn(0.0, number, one) for number, one in enumerate(requests)]
        try:
            while (self._waiting or self._flying) and self.stopped is None:
                self._send_what_may_be_sent()
                if len(self._flying) < self._pacer.window:
                    self._pacer.idle()
                before = len(self.results)
                for task in await self._next_ones():
                    self._settle(self._flying.pop(task), task.result())
                self.on_answered(len(self.results) - before)
        finally:
            for task in self._flying:
                task.cancel()
            await asyncio.gather(*self._flying, return_exceptions=True)

    def _send_what_may_be_sent(self) -> None:
        now = time.monotonic()
        while (
            self._waiting
            and len(self._flying) < self._pacer.window
            and max(self._waiting[0].not_before, self._quiet_until) <= now
        ):
            turn = heapq.heappop(self._waiting)
            turn.sent, turn.epoch = now, self._pacer.epoch
            self._flying[asyncio.create_task(self._ask(turn.request))] = turn

    async def _next_ones(self) -> set[asyncio.Task[Outcome]]:
        """The requests that are over by the time another one may be sent."""
        pause = None
        if self._waiting and len(self._flying) < self._pacer.window:
            until = max(self._waiting[0].not_before, self._quiet_until)
            pause = max(0.0, until - time.monotonic())
        if not self._flying:
            await asyncio.sleep(pause or 0.0)
            return set()
        done, _ = await asyncio.wait(
            self._flying, timeout=pause, return_when=asyncio.FIRST_COMPLETED
        )
        return done

    async def _ask(self, request: Request) -> Outcome:
        ids = self.level_ids.get(request.question.answer_start, ())
        content = json.dumps(body(self._dialect, request, ids)).encode()
        try:
            # httpx bounds each read; a server that drips would never run out of time.
            async with asyncio.timeout(self._limits.timeout):
                reply = await self._line.client.post(
                    f"{self._line.url}/chat/completions",
                    content=content,
                    headers={"Content-Type": "application/json"},
                )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Again("unreachable", self._reason(error))
        except (TimeoutError, httpx.TimeoutException):
            return Again("timeout", f"no answer in {self._limits.timeout:g} s", busy=True)
        except httpx.HTTPError as error:
            return Again("connection", self._reason(error))
        if reply.status_code < 500:
            self._line.heard()
        if reply.status_code != 200:
            wait = retry_after(reply.headers.get("Retry-After"))
            return read_failure(reply.status_code, reply.text, wait, request.caption_id)
        try:
            data = reply.json()
        except ValueError:
            return Again("unreadable", "the reply is no JSON")
        return read_reply(data, request, ids)

    def _reason(self, error: Exception) -> str:
        return self._line.key.shown(str(error)) or type(error).__name__

    def _settle(self, turn: _Turn, outcome: Outcome) -> None:
        now = time.monotonic()
        identity = turn.request.caption_id
        shown = self._line.key.shown
        if isinstance(outcome, Answer):
            self._pacer.finished(turn.epoch, now)
            self.results[identity] = replace(outcome, text=self._line.key.hide(outcome.text))
        elif isinstance(outcome, Refused):
            self.results[identity] = replace(outcome, message=shown(outcome.message))
        elif isinstance(outcome, Hopeless):
            remedy = outcome.remedy or self._line.key.remedy
            self.stopped = Hopeless(shown(outcome.message), remedy)
        else:
            self._settle_failure(turn, replace(outcome, message=shown(outcome.message)), now)

    def _settle_failure(self, turn: _Turn, failure: Again, now: float) -> None:
        if failure.busy:
            self._pacer.pushed_back(turn.epoch)
        # Whoever says how long to wait is there.
        if failure.reason in SILENCE and failure.wait is None:
            # Nobody was there all the while; but a connection that broke was one until now, and a
            # gateway may have had a server behind it until now.
            all_the_while = failure.reason in {"unreachable", "timeout"}
            silent = self._line.silent(turn.sent if all_the_while else now, now)
            patience = self._limits.unreachable
            if failure.reason in {"timeout", "504"}:
                patience = max(patience, 3 * self._limits.timeout)
            if silent > patience:
                self.stopped = Hopeless(
                    f"has not answered for {silent:.0f} s ({failure.message})",
                    "Start it again, then run the same command: what was made is stored",
                )
                return
        if (failure.wait or 0.0) > LONGEST_WAIT:
            self.stopped = Hopeless(
                f"asks to wait for {failure.wait:.0f} s ({failure.message})",
                "Run the same command then: what was made is stored",
            )
            return
        turn.attempts += failure.reason != "unreachable"
        turn.missed += failure.reason == "unreachable"
        turn.timeouts += failure.reason == "timeout"
        if turn.attempts >= self._limits.attempts or turn.timeouts >= MOST_TIMEOUTS:
            kind = "timed_out" if failure.reason == "timeout" else "server_failed"
            why = f"given up after {turn.attempts} attempts (last: {failure.message})"
            identity = turn.request.caption_id
            self.results[identity] = Refused(identity, kind, why, False)
            return
        self._retries[failure.reason] += 1
        # A server that is away is looked for every few seconds, however long that takes.
        failed = turn.attempts or min(turn.missed, 4)
        chance = Random(f"{turn.request.caption_id} {turn.attempts} {turn.missed}")
        turn.not_before = now + backoff(failed, chance)
        if failure.wait is not None:
            # The server speaks to all of us; a moment more, so that not all come back at once.
            self._quiet_until = max(self._quiet_until, now + failure.wait)
            turn.not_before = max(turn.not_before, now + failure.wait + chance.uniform(0, 0.1))
        heapq.heappush(self._waiting, turn)
