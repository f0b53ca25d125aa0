"""The child process of the vLLM engine: loads one model, answers windows, ends with its parent.

Speaks over one pipe: ``ready`` or ``failed`` first, then ``some`` answers, at least once a second
while there is work (or none: a sign of life) and whenever a window is done; ``died`` if vLLM failed
as a whole. Windows may be sent ahead: the next one's first requests are begun when the last of one
window are, so that the model's batches stay full. A request that vLLM will not take in is refused
alone. Must not know of restarts: it ends, and another starts.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from curation.children import unheeding
from curation.engines.base import Answer, Refused, Request
from curation.engines.level_words import LevelWords, level_words
from curation.engines.messages import conversation, plain_prompt
from uniqa.photos import Pixels

NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")
"""How torch for GPUs, torch for CPUs and C++ say that memory did not suffice."""

BEAT_SECONDS = 1.0
"""So often at least the parent hears of us while vLLM works."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the child needs to know to load its model."""

    folder: str
    options: dict[str, Any]
    shots: int
    gpu: str | None
    separate_core: bool
    log: str


@dataclass(frozen=True, slots=True)
class Ready:
    """What the parent needs to know of the loaded model."""

    context: int
    photos: int | None
    """How many photos a prompt may hold; None for any number."""
    family: tuple[int, ...]
    """The processes that the model runs in, beside the child itself."""


@dataclass(frozen=True, slots=True)
class Window:
    """Requests without their pixels, the photos asked about, and exemplars' photos new to us."""

    requests: list[Request]
    photos: dict[str, Pixels]
    shots: dict[str, Pixels]
    forget: bool
    """Whether exemplars' photos of former windows are to be forgotten first."""


def main(pipe: Connection, parent: int, setting: Setting) -> None:
    """Serve until told to stop, or until the pipe closes."""
    # A session of its own: one signal of the parent ends the whole family, and no other does.
    os.setsid()
    unheeding()
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    _redirect(setting.log)
    orderly = threading.Event()
    # The first that is registered is the last that runs: by then vLLM has taken back all of its.
    atexit.register(_leave, orderly)
    if setting.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = setting.gpu
    try:
        model = _Model(setting)
        pipe.send(("ready", model.ready()))
    except BaseException as error:
        pipe.send(("failed", _reason(error)))
        raise
    try:
        _serve(model, pipe)
    except Exception as error:  # noqa: BLE001 - whatever it was, this engine is not to be trusted
        with suppress(OSError):
            pipe.send(("died", (_reason(error), out_of_memory(error))))
    # An orderly end lets vLLM take back what it registered; what it leaves must not keep us.
    last = threading.Timer(5, os.killpg, (os.getpid(), signal.SIGKILL))
    last.daemon = True
    last.start()
    orderly.set()


def _leave(orderly: threading.Event) -> None:
    """End an orderly process at once: taking vLLM apart would take the interpreter seconds."""
    if orderly.is_set():
        sys.stdout.flush()
        os._exit(0)


def _serve(model: _Model, pipe: Connection) -> None:
    """Answer windows as they come, until told to stop or until nobody is there any more."""
    results: list[Answer | Refused] = []
    told = time.monotonic()
    while True:
        while model.idle or pipe.poll(0):
            try:
                kind, window = pipe.recv()
            except (EOFError, OSError):
                return
            if kind == "stop":
                return
            model.add(window)
        results += model.go_on()
        # Seldom, as each time wakes another process; at once where a window waits to be stored.
        if model.window_done or time.monotonic() - told > BEAT_SECONDS:
            told = time.monotonic()
            pipe.send(("some", results))
            results = []


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that memory did not suffice."""
    while error is not None:
        words = str(error).lower()
        if isinstance(error, MemoryError) or any(sign in words for sign in NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


@dataclass(slots=True)
class _Pending:
    """A request in vLLM's hands: one prompt, or for a level one per branch of the level words."""

    request: Request
    left: list[int]
    """How many requests of its window have no result yet; all requests of a window share it."""
    words: LevelWords | None = None
    outputs: dict[int, Any] = field(default_factory=dict)

    @property
    def parts(self) -> int:
        return len(self.words.branches) if self.words else 1


class _Model:
    def __init__(self, setting: Setting) -> None:
        # Normally one process is the whole engine: what kills it closes the pipe.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1" if setting.separate_core else "0"
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")  # we have threads by now
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_DO_NOT_TRACK", "1")
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        import torch
        from vllm import LLM
        from vllm.multimodal import MULTIMODAL_REGISTRY
        from vllm.v1.engine.exceptions import EngineDeadError

        defaults: dict[str, Any] = {
            "limit_mm_per_prompt": {"image": setting.shots + 1, "video": 0},
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            "seed": 0,
        }
        if not torch.cuda.is_available():
            # The CPU build otherwise asks for nearly all memory and caches no short prefix.
            defaults |= {
                "enforce_eager": True,
                "block_size": 32,
                "kv_cache_memory_bytes": 1 << 30,
                # A seeded request whose prompt is taken in by halves kills vLLM 0.32 on the CPU
                # (it winds back a random generator that cannot be wound back there).
                "enable_chunked_prefill": False,
                "max_num_seqs": 64,  # what each photo becomes is in memory meanwhile
                # It keeps what it made of every photo, up to 4 GB: 5 GB for a model of 4 MB.
                "mm_processor_cache_gb": 0.25,
            }
        self.llm = LLM(model=setting.folder, **(defaults | setting.options))
        self.dead = EngineDeadError
        self.tokenizer: Any = self.llm.get_tokenizer()
        self.has_template = _has_template(setting, self.tokenizer)
        config = self.llm.model_config
        if not config.is_multimodal_model:
            raise ValueError("it is a model for text only, without eyes for photos")
        limits = MULTIMODAL_REGISTRY.get_processing_info(config).supported_mm_limits
        self.photos = limits.get("image", 0) if self.has_template else 1
        if self.photos == 0:
            raise ValueError("it takes no photos")
        # A core of its own computes while we prepare, so it needs a few to choose from.
        at_once = self.llm.llm_engine.vllm_config.scheduler_config.max_num_seqs
        self.in_flight = at_once * (2 if setting.separate_core else 1)
        self.windows: deque[Window] = deque()
        self.waiting: deque[_Pending] = deque()
        self.asked: dict[str, tuple[_Pending, int]] = {}
        self.window_done = False
        self.photos_asked: dict[str, Pixels] = {}
        self.pictures: dict[str, tuple[Any, str]] = {}
        self.shots: dict[str, tuple[Any, str]] = {}
        self.pixels: dict[str, Pixels] = {}
        self.words: dict[str, LevelWords] = {}

    def ready(self) -> Ready:
        return Ready(self.llm.model_config.max_model_len, self.photos, _family())

    def add(self, window: Window) -> None:
        """Take a window, to be begun after those before it."""
        if window.requests:
            self.windows.append(window)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.windows or self.waiting or self.asked)

    def go_on(self) -> list[Answer | Refused]:
        """Take in one more request, or let vLLM take one more step; returns what that settled.

        `window_done` says afterwards whether the last result of a window was among it.
        """
        self.window_done = False
        # A few at a time: what vLLM makes of a photo is many times larger than its pixels.
        if len(self.asked) < self.in_flight:
            if not self.waiting and self.windows:
                self._open(self.windows.popleft())
            if self.waiting:
                return self._take_in(self.waiting.popleft())
        return self._step()

    def _open(self, window: Window) -> None:
        """Begin a window: vLLM has all that it needs of the one before."""
        if window.forget:
            self.shots.clear()
            self.pixels.clear()
        self.pixels |= window.shots
        self.photos_asked = window.photos
        self.pictures = {}
        left = [len(window.requests)]
        self.waiting.extend(_Pending(request, left) for request in window.requests)

    def _take_in(self, pending: _Pending) -> list[Answer | Refused]:
        """Hand a request to vLLM and note in `asked` what will come; it may refuse it at once."""
        request = pending.request
        try:
            if request.image_id not in self.pictures:
                pixels = self.photos_asked[request.image_id]
                self.pictures[request.image_id] = _picture(request.image_id, pixels)
            self.asked |= self._enqueue(pending, self.pictures[request.image_id])
        except Exception as error:
            # Nothing of it has reached the model, unless memory or the core itself gave out.
            if out_of_memory(error) or isinstance(error, self.dead):
                raise
            # Not for good: the context and other settings decide it, which may be mended.
            refused = Refused(request.caption_id, "rejected", _reason(error), False)
            return [self._settled(pending, refused)]
        return []

    def _step(self) -> list[Answer | Refused]:
        """Let vLLM go on; returns what came to its end."""
        results = []
        for output in self.llm.llm_engine.step():
            if output.finished and output.request_id in self.asked:
                pending, part = self.asked.pop(output.request_id)
                pending.outputs[part] = output
                if len(pending.outputs) == pending.parts:
                    results.append(self._settled(pending, self._result(pending)))
        return results

    def _settled(self, pending: _Pending, result: Answer | Refused) -> Answer | Refused:
        pending.left[0] -= 1
        self.window_done = self.window_done or not pending.left[0]
        return result

    def _enqueue(
        self, pending: _Pending, picture: tuple[Any, str]
    ) -> dict[str, tuple[_Pending, int]]:
        """Hand a request to vLLM; returns under which names its outputs will come."""
        from vllm import SamplingParams

        request = pending.request
        if not request.question.answer_start:
            how = SamplingParams(**request.sampling.as_dict(), seed=request.seed)
            return {self._ask(request, picture, how): (pending, 0)}
        words = pending.words = self._level_words(request.question.answer_start)
        asked: dict[str, tuple[_Pending, int]] = {}
        for part, branch in enumerate(words.branches):
            question = replace(request.question, answer_start=branch.answer)
            how = SamplingParams(
                temperature=0.0, max_tokens=1, logprob_token_ids=list(branch.tokens)
            )
            name = self._ask(replace(request, question=question), picture, how)
            asked[name] = (pending, part)
        return asked

    def _ask(self, request: Request, picture: tuple[Any, str], how: Any) -> str:
        question = request.question
        photo, identity = picture
        if not self.has_template:
            # Captioners such as BLIP-2 take a photo and a plain prompt; vLLM places the photo.
            prompt = {
                "prompt": plain_prompt(question),
                "multi_modal_data": {"image": [photo]},
                "multi_modal_uuids": {"image": [identity]},
            }
            (name,) = self.llm.enqueue(prompt, how, use_tqdm=False)
        else:
            goes_on = bool(question.answer_start)
            (name,) = self.llm.enqueue_chat(
                self._messages(request, picture),
                how,
                use_tqdm=False,
                add_generation_prompt=not goes_on,
                continue_final_message=goes_on,
            )
        # vLLM answers under the name that it gave first, before it made it unique.
        return str(name).partition("-")[0]

    def _messages(self, request: Request, picture: tuple[Any, str]) -> list[dict[str, Any]]:
        in_context = self.photos != 1
        turns = conversation(request.question, photos_of_exemplars=in_context)
        shots = request.question.exemplars if in_context else ()
        pictures = [*(self._shot(shot.image_id) for shot in shots), picture]
        messages = []
        for turn in turns:
            content: list[dict[str, Any]] = [{"type": "text", "text": turn.text}]
            if turn.photo is not None:
                photo, identity = pictures[turn.photo]
                content.insert(0, {"type": "image_pil", "image_pil": photo, "uuid": identity})
            messages.append({"role": turn.role, "content": content})
        return messages

    def _shot(self, image_id: str) -> tuple[Any, str]:
        """An exemplar's photo, remembered from the first window that brought it."""
        if image_id not in self.shots:
            self.shots[image_id] = _picture(image_id, self.pixels[image_id])
            del self.pixels[image_id]
        return self.shots[image_id]

    def _level_words(self, answer_start: str) -> LevelWords:
        if answer_start not in self.words:
            self.words[answer_start] = level_words(
                answer_start, lambda text: self.tokenizer.encode(text, add_special_tokens=False)
            )
        return self.words[answer_start]

    def _result(self, pending: _Pending) -> Answer | Refused:
        identity = pending.request.caption_id
        output = pending.outputs[0]
        prompt_tokens = len(output.prompt_token_ids or ())
        cached = output.num_cached_tokens
        if pending.words is None:
            said = output.outputs[0]
            return Answer(
                identity,
                said.text.strip(),
                said.finish_reason or "stop",
                prompt_tokens,
                len(said.token_ids),
                cached,
            )
        scores = []
        for part, branch in enumerate(pending.words.branches):
            output = pending.outputs[part]
            if output.prompt_token_ids[-1] != branch.last:
                why = "the model's chat template does not let an answer be continued"
                return Refused(identity, "no_levels", why, True)
            found = output.outputs[0].logprobs[0]
            scores.append([found[token].logprob for token in branch.tokens])
        try:
            levels = pending.words.probabilities(scores)
        except ValueError as error:
            return Refused(identity, "not_a_number", str(error), True)
        text = pending.words.sentence(levels)
        return Answer(identity, text, "stop", prompt_tokens, pending.parts, cached, levels)


def _has_template(setting: Setting, tokenizer: Any) -> bool:
    """Whether vLLM will find a chat template: the tokenizer's, or one that only a processor has."""
    if getattr(tokenizer, "chat_template", None):
        return True
    from transformers import AutoProcessor

    try:
        trusted = bool(setting.options.get("trust_remote_code", False))
        processor = AutoProcessor.from_pretrained(
            setting.folder, local_files_only=True, trust_remote_code=trusted
        )
    except Exception:  # noqa: BLE001 - whatever a model's own processor raises: vLLM finds none
        return False
    return bool(getattr(processor, "chat_template", None))


def _picture(image_id: str, pixels: Pixels) -> tuple[Any, str]:
    """A photo as vLLM takes it, and a name under which it caches what it computed of it."""
    from PIL import Image

    # The photo and its size say what the pixels are: hashing them would take longer.
    image = Image.fromarray(pixels)
    return image, f"{image_id}-{image.width}x{image.height}"


def _family() -> tuple[int, ...]:
    """The processes that the model runs in; helpers that end while loading are none of them."""
    family = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if not any("resource_tracker" in word for word in process.cmdline()):
                family.append(process.pid)
    return tuple(family)


def _follow(parent: int) -> None:
    """End this process and what it started within a second of the parent's end."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(os.getpid(), signal.SIGKILL)


def _redirect(log: str) -> None:
    """Send what vLLM prints to a file: people want our lines, and its lines when it fails."""
    if log:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
    target = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
