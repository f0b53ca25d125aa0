"""The image step: which photos are meant, and turning them into pixels in a process pool.

Photos go through in windows, a few ahead of the engine, so decoding overlaps generation while
memory stays flat. A photo that kills its process costs that photo alone. Must not know of prompts
or of the corpus.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uniqa.errors import InputError
from uniqa.photos import SUFFIXES, Photo, PhotoError, find_photos, read_photo
from uniqa.ratings import is_table

Prepare = Callable[[Photo], Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A verified photo's facts and what the engine made of its pixels."""

    path: str
    image_id: str
    file_bytes: int
    format: str
    mode: str
    width: int
    height: int
    payload: Any


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that is no usable photo, and why."""

    path: str
    kind: str
    message: str
    permanent: bool


def collect_images(inputs: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Sort what the user named into photos and tables.

    Args:
        inputs: folders (searched through), photos, ratings tables.

    Returns:
        Photo paths (absolute, each once, sorted) and table paths.

    Raises:
        InputError: a path that does not exist, or a folder without a photo.
    """
    photos: set[Path] = set()
    tables: list[Path] = []
    for item in inputs:
        if item.is_dir():
            found = find_photos(item)
            if not found:
                endings = ", ".join(sorted(SUFFIXES)[:6])
                raise InputError(f"no photos in the folder {item}", f"Looked for {endings} …")
            photos.update(path.absolute() for path in found)
        elif not item.exists():
            raise InputError(f"no photo, folder or table at {item}", "Check the path")
        elif is_table(item):
            tables.append(item)
        else:
            photos.add(item.absolute())
    return sorted(photos), tables


class ImageStep:
    """A pool of processes that read photos. Use it as a context manager."""

    def __init__(self, prepare: Prepare, max_side: int, workers: int | None = None) -> None:
        self._prepare = prepare
        self._max_side = max_side
        self._workers = workers or max(1, min(32, (os.cpu_count() or 2)))
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> ImageStep:
        """The step; its processes start with the first photo."""
        return self

    def __exit__(self, *exc: object) -> None:
        """End the processes."""
        self._stop()

    def windows(
        self, batches: Iterable[Sequence[str]], ahead: int = 2
    ) -> Iterator[list[Prepared | Unusable]]:
        """Read batches of paths, `ahead` of them before they are asked for; order is kept."""
        waiting: deque[tuple[Sequence[str], list[Future[Prepared | Unusable]]]] = deque()
        for paths in batches:
            waiting.append((paths, self._submit(paths)))
            if len(waiting) > ahead:
                yield self._collect(*waiting.popleft())
        while waiting:
            yield self._collect(*waiting.popleft())

    def _submit(self, paths: Sequence[str]) -> list[Future[Prepared | Unusable]]:
        pool = self._pool or self._start()
        try:
            return [pool.submit(_read, path, self._max_side, self._prepare) for path in paths]
        except BrokenProcessPool:
            return []

    def _collect(
        self, paths: Sequence[str], futures: list[Future[Prepared | Unusable]]
    ) -> list[Prepared | Unusable]:
        done: list[Prepared | Unusable] = []
        for index, path in enumerate(paths):
            try:
                if index >= len(futures):
                    raise BrokenProcessPool
                done.append(futures[index].result())
            except BrokenProcessPool:
                done.append(self._alone(path))
        return done

    def _alone(self, path: str) -> Prepared | Unusable:
        """Read one photo in a fresh process: some photo of its window killed the pool."""
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, context, _follow_parent, (os.getpid(),)) as pool:
            try:
                result = pool.submit(_read, path, self._max_side, self._prepare).result()
            except BrokenProcessPool:
                result = Unusable(
                    path, "killed_reader", "reading it killed the process (memory?)", True
                )
        self._stop()
        return result

    def _start(self) -> ProcessPoolExecutor:
        # Not fork: DuckDB and torch have threads by now.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(self._workers, context, _follow_parent, (os.getpid(),))
        return self._pool

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def failure_id(path: str) -> str:
    """The key of a photo's row in `failures`."""
    return hashlib.sha256(f"image\x1f{path}".encode()).hexdigest()[:32]


def _read(path: str, max_side: int, prepare: Prepare) -> Prepared | Unusable:
    try:
        photo = read_photo(Path(path), max_side=max_side or None)
    except PhotoError as error:
        # A file that cannot be opened today may be there tomorrow; damaged bytes stay damaged.
        return Unusable(path, error.kind, error.message, error.kind != "unreadable")
    return Prepared(
        path,
        photo.image_id,
        photo.file_bytes,
        photo.format,
        photo.mode,
        photo.full_width,
        photo.full_height,
        prepare(photo),
    )


def _follow_parent(parent: int) -> None:
    """Keep Ctrl-C for the parent, and end when the parent is gone, however it went."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    follow(parent)


def follow(parent: int) -> None:
    """End this process within a second of `parent` ending, even by kill -9."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
