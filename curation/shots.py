"""The photos of exemplars, made ready for an engine once and kept.

Must not know of the corpus or of how exemplars are chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curation.engines.base import Engine
from curation.prompts import Exemplar
from uniqa.errors import InputError
from uniqa.photos import PhotoError, read_photo


class ShotPhotos:
    """What an engine needs of exemplars' photos; a bank is small, so all of it stays in memory."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._payloads: dict[str, Any] = {}

    def of(self, exemplars: Sequence[Exemplar]) -> tuple[Any, ...]:
        """The payloads, in order.

        Raises:
            InputError: a photo of the bank cannot be read any more.
        """
        for exemplar in exemplars:
            if exemplar.image_id not in self._payloads:
                self._payloads[exemplar.image_id] = self._read(exemplar)
        return tuple(self._payloads[exemplar.image_id] for exemplar in exemplars)

    def _read(self, exemplar: Exemplar) -> Any:
        try:
            photo = read_photo(Path(exemplar.path), max_side=self._engine.max_side or None)
        except PhotoError as error:
            raise InputError(
                f"the exemplar {exemplar.path} cannot be shown ({error.message})",
                "Put the photo back, or name another bank by --exemplars",
            ) from error
        return self._engine.prepare(photo)
