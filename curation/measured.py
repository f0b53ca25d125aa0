"""Measurements of the corpus's photos, made once per image in a process pool.

Photos are measured as a person sees them on a screen: brought to at most `SIDE` pixels first, as
models and people saw them when they spoke of blur and noise. Only the compression grid, which
shrinking wipes out, is looked for at full size. Must not know the corpus or what texts say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
from PIL import Image

from curation.images import ImageStep, Unusable
from curation.measuring.measure import Measurements, measure
from uniqa.photos import Photo

REVISION = "1"
"""Raise whenever the same photo would be measured otherwise; stored with every measurement."""

SIDE = 1024
"""Pixels on the longer side."""

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Measured:
    """One image's measurements."""

    image_id: str
    measurements: Measurements


def measure_photo(photo: Photo) -> Measurements:
    """Measure a verified photo of any size."""
    whole = measure(photo.pixels)
    if max(photo.width, photo.height) <= SIDE:
        return whole
    scale = SIDE / max(photo.width, photo.height)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    shrunk = Image.fromarray(photo.pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    seen = measure(np.asarray(shrunk, dtype=np.uint8))
    return replace(seen, width=photo.width, height=photo.height, blockiness=whole.blockiness)


def measure_all(
    photos: Sequence[tuple[str, str]], workers: int | None = None
) -> Iterator[Measured | Unusable]:
    """Measure photos in a process pool; one result per photo, in order.

    Args:
        photos: (image_id, path or address) pairs.
        workers: processes; see `curation.images.ImageStep`.

    Yields:
        `Measured`, or `Unusable` for a photo that vanished, changed or cannot be read.

    Raises:
        UniqaError: no process can be started.
    """
    batches = [photos[start : start + _BATCH] for start in range(0, len(photos), _BATCH)]
    with ImageStep(measure_photo, max_side=0, workers=workers) as step:
        windows = step.windows([path for _, path in batch] for batch in batches)
        for batch, window in zip(batches, windows, strict=True):
            for (image_id, path), photo in zip(batch, window, strict=True):
                if isinstance(photo, Unusable):
                    yield photo
                elif photo.image_id != image_id:
                    yield Unusable(path, "changed", "the file is not the one that was read", False)
                else:
                    yield Measured(image_id, photo.payload)


def to_json(m: Measurements) -> str:
    """Measurements as one JSON object, the same for the same numbers."""
    return json.dumps(asdict(m), ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Measurements:
    """What `to_json` wrote.

    Raises:
        ValueError: fields are missing, or there are others.
    """
    values = json.loads(text)
    names = {field.name for field in fields(Measurements)}
    if set(values) != names:
        odd = ", ".join(sorted(set(values) ^ names))
        raise ValueError(f"not measurements of this revision (differing: {odd})")
    values["colours"] = tuple(values["colours"])
    return Measurements(**values)
