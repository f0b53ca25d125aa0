"""The server engine: a model behind an OpenAI-compatible chat endpoint, on this or another machine.

Gets to know the server (`handshake`), then hands it windows of requests (`exchange`). What was
answered before a server went away is handed over first; the run stops with the next window. Must
not know how requests are worded (`chat_api`), nor see the key (`key`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from curation.engines.base import Answer, Refused, Request, nothing_ahead, untold
from curation.engines.chat_api import Dialect, PhotoUrl, check_extra, endpoint
from curation.engines.exchange import Exchange, Limits, Line
from curation.engines.handshake import Handshake
from curation.engines.key import Key
from curation.engines.pacing import Pacer
from uniqa.errors import EngineError, UsageError, nearest

OPTIONS: dict[str, Any] = {
    "most_in_flight": 64,
    "attempts": 5,
    "unreachable": 60.0,
    "photo": "png",
    "extra": {},
}
"""What `options` may hold: requests in flight at most (how many there are adapts); attempts per
request at most; seconds without any answer after which the run stops; how photos are sent
(``png`` keeps every pixel, ``jpeg`` is a fifth of the size); more fields for every request, for
example ``reasoning_effort``."""


MAX_SIDE = 768
"""Pixels on the longer side that photos are shrunk to, unless told otherwise."""


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
        max_side: int = MAX_SIDE,
        window: int = 256,
        timeout: float = 120.0,
        key_variable: str = "OPENAI_API_KEY",
        revision: str = "",
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
            key_variable: environment variable that holds the key; it may be unset.
            revision: what to store as the model's revision; asked of the server when empty.
            shots: photos of exemplars that requests will bring; `start` asks if that is possible.
            options: see `OPTIONS`.

        Raises:
            UsageError: an argument or option that cannot be meant.
        """
        chosen = OPTIONS | _checked(options or {})
        for name, number in {"timeout": timeout, "window": window}.items():
            if not number > 0:
                raise UsageError(f"the server engine's {name} must be above 0, not {number}")
        self.model = model
        self.url = endpoint(url)
        self.max_side = max_side
        self.window = window
        self.prepare = PhotoUrl(chosen["photo"])
        self.on_answered: Callable[[int], None] = untold
        self.ahead: Callable[[], Sequence[Request]] = nothing_ahead
        self.retries: Counter[str] = Counter()
        """How often a request had to be sent again, by reason: a status, timeout, connection …"""
        self._limits = Limits(timeout, chosen["attempts"], chosen["unreachable"])
        self._key_variable = key_variable
        self._shots = shots
        self._dialect = Dialect(model, extra=dict(chosen["extra"]))
        self._pacer = Pacer(chosen["most_in_flight"])
        self._most: int = chosen["most_in_flight"]
        self._level_ids: dict[str, tuple[int, ...]] = {}
        self._line: Line | None = None
        self._broken: EngineError | None = None
        self._revision = revision

    @property
    def revision(self) -> str:
        """As given, or told by the server on first use: ``served-`` and a hash of the model's card.

        ``server`` where the card says no more than a name. What changes answers from this side,
        JPEG and extra fields, is appended.

        Raises:
            EngineError, UsageError: the server cannot be asked, or has no such model.
        """
        if not self._revision:
            card = self._handshake().card()
            # Not `created`: vLLM writes the present time there.
            known = [card.get(name) for name in ("id", "root", "parent")]
            self._revision = "server"
            if known[1] and known[1] != known[0]:
                digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()
                self._revision = f"served-{digest[:12]}"
        return self._revision + self._own_changes()

    @revision.setter
    def revision(self, told: str) -> None:
        self._revision = told

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
        server = self._handshake()
        card = server.card()
        length = card.get("max_model_len")
        self.context = length if isinstance(length, int) else None
        dialect = replace(self._dialect, vllm=server.is_vllm(card))
        self._dialect = server.try_out(dialect, self.prepare, self._shots, self._limits.timeout)
        self._broken = None
        self._line = Line(self.url, server.key, self._most, self._limits.timeout)

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
                if self._dialect.vllm and start not in self._level_ids:
                    self._level_ids[start] = self._handshake().level_ids(start)
            exchange = Exchange(self._line, self._dialect, self._limits, self._pacer, self.retries)
            exchange.level_ids = self._level_ids
            exchange.on_answered = self.on_answered
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

    def _handshake(self) -> Handshake:
        return Handshake(self.url, self.model, Key(self._key_variable))

    def _own_changes(self) -> str:
        jpeg = "+jpeg" if self.prepare.form == "jpeg" else ""
        jpeg += f"+side{self.max_side}" if self.max_side != MAX_SIDE else ""
        if not self._dialect.extra:
            return jpeg
        extra = json.dumps(self._dialect.extra, sort_keys=True, default=str)
        return f"{jpeg}+{hashlib.sha256(extra.encode()).hexdigest()[:6]}"


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in options.items():
        if name not in OPTIONS:
            raise UsageError(f"the server engine has no option '{name}'", nearest(name, OPTIONS))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = name in {"most_in_flight", "attempts"}
        if name == "photo" and value not in {"png", "jpeg"}:
            raise UsageError(f"photos are sent as png or jpeg, not as '{value}'")
        if name == "extra" and not isinstance(value, Mapping):
            raise UsageError(f"the option extra must be a mapping of fields, not {value!r}")
        if whole and not (number and isinstance(value, int) and value >= 1):
            raise UsageError(f"the option {name} must be a whole number above 0, not {value!r}")
        if name == "unreachable" and not (number and value >= 0):
            raise UsageError(f"the option unreachable must be seconds, not {value!r}")
    check_extra(options.get("extra", {}))
    return dict(options)
