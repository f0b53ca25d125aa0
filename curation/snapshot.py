"""A read-only copy of the corpus beside it, so that others can read while `generate` writes.

DuckDB lets nobody open a file that one process writes. So the writer folds its log into the file
(a checkpoint) between two transactions, copies the file to ``NAME.snapshot`` by way of a temporary
name, and renames it: a reader sees a whole snapshot or the one before, whenever the writer is
killed. Where the file system can share blocks between files the copy is free; elsewhere it takes
time and room, so copies are spaced by what the last one cost, and left out on a full disk.

The copy is made by a child process: closing a file, even one opened a second time for reading,
would drop the lock that DuckDB holds on it for this process (POSIX `fcntl`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curation.corpus import Corpus

SHARE = 0.015
"""Of the writer's time that snapshots may take."""

SOONEST = 2.0
"""Seconds after the start before which no snapshot is made: short runs need none."""

FIRST_COST = 0.1
"""Seconds that a snapshot of a small corpus is taken to cost before any was made."""

COPY_SPEED = 200e6
"""Bytes per second that a copy is taken to make before any was made; a slow disk's."""

ROOM = 3
"""Copies' worth of free disk below which none is made: the corpus itself needs room first."""

_COPY = """
import fcntl, os, sys
with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as target:
    try:
        fcntl.ioctl(target.fileno(), 0x40049409, source.fileno())  # FICLONE: shares the blocks
    except OSError:
        while True:
            try:
                if not os.copy_file_range(source.fileno(), target.fileno(), 1 << 26):
                    break
            except OSError:
                import shutil
                shutil.copyfileobj(source, target, 1 << 22)
                break
"""


def snapshot_path(corpus: Path) -> Path:
    """Where a corpus's snapshot lies."""
    return corpus.with_name(f"{corpus.name}.snapshot")


def remove_snapshot(corpus: Path) -> None:
    """Take the snapshot away, and what a killed writer left of one. Only who has the lock may."""
    for path in (snapshot_path(corpus), _unfinished(corpus)):
        with suppress(OSError):
            path.unlink(missing_ok=True)


class Publisher:
    """Publishes snapshots of a corpus that this process writes, when they are due.

    Use it as a context manager; at the end the snapshot goes, since the corpus itself can be
    read again. `seconds` is what all snapshots cost, `published` how many there were.
    """

    def __init__(self, corpus: Corpus, run_id: str, share: float = SHARE) -> None:
        """Begin; nothing is published yet.

        Args:
            corpus: open for writing.
            run_id: the run whose progress is stored with each snapshot.
            share: of the time from here on that snapshots may take, in (0, 1).
        """
        self.seconds = 0.0
        self.published = 0
        self._corpus = corpus
        self._run_id = run_id
        self._share = share
        self._began = time.monotonic()
        self._last = 0.0
        self._tried = 0.0

    def __enter__(self) -> Publisher:
        """The publisher itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the snapshot away: whoever reads now reads the corpus."""
        remove_snapshot(self._corpus.path)

    def tick(self, progress: Mapping[str, Any]) -> bool:
        """Publish if it is time to. Call it between transactions, as often as you like.

        Args:
            progress: how far the run is; goes into its row in `runs` as ``progress``.

        Returns:
            Whether a snapshot was published.
        """
        now = time.monotonic()
        elapsed = now - self._began
        # After the next one all of them together must still be within the share.
        if elapsed < max(SOONEST, (self.seconds + self._expected()) / self._share):
            return False
        if now - self._tried < 1:
            return False
        self._tried = now
        if not self._room():
            return False
        try:
            self._publish(progress)
        finally:
            self._last = time.monotonic() - now
            self.seconds += self._last
        return True

    def _expected(self) -> float:
        if self.published:
            return self._last
        with suppress(OSError):
            return FIRST_COST + self._corpus.path.stat().st_size / COPY_SPEED
        return FIRST_COST

    def _room(self) -> bool:
        try:
            size = self._corpus.path.stat().st_size
            return shutil.disk_usage(self._corpus.path.parent).free > ROOM * size
        except OSError:
            return False

    def _publish(self, progress: Mapping[str, Any]) -> None:
        self._corpus.note_progress(self._run_id, progress)
        self._corpus.checkpoint()
        source = self._corpus.path
        unfinished = _unfinished(source)
        command = [sys.executable, "-I", "-S", "-c", _COPY, str(source), str(unfinished)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode == 0:
            # The rename is the moment of publication: never half a file under the name.
            unfinished.replace(snapshot_path(source))
            self.published += 1
        else:
            # Reading meanwhile is a convenience: it must not end hours of work.
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)


class Passing:
    """How far one model is on its way through the plan, told with every snapshot."""

    def __init__(self, model: str, publisher: Publisher) -> None:
        """Begin at nothing done."""
        self._publisher = publisher
        self._model = model
        self._began = time.monotonic()
        self._wanted = self._passed = self._answered = 0

    def expect(self, captions: int) -> None:
        """So many captions are wanted of the model."""
        self._wanted = captions

    def advance(self, captions: int, answered: int) -> None:
        """So many captions more were passed, and so many of these answered just now."""
        self._passed += captions
        self._answered += answered
        self._publisher.tick(
            {
                "model": self._model,
                "wanted": self._wanted,
                "passed": self._passed,
                "answered": self._answered,
                "seconds": round(time.monotonic() - self._began, 1),
            }
        )


def _unfinished(corpus: Path) -> Path:
    return corpus.with_name(f".{corpus.name}.snapshot.tmp")
