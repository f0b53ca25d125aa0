"""Small pictures of photos for a page, each within a number of bytes, made in a process pool.

A photo that is gone, damaged, or no longer the one that was captioned becomes a reason instead of
a picture. Must not know of captions.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from curation.images import ImageStep, Prepared
from uniqa.containers import exists
from uniqa.photos import Photo

SIDES = (320, 256, 224, 192, 160, 128, 96)
"""Pixels on the longer side, largest first."""

QUALITY, FINE = 60, 76
"""WebP qualities: of most pictures, and of those that leave room at the largest side."""

_WINDOW = 32


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture as a WebP data URL, or (`url` empty) why there is none."""

    url: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Shrink:
    """Makes WebP bytes of a photo: the largest and best that takes `most` bytes or fewer.

    If even the smallest takes more, it is taken all the same: it has a few hundred bytes.
    """

    most: int

    def __call__(self, photo: Photo) -> bytes:
        """The picture's bytes; photos are never enlarged."""
        whole = Image.fromarray(photo.pixels)
        longest = max(whole.size)
        sides = sorted({min(side, longest) for side in SIDES}, reverse=True)
        while True:
            side = sides.pop(0)
            scale = side / longest
            size = (max(1, round(whole.width * scale)), max(1, round(whole.height * scale)))
            small = whole.resize(size, Image.Resampling.LANCZOS) if side < longest else whole
            data = _webp(small, QUALITY)
            if len(data) <= self.most or not sides:
                break
            # Bytes grow about as the area does: sides that cannot fit are not tried.
            fits = side * (self.most / len(data)) ** 0.5 * 1.1
            sides = [one for one in sides if one <= fits] or sides[-1:]
        if side == min(SIDES[0], longest) and len(data) <= self.most // 2:
            fine = _webp(small, FINE)
            return fine if len(fine) <= self.most else data
        return data


def make_thumbnails(
    photos: Mapping[str, Sequence[str]],
    *,
    most: int,
    workers: int | None = None,
    on_done: Callable[[int], None] = lambda _photos: None,
) -> dict[str, Thumbnail]:
    """A picture of each photo.

    Args:
        photos: image_id → files, or addresses in containers, that have held it; the first that
            is there is read.
        most: bytes that one picture may have.
        workers: processes; one per processor if not given.
        on_done: told how many photos were done.

    Returns:
        image_id → picture, for all of `photos`.
    """
    found: dict[str, Thumbnail] = {}
    there: dict[str, str] = {}
    for image_id, paths in photos.items():
        path = next((one for one in paths if exists(one)), None)
        if path is None:
            found[image_id] = Thumbnail("", "the photo is no longer where it was")
        else:
            there[image_id] = path
    on_done(len(found))
    ids = list(there)
    with ImageStep(Shrink(most), SIDES[0], workers) as step:
        for number, results in enumerate(step.windows(_batches([there[one] for one in ids]))):
            for image_id, result in zip(ids[number * _WINDOW :], results, strict=False):
                if not isinstance(result, Prepared):
                    found[image_id] = Thumbnail("", result.message)
                elif result.image_id != image_id:
                    found[image_id] = Thumbnail("", "the file now holds another photo")
                else:
                    picture = base64.b64encode(result.payload).decode("ascii")
                    found[image_id] = Thumbnail(f"data:image/webp;base64,{picture}")
            on_done(len(results))
    return found


def _batches(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(paths), _WINDOW):
        yield paths[start : start + _WINDOW]


def _webp(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=4)
    return buffer.getvalue()
