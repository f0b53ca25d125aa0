"""Checking a manifest without its corpus: schema, photos, splits, provenance.

Reads the file in pieces, so that a manifest of any length fits. Must not know how it was made.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.manifest import CAPTION, SCHEMA, check_path, file_hash, provenance_path
from uniqa.containers import exists
from uniqa.errors import InputError
from uniqa.levels import LEVELS, TASKS
from uniqa.photos import PhotoError, image_id_of
from uniqa.splits import SPLITS

_BATCH = 2_000
_ID = re.compile(r"[0-9a-f]{64}")
_NUMBERS = ("mos", "mos_std", "score")
_WORDS: dict[str, tuple[str, ...]] = {
    "task": (*TASKS, ""),
    "level": (*LEVELS, ""),
    "split": SPLITS,
}
_CAPTION_WORDS: dict[str, tuple[str, ...]] = {"task": TASKS, "source": ("model", "person")}

Row = Mapping[str, Any]


@dataclass
class Check:
    """One thing that was looked at: what was found wrong (the first few), and how often."""

    name: str
    looked_at: int = 0
    wrong: int = 0
    first: list[str] = field(default_factory=list)
    note: str = ""

    def fail(self, message: str) -> None:
        """Note one more thing that is wrong."""
        self.wrong += 1
        if len(self.first) < 5:
            self.first.append(message)


@dataclass
class Checked:
    """All checks of a manifest."""

    rows: int
    checks: list[Check]

    @property
    def failed(self) -> list[Check]:
        """Those that found something wrong."""
        return [check for check in self.checks if check.wrong]


def check_manifest(
    path: Path, *, hashes: bool = False, on_photos: Callable[[int], None] = lambda _photos: None
) -> Checked:
    """Check a manifest.

    Args:
        path: a .parquet or .jsonl manifest.
        hashes: read every photo and compare the hash of its bytes with `image_id`.
        on_photos: told how many more photos were looked at.

    Raises:
        InputError: no such file, or one that cannot be read at all.
        UsageError: another ending.
    """
    check_path(path)
    if not path.is_file():
        raise InputError(f"no manifest at {path}", "Make one by uniqa-curate filter")
    schema, photos = Check("schema"), Check("photos are there")
    splits, places = Check("splits: no group or photo straddles"), _Places()
    counts = dict.fromkeys(SPLITS, 0)
    images: dict[str, str] = {}
    number = 0
    for number, row in enumerate(_rows(path, schema), start=1):
        schema.looked_at += 1
        problem = row_problem(row)
        if problem:
            schema.fail(f"row {number}: {problem}")
            continue
        counts[row["split"]] += 1
        places.see(row, splits)
        images.setdefault(row["image"], row["image_id"])
    if not number and not schema.wrong:
        schema.fail("the manifest has no rows")
    splits.looked_at = len(places.groups)
    same = _look_at_photos(path, images, photos, hashes=hashes, on_photos=on_photos)
    provenance = _provenance(path, number, counts)
    return Checked(number, [schema, splits, photos, *([same] if same else []), provenance])


def row_problem(row: Row) -> str:
    """What in a row is not as manifest.schema.json says; empty if nothing is."""
    return _keys(row, SCHEMA.names) or _types(row) or _values(row)


def _types(row: Row) -> str:
    for name in SCHEMA.names:
        value = row[name]
        if name in _NUMBERS:
            if value is not None and not _is_number(value):
                return f"{name} is {value!r}, no number"
        elif name == "captions":
            if not isinstance(value, list):
                return "captions is no list"
        elif not isinstance(value, str):
            return f"{name} is {value!r}, no text"
    return ""


def _values(row: Row) -> str:
    if not _ID.fullmatch(row["image_id"]):
        return f"image_id '{row['image_id']}' is no SHA-256"
    if row["score"] is not None and not 0 <= row["score"] <= 1:
        return f"score {row['score']} is not from 0 to 1"
    for name, known in _WORDS.items():
        if row[name] not in known:
            return f"{name} '{row[name]}' is unknown"
    problems = ((number, _caption(one)) for number, one in enumerate(row["captions"], start=1))
    return next((f"caption {number}: {problem}" for number, problem in problems if problem), "")


def _caption(caption: Any) -> str:
    names = [item.name for item in CAPTION]
    if not isinstance(caption, dict):
        return "it is no mapping"
    problem = _keys(caption, names)
    if problem:
        return problem
    weight = caption["weight"]
    if not _is_number(weight) or weight <= 0:
        return f"weight is {weight!r}, no number above 0"
    for name in names:
        if name != "weight" and not isinstance(caption[name], str):
            return f"{name} is {caption[name]!r}, no text"
    return next(
        (
            f"{name} '{caption[name]}' is unknown"
            for name, known in _CAPTION_WORDS.items()
            if caption[name] not in known
        ),
        "",
    )


def _keys(row: Any, names: list[str]) -> str:
    missing = [name for name in names if name not in row]
    if missing:
        return f"'{missing[0]}' is missing"
    unknown = [name for name in row if name not in names]
    return f"'{unknown[0]}' is unknown" if unknown else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass
class _Places:
    """Which split each group and each photo was seen in."""

    groups: dict[str, str] = field(default_factory=dict)
    photos: dict[str, str] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def see(self, row: Row, check: Check) -> None:
        for what, known, name in (
            ("group", self.groups, row["group"]),
            ("photo", self.photos, row["image_id"]),
        ):
            before = known.setdefault(name, row["split"])
            if before != row["split"] and name not in self.told:
                self.told.add(name)
                check.fail(f"{what} '{name}' is in {before} and in {row['split']}")


def _rows(path: Path, schema: Check) -> Iterator[Row]:
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                _same_types(file.schema_arrow, schema)
                for batch in file.iter_batches(_BATCH):
                    yield from batch.to_pylist()
            return
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise InputError(f"{path}, line {number} is no JSON object")
                yield row
    except (OSError, UnicodeDecodeError, pa.ArrowException, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read as a manifest ({reason})") from error


def _same_types(found: pa.Schema, check: Check) -> None:
    for item in SCHEMA:
        place = found.get_field_index(item.name)
        if place >= 0 and not found.field(place).type.equals(item.type):
            check.fail(f"column {item.name} is {found.field(place).type}, not {item.type}")


def _look_at_photos(
    path: Path,
    images: Mapping[str, str],
    there: Check,
    *,
    hashes: bool,
    on_photos: Callable[[int], None],
) -> Check | None:
    same = Check("photos are the same, byte for byte") if hashes else None
    base = path.resolve().parent
    for image, image_id in images.items():
        there.looked_at += 1
        place = base / image
        on_photos(1)
        if not exists(place):
            there.fail(f"{image} is not there")
            continue
        if same is None:
            continue
        same.looked_at += 1
        try:
            if image_id_of(place) != image_id:
                same.fail(f"{image} has other bytes than the manifest was made with")
        except PhotoError as error:
            same.fail(str(error))
    return same


def _provenance(path: Path, rows: int, counts: Mapping[str, int]) -> Check:
    check = Check("provenance", looked_at=1)
    place = provenance_path(path)
    if not place.is_file():
        check.fail(f"{place.name} is not beside it")
        return check
    try:
        record = json.loads(place.read_text(encoding="utf-8"))
        told = {name: record["splits"].get(name, 0) for name in SPLITS}
        captions, sha256, its_rows = record["captions"], record["manifest_sha256"], record["rows"]
        leaked = captions["told_a_rating_outside_train"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        check.fail(f"{place.name} cannot be read ({type(error).__name__}: {error})")
        return check
    if file_hash(path) != sha256:
        check.fail("the manifest's bytes are not those that its provenance speaks of")
    if its_rows != rows or told != dict(counts):
        check.fail(
            f"provenance speaks of {its_rows} rows ({told}), there are {rows} ({dict(counts)})"
        )
    if leaked:
        check.fail(f"{leaked} captions outside train were told a rating")
    check.note = f"policy {record.get('policy_name')}, filter {record.get('filter_id')}"
    return check
