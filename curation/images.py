"""The image step: which photos are meant, and turning them into pixels in a process pool.

Photos go through in windows, a few ahead of the engine, so decoding overlaps generation while
memory stays flat. A photo that kills its process, or hangs it, costs that photo alone. Must not
know of prompts or of the corpus.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from curation.children import Unheeding, unheeding, without_ctrl_c
from uniqa.containers import is_container, members, stamp
from uniqa.errors import InputError, UniqaError
from uniqa.photos import SUFFIXES, Found, Photo, PhotoError, absolute, read_photo, search
from uniqa.rating_files import has_scores, is_table

Prepare = Callable[[Photo], Any]

PHOTO_SECONDS = 120.0
"""Time for one photo, from file to payload; a reader that needs longer hangs and is ended.

The largest photos allowed take ten seconds to decode and measure at full size.
"""

READER_NICENESS = 5
"""How much readers stand back where processors are short."""

FAULTS = frozenset(
    number
    for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE")
    if (number := getattr(signal, name, None)) is not None
)
"""What ends a reader that the photo itself has led astray."""

_START_SECONDS = 120.0
_GRACE_SECONDS = 30.0


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
    stamp: tuple[int, int]
    """Of the file, before it was read: one that changed since is read again."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that is no usable photo, and why."""

    path: str
    kind: str
    message: str
    permanent: bool
    stamp: tuple[int, int] = (-1, 0)
    """As `Prepared.stamp`."""


def collect_images(
    inputs: Sequence[Path], score_column: str | None = None
) -> tuple[list[str], list[Path]]:
    """Sort what the user named into photos and tables.

    Args:
        inputs: folders (searched through), photos, ratings tables, containers of photos.
        score_column: what the scores in containers are called, if not as usual.

    Returns:
        Paths of photos and addresses of photos in containers (absolute, each once, sorted), and
        paths of tables. A container with scores is a table; several below one folder are one
        table, that folder.

    Raises:
        InputError: a path that does not exist, or a folder or container without a photo.
    """
    photos: list[str] = []
    tables: list[Path] = []
    for item in inputs:
        if not item.exists():
            raise InputError(f"no photo, folder or table at {item}", "Check the path")
        if is_container(item):
            found = Found([], [str(absolute(item))], [])
        elif item.is_dir():
            found = search(absolute(item))
        elif is_table(item):
            tables.append(item)
            continue
        else:
            photos.append(str(absolute(item)))
            continue
        rated = [one for one in found.containers if has_scores(one, score_column)]
        if rated:
            tables.append(item if len(rated) > 1 else Path(rated[0]))
        inside = [
            address
            for container in found.containers
            if container not in rated
            for address in members(container)
        ]
        if not (found.photos or inside or rated):
            raise _nothing_in(item, found)
        photos += found.photos
        photos += inside
    photos.sort()
    # Neighbours now, if named twice; a set of millions of paths would double their memory.
    once = [path for at, path in enumerate(photos) if not at or path != photos[at - 1]]
    return once, tables


def _nothing_in(item: Path, found: Found) -> InputError:
    if found.packed:
        return InputError(
            f"no photos in the folder {item}, but packed archives (first: {found.packed[0]})",
            "Unpack them, or make them plain .tar",
        )
    endings = ", ".join(sorted(SUFFIXES)[:6])
    what = "folder" if item.is_dir() else "container"
    return InputError(f"no photos in the {what} {item}", f"Looked for {endings} …")


@dataclass(frozen=True, slots=True)
class _Job:
    """All that a reading process has to know of a photo."""

    path: str
    max_side: int
    prepare: Prepare
    seconds: float
    stamp: tuple[int, int]

    def unusable(self, kind: str, message: str, *, permanent: bool) -> Unusable:
        """The photo as one that cannot be used."""
        return Unusable(self.path, kind, message, permanent, self.stamp)


@dataclass(frozen=True, slots=True)
class _Window:
    """Photos on their way through a pool; `futures` may be fewer when the pool broke."""

    paths: Sequence[str]
    futures: list[Future[Prepared | Unusable]]
    pool: ProcessPoolExecutor


class ImageStep:
    """A pool of processes that read photos. Use it as a context manager.

    Args:
        prepare: what to make of a photo, in the reading process; must be picklable.
        max_side: pixels on the longer side that photos are shrunk to; 0 leaves them as they are.
        workers: processes; one per processor, up to 32, when not given.
        seconds: time that one photo may take.
    """

    def __init__(
        self,
        prepare: Prepare,
        max_side: int,
        workers: int | None = None,
        seconds: float = PHOTO_SECONDS,
    ) -> None:
        self._prepare = prepare
        self._max_side = max_side
        self._workers = workers or max(1, min(32, (os.cpu_count() or 2)))
        self._seconds = seconds
        self._pool: ProcessPoolExecutor | None = None
        self._lone: _LoneReader | None = None

    def __enter__(self) -> ImageStep:
        """The step; its processes start with the first photo."""
        return self

    def __exit__(self, *exc: object) -> None:
        """End the processes, without waiting for photos that nobody asks for any more."""
        self._stop()
        if self._lone is not None:
            self._lone.stop()
            self._lone = None

    def windows(
        self, batches: Iterable[Sequence[str]], ahead: int = 2
    ) -> Iterator[list[Prepared | Unusable]]:
        """Read batches of paths, `ahead` of them before they are asked for; order is kept.

        At most ``ahead + 1`` batches of payloads, and one photo's pixels per process, are in
        memory.

        Raises:
            UniqaError: no process can be started.
        """
        waiting: deque[_Window] = deque()
        for paths in batches:
            waiting.append(self._submit(paths))
            if len(waiting) > ahead:
                yield self._collect(waiting.popleft())
        while waiting:
            yield self._collect(waiting.popleft())

    def _job(self, path: str) -> _Job:
        return _Job(path, self._max_side, self._prepare, self._seconds, stamp(path))

    def _submit(self, paths: Sequence[str]) -> _Window:
        window = _Window(paths, [], self._pool or self._start())
        try:
            # The pool starts its processes when it is given work.
            with without_ctrl_c(signal.SIGTERM):
                for path in paths:
                    window.futures.append(window.pool.submit(_read, self._job(path)))
        except BrokenProcessPool:
            pass  # What was not taken is read alone, with all the rest of the window.
        return window

    def _collect(self, window: _Window) -> list[Prepared | Unusable]:
        done: list[Prepared | Unusable] = []
        for index, path in enumerate(window.paths):
            item = self._result(window.futures[index]) if index < len(window.futures) else None
            if item is None:
                # Some photo ended its process and with it the pool, or holds it, and nobody knows
                # which: all that were on their way are read one at a time, so that the next death
                # has a name.
                if self._pool is window.pool:
                    self._stop()
                item = self._alone(path)
            done.append(item)
        return done

    def _result(self, future: Future[Prepared | Unusable]) -> Prepared | Unusable | None:
        """What a reader made of a photo; None if it died, or hears not even its own timer."""
        # What was given out before is read by now: it is at work, or the readers still start.
        patience = self._seconds + _START_SECONDS + _GRACE_SECONDS
        try:
            return future.result(patience)
        except (BrokenProcessPool, CancelledError, MemoryError, TimeoutError):
            return None

    def _alone(self, path: str) -> Prepared | Unusable:
        if self._lone is None or not self._lone.alive:
            self._lone = _LoneReader()
        return self._lone.read(self._job(path))

    def _start(self) -> ProcessPoolExecutor:
        parent = (os.getpid(),)
        self._pool = ProcessPoolExecutor(self._workers, Unheeding(), _follow_parent, parent)
        return self._pool

    def _stop(self) -> None:
        pool = self._pool
        if pool is None:
            return
        # What kill_workers() will do where Python 3.14 is the oldest supported. They only read.
        processes = list((pool._processes or {}).values())
        for process in processes:
            process.kill()
        gone = _gone(processes)
        # The rest of half a result would be waited for as long as anybody could still write it.
        if pool._result_queue is not None:
            pool._result_queue._writer.close()  # type: ignore[attr-defined]
        # A process that waits for a disk cannot even be killed.
        pool.shutdown(wait=gone, cancel_futures=True)
        self._pool = None


class _LoneReader:
    """One process that reads one photo at a time: if it ends, it is that photo's doing."""

    def __init__(self) -> None:
        context = Unheeding()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
        with without_ctrl_c(signal.SIGTERM):
            self._process.start()
        theirs.close()
        if not self._pipe.poll(_START_SECONDS) or self._answer() is None:
            self.stop()
            raise UniqaError(
                "a process for reading photos could not be started", "Is there memory left?"
            )

    @property
    def alive(self) -> bool:
        """Whether it can read another one."""
        return self._process.is_alive()

    def read(self, job: _Job) -> Prepared | Unusable:
        """What the photo is; afterwards the process may have ended."""
        with suppress(OSError):  # it may have ended meanwhile
            self._pipe.send(job)
        # Its own timer ends it first, but for one that waits for a disk and hears no signal.
        in_time = self._pipe.poll(job.seconds + _GRACE_SECONDS)
        answer = self._answer() if in_time else None
        if answer is not None:
            return answer
        self.stop()
        number = -(self._process.exitcode or 0)
        if not in_time or number == getattr(signal, "SIGALRM", None):
            message = f"reading it took more than {job.seconds:g} seconds"
            # Not for good: it may have been the disk.
            return job.unusable("hung_reader", message, permanent=False)
        if number in FAULTS:
            message = f"reading it crashed the process ({signal.Signals(number).name})"
            return job.unusable("killed_reader", message, permanent=True)
        # Not for good: the system kills whom it likes when memory is short.
        message = "the process that read it was killed (memory?)"
        return job.unusable("killed_reader", message, permanent=False)

    def stop(self) -> None:
        """End the process."""
        self._pipe.close()
        if self._process.is_alive():
            self._process.join(0.1)
            self._process.kill()
        self._process.join(_GRACE_SECONDS)

    def _answer(self) -> Prepared | Unusable | None:
        try:
            answer: Prepared | Unusable = self._pipe.recv()
        except (EOFError, OSError):
            return None
        return answer


def _gone(processes: Sequence[BaseProcess]) -> bool:
    """Whether all of them end within the grace."""
    until = time.monotonic() + _GRACE_SECONDS
    there = {process.sentinel for process in processes}
    while there and (left := until - time.monotonic()) > 0:
        there.difference_update(connection.wait(there, left))
    return not there


def failure_id(path: str) -> str:
    """The key of a photo's row in `failures`."""
    return hashlib.sha256(f"image\x1f{path}".encode()).hexdigest()[:32]


def _read(job: _Job) -> Prepared | Unusable:
    """Read a photo in this process, which ends when that takes too long."""
    timer = getattr(signal, "setitimer", None)
    if timer:
        # The system's clock and not a thread's: a decoder that hangs lets no other thread run.
        timer(signal.ITIMER_REAL, job.seconds)
    try:
        return _prepared(job)
    finally:
        if timer:
            timer(signal.ITIMER_REAL, 0)


def _prepared(job: _Job) -> Prepared | Unusable:
    try:
        photo = read_photo(job.path, max_side=job.max_side or None)
    except PhotoError as error:
        # A file that cannot be opened today may be there tomorrow, and so may the memory; damaged
        # bytes stay damaged.
        passing = error.kind == "unreadable" or isinstance(error.__cause__, MemoryError)
        return job.unusable(error.kind, error.message, permanent=not passing)
    try:
        payload = job.prepare(photo)
    except MemoryError:
        return job.unusable("too_large", "does not fit into memory", permanent=False)
    except Exception as error:  # noqa: BLE001
        # One odd photo must not end the run; that it is this photo's row keeps it in sight.
        reason = " ".join(str(error).split())
        message = f"cannot be prepared for the model ({type(error).__name__}: {reason})"
        return job.unusable("unprepared", message, permanent=False)
    return Prepared(
        job.path,
        photo.image_id,
        photo.file_bytes,
        photo.format,
        photo.mode,
        photo.full_width,
        photo.full_height,
        payload,
        job.stamp,
    )


def _serve(pipe: Any, parent: int) -> None:
    """The lone reader's process: jobs in, results out, until the pipe is closed."""
    _follow_parent(parent)
    pipe.send("ready")
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(_read(job))


def _follow_parent(parent: int) -> None:
    """Keep signals for the parent, be quiet, and end when the parent is gone, however it went."""
    unheeding()
    # Decoders written in C complain straight to the terminal; the failure's row says it better.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    os.close(quiet)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Readers are ahead of the engine; where it computes on the same processors, it goes first.
    with suppress(OSError):
        os.nice(READER_NICENESS)
    follow(parent)


def follow(parent: int) -> None:
    """End this process within a second of `parent` ending, even by kill -9."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
