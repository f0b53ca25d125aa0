"""What is in a corpus, as tables for people and as one object for machines."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from curation.corpus import Corpus, now
from curation.reading import snapshot_note

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Running:
    """A run that writes the corpus just now, as its last snapshot tells it.

    `alive` is None for a process of another machine; `passed` and `wanted` are captions of the
    model at work, `rate` captions per second, `seconds_left` from now on; None where unknown.
    """

    run_id: str
    command: str
    pid: int
    host: str
    alive: bool | None
    model: str
    passed: int
    wanted: int
    rate: float | None
    seconds_left: float | None

    def told(self) -> str:
        """For people."""
        life = {True: "running", False: "gone", None: f"on {self.host}"}[self.alive]
        parts = [f"{self.command} is {life} (process {self.pid})"]
        if self.wanted:
            share = self.passed / self.wanted
            parts.append(f"{self.model}: {self.passed:,} of {self.wanted:,} captions ({share:.0%})")
        if self.rate:
            parts.append(f"{self.rate:,.1f}/s")
        if self.seconds_left is not None:
            parts.append(f"about {timedelta(seconds=round(self.seconds_left))} left for this model")
        return ", ".join(parts)


@dataclass(frozen=True)
class Status:
    """A corpus in numbers; each list holds a table's rows."""

    images: int
    rated: int
    captions: int
    superseded: int
    unrefined: int
    models: list[Row]
    failures: list[Row]
    duplicates: list[Row]
    reasons: list[Row]
    runs: list[Row]
    manifest: str
    snapshot: str = ""
    running: Running | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def tables(self) -> Iterator[tuple[str, list[str], list[Row], list[str]]]:
        """Title, columns, rows and right-aligned columns of each table."""
        counts = [
            ("images", self.images),
            ("images with a rating", self.rated),
            ("captions", self.captions),
            ("captions without signals", self.unrefined),
        ]
        if self.superseded:
            counts.insert(3, ("captions superseded by newer ones", self.superseded))
        yield "Corpus", ["what", "count"], _with_commas(counts), ["count"]
        yield (
            "Captions per model",
            ["engine", "model", "revision", "task", "captions", "distinct"],
            _with_commas(self.models),
            ["captions", "distinct"],
        )
        yield "Duplicates", ["kind", "captions"], _with_commas(self.duplicates), ["captions"]
        yield (
            "Last filter",
            ["kept, or dropped by", "captions"],
            _with_commas(self.reasons),
            ["captions"],
        )
        yield (
            "Failures not overcome",
            ["stage", "kind", "count", "permanent", "first path", "its message"],
            _with_commas(self.failures),
            ["count"],
        )
        yield "Last runs", ["run", "command", "outcome", "seconds", "by process"], self.runs, []

    def next_step(self, corpus: Path) -> str:
        """The command that comes next."""
        named = f" --corpus {corpus}"
        if self.running is not None and self.running.alive is not False:
            return f"wait for {self.running.command}, or watch: uniqa-curate status{named}"
        last = self.runs[0] if self.runs else ("", "", "")
        if last[1] == "generate" and last[2] in {"interrupted", "killed", "failed"}:
            return "repeat the generate command: its last run was " + str(last[2])
        if not self.captions:
            return f"uniqa-curate generate PHOTOS{named}"
        if self.unrefined:
            return f"uniqa-curate refine{named}"
        if not self.reasons:
            return f"uniqa-curate filter{named} -o manifests/balanced.parquet"
        return f"uniqa-train pretrain {self.manifest} --out models/base"


def read_status(corpus: Corpus) -> Status:
    """Gather the numbers."""
    manifest = corpus.value(
        "SELECT manifest FROM filters ORDER BY filtered_at DESC, filter_id LIMIT 1"
    )
    return Status(
        images=corpus.value("SELECT count(*) FROM images"),
        rated=corpus.value("SELECT count(DISTINCT image_id) FROM ratings"),
        captions=corpus.value("SELECT count(*) FROM current_captions"),
        superseded=corpus.value("SELECT count(*) FROM captions WHERE superseded_by IS NOT NULL"),
        unrefined=corpus.value(
            "SELECT count(*) FROM current_captions ANTI JOIN signals USING (caption_id)"
        ),
        models=corpus.rows(
            "SELECT engine, model, revision, task, count(*), count(DISTINCT text) "
            "FROM current_captions "
            "GROUP BY ALL ORDER BY ALL"
        ),
        failures=corpus.rows(
            "SELECT stage, kind, count(*), bool_and(permanent), min(path), arg_min(message, path) "
            "FROM failures WHERE NOT resolved GROUP BY stage, kind ORDER BY ALL"
        ),
        duplicates=corpus.rows(
            "SELECT CASE duplicate_kind WHEN '' THEN 'none' ELSE duplicate_kind END AS kind, "
            "count(*) FROM signals GROUP BY kind ORDER BY kind"
        ),
        reasons=corpus.rows(
            "SELECT CASE WHEN kept THEN 'kept' ELSE dropped_by END AS reason, count(*) "
            "FROM corpus WHERE kept IS NOT NULL GROUP BY reason ORDER BY count(*) DESC, reason"
        ),
        runs=corpus.rows(
            # Who can open the corpus itself knows that nobody writes it: such a run was killed.
            "SELECT run_id, command, if(outcome = 'running' AND NOT $written, 'killed', outcome), "
            "round(date_diff('millisecond', started_at, finished_at) / 1000, 1), "
            "host || ':' || pid "
            "FROM runs ORDER BY started_at DESC LIMIT 5",
            {"written": corpus.snapshot is not None},
        ),
        manifest=manifest or "",
        snapshot=snapshot_note(corpus),
        running=_running(corpus),
    )


def _running(corpus: Corpus) -> Running | None:
    # Only in a snapshot: whoever can open the corpus itself knows that nobody writes it.
    if corpus.snapshot is None:
        return None
    rows = corpus.rows(
        "SELECT run_id, command, pid, host, counts FROM runs WHERE outcome = 'running' "
        "ORDER BY started_at DESC LIMIT 1"
    )
    if not rows:
        return None
    run_id, command, pid, host, counts = rows[0]
    progress = json.loads(counts or "{}").get("progress", {})
    passed, wanted = int(progress.get("passed", 0)), int(progress.get("wanted", 0))
    rate, left = _pace(progress, corpus.snapshot)
    alive = psutil.pid_exists(pid) if host == platform.node() else None
    model = str(progress.get("model", ""))
    return Running(run_id, command, pid, host, alive, model, passed, wanted, rate, left)


def _pace(progress: dict[str, Any], taken: datetime) -> tuple[float | None, float | None]:
    seconds, answered = progress.get("seconds", 0), progress.get("answered", 0)
    if not (seconds and answered):
        return None, None
    rate = answered / seconds
    # What has been made since the snapshot is made, though it cannot be seen yet.
    since = (now() - taken).total_seconds()
    return rate, max(0.0, (progress["wanted"] - progress["passed"]) / rate - since)


def _with_commas(rows: list[Any]) -> list[Row]:
    return [tuple(f"{cell:,}" if type(cell) is int else cell for cell in row) for row in rows]
