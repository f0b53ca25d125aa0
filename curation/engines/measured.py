"""The engine without a model: it measures a photo and says in words what it measured.

Needs no weights and no network, is deterministic, and says nothing that was not measured; what a
photo shows is beyond it. Picklable, so that it can run in worker processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray

from curation.engines.base import Answer, Refused, Request, nothing_ahead, untold
from curation.measuring.measure import Measurements, measure
from curation.phrasing.grammar import phrase
from uniqa.photos import Photo


class MeasuredEngine:
    """Captions from measurements."""

    name = "measured"
    model = "measured"
    revision = "1"
    """Raise whenever measurements or wordings change: it is part of a caption's identity."""
    max_side = 0
    """Never shrunk: blur, noise and blocks live in single pixels."""
    window = 192
    """Small: measuring is the image step's work, and a window is what a kill can lose of it."""
    samples = False
    listens = False
    context: int | None = None

    def __init__(self) -> None:
        self.on_answered: Callable[[int], None] = untold
        self.ahead: Callable[[], Sequence[Request]] = nothing_ahead
        self._last: tuple[str, Measurements] | None = None

    @staticmethod
    def prepare(photo: Photo) -> Measurements:
        """Measure in the image step's processes: that is all the work there is."""
        return measure(photo.pixels)

    def start(self) -> None:
        """Nothing to load."""

    def generate(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        """Describe what was measured; every request is answered."""
        return [
            Answer(
                request.caption_id,
                describe(
                    request.payload,
                    task=request.question.task,
                    cue=request.question.cue,
                    level=request.question.level,
                    seed=request.seed,
                ),
                "stop",
            )
            for request in requests
        ]

    def close(self) -> None:
        """Nothing to give back."""

    def measurements(self, pixels: NDArray[np.uint8], image_id: str = "") -> Measurements:
        """Measure a photo; asked again for the same image in a row, remember."""
        if image_id and self._last is not None and self._last[0] == image_id:
            return self._last[1]
        measured = measure(pixels)
        self._last = (image_id, measured)
        return measured

    def caption(
        self,
        pixels: NDArray[np.uint8],
        *,
        task: str,
        cue: str,
        level: str = "",
        seed: int = 0,
        image_id: str = "",
    ) -> str:
        """One to three sentences about a photo; the same for the same pixels and arguments.

        Args:
            pixels: upright RGB, shape (h, w, 3), 0–255.
            task: ``quality`` or ``aesthetic``.
            cue: see `curation.phrasing.grammar.cues`.
            level: one of the five levels, or empty.
            seed: another seed, other facts and words.
            image_id: identity of the pixels; measurements of the last image are kept under it.
        """
        return describe(
            self.measurements(pixels, image_id), task=task, cue=cue, level=level, seed=seed
        )


def describe(m: Measurements, *, task: str, cue: str, level: str = "", seed: int = 0) -> str:
    """What `MeasuredEngine.caption` says, for a photo that is already measured."""
    # The photo is part of the seed: like photos shall not be described in the same words.
    key = "\x1f".join((str(seed), task, cue, level, repr(m)))
    rng = Random(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))
    return phrase(m, task, cue, level, rng)
