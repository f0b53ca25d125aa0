"""Photos read ahead of the step, decoded once.

Decoded pixels, turned, converted and shrunk as every photo is, lie in a folder as plain bytes
under the SHA-256 of the file they came from: later epochs and runs read those instead of decoding
a 20-megapixel file again. The folder is bounded; what earlier runs left goes first, and what does
not fit is simply decoded each time. A photo that cannot be read is reported once and then left out.
Must not know what is made of the pixels.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from training.encoders import MAX_SIDE
from uniqa.errors import InputError
from uniqa.photos import PhotoError, Pixels, read_photo

KEEP_BYTES = 64 * 2**20
"""Prepared photos of one step that stay in memory for its second pass."""

SIZE = struct.Struct("<II")
"""Height and width, before the pixels of a kept photo.

NumPy's own files are read through `ast`, whose depth count CPython 3.11 keeps per interpreter: now
and then threads that read at once would end in a SystemError.
"""


class PixelCache:
    """Decoded photos by id, lossless, at most `bound` bytes (0: none are kept).

    Several processes may share a folder: each adds to its share of the room, and what earlier runs
    left makes way for those that were told the same `share` of old photos.
    """

    def __init__(self, folder: Path, bound: int, share: tuple[int, int] = (0, 1)) -> None:
        """Open or make the folder.

        Args:
            folder: of the cache; photos lie in a folder below.
            bound: bytes, for all processes together.
            share: this process's number among how many.

        Raises:
            InputError: the folder cannot be made or read.
        """
        self.folder = folder / f"pixels-{MAX_SIDE}"
        number, of = share
        self._lock = Lock()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            found = []
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    # Another process may just have renamed or removed it.
                    with contextlib.suppress(FileNotFoundError):
                        found.append((entry.path, entry.stat()))
        except OSError as error:
            raise InputError(
                f"the pixel cache {self.folder} cannot be used ({error.strerror})",
                "Name another folder by --cache",
            ) from error
        self._room = (bound - sum(stat.st_size for _, stat in found)) // of
        old = sorted(
            (stat.st_mtime, stat.st_size, path)
            for path, stat in found
            # By name: processes may look at different moments, and must not share a photo.
            if zlib.crc32(path.encode()) % of == number
        )
        self._old = {path: size for _, size, path in old}

    def get(self, image_id: str) -> Pixels | None:
        """The photo's pixels; none where they are not kept, or damaged."""
        path = self._path(image_id)
        try:
            with path.open("rb") as file:
                height, width = SIZE.unpack(file.read(SIZE.size))
                if os.fstat(file.fileno()).st_size != SIZE.size + height * width * 3:
                    raise ValueError("cut off")
                pixels: Pixels = np.memmap(
                    file, np.uint8, mode="r", offset=SIZE.size, shape=(height, width, 3)
                )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, struct.error):
            path.unlink(missing_ok=True)
            return None
        with self._lock:
            if self._old.pop(str(path), None) is not None:
                with contextlib.suppress(OSError):
                    os.utime(path)
        return pixels

    def put(self, image_id: str, pixels: Pixels) -> bool:
        """Keep a photo; false where there is no room."""
        need = SIZE.size + pixels.nbytes
        with self._lock:
            if image_id in self:
                return True
            while self._old and need > self._room:
                path, size = next(iter(self._old.items()))
                del self._old[path]
                Path(path).unlink(missing_ok=True)
                self._room += size
            if need > self._room:
                return False
            self._room -= need
        handle, name = tempfile.mkstemp(dir=self.folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(SIZE.pack(*pixels.shape[:2]))
                file.write(pixels.tobytes())
            Path(name).replace(self._path(image_id))
        except OSError:
            # A full disk: training goes on, decoding each time.
            Path(name).unlink(missing_ok=True)
            return False
        return True

    def __contains__(self, image_id: str) -> bool:
        """Whether the photo's pixels are kept."""
        return self._path(image_id).is_file()

    def _path(self, image_id: str) -> Path:
        return self.folder / f"{image_id}.rgb"


def read_pixels(path: Path, image_id: str, cache: PixelCache) -> Pixels:
    """A photo's pixels, at most `MAX_SIDE` on the longer side, from the cache where it has them.

    Raises:
        PhotoError: it cannot be read, or the file has other bytes than those listed.
    """
    kept = cache.get(image_id)
    if kept is not None:
        return kept
    photo = read_photo(path, max_side=MAX_SIDE)
    if photo.image_id != image_id:
        raise PhotoError(path, "changed", "the file has changed: its bytes are not those listed")
    cache.put(image_id, photo.pixels)
    return photo.pixels


class Reader:
    """Prepares photos in threads while the model computes.

    `start` asks, `finish` waits. What a second pass over the same step needs stays in memory while
    there is room, and always where the cache could not keep it: a photo that vanishes between both
    passes does no harm.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        ids: Sequence[str],
        cache: PixelCache,
        prepare: Callable[[Pixels, int, int], Any],
        *,
        workers: int,
        report: Callable[[str], None],
    ) -> None:
        self._paths, self._ids, self._cache = paths, ids, cache
        self._prepare, self.report = prepare, report
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="photos")
        self._asked: dict[tuple[int, int], Future[Any]] = {}
        self._kept: dict[tuple[int, int], Any] = {}
        self._kept_bytes = 0
        self.broken: set[int] = set()
        """Rows that could not be read."""

    def start(self, step: int, rows: Sequence[int]) -> None:
        """Ask for photos as `step` sees them; asking again costs nothing."""
        for row in rows:
            key = (step, row)
            if key not in self._asked and key not in self._kept and row not in self.broken:
                self._asked[key] = self._pool.submit(self._read, row, step)

    def finish(self, step: int, rows: Sequence[int], *, again: bool) -> dict[int, Any]:
        """Prepared photos by row; those that could not be read are missing.

        Args:
            step, rows: as for `start`.
            again: whether the step will look at them once more.
        """
        self.start(step, rows)
        done: dict[int, Any] = {}
        for row in rows:
            key = (step, row)
            if row in self.broken:
                continue
            if key in self._kept:
                done[row] = self._kept[key]
                continue
            got = self._asked[key].result() if key in self._asked else self._read(row, step)
            if isinstance(got, PhotoError):
                self.broken.add(row)
                self.report(f"{got}; left out")
                continue
            done[row] = got
            if again and (self._kept_bytes < KEEP_BYTES or self._ids[row] not in self._cache):
                self._kept[key] = got
                self._kept_bytes += _bytes(got)
        for row in rows:
            self._asked.pop((step, row), None)
        return done

    def forget(self, step: int) -> None:
        """Free what was kept for a step, and what was asked for and not fetched."""
        self._kept = {key: value for key, value in self._kept.items() if key[0] != step}
        self._asked = {key: value for key, value in self._asked.items() if key[0] > step}
        self._kept_bytes = 0

    def close(self) -> None:
        """Stop reading."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, row: int, step: int) -> Any:
        try:
            pixels = read_pixels(self._paths[row], self._ids[row], self._cache)
        except PhotoError as error:
            return error
        return self._prepare(pixels, row, step)


def _bytes(prepared: Any) -> int:
    if isinstance(prepared, dict):
        return sum(_bytes(one) for one in prepared.values())
    return int(prepared.nbytes)
