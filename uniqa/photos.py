"""One photo from disk to upright RGB pixels, or one clear reason why not.

Every other module sees pixels only through here: files are verified by decoding them whole,
turned by their EXIF orientation, brought to 8-bit RGB on white and shrunk, so that no model meets
a truncated, sideways, 16-bit, CMYK or transparent image. Must not know what pixels are used for.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Pixels = NDArray[np.uint8]
"""Upright RGB pixels, shape (height, width, 3), 0–255."""

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .png .webp .tif .tiff .bmp .gif .ppm .pgm .avif .jp2 .mpo".split()
)
"""File name endings that are taken for photos when a folder is searched."""

MAX_PIXELS = 178_000_000
"""Larger images are refused before they are decoded: decompression bombs come so.

Pillow itself refuses from 178,956,970 pixels on.
"""


class PhotoError(Exception):
    """A file that is not a usable photo: `kind` is one word for tables, `message` one line."""

    def __init__(self, path: Path, kind: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.kind = kind
        self.message = message

    def __reduce__(self) -> tuple[type[PhotoError], tuple[Path, str, str]]:
        # Process pools send errors by pickle, which else calls the class with the joined line.
        return PhotoError, (self.path, self.kind, self.message)


@dataclass(frozen=True, slots=True)
class Photo:
    """A verified photo. `image_id` is the SHA-256 of the file's bytes; sizes are in pixels."""

    path: Path
    image_id: str
    file_bytes: int
    format: str
    mode: str
    full_width: int
    full_height: int
    pixels: Pixels

    @property
    def width(self) -> int:
        """Width of `pixels`, after turning and shrinking."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height of `pixels`, after turning and shrinking."""
        return int(self.pixels.shape[0])


def image_id_of(path: Path) -> str:
    """SHA-256 of the file's bytes, as 64 hexadecimal digits.

    Raises:
        PhotoError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PhotoError(path, "unreadable", _reason(error)) from error


def read_photo(path: Path, *, max_side: int | None = None) -> Photo:
    """Read, verify, turn, convert and (to `max_side` pixels on the longer side) shrink a photo.

    Raises:
        PhotoError: unreadable, not an image, truncated, too large, or without a single pixel.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(path, "unreadable", _reason(error)) from error
    if not data:
        raise PhotoError(path, "empty", "the file is empty")
    try:
        with warnings.catch_warnings():
            # Pillow only warns between one and two times its limit; our own limit decides.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                return _decode(path, data, image, max_side)
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError(path, "too_large", f"more than {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise PhotoError(path, "not_an_image", "not an image, whatever its name says") from error
    except MemoryError as error:
        raise PhotoError(path, "too_large", "does not fit into memory") from error
    except (OSError, SyntaxError, ValueError, IndexError, TypeError, EOFError) as error:
        # Pillow's decoders raise all of these on damaged files.
        raise PhotoError(path, "damaged", f"damaged or truncated ({_reason(error)})") from error


def _decode(path: Path, data: bytes, image: Image.Image, max_side: int | None) -> Photo:
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width}×{image.height}"
        raise PhotoError(path, "too_large", f"{size} pixels, more than {MAX_PIXELS:,}")
    if image.width < 1 or image.height < 1:
        raise PhotoError(path, "empty", "an image without pixels")
    form, mode = image.format or "unknown", image.mode
    full_width, full_height = image.size
    if max_side and form == "JPEG":
        # Decodes at 1/2, 1/4 or 1/8 size, still at least as large as asked for.
        image.draft("RGB", (max_side, max_side))
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.size != image.size and upright.size == image.size[::-1]:
        full_width, full_height = full_height, full_width
    rgb = to_rgb(upright)
    if max_side and max(rgb.size) > max_side:
        scale = max_side / max(rgb.size)
        shrunk = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
        rgb = rgb.resize(shrunk, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return Photo(
        path=path,
        image_id=hashlib.sha256(data).hexdigest(),
        file_bytes=len(data),
        format=form,
        mode=mode,
        full_width=full_width,
        full_height=full_height,
        pixels=np.asarray(rgb, dtype=np.uint8),
    )


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image as 8-bit RGB: 16-bit is scaled, not clipped; transparency goes on white."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        wide = image.mode.startswith("I;16") or values.max(initial=0) > 255
        top = 65535.0 if image.mode.startswith("I") and wide else 255.0
        if image.mode == "F" and values.max(initial=0) <= 1:
            top = 1.0
        grey = np.clip(np.nan_to_num(values) / top, 0, 1) * 255
        return Image.fromarray(grey.round().astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, over).convert("RGB")
    return image.convert("RGB")


def find_photos(folder: Path) -> list[Path]:
    """All files below `folder` with a photo's ending, hidden ones left out, sorted by path."""
    found = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    return sorted(found)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__
