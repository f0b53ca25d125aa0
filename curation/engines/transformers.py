"""The transformers engine: a small model in this process, on the CPU, where vLLM is not installed.

Slower than vLLM and not watched, so meant for models of some hundred million parameters at most.
A text depends on its request alone: each draws with random numbers of its own, and padding is
masked. Only rounding (1e-6 of a probability) differs between batches. One request that the model
cannot take is refused; the others of its batch are asked again.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.engines.base import Answer, Refused, Request, Sampling
from curation.engines.locate import locate_model
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


class TransformersEngine:
    """Runs a Hugging Face multimodal model with transformers, in float32."""

    name = "transformers"
    samples = True
    listens = True
    context: int | None = None

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
        self._loaded: _Model | None = None

    @staticmethod
    def prepare(photo: Photo) -> Pixels:
        """The pixels themselves."""
        return photo.pixels

    def start(self) -> None:
        """Load processor and weights."""
        try:
            self._loaded = _Model(self._folder, self._longest)
        except Exception as error:
            # Files from anywhere fail in every way; whatever it was, this model does not run.
            raise EngineError(
                f"transformers could not load '{self.model}' ({_reason(error)})",
                "Try another model, or vLLM: pip install 'uniqa[vllm]'",
            ) from error

    def generate(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        """Answers in the order of the requests; a request that cannot be answered is refused."""
        if self._loaded is None:
            self.start()
        assert self._loaded is not None
        results: Results = {}
        for batch in self._batches(requests):
            results |= self._loaded.answer(batch)
        return [results[request.caption_id] for request in requests]

    def close(self) -> None:
        """Forget model and processor; the memory is free for the next model."""
        self._loaded = None
        gc.collect()

    def _batches(self, requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
        # Like lengths together: less padding, and photos of one shape have as many image tokens.
        ordered = sorted(
            requests,
            key=lambda one: (
                str(getattr(one.payload, "shape", "")),
                len(one.question.system) + len(one.question.text),
                one.caption_id,
            ),
        )
        for first in range(0, len(ordered), self._batch_size):
            yield ordered[first : first + self._batch_size]


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
        """One result per request; a batch that fails as a whole is repeated one by one."""
        try:
            inputs, lengths = self._encode(batch)
        except Exception as error:  # noqa: BLE001 - processors raise anything for odd photos
            if len(batch) == 1:
                return _refused(batch[0], "rejected", _reason(error), True)
            return self._one_by_one(batch)
        fits = [length < self.longest for length in lengths]
        if not all(fits):
            return self._without_long_ones(batch, lengths, fits)
        try:
            return self._generate(batch, inputs, lengths)
        except Exception as error:  # noqa: BLE001 - memory may suffice for one but not for many
            if len(batch) == 1:
                # Once may be chance: it is tried again on the next run.
                return _refused(batch[0], "engine_failed", _reason(error), False)
            return self._one_by_one(batch)

    def _one_by_one(self, batch: Sequence[Request]) -> Results:
        results: Results = {}
        for request in batch:
            results |= self.answer([request])
        return results

    def _without_long_ones(
        self, batch: Sequence[Request], lengths: Sequence[int], fits: Sequence[bool]
    ) -> Results:
        results: Results = {}
        for request, length, fit in zip(batch, lengths, fits, strict=True):
            if not fit:
                why = f"the prompt has {length} tokens; the model takes fewer than {self.longest}"
                results |= _refused(request, "rejected", why, True)
        rest = [request for request, fit in zip(batch, fits, strict=True) if fit]
        return results | (self.answer(rest) if rest else {})

    def _encode(self, batch: Sequence[Request]) -> tuple[Any, list[int]]:
        from PIL import Image

        images = [Image.fromarray(request.payload) for request in batch]
        questions = [request.question for request in batch]
        if self.template:
            texts = [
                self.processor.apply_chat_template(
                    _messages(question.system, question.text),
                    chat_template=self.template,
                    add_generation_prompt=True,
                    tokenize=False,
                )
                for question in questions
            ]
            # The template has written every special token already; one list of photos per text.
            asked: dict[str, Any] = {"images": [[image] for image in images]}
            asked["add_special_tokens"] = False
        else:
            # Captioners such as BLIP-2 take a photo and a plain prompt.
            texts = [f"{question.system} {question.text}" for question in questions]
            asked = {"images": images}
        inputs = self.processor(
            text=texts, padding=True, padding_side="left", return_tensors="pt", **asked
        )
        return inputs, [int(length) for length in inputs["attention_mask"].sum(dim=1)]

    def _generate(self, batch: Sequence[Request], inputs: Any, lengths: Sequence[int]) -> Results:
        import torch

        budgets = [
            min(request.sampling.max_tokens, self.longest - length)
            for request, length in zip(batch, lengths, strict=True)
        ]
        draws = _Draws([(one.sampling, one.seed) for one in batch], budgets)
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


class _Draws:
    """Draws the next token of every row; stands among the logits processors of `generate`.

    A row's random numbers follow from its seed and the position alone, and are laid on the
    probabilities in vocabulary order, so neither neighbours nor near ties change what is drawn.
    """

    def __init__(self, asked: Sequence[tuple[Sampling, int]], budgets: Sequence[int]) -> None:
        import torch

        self.tokens: list[Tensor] = []
        self.broken = torch.zeros(len(asked), dtype=torch.bool)
        self._budgets = torch.tensor(budgets)
        self._temperatures = torch.tensor([how.temperature for how, _ in asked])
        self._top_p = torch.tensor([how.top_p for how, _ in asked])
        longest = max(budgets)
        self._numbers = torch.stack(
            [
                torch.rand(
                    longest, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
                )
                for _, seed in asked
            ]
        )

    def __call__(self, _input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (rows, vocabulary) in which only the drawn token of each row is possible."""
        scores = scores.float()
        best = scores.amax(dim=1, keepdim=True)
        self.broken |= ~best.isfinite().squeeze(1)
        scores = (scores - best).masked_fill(self.broken[:, None], 0.0)
        chosen = scores.argmax(dim=1)
        warm = self._temperatures > 0
        if warm.any():
            chosen[warm] = draw(
                scores[warm] / self._temperatures[warm, None],
                self._top_p[warm],
                self._numbers[warm, len(self.tokens)],
            )
        self.tokens.append(chosen)
        return scores.new_full(scores.shape, -math.inf).scatter_(1, chosen[:, None], 0.0)

    def spent(self, _input_ids: Tensor, _scores: Tensor, **_: Any) -> Tensor:
        """Which rows, shape (rows,), have all the tokens they may have."""
        return self._budgets <= len(self.tokens)


def draw(scores: Tensor, top_p: Tensor, numbers: Tensor) -> Tensor:
    """One token per row from the fewest most likely ones that together reach `top_p`.

    Args:
        scores: logits, already divided by the temperature, shape (rows, vocabulary).
        top_p: shape (rows,), above 0 and up to 1.
        numbers: uniform random numbers, shape (rows,), in [0, 1).

    Returns:
        Token ids, shape (rows,).
    """
    import torch

    probabilities = scores.double().softmax(dim=1)
    if (top_p < 1).any():
        ordered, order = probabilities.sort(dim=1, descending=True, stable=True)
        beyond = ordered.cumsum(dim=1) - ordered >= top_p[:, None]
        beyond[:, 0] = False
        probabilities = probabilities.masked_fill(
            beyond.new_zeros(beyond.shape).scatter_(1, order, beyond), 0.0
        )
    steps = probabilities.cumsum(dim=1)
    # A little less than the sum: rounding must not point behind the last token.
    wanted = numbers[:, None] * steps[:, -1:] * (1 - 1e-12)
    return torch.searchsorted(steps, wanted, right=True).squeeze(1)


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


def _messages(system: str, text: str) -> list[dict[str, Any]]:
    # As the vLLM worker writes them: the photo before the question.
    return [
        {"role": "system", "content": [{"type": "text", "text": system}]},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]},
    ]


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
