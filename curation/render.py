"""What a model will get to see for a question: turns, photos, and the very prompt of its processor.

Loads a model's processor but never its weights, so that a prompt can be looked at anywhere. Must
not know of plans or of the corpus.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curation.engines.locate import locate_model
from curation.engines.messages import conversation, plain_prompt
from curation.pocket.shipped import POCKET_MAX_SIDE, POCKETS
from curation.prompts import Question
from uniqa.errors import EngineError, InputError, UsageError
from uniqa.photos import Photo, PhotoError, image_id_of, read_photo

MAX_SIDE = 768
"""Engines shrink photos to this many pixels on the longer side, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class ShownPhoto:
    """A photo as it goes to the model: `width` and `height` after shrinking."""

    path: str
    image_id: str
    width: int
    height: int
    full_width: int
    full_height: int

    @property
    def shown(self) -> str:
        """For people: name, size as shown, and size on disk where that is another."""
        size = f"{Path(self.path).name} {self.width}×{self.height}"
        if (self.width, self.height) == (self.full_width, self.full_height):
            return size
        return f"{size} (of {self.full_width}×{self.full_height})"


@dataclass(frozen=True, slots=True)
class ShownTurn:
    """One message; its photo stands before its text."""

    role: str
    text: str
    photo: ShownPhoto | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a prompt by the model's own processor.

    `image` counts all that photos add, markers between their tiles included.
    """

    text: int
    image: int
    total: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """A question as a model gets it; without a model there are turns only.

    `turns` of a model without a chat template, which takes one photo and a plain text, are a
    single one.
    """

    question: Question
    turns: tuple[ShownTurn, ...]
    model: str = ""
    prompt: str = ""
    tokens: Tokens | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        asked = self.question
        return {
            "template": asked.template,
            "prompt_id": asked.prompt_id,
            "task": asked.task,
            "cue": asked.cue,
            "level": asked.level,
            "temperature": asked.temperature,
            "answer_start": asked.answer_start,
            "exemplars": [asdict(shot) for shot in asked.exemplars],
            "messages": [asdict(turn) for turn in self.turns],
            "model": self.model or None,
            "prompt": self.prompt or None,
            "tokens": asdict(self.tokens) if self.tokens else None,
        }


def render(
    question: Question, photo: Path, model: str = "", *, max_side: int | None = None
) -> Rendered:
    """What `model` gets when it is asked a question about a photo.

    Args:
        question: from the prompt library.
        photo: the photo asked about.
        model: pocket model, model directory or hub id; empty shows the turns only.
        max_side: pixels on the longer side; by default those of the model's engine.

    Raises:
        InputError: a photo that cannot be used, or a folder without a model.
        EngineError: a model without files here, or without a processor for photos and text.
        UsageError: ``measured``, which reads no prompts.
    """
    if model == "measured":
        raise UsageError("'measured' reads no prompts: it says what it measures", "Name a model")
    side = max_side or (POCKET_MAX_SIDE if model in POCKETS else MAX_SIDE)
    paths = [*(Path(shot.path) for shot in question.exemplars), photo]
    photos = [_photo(path, side) for path in paths]
    turns = tuple(
        ShownTurn(turn.role, turn.text, None if turn.photo is None else _shown(photos[turn.photo]))
        for turn in conversation(question)
    )
    if not model:
        return Rendered(question, turns)
    folder, name, revision = locate_model(model)
    processor = _processor(folder, name)
    template = getattr(processor, "chat_template", None) or getattr(
        processor.tokenizer, "chat_template", None
    )
    if template:
        goes_on = bool(question.answer_start)
        prompt = processor.apply_chat_template(
            [_message(turn) for turn in turns],
            chat_template=template,
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
            tokenize=False,
        )
    else:
        prompt = plain_prompt(question)
        turns = (ShownTurn("user", prompt, _shown(photos[-1])),)
        photos = photos[-1:]
    tokens = _count(processor, prompt, photos, name, written=bool(template))
    return Rendered(question, turns, f"{name}@{revision}", prompt, tokens)


def photo_id(path: Path) -> str:
    """The identity of a photo, which decides its wording. Raises InputError if it is unreadable."""
    try:
        return image_id_of(path)
    except PhotoError as error:
        raise InputError(str(error)) from error


def _photo(path: Path, side: int) -> Photo:
    try:
        return read_photo(path, max_side=side)
    except PhotoError as error:
        raise InputError(str(error)) from error


def _shown(photo: Photo) -> ShownPhoto:
    return ShownPhoto(
        str(photo.path),
        photo.image_id,
        photo.width,
        photo.height,
        photo.full_width,
        photo.full_height,
    )


def _message(turn: ShownTurn) -> dict[str, Any]:
    content = [{"type": "text", "text": turn.text}]
    if turn.photo is not None:
        content.insert(0, {"type": "image"})
    return {"role": turn.role, "content": content}


def _processor(folder: Path, name: str) -> Any:
    from transformers import AutoProcessor
    from transformers.utils import logging

    logging.set_verbosity_error()
    try:
        # As the transformers engine loads it: PIL even where torchvision is installed.
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    except Exception as error:
        # Files from anywhere fail in every way; whatever it was, there is no prompt to show.
        raise EngineError(f"the processor of '{name}' could not be loaded ({error})") from error
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise EngineError(f"the model '{name}' has no processor for photos and text")
    return processor


def _count(processor: Any, prompt: str, photos: list[Photo], name: str, *, written: bool) -> Tokens:
    """Tokens with and without photos; `written` if the prompt holds its special tokens already."""
    from PIL import Image

    # The template has written every special token already.
    special = {"add_special_tokens": False} if written else {}
    pictures = [Image.fromarray(photo.pixels) for photo in photos]
    try:
        inputs = processor(
            text=[prompt],
            images=[pictures] if written else pictures,
            return_tensors="pt",
            **special,
        )
    except Exception as error:
        raise EngineError(f"the processor of '{name}' refused the prompt ({error})") from error
    total = int(inputs["attention_mask"].sum())
    place = getattr(processor, "image_token_id", None)
    words = processor.tokenizer(prompt, **special)["input_ids"]
    text = sum(token != place for token in words)
    return Tokens(text, total - text, total)
