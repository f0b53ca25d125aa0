"""The child process of the vLLM engine: loads one model, answers windows, ends with its parent.

Speaks over one pipe: ``ready`` or ``failed`` first, then per window a few ``alive`` and a list of
answers. A window
that vLLM rejects as a whole (it does so for one bad request) is repeated one by one.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from curation.images import follow
from uniqa.errors import UsageError, nearest

Reply = tuple[str, str, str, int | None, int | None, str]
"""caption_id, text, finish_reason, prompt_tokens, tokens, kind of refusal (empty for an answer)."""


def main(pipe: Connection, parent: int, folder: str, options: dict[str, Any], log: str) -> None:
    """Serve until told to stop, or until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    follow(parent)
    _redirect(log)
    try:
        model = _Model(folder, options, _heartbeat(pipe))
    except BaseException as error:
        pipe.send(("failed", _reason(error)))
        raise
    pipe.send(("ready", None))
    while True:
        try:
            kind, payload = pipe.recv()
        except EOFError:
            break
        if kind == "stop":
            break
        try:
            pipe.send(("answers", model.answer(*payload)))
        except Exception as error:  # noqa: BLE001 - whatever it was, this engine is not to be trusted
            pipe.send(("died", _reason(error)))
            break
    # An orderly end lets vLLM take back what it registered; threads it leaves must not keep us.
    last = threading.Timer(5, os._exit, (0,))
    last.daemon = True
    last.start()


class _Model:
    def __init__(self, folder: str, options: dict[str, Any], heartbeat: type) -> None:
        self.heartbeat = heartbeat
        # One process is the whole engine: what kills it closes the pipe, and nothing is orphaned.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_DO_NOT_TRACK", "1")
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        import torch
        from vllm import LLM

        _check_options(options)
        defaults: dict[str, Any] = {
            "limit_mm_per_prompt": {"image": 1, "video": 0},
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
            }
        self.llm = LLM(model=folder, **(defaults | options))
        self.has_template = bool(getattr(self.llm.get_tokenizer(), "chat_template", None))

    def answer(self, photos: dict[str, Any], questions: list[tuple[Any, ...]]) -> list[Reply]:
        from PIL import Image

        images = {image_id: Image.fromarray(pixels) for image_id, pixels in photos.items()}
        try:
            return self._answer(images, questions)
        except _rejections() as error:
            # Raised while requests are taken in; anything later may leave the engine half done.
            if len(questions) == 1:
                return [(questions[0][0], _reason(error), "", None, None, "rejected")]
        replies: list[Reply] = []
        for question in questions:
            replies += self.answer({question[1]: photos[question[1]]}, [question])
        return replies

    def _answer(self, images: dict[str, Any], questions: list[tuple[Any, ...]]) -> list[Reply]:
        from vllm import SamplingParams

        sampling = [
            SamplingParams(
                temperature=how["temperature"],
                top_p=how["top_p"],
                max_tokens=how["max_tokens"],
                seed=seed,
            )
            for *_, how, seed in questions
        ]
        asked = [(images[image_id], system, text) for _, image_id, system, text, *_ in questions]
        if self.has_template:
            messages = [self._message(*parts) for parts in asked]
            outputs = self.llm.chat(messages, sampling, use_tqdm=self.heartbeat)
        else:
            # Captioners such as BLIP-2 take a photo and a plain prompt; vLLM places the photo.
            prompts = [
                {"prompt": f"{system} {text}", "multi_modal_data": {"image": image}}
                for image, system, text in asked
            ]
            outputs = self.llm.generate(prompts, sampling, use_tqdm=self.heartbeat)
        return [
            (
                question[0],
                output.outputs[0].text.strip(),
                output.outputs[0].finish_reason or "stop",
                len(output.prompt_token_ids or ()),
                len(output.outputs[0].token_ids),
                "",
            )
            for question, output in zip(questions, outputs, strict=True)
        ]

    @staticmethod
    def _message(image: Any, system: str, text: str) -> list[dict[str, Any]]:
        # Photo before question: all questions about a photo share a prefix that vLLM caches.
        return [
            {"role": "system", "content": [{"type": "text", "text": system}]},
            {
                "role": "user",
                "content": [
                    {"type": "image_pil", "image_pil": image},
                    {"type": "text", "text": text},
                ],
            },
        ]


def _heartbeat(pipe: Connection) -> type:
    """A progress bar for vLLM that draws nothing and tells the parent that work goes on."""
    from tqdm import tqdm

    class Heartbeat(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - tqdm wants an open file
                super().__init__(*args, **{**kwargs, "file": nowhere, "disable": False})
            self._beat = 0.0

        def display(self, *_args: Any, **_kwargs: Any) -> bool:
            return True

        def close(self) -> None:
            self.disable = True

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            if time.monotonic() - self._beat > 1:
                self._beat = time.monotonic()
                pipe.send(("alive", self.n))
            return None

        def __iter__(self) -> Any:
            for item in self.iterable:
                yield item
                self.update()

    return Heartbeat


def _rejections() -> tuple[type[Exception], ...]:
    """What vLLM raises for a request that it will not take in."""
    try:
        from vllm.exceptions import VLLMClientError
    except ImportError:
        return (ValueError, TypeError)
    return (VLLMClientError, ValueError, TypeError)


def _check_options(options: dict[str, Any]) -> None:
    """Raise UsageError for an option that vLLM does not have."""
    from dataclasses import fields

    from vllm.engine.arg_utils import EngineArgs

    known = {field.name for field in fields(EngineArgs)}
    for name in options:
        if name not in known:
            raise UsageError(f"vLLM has no option '{name}'", nearest(name, known))


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
