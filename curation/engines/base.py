"""The protocol that every engine follows, and what passes through it.

`generate` never raises for one bad request: each request gets an `Answer` or a `Refused`. It raises
`EngineError` only when the engine as a whole cannot go on. Engines must not know of the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from curation.prompts import Question
from uniqa.photos import Photo


@dataclass(frozen=True, slots=True)
class Sampling:
    """How text is drawn. `temperature` 0 is greedy; `max_tokens` bounds one answer."""

    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 160

    def as_dict(self) -> dict[str, Any]:
        """For hashing and storing."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Request:
    """One caption wanted. `payload` is what the engine's `prepare` made of the photo.

    `shots` are the payloads of the photos of the question's exemplars, in their order.
    """

    caption_id: str
    image_id: str
    payload: Any
    question: Question
    sampling: Sampling
    seed: int
    shots: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A caption. `finish_reason` is ``stop``, or ``length`` for a text that was cut off.

    `cached_tokens` of the `prompt_tokens` came from the prefix cache. `levels` answers a question
    with an `answer_start`: the probabilities of the five levels, worst first, that sum to 1.
    """

    caption_id: str
    text: str
    finish_reason: str
    prompt_tokens: int | None = None
    tokens: int | None = None
    cached_tokens: int | None = field(default=None, compare=False)
    levels: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A request without a caption. A `permanent` one would fail again and is not retried."""

    caption_id: str
    kind: str
    message: str
    permanent: bool


def untold(_answers: int) -> None:
    """An `on_answered` that nobody listens to."""


def nothing_ahead() -> Sequence[Request]:
    """An `ahead` of somebody who does not know what comes next."""
    return ()


class Engine(Protocol):
    """A model that answers questions about photos."""

    name: str
    """measured, vllm, …"""
    model: str
    """The model's name, as it stands in the corpus."""
    revision: str
    """Changes whenever the model's answers may: a commit, a hash of the weights."""
    max_side: int
    """Photos are shrunk to this many pixels on the longer side before `prepare`."""
    window: int
    """How many requests it likes at once."""
    samples: bool
    """Whether `Sampling` changes its answers; if not, it is no part of a caption's identity."""
    listens: bool
    """Whether it reads prompts: exemplars and questions for a level are for such engines only."""
    context: int | None
    """Tokens of prompt and answer together at most; None where unknown or before `start`."""

    on_answered: Callable[[int], None]
    """Told how many more answers have come, while `generate` is at work; set by whoever asks."""

    ahead: Callable[[], Sequence[Request]]
    """The requests of the `generate` to come, as far as known; set by whoever asks. An engine may
    begin on them when it would else be half idle, and has their answers sooner then."""

    def prepare(self, photo: Photo) -> Any:
        """What requests need of a photo. Runs in the image step's processes, so it is picklable."""
        ...

    def start(self) -> None:
        """Load the model. Raises EngineError with the reason and a remedy."""
        ...

    def generate(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        """One answer per request, in any order."""
        ...

    def close(self) -> None:
        """Give everything back; safe to call twice, and before `start`."""
        ...
