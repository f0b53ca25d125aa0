"""The manifest: the filtered, split list that training reads, and its provenance.

One row per rating of an image (and per unrated image with a caption), Parquet or JSON lines; the
same corpus, policy and seed give the same bytes. Beside ``m.parquet`` stands its provenance,
``m.parquet.provenance.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.alike import METHOD, MOST_DIFFERENT
from curation.corpus import Corpus, versions
from curation.filter import Filtered
from curation.rules import Policy
from uniqa.errors import InputError, UsageError

CAPTION = pa.struct(
    [
        ("text", pa.string()),
        ("weight", pa.float32()),
        ("task", pa.string()),
        ("cue", pa.string()),
        ("source", pa.string()),
        ("model", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("image_id", pa.string()),
        ("dataset", pa.string()),
        ("task", pa.string()),
        ("mos", pa.float64()),
        ("mos_std", pa.float64()),
        ("score", pa.float64()),
        ("level", pa.string()),
        ("scale", pa.string()),
        ("split", pa.string()),
        ("group", pa.string()),
        ("captions", pa.list_(CAPTION)),
    ]
)

QUERY = """
WITH texts AS (
    SELECT image_id,
           list({'text': text, 'weight': weight, 'task': task, 'cue': cue, 'source': source,
                 'model': CASE WHEN source = 'model' THEN model || '@' || revision ELSE '' END}
                ORDER BY task, cue, caption_id) AS captions
    FROM captions JOIN (SELECT caption_id, weight FROM verdicts
                        WHERE filter_id = $filter_id AND kept) USING (caption_id)
    GROUP BY image_id),
paths AS (SELECT image_id, list(path) AS known, min(path) AS first FROM files GROUP BY image_id)
SELECT if(list_contains(p.known, i.path), i.path, p.first) AS image, i.image_id,
       coalesce(r.dataset, '') AS dataset, coalesce(r.task, '') AS task,
       r.mos, r.std AS mos_std, r.score,
       coalesce(r.level, '') AS level, coalesce(r.scale, '') AS scale,
       g.split, g.group_id AS "group",
       coalesce(t.captions, []) AS captions
FROM images i JOIN paths p USING (image_id)
JOIN places g ON g.image_id = i.image_id AND g.filter_id = $filter_id
LEFT JOIN ratings r ON r.image_id = i.image_id LEFT JOIN texts t ON t.image_id = i.image_id
WHERE r.mos IS NOT NULL OR t.captions IS NOT NULL
ORDER BY dataset, task, image, i.image_id
"""

ROW_GROUP = 10_000
"""Rows of a Parquet manifest that are read together."""


def write_manifest(
    corpus: Corpus, policy: Policy, filtered: Filtered, path: Path
) -> tuple[pa.Table, Path]:
    """Write the manifest and its provenance.

    Args:
        corpus: holds the verdicts of `filtered`.
        policy: by which they were made.
        filtered: the counts.
        path: ends in .parquet or .jsonl.

    Returns:
        The manifest's rows, and the provenance file's path.

    Raises:
        UsageError: another ending.
        InputError: the file cannot be written.
    """
    check_path(path)
    query = QUERY.replace("$filter_id", f"'{filtered.filter_id}'")
    table = corpus.table(query).cast(SCHEMA)
    provenance = provenance_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, lambda temporary: _write(table, temporary, path.suffix))
        record = _provenance(corpus, policy, filtered, table, query, path)
        text = json.dumps(record, indent=2, ensure_ascii=False, sort_keys=True, default=str) + "\n"
        _replace(provenance, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot write the manifest {path} ({error})") from error
    return table, provenance


def provenance_path(path: Path) -> Path:
    """Where the provenance of a manifest stands: beside it, under its whole name."""
    return path.with_name(f"{path.name}.provenance.json")


def check_path(path: Path) -> None:
    """Raise UsageError unless the path's ending names a manifest's format."""
    if path.suffix not in {".parquet", ".jsonl"}:
        raise UsageError(f"a manifest ends in .parquet or .jsonl, not '{path.name}'")


def _write(table: pa.Table, path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pq.write_table(table, path, compression="zstd", row_group_size=ROW_GROUP)
        return
    with path.open("w", encoding="utf-8") as file:
        for batch in table.to_batches(ROW_GROUP):
            for row in batch.to_pylist():
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _replace(path: Path, write: Any) -> None:
    """Write beside, then rename: nobody ever sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _provenance(
    corpus: Corpus, policy: Policy, filtered: Filtered, table: pa.Table, query: str, path: Path
) -> dict[str, Any]:
    models = corpus.rows(
        "SELECT engine, model, revision, count(*) FROM captions GROUP BY ALL ORDER BY ALL"
    )
    encoders = corpus.rows("SELECT DISTINCT encoder, threshold FROM signals ORDER BY ALL")
    splits = table["split"].to_pylist()
    places = filtered.places
    return {
        "manifest_sha256": file_hash(path),
        "rows": table.num_rows,
        "splits": {name: splits.count(name) for name in sorted(set(splits))},
        "captions": {
            "in_corpus": filtered.captions,
            "kept": filtered.kept,
            "dropped_by_rule": filtered.by_rule,
            "told_a_rating_outside_train": _told_outside_train(corpus, filtered),
        },
        "groups": {
            "near_identical_pairs": places.near_identical,
            "groups_joined": places.joined,
            "splits_changed": places.moved,
            "photos_not_looked_at": places.not_looked_at,
            "photos_held_in_train": places.told,
            "method": f"{METHOD}, at most {MOST_DIFFERENT} of 255 bits differ",
        },
        "policy": policy.source,
        "policy_name": policy.name,
        "seed": policy.seed,
        "filter_id": filtered.filter_id,
        "corpus_snapshot": filtered.snapshot,
        "models": [
            dict(zip(("engine", "model", "revision", "captions"), row, strict=True))
            for row in models
        ],
        "encoders": [
            dict(zip(("encoder", "duplicate_threshold"), row, strict=True)) for row in encoders
        ],
        "query": " ".join(query.split()),
        "versions": versions(),
    }


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _told_outside_train(corpus: Corpus, filtered: Filtered) -> int:
    """Kept captions that were told a rating, of photos outside train: counted, not assumed to be 0.

    Counted from what was stored, by another way than the rule that drops them.
    """
    return int(
        corpus.value(
            "SELECT count(*) FROM captions c JOIN verdicts v USING (caption_id) "
            "JOIN places g ON g.image_id = c.image_id AND g.filter_id = v.filter_id "
            "WHERE v.filter_id = ? AND v.kept AND g.split <> 'train' "
            "AND coalesce(c.level, '') <> ''",
            [filtered.filter_id],
        )
    )
