"""A small chat server on loopback that fails as it is told, and remembers what it was asked.

Faults are planned per seed, as each request has its own: the first attempt meets the first fault,
and so on; after the last one it is answered. Real sockets, so that what clients do about half a
body or a closed connection is what they will do elsewhere.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Fault:
    """What one attempt meets: a status with a body, or one of the `kind` s below."""

    status: int = 200
    kind: str = ""
    """hang, half, not_json, no_choices, drop, echo, once (a trial); a plain status when empty."""
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def chat_reply(content: Any = "Sharp and clean.", **choice: Any) -> dict[str, Any]:
    """A reply as OpenAI writes it."""
    message = {"role": "assistant", "content": content}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
        "usage": {
            "prompt_tokens": 40,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 32},
        },
    }


@dataclass
class FaultyServer:
    """What it is told (`cards`, `key`, `plan` …) and what it saw (`asked`, `most_at_once`)."""

    cards: list[dict[str, Any]] = field(default_factory=lambda: [{"id": "seer"}, {"id": "other"}])
    key: str = ""
    """Requests must carry it, unless empty."""
    plan: dict[int, list[Fault]] = field(default_factory=dict)
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    trial: Fault | None = None
    """What the request that is sent at the start meets; it is no part of `asked`."""
    seconds: float = 0.0
    """Time one answer takes; `lanes` are worked on at once."""
    lanes: int = 1000
    asked: list[dict[str, Any]] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)
    most_at_once: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.sockets: list[socket.socket] = []
        self.at_once = 0
        self.lane = threading.Semaphore(self.lanes)

    def attempts(self, seed: int) -> int:
        with self.lock:
            return sum(one["seed"] == seed for one in self.asked)

    def next_fault(self, fields: dict[str, Any]) -> Fault:
        is_trial = fields["messages"][-1]["content"][-1].get("text") == "Describe this photo."
        with self.lock:
            if is_trial:
                self.trials.append(fields)
                fault = self.trial or Fault()
                if fault.kind == "once":
                    self.trial = None
                return fault
            self.asked.append(fields)
            faults = self.plan.get(fields["seed"], [])
            return faults.pop(0) if faults else Fault()

    @contextmanager
    def working(self) -> Iterator[None]:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self.lock:
                self.at_once -= 1

    @contextmanager
    def running(self, port: int = 0) -> Iterator[FaultyServer]:
        handler = type("ToldHandler", (Handler,), {"told": self})
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            server.shutdown()
            server.server_close()
            for one in self.sockets:
                # As when a process ends: kept connections close as well.
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    told: FaultyServer

    def setup(self) -> None:
        super().setup()
        self.told.sockets.append(self.connection)

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if not self.let_in():
            return
        if self.path == "/v1/models":
            self.say(200, {"object": "list", "data": self.told.cards})
        else:
            self.say(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.let_in():
            return
        fault = self.told.next_fault(fields)
        with self.told.working(), self.told.lane:
            time.sleep(self.told.seconds)
            self.meet(fault, fields)

    def let_in(self) -> bool:
        if self.told.key and self.headers["Authorization"] != f"Bearer {self.told.key}":
            self.say(401, {"error": {"message": "Incorrect API key provided"}})
            return False
        return True

    def meet(self, fault: Fault, fields: dict[str, Any]) -> None:
        good = json.dumps(self.told.answers.get(fields["seed"], chat_reply())).encode()
        if fault.kind == "hang":
            self.told.released.wait(60)
            self.close_connection = True
        elif fault.kind == "drop":
            self.close_connection = True
        elif fault.kind == "half":
            self.send_response(200)
            self.send_header("Content-Length", str(len(good)))
            self.end_headers()
            self.wfile.write(good[: len(good) // 2])
            self.close_connection = True
        elif fault.kind == "not_json":
            self.say(200, good[:-5])
        elif fault.kind == "no_choices":
            self.say(200, {"object": "chat.completion", "choices": []})
        elif fault.kind == "echo":
            heard = f"Bad header 'Authorization: {self.headers['Authorization']}'"
            self.say(fault.status, {"error": {"message": heard}})
        elif fault.status != 200:
            self.say(fault.status, fault.body or {"error": {"message": "no"}}, fault.headers)
        else:
            self.say(200, good)

    def say(
        self, status: int, body: dict[str, Any] | bytes, headers: dict[str, str] | None = None
    ) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
