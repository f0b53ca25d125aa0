"""The table of scores, written as they come, and gone on with where a killed run stopped.

Rows go to a hidden CSV beside the output; after every block a note tells how many are whole, for
which model and settings. The same command finds both and goes on after them; at the end the CSV is
renamed, or carried into Parquet block by block, so that memory never grows with the photos. Must
not know how scores are made.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from uniqa.errors import InputError, UsageError
from uniqa.levels import Scale

if TYPE_CHECKING:
    from training.score import Scored

_FIRST = ("image", "image_id", "score", "low", "high", "level")
_WORDS = frozenset(("image", "image_id", "level", "error"))


class ScoreTable:
    """`image, image_id, score, low, high, level`, a column per cue (0.2–1), `error`.

    Use as a context: the place is held against a second run that writes to it.
    """

    def __init__(
        self, path: Path, cues: Sequence[str], scale: Scale, about: Mapping[str, Any]
    ) -> None:
        """Open or make the hidden part.

        Args:
            path: .csv or .parquet.
            cues: names of the cue columns.
            scale: of score, low and high.
            about: what a part must have been made with to be gone on with.

        Raises:
            UsageError: a folder stands there, another ending, or another run writes to it.
            OSError: the folder cannot be made or written.
        """
        if path.is_dir():
            raise UsageError(f"{path} is a folder", "Name a file by -o")
        if path.suffix.lower() not in (".csv", ".parquet"):
            raise UsageError(f"{path} is neither .csv nor .parquet", "Name such a file by -o")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.scale, self.cues = path, scale, list(cues)
        self.columns = [*_FIRST, *cues, "error"]
        self.about = {**about, "columns": self.columns, "scale": scale.name}
        self.part = path.with_name(f".{path.name}.part")
        self.note = path.with_name(f".{path.name}.part.json")
        self._file = self._held()
        self.done = 0
        self._out = csv.writer(self._file)

    def __enter__(self) -> ScoreTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _held(self) -> TextIO:
        """The hidden part, opened and locked."""
        while True:
            # Names that are no UTF-8 come with their bytes spelled out, as everywhere.
            file = self.part.open("a+", newline="", encoding="utf-8", errors="backslashreplace")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.close()
                raise UsageError(
                    f"another run is writing {self.path}",
                    "Wait for it, or name another file by -o",
                ) from error
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), self.part.stat()):
                    return file
            # Between opening and locking a run came to its end: this file is its result now.
            file.close()

    def resume(self, images: Sequence[str]) -> int:
        """How many leading images are done already; a part of anything else is begun anew."""
        rows, length = self._noted()
        if rows and rows <= len(images) and length <= self.part.stat().st_size:
            self._file.truncate(length)
            same = all(
                told["image"] == image for told, image in zip(self.rows(), images, strict=False)
            )
            if same:
                self.done = rows
                return rows
        self._file.truncate(0)
        self.note.unlink(missing_ok=True)
        self._out.writerow(self.columns)
        self._commit()
        return 0

    def append(self, results: Sequence[Scored]) -> None:
        """Write a block of results, and note that they are whole."""
        for result in results:
            cells = [result.score, result.low, result.high]
            told = [None if cell is None else float(self.scale.restore(cell)) for cell in cells]
            if told[1] is not None and told[2] is not None:
                # Where lower is better the better end is the lower number.
                told[1:] = sorted(told[1:])  # type: ignore[type-var]
            cues = [result.cues.get(cue) for cue in self.cues]
            self._out.writerow(
                [
                    result.image,
                    result.image_id,
                    *map(_number, told),
                    result.level,
                    *map(_number, cues),
                    result.error,
                ]
            )
        self.done += len(results)
        self._commit()

    def rows(self) -> Iterator[dict[str, str]]:
        """What is written so far, row by row."""
        self._file.flush()
        csv.field_size_limit(1 << 30)
        with self.part.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)

    def finish(self) -> None:
        """Put the whole table in its place."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self.path.suffix.lower() == ".parquet":
            scratch = self.path.with_name(f".{self.path.name}.whole")
            _to_parquet(self.part, scratch, self.columns)
            scratch.replace(self.path)
            self.part.unlink()
        else:
            self.part.replace(self.path)
        self.note.unlink(missing_ok=True)

    def _commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        told = {"about": self.about, "rows": self.done, "bytes": self.part.stat().st_size}
        scratch = self.note.with_name(f"{self.note.name}.new")
        scratch.write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
        scratch.replace(self.note)

    def _noted(self) -> tuple[int, int]:
        try:
            told = json.loads(self.note.read_text(encoding="utf-8"))
            if told["about"] == self.about:
                return int(told["rows"]), int(told["bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # No note, or one that was cut off: the part is begun anew.
        return 0, 0


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _to_parquet(part: Path, path: Path, columns: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    types = {name: pa.string() if name in _WORDS else pa.float64() for name in columns}
    try:
        reader = pc.open_csv(
            part,
            parse_options=pc.ParseOptions(newlines_in_values=True),
            convert_options=pc.ConvertOptions(column_types=types),
        )
        with pq.ParquetWriter(path, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    except pa.ArrowException as error:
        raise InputError(f"{part} cannot be made Parquet ({error})", "Write .csv") from error
