"""Relevance of texts to photos, by a contrastive model that runs in a process of its own.

The model belongs to `training`, which this package never imports: pairs go to
``python -m training.relevance`` in a Parquet file, and cosines come back in another. Must not know
the corpus.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.children import without_ctrl_c
from uniqa.errors import InputError, UniqaError, UsageError


@dataclass(frozen=True, slots=True)
class Pair:
    """A photo, by its id and its path or address, and a text about it."""

    image_id: str
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Relevance:
    """Cosines in the pairs' order, −1 to 1, None where the photo could not be read.

    `errors` says why, by path; `model` is the model's name with a fingerprint of its weights.
    """

    values: list[float | None]
    errors: dict[str, str]
    model: str


def relevance(
    pairs: Sequence[Pair],
    model: str,
    *,
    cache: Path | None = None,
    on_progress: Callable[[str, int, int], None] = lambda _stage, _done, _total: None,
) -> Relevance:
    """Cosine of every text with its photo in a contrastive model's space.

    Distinct photos and texts are encoded once and kept in the feature cache: pairs of known photos
    and texts cost next to nothing when asked for again.

    Args:
        pairs: what to compare.
        model: a model directory of ``uniqa-train``, or a CLIP or SigLIP model (directory, hub id).
        cache: folder of stored features; the user's own when None.
        on_progress: told the stage (``photos``, ``texts``) and how many of how many are done.

    Raises:
        InputError: the model cannot be used.
        UniqaError: its process died.
    """
    if not pairs:
        return Relevance([], {}, "")
    with tempfile.TemporaryDirectory(prefix="uniqa-relevance-") as folder:
        asked, answered = Path(folder, "pairs.parquet"), Path(folder, "relevance.parquet")
        columns = {
            "image": [pair.path for pair in pairs],
            "image_id": [pair.image_id for pair in pairs],
            "text": [pair.text for pair in pairs],
        }
        pq.write_table(pa.table(columns), asked)
        command = [sys.executable, "-m", "training.relevance", model]
        command += ["--pairs", str(asked), "--out", str(answered)]
        if cache is not None:
            command += ["--cache", str(cache)]
        _converse(command, Path(folder, "stderr"), on_progress)
        table = pq.read_table(answered)
    errors = {
        row["image"]: row["error"]
        for row in table.select(["image", "error"]).to_pylist()
        if row["error"] is not None
    }
    name = (table.schema.metadata or {}).get(b"model", b"").decode()
    return Relevance(table["relevance"].to_pylist(), errors, name)


def _converse(
    command: Sequence[str], log: Path, on_progress: Callable[[str, int, int], None]
) -> None:
    """Run the child to its end, hand its progress on, and raise what it says went wrong."""
    failure: dict[str, Any] | None = None
    with log.open("wb") as errors, without_ctrl_c():
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert child.stdout is not None
    try:
        for line in child.stdout:
            said = _message(line)
            if "stage" in said:
                on_progress(said["stage"], said["done"], said["total"])
            elif "error" in said:
                failure = said
        code = child.wait()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        child.stdout.close()
    if failure is not None:
        kind = UsageError if failure["exit_code"] == UsageError.exit_code else InputError
        raise kind(str(failure["error"]).replace("--model ", ""), str(failure["remedy"]))
    if code != 0:
        lines = log.read_text(errors="replace").strip().splitlines()
        last = lines[-1] if lines else f"exit code {code}"
        raise UniqaError(
            f"the process that relates texts to photos died ({last})", "Is there memory left?"
        )


def _message(line: str) -> dict[str, Any]:
    """One line of the child's; a library that prints is not taken for it."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
