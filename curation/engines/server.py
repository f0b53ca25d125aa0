"""The server engine: a model behind an OpenAI-compatible chat endpoint, on this or another machine.

Keeps as many requests in flight as the server answers faster for (`pacing`), sends failed ones
again where that can help, and stops the run where it cannot: an unknown model, a refused key, a
server that is gone. What was answered by then is handed over first. Must not know how requests
are worded (`chat_api`), nor see the key (`key`).
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import json
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import ip_address
from random import Random
from typing import Any, TypeVar

import httpx
import numpy as np

from curation.engines.base import Answer, Refused, Request, Sampling
from curation.engines.chat_api import (
    Again,
    Dialect,
    Hopeless,
    PhotoForm,
    PhotoUrl,
    body,
    check_extra,
    endpoint,
    one_line,
    read_failure,
    read_reply,
    server_words,
)
from curation.engines.key import Key
from curation.engines.pacing import Pacer, backoff, retry_after
from curation.prompts import Question
from uniqa.errors import EngineError, UsageError, nearest
from uniqa.levels import LEVELS

CONNECT_SECONDS = 10.0
"""A server that takes longer to accept a connection is not there."""

MOST_TIMEOUTS = 2
"""A request that ran out of time twice would hold a place for as long a third time."""

LONGEST_WAIT = 300.0
"""A server that asks to wait longer (a daily quota) ends the run."""

LONGEST_MESSAGE = 300
"""Characters of a server's own words that are passed on."""

T = TypeVar("T")


class ServerEngine:
    """Asks a served model, offline or not: wherever the URL leads."""

    name = "server"
    samples = True
    listens = True
    context: int | None = None

    def __init__(
        self,
        model: str,
        *,
        url: str,
        max_side: int = 768,
        window: int = 256,
        timeout: float = 120.0,
        most_in_flight: int = 64,
        attempts: int = 5,
        unreachable: float = 60.0,
        key_variable: str = "OPENAI_API_KEY",
        revision: str = "",
        photo: PhotoForm = "png",
        shots: int = 0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Check what was given; nothing is asked of the server yet.

        Args:
            model: its name on the server.
            url: the server's address, with or without ``/v1``.
            max_side: photos are shrunk to this many pixels on the longer side.
            window: requests handed over at once; their photos are in memory meanwhile.
            timeout: seconds for one answer.
            most_in_flight: never more requests at once; how many there are adapts.
            attempts: how often a request is sent at most.
            unreachable: seconds without any connection after which the run stops.
            key_variable: environment variable that holds the key; it may be unset.
            revision: what to store as the model's revision; asked of the server when empty.
            photo: ``png`` keeps every pixel, ``jpeg`` is sent faster.
            shots: photos of exemplars that requests will bring; `start` asks if that is possible.
            options: more fields for every request, for example ``reasoning_effort``.

        Raises:
            UsageError: an argument that cannot be meant.
        """
        for name, number in {
            "timeout": timeout,
            "most_in_flight": most_in_flight,
            "attempts": attempts,
            "window": window,
        }.items():
            if not number > 0:
                raise UsageError(f"the server engine's {name} must be above 0, not {number}")
        if photo not in {"png", "jpeg"}:
            raise UsageError(f"photos are sent as png or jpeg, not as '{photo}'")
        check_extra(options or {})
        self.model = model
        self.url = endpoint(url)
        self.max_side = max_side
        self.window = window
        self.prepare = PhotoUrl(photo)
        self.retries: Counter[str] = Counter()
        """How often a request had to be sent again, by reason: a status, timeout, connection …"""
        self._limits = _Limits(timeout, attempts, unreachable)
        self._key_variable = key_variable
        self._shots = shots
        self._dialect = Dialect(model, extra=dict(options or {}))
        self._pacer = Pacer(most_in_flight)
        self._most = most_in_flight
        self._level_ids: dict[str, tuple[int, ...]] = {}
        self._line: _Line | None = None
        self._broken: EngineError | None = None
        if revision:
            self.revision = revision + self._own_changes()

    @cached_property
    def revision(self) -> str:
        """As given, or told by the server on first use: ``served-`` and a hash of the model's card.

        ``server`` where the card says no more than a name. What changes answers from this side,
        JPEG and extra fields, is appended.

        Raises:
            EngineError, UsageError: the server cannot be asked, or has no such model.
        """
        card = self._card(Key(self._key_variable))
        # Not `created`: vLLM writes the present time there.
        known = [card.get(name) for name in ("id", "root", "parent")]
        told = "server"
        if known[1] and known[1] != known[0]:
            told = f"served-{hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]}"
        return told + self._own_changes()

    @property
    def in_flight(self) -> int:
        """How many requests are kept in flight at present."""
        return self._pacer.window

    def start(self) -> None:
        """Ask the server for the model, and whether it takes as many photos as will be sent.

        Raises:
            EngineError: unreachable, key refused, or requests like ours are rejected.
            UsageError: the server has no such model.
        """
        self.close()
        key = Key(self._key_variable)
        card = self._card(key)
        length = card.get("max_model_len")
        self.context = length if isinstance(length, int) else None
        self._dialect = replace(self._dialect, vllm=self._is_vllm(key, card))
        self._try_out(key)
        self._broken = None
        self._line = _Line(self.url, key, self._most, self._limits.timeout)

    def generate(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        """Answers, as they arrive; a request that the server cannot take is refused.

        Raises:
            EngineError: the server is gone or lets us in no more. If some requests were answered
                before, they are returned, and the next call raises.
        """
        if self._broken is not None:
            raise self._broken
        if not requests:
            return []
        if self._line is None:
            self.start()
        assert self._line is not None
        try:
            for start in {one.question.answer_start for one in requests} - {""}:
                if start not in self._level_ids:
                    self._level_ids[start] = self._ids_of_levels(self._line.key, start)
            exchange = _Exchange(self._line, self._dialect, self._limits, self._pacer, self.retries)
            exchange.level_ids = self._level_ids
            self._line.run(exchange.answer(requests))
        except BaseException:
            # Ctrl-C above all: what is in flight is cancelled, and the connections are closed.
            self.close()
            raise
        results = exchange.results
        if exchange.stopped is not None:
            self.close()
            self._broken = EngineError(
                f"the server at {self.url} {exchange.stopped.message}", exchange.stopped.remedy
            )
            if not results:
                raise self._broken
        return [
            results.get(one.caption_id)
            or Refused(one.caption_id, "engine_stopped", str(self._broken), False)
            for one in requests
        ]

    def close(self) -> None:
        """Close the connections; safe at any time."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _own_changes(self) -> str:
        jpeg = "+jpeg" if self.prepare.form == "jpeg" else ""
        if not self._dialect.extra:
            return jpeg
        extra = json.dumps(self._dialect.extra, sort_keys=True, default=str)
        return f"{jpeg}+{hashlib.sha256(extra.encode()).hexdigest()[:6]}"

    def _card(self, key: Key) -> dict[str, Any]:
        """What the server says about the model; empty where it has no list of models."""
        try:
            with _client(self.url, key) as client:
                reply = client.get(f"{self.url}/models")
        except httpx.HTTPError as error:
            raise EngineError(
                f"the server at {self.url} cannot be reached ({_reason(error, key)})",
                "Start it, or check the URL",
            ) from None
        if reply.status_code in {401, 403}:
            raise self._refused_key(key, reply)
        if reply.status_code in {404, 405}:
            return {}
        try:
            cards = reply.json()["data"] if reply.status_code == 200 else None
            served = {str(card["id"]): dict(card) for card in cards or ()}
        except (KeyError, TypeError, ValueError):
            cards = None
        if cards is None:
            raise EngineError(
                f"{self.url}/models is no list of models (status {reply.status_code}: "
                f"{_short(key.hide(server_words(reply.text)))})",
                "Check the URL, and whether the server has loaded its model",
            )
        if self.model not in served:
            raise UsageError(
                f"the server at {self.url} has no model '{self.model}'",
                key.hide(nearest(self.model, served)) if served else "It serves none at present",
            )
        return served[self.model]

    def _is_vllm(self, key: Key, card: Mapping[str, Any]) -> bool:
        if card.get("owned_by") != "vllm" and "max_model_len" not in card:
            return False
        try:
            with _client(self.url, key) as client:
                reply = client.get(f"{self.url.removesuffix('/v1')}/version")
                return reply.status_code == 200 and isinstance(reply.json()["version"], str)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    def _try_out(self, key: Key) -> None:
        """Send a request like those to come: one line now, instead of one refusal per caption."""
        grey = self.prepare.of(np.full((224, 224, 3), 128, dtype=np.uint8))
        question = Question("quality", "", "", "", "You describe photos.", "Describe this photo.")
        trial = Request("trial", "", grey, question, Sampling(max_tokens=1), 0)
        fields = body(self._dialect, trial)
        user = fields["messages"][-1]
        # The photos of exemplars, without their words.
        user["content"] = [user["content"][0]] * self._shots + user["content"]
        try:
            with _client(self.url, key, self._limits.timeout) as client:
                reply = client.post(f"{self.url}/chat/completions", json=fields)
                if reply.status_code == 400 and "max_completion_tokens" in reply.text:
                    self._dialect = replace(self._dialect, tokens_field="max_completion_tokens")
                    fields["max_completion_tokens"] = 16
                    del fields["max_tokens"]
                    reply = client.post(f"{self.url}/chat/completions", json=fields)
        except httpx.HTTPError:
            return  # It was there a moment ago; whether it stays away is for `generate` to find.
        if reply.status_code in {401, 403}:
            raise self._refused_key(key, reply)
        if 400 <= reply.status_code < 500 and reply.status_code not in {408, 409, 425, 429}:
            photos = f"{self._shots + 1} photos" if self._shots else "a photo"
            raise EngineError(
                f"'{self.model}' at {self.url} rejects a request with {photos} (status "
                f"{reply.status_code}: {_short(key.hide(server_words(reply.text)))})",
                "Serve a model that sees"
                + (
                    ", and allow it as many images per prompt, or use fewer exemplars"
                    * bool(self._shots)
                ),
            )

    def _refused_key(self, key: Key, reply: httpx.Response) -> EngineError:
        why = f"status {reply.status_code}: {_short(key.hide(server_words(reply.text)))}"
        return EngineError(f"the server at {self.url} refused the key ({why})", _about_key(key))

    def _ids_of_levels(self, key: Key, start: str) -> tuple[int, ...]:
        """The token with which each level goes on from `start`; none where that is not known."""
        if not self._dialect.vllm:
            return ()
        texts = [start.rstrip(), *(f"{start.rstrip()} {level}" for level in LEVELS)]
        try:
            with _client(self.url, key) as client:
                tokens = [
                    client.post(
                        f"{self.url.removesuffix('/v1')}/tokenize",
                        json={"model": self.model, "prompt": text, "add_special_tokens": False},
                    ).json()["tokens"]
                    for text in texts
                ]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return ()
        alone, *continued = tokens
        follows = [one[len(alone)] for one in continued if one[: len(alone)] == alone != one]
        # Levels that begin with one token cannot be told apart by it, nor when it melts together
        # with the words before: then words are looked for among the likeliest tokens.
        return tuple(follows) if len(set(follows)) == len(LEVELS) else ()


@dataclass(frozen=True, slots=True)
class _Limits:
    timeout: float
    attempts: int
    unreachable: float


class _Line:
    """Connections to a server and the thread they live in, so that no caller's event loop minds."""

    def __init__(self, url: str, key: Key, most: int, timeout: float) -> None:
        self.url = url
        self.key = key
        self.client = httpx.AsyncClient(
            headers=key.headers(),
            timeout=httpx.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout)),
            limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
            trust_env=not _is_loopback(url),
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


class _Exchange:
    """One window of requests on its way: a single task sends and settles, so nothing is locked."""

    def __init__(
        self,
        line: _Line,
        dialect: Dialect,
        limits: _Limits,
        pacer: Pacer,
        retries: Counter[str],
    ) -> None:
        self.results: dict[str, Answer | Refused] = {}
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
                for task in await self._next_ones():
                    self._settle(self._flying.pop(task), task.result())
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
            return Again("unreachable", _reason(error, self._line.key))
        except (TimeoutError, httpx.TimeoutException):
            return Again("timeout", f"no answer in {self._limits.timeout:g} s", busy=True)
        except httpx.HTTPError as error:
            return Again("connection", _reason(error, self._line.key))
        self._line.heard()
        if reply.status_code != 200:
            wait = retry_after(reply.headers.get("Retry-After"))
            return read_failure(reply.status_code, reply.text, wait, request.caption_id)
        try:
            data = reply.json()
        except ValueError:
            return Again("unreadable", "the reply is no JSON")
        return read_reply(data, request, ids)

    def _settle(self, turn: _Turn, outcome: Outcome) -> None:
        now = time.monotonic()
        identity = turn.request.caption_id
        hide = self._line.key.hide
        if isinstance(outcome, Answer):
            self._pacer.finished(turn.epoch, now)
            self.results[identity] = replace(outcome, text=hide(outcome.text))
        elif isinstance(outcome, Refused):
            self.results[identity] = replace(outcome, message=_short(hide(outcome.message)))
        elif isinstance(outcome, Hopeless):
            remedy = outcome.remedy or _about_key(self._line.key)
            self.stopped = Hopeless(_short(hide(outcome.message)), remedy)
        else:
            self._settle_failure(turn, replace(outcome, message=_short(hide(outcome.message))), now)

    def _settle_failure(self, turn: _Turn, failure: Again, now: float) -> None:
        if failure.busy:
            self._pacer.pushed_back(turn.epoch)
        if failure.reason in {"unreachable", "connection", "timeout"}:
            # A connection that broke was one until now.
            silent = self._line.silent(now if failure.reason == "connection" else turn.sent, now)
            patience = self._limits.unreachable
            if failure.reason == "timeout":
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


def _client(url: str, key: Key, timeout: float = CONNECT_SECONDS) -> httpx.Client:
    return httpx.Client(headers=key.headers(), timeout=timeout, trust_env=not _is_loopback(url))


def _is_loopback(url: str) -> bool:
    """Whether the server is on this machine: no proxy leads there."""
    host = httpx.URL(url).host
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _about_key(key: Key) -> str:
    if key:
        return f"Check the key in the environment variable {key.variable}"
    return f"Put a key into the environment variable {key.variable}"


def _reason(error: Exception, key: Key) -> str:
    return _short(key.hide(str(error))) or type(error).__name__


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"
