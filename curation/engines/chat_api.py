"""The words of an OpenAI-compatible chat endpoint: requests as JSON, replies as outcomes.

Pure: nothing is sent from here, so what is asked and how answers are read is tested without a
server. Must not know of keys, retries or connections.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

from PIL import Image

from curation.engines.base import Answer, Refused, Request
from curation.engines.messages import conversation
from curation.prompts import Question
from uniqa.errors import UsageError
from uniqa.levels import LEVELS
from uniqa.photos import Photo, Pixels

PhotoForm = Literal["png", "jpeg"]

TOP_LOGPROBS = 20
"""As many as OpenAI and vLLM give."""

LEVEL_TOKENS = 5
"""A level word may come after a quotation mark, and in pieces."""

_OWN_FIELDS = frozenset(
    "model messages seed temperature top_p max_tokens max_completion_tokens n stream logprobs "
    "top_logprobs logprob_token_ids continue_final_message add_generation_prompt".split()
)


@dataclass(frozen=True, slots=True)
class PhotoUrl:
    """Makes a data URL of a photo; picklable, as the image step's processes call it.

    PNG keeps every pixel: compression of our own would be seen, and judged, as the photo's. JPEG
    (quality 95) is a fifth of the size, for those who would rather wait less.
    """

    form: PhotoForm = "png"

    def __call__(self, photo: Photo) -> str:
        """The photo's pixels as a ``data:`` URL."""
        return self.of(photo.pixels)

    def of(self, pixels: Pixels) -> str:
        """Pixels as a ``data:`` URL."""
        file = io.BytesIO()
        if self.form == "jpeg":
            Image.fromarray(pixels).save(file, "JPEG", quality=95, subsampling=0)
        else:
            # Level 6 takes three times as long and saves 8 %.
            Image.fromarray(pixels).save(file, "PNG", compress_level=3)
        return f"data:image/{self.form};base64,{base64.b64encode(file.getvalue()).decode()}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server understands beyond the common fields.

    `tokens_field` names the bound of an answer: newer OpenAI models refuse ``max_tokens``. `extra`
    is sent with every request.
    """

    model: str
    vllm: bool = False
    tokens_field: str = "max_tokens"
    extra: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """No answer yet; another attempt may bring one, after `wait` seconds if the server said so.

    `reason` is a word for statistics; `busy`: the server has more to do than it can.
    """

    reason: str
    message: str
    wait: float | None = None
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Hopeless:
    """No request will be answered: the run has to stop."""

    message: str
    remedy: str


def endpoint(url: str) -> str:
    """The address that ``/chat/completions`` and ``/models`` are appended to.

    Args:
        url: as users write it: with or without ``/v1``, or the whole address of the chat endpoint.

    Raises:
        UsageError: not an HTTP address, or one with a password or a query in it, which is not
            repeated: it may be a key.
    """
    try:
        parts = urlsplit(url.strip())
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError:
        plain, usable = "@" not in url, None
    if not plain:
        raise UsageError(
            "the server's URL has a user name, a password or a query in it",
            "URLs are stored and shown: give a key in an environment variable",
        )
    if not usable:
        raise UsageError(
            f"'{url}' is not the URL of a server", "Write it like http://localhost:8000/v1"
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def is_loopback(url: str) -> bool:
    """Whether the server is on this machine: no proxy leads there."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_extra(extra: Mapping[str, Any]) -> None:
    """Raise UsageError for a field of requests that is not the user's to set."""
    for name in extra:
        if name in _OWN_FIELDS:
            raise UsageError(
                f"the field '{name}' of requests is set by UniQA",
                "Sampling, seed and model have options of their own",
            )


def body(dialect: Dialect, request: Request, level_ids: Sequence[int] = ()) -> dict[str, Any]:
    """One request as JSON-able fields.

    Args:
        dialect: what the server understands.
        request: its `payload` and `shots` are URLs of photos.
        level_ids: for a question for a level, the tokens of the five levels, if they are known.
    """
    question = request.question
    asks_level = bool(question.answer_start)
    if asks_level and not dialect.vllm:
        question = _asked_politely(question)
    photos = [*request.shots, request.payload]
    messages = [
        {"role": turn.role, "content": _content(turn.text, photos, turn.photo)}
        for turn in conversation(question)
        if turn.text or turn.photo is not None
    ]
    sampling = request.sampling
    fields = {
        **(dialect.extra or {}),
        "model": dialect.model,
        "messages": messages,
        "seed": request.seed,
        "temperature": 0.0 if asks_level else sampling.temperature,
        "top_p": 1.0 if asks_level else sampling.top_p,
        dialect.tokens_field: LEVEL_TOKENS if asks_level else sampling.max_tokens,
    }
    if dialect.vllm:
        # A model's own taste (generation_config.json) must not mix with what was asked for.
        own = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
        fields = own | fields
    if asks_level:
        fields |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        if dialect.vllm:
            fields |= {"continue_final_message": True, "add_generation_prompt": False}
        if level_ids:
            ids = {"logprob_token_ids": list(level_ids), "return_tokens_as_token_ids": True}
            fields |= {**ids, dialect.tokens_field: 1}
    return fields


def read_reply(
    data: Any, request: Request, level_ids: Sequence[int] = ()
) -> Answer | Refused | Again:
    """What a reply with status 200 says; `Again` for one that is none."""
    try:
        choice = data["choices"][0]
        message = choice["message"]
        text = _text(message.get("content"))
        finish = str(choice.get("finish_reason") or "stop")
        usage = data.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        counts = (
            _count(usage.get("prompt_tokens")),
            _count(usage.get("completion_tokens")),
            _count(details.get("cached_tokens")),
        )
        if request.question.answer_start:
            logprobs = (choice.get("logprobs") or {}).get("content") or []
            levels = _levels_by_id(logprobs, level_ids) if level_ids else _levels_by_word(logprobs)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        return Again("unreadable", f"the reply is no chat completion ({type(error).__name__})")
    identity = request.caption_id
    if request.question.answer_start:
        if levels is None:
            said = f"the model said '{text}'" if logprobs else "it gave none"
            why = f"no level word among the server's log-probabilities ({said})"
            return Refused(identity, "no_level", why, False)
        best = LEVELS[max(range(len(LEVELS)), key=levels.__getitem__)]
        start = request.question.answer_start.rstrip()
        return Answer(identity, f"{start} {best}.", "stop", *counts, levels)
    if finish == "content_filter":
        return Refused(identity, "filtered", "the server's content filter stopped it", True)
    if not text.strip():
        why = _text(message.get("refusal")) or f"finish_reason {finish}"
        return Refused(identity, "empty", f"the model answered nothing ({why})", True)
    cut = finish in {"length", "max_tokens"}
    return Answer(identity, text.strip(), "length" if cut else "stop", *counts)


def read_failure(
    status: int, text: str, wait: float | None, identity: str
) -> Refused | Again | Hopeless:
    """What a reply with another status than 200 means for a request.

    Args:
        status: the HTTP status.
        text: the reply's body.
        wait: seconds that the server asked to wait.
        identity: the caption that was asked for.
    """
    why = f"status {status}: {server_words(text)}"
    if status in {401, 403}:
        return Hopeless(f"refused the key ({why})", "")
    if status == 429 and "insufficient_quota" in text:
        return Hopeless(f"has no quota left for this key ({why})", "Raise the account's limit")
    if status in {408, 409, 425, 429, 500, 502, 503, 504, 529}:
        return Again(str(status), why, wait, busy=status in {429, 502, 503, 504, 529})
    # Not for good: it is about the address, the model, or what the server allows, and another run
    # may ask again when that is put right.
    return Refused(identity, "rejected", why, False)


def server_words(text: str) -> str:
    """A server's error message, out of whatever JSON it is wrapped in."""
    try:
        data = json.loads(text)
    except ValueError:
        return text or "no message"
    while isinstance(data, dict):
        data = next((data[key] for key in ("error", "message", "detail") if data.get(key)), "")
    return (data if isinstance(data, str) else json.dumps(data)) or "no message"


def _asked_politely(question: Question) -> Question:
    words = f"{', '.join(LEVELS[:-1])} or {LEVELS[-1]}"
    text = (
        f"{question.text}\nComplete this sentence with one word ({words}) and answer with that "
        f'word alone: "{question.answer_start.rstrip()} …"'
    )
    return replace(question, text=text, answer_start="")


def _content(text: str, photos: Sequence[str], photo: int | None) -> Any:
    if photo is None:
        return text
    return [
        {"type": "image_url", "image_url": {"url": photos[photo]}},
        {"type": "text", "text": text},
    ]


def _text(content: Any) -> str:
    """Content is a text, null, or a list of parts."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content)
    if content is None or isinstance(content, str):
        return content or ""
    raise TypeError


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _levels_by_id(logprobs: Any, ids: Sequence[int]) -> tuple[float, ...] | None:
    """The levels' probabilities as the first token, known by their tokens' numbers."""
    scores = {
        entry["token"]: float(entry["logprob"])
        for entry in _entries(logprobs[0] if logprobs else {})
    }
    return _distribution([scores.get(f"token_id:{number}", -math.inf) for number in ids])


def _levels_by_word(logprobs: Any) -> tuple[float, ...] | None:
    """The levels' probabilities at the first token that is (the beginning of) a level word."""
    for position in logprobs:
        chosen = _level(position["token"])
        if chosen is None:
            continue
        found: list[list[float]] = [[] for _ in LEVELS]
        for entry in _entries(position):
            level = _level(entry["token"])
            if level is not None:
                found[level].append(float(entry["logprob"]))
        # " good", "Good" and "good" are the same answer.
        return _distribution([_sum(scores) for scores in found])
    return None


def _entries(position: Any) -> list[Any]:
    """The candidates at a position, the chosen one among them, each once."""
    entries = [*(position.get("top_logprobs") or [])]
    if "token" in position and position["token"] not in {one["token"] for one in entries}:
        entries.append(position)
    return entries


def _level(token: str) -> int | None:
    """The level that a token is or begins; None also for one that could begin two."""
    word = token.strip(" \t\n\"'*“”‘’.,_▁ĠĊ").lower()
    if len(word) < 2:
        return None
    fits = [number for number, level in enumerate(LEVELS) if level.startswith(word)]
    return fits[0] if len(fits) == 1 else None


def _sum(scores: Sequence[float]) -> float:
    top = max(scores, default=-math.inf)
    if top == -math.inf:
        return top
    return top + math.log(sum(math.exp(score - top) for score in scores))


def _distribution(scores: Sequence[float]) -> tuple[float, ...] | None:
    """Log-probabilities as probabilities that sum to 1; None if none of them is possible."""
    top = max(scores)
    if not top > -1000.0:  # servers write -9999 for what cannot be
        return None
    weights = [math.exp(score - top) for score in scores]
    return tuple(weight / sum(weights) for weight in weights)
