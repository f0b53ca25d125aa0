"""One photo from disk to upright RGB pixels, or one clear reason why not.

Every other module sees pixels only through here: files, and photos in containers, are verified by
decoding them whole, turned by their EXIF orientation, brought to 8-bit sRGB on white and shrunk, so
that no model meets a truncated, sideways, 16-bit, CMYK, wide-gamut or transparent image. Must not
know what pixels are used for.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from uniqa.big_photos import ONE_AT_A_TIME, is_big, shrink_by_strips
from uniqa.container_kinds import PHOTO_ENDINGS
from uniqa.containers import (
    PACKED,
    is_container,
    members,
    open_container,
    read_bytes,
)
from uniqa.errors import InputError

Pixels = NDArray[np.uint8]
"""Upright RGB pixels, shape (height, width, 3), 0–255."""

SUFFIXES = PHOTO_ENDINGS
"""File name endings that are taken for photos when a folder is searched."""

_OTHERS = frozenset(
    [".tar", ".parquet", ".json", *(ending[ending.rfind(".") :] for ending in PACKED)]
)

MAX_PIXELS = 178_000_000
"""Larger images are refused before they are decoded: decompression bombs come so.

Pillow itself refuses from 178,956,970 pixels on.
"""


# Pillow also logs what it finds odd about a file; what is wrong with one is said once, by us.
logging.getLogger("PIL").setLevel(logging.CRITICAL)


class PhotoError(Exception):
    """A file that is not a usable photo: `kind` is one word for tables, `message` one line."""

    def __init__(self, path: Path, kind: str, message: str) -> None:
        # A file's name may hold line ends and codes that a terminal obeys.
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(path))
        super().__init__(f"{shown}: {message}")
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


def absolute(path: Path | str) -> Path:
    """The path from the root and without ``..``, links not followed.

    Paths are compared as text, so every one that a user names goes through here.
    """
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute leaves ".." in


def image_id_of(path: Path | str) -> str:
    """SHA-256 of the photo's bytes, as 64 hexadecimal digits. `path` may be an address.

    Raises:
        PhotoError: the file cannot be read.
    """
    return hashlib.sha256(_bytes(Path(path))).hexdigest()


def read_photo(path: Path | str, *, max_side: int | None = None) -> Photo:
    """Read, verify, turn, convert and (to `max_side` pixels on the longer side) shrink a photo.

    Args:
        path: a file, or the address of a photo in a container (see `uniqa.containers`).
        max_side: pixels; photos are never enlarged.

    Raises:
        PhotoError: unreadable, not an image, truncated, too large, or without a single pixel.
    """
    path = Path(path)
    data = _bytes(path)
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
    except Exception as error:
        # Not a list of types: on damaged bytes decoders raise nearly everything there is, and
        # whatever it is, this photo is the reason.
        raise PhotoError(path, "damaged", f"damaged or truncated ({_reason(error)})") from error


def size_of(path: Path | str) -> tuple[int, int]:
    """Width and height as the header tells them, before turning; (0, 0) where it tells nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(read_bytes(path))) as image:
                return image.size
    except Exception:  # noqa: BLE001
        # What is wrong with a photo is for `read_photo` to say.
        return (0, 0)


def _bytes(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except FileNotFoundError as error:
        if "\\x" in path.name:
            why = "its name is not UTF-8 text: rename it"
            raise PhotoError(path, "unreadable", why) from error
        raise PhotoError(path, "unreadable", _reason(error)) from error
    except OSError as error:
        raise PhotoError(path, "unreadable", _reason(error)) from error
    except MemoryError as error:
        raise PhotoError(path, "too_large", "does not fit into memory") from error


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
    if max_side and is_big(image, max_side):
        with ONE_AT_A_TIME:
            image = shrink_by_strips(image, max_side, to_rgb)
    image.load()
    upright = _upright(image)
    if upright.size != image.size and upright.size == image.size[::-1]:
        full_width, full_height = full_height, full_width
    profile = image.info.get("icc_profile")
    rgb = to_rgb(_to_srgb(upright, profile) if upright.mode == "CMYK" else upright)
    if max_side and max(rgb.size) > max_side:
        scale = max_side / max(rgb.size)
        shrunk = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
        rgb = rgb.resize(shrunk, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if upright.mode in ("RGB", "RGBA"):
        # Last: the fewer pixels, the sooner done.
        rgb = _to_srgb(rgb, profile)
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


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001
        # Whatever a parser of broken EXIF raises: the pixels are whole, and nobody says they lie.
        return image


def _to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """The colours that a profile means, in sRGB; the image as it is where the profile is broken."""
    if not isinstance(profile, bytes) or not profile:
        return image
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(own):
            return image
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, own, srgb, outputMode="RGB") or image
    except Exception:  # noqa: BLE001
        # Profiles are as often broken, or meant for another mode, as the tools that wrote them.
        return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image as 8-bit RGB: 16-bit is scaled, not clipped; transparency goes on white."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float32)
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
    """All photos below `folder`, also those in containers, hidden ones left out, sorted by path.

    Raises:
        InputError: a container that cannot be opened.
    """
    found = search(folder)
    inside = (address for container in found.containers for address in members(container))
    return [Path(path) for path in sorted([*found.photos, *inside])]


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder holds: photos, containers with photos, and packed archives, each sorted."""

    photos: list[str]
    containers: list[str]
    packed: list[str]


def search(folder: Path | str, *, inside: bool = True) -> Found:
    """Everything below `folder` that has a photo's ending or is a container with photos.

    One pass in which nothing but containers is opened, for folders with millions of files. Hidden
    names are left out, and folders behind links are not entered. What only looks like a photo (a
    broken link, a pipe) is listed: reading it says what is wrong. Without `inside` containers are
    passed over.

    Raises:
        InputError: a folder that cannot be listed, or a container that cannot be opened.
    """
    found = Found([], [], [])
    if inside and is_container(folder):
        found.containers.append(str(folder))
        return found
    waiting = [str(folder)]
    while waiting:
        here = waiting.pop()
        photos, folders, others = _list(here)
        saved = not {"state.json", "dataset_dict.json"}.isdisjoint(others)
        if inside and saved and is_container(here):
            # A saved dataset: its parts are no photos, and no folders of photos.
            found.containers.append(here)
            continue
        found.photos.extend(photos)
        waiting += folders
        for path in (f"{here}/{name}" for name in others if inside):
            if path.lower().endswith(PACKED):
                found.packed.append(path)
            elif path.lower().endswith((".tar", ".parquet")) and _holds_photos(path):
                found.containers.append(path)
    for names in (found.photos, found.containers, found.packed):
        names.sort()
    return found


def _holds_photos(path: str) -> bool:
    return os.path.isfile(path) and len(open_container(path)) > 0  # noqa: PTH113


def _list(folder: str) -> tuple[list[str], list[str], list[str]]:
    """One folder's photos and folders (paths), and the names of what may be a container."""
    photos: list[str] = []
    folders: list[str] = []
    others: list[str] = []
    start = folder.rstrip("/") + "/"
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                ending = name[name.rfind(".") :].lower()
                if entry.is_symlink() and os.path.isdir(entry.path):  # noqa: PTH112
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(start + name)
                elif ending in SUFFIXES:
                    photos.append(_as_text(start + name))
                elif ending in _OTHERS:
                    others.append(name)
    except OSError as error:
        raise InputError(f"{folder} cannot be searched ({_reason(error)})") from error
    return photos, folders, others


def _as_text(path: str) -> str:
    """Names that are no UTF-8 with their bytes spelled out: tables and terminals want text."""
    if path.isascii():
        return path
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__
