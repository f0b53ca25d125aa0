"""The manifest is a contract: its schema, its bytes, its provenance and who can open it."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.corpus import Corpus
from curation.filter import apply_policy, store_verdicts
from curation.manifest import SCHEMA, check_path, write_manifest
from curation.policy import read_policy
from tests.conftest import caption_row, image_rows, rating_row
from uniqa.errors import InputError, UsageError
from uniqa.levels import Scale
from uniqa.rating_files import read_frame
from uniqa.ratings import read_datasets, read_ratings

SCHEMA_FILE = Path(__file__).parents[2] / "manifests" / "manifest.schema.json"


def build(path: Path, shuffle: int | None = None) -> Corpus:
    """Five photos: three rated (one also for beauty), one with captions only, one bare."""
    captions = [
        caption_row(number, image, cue=cue, text=f"Photo {number} – “sharp”, ü {cue}.")
        for number, (image, cue) in enumerate(
            [(1, "overall"), (1, "noise"), (2, "overall"), (2, "overall"), (4, "overall")]
        )
    ]
    captions.append(caption_row(9, 3, level="good", text="A leak."))
    captions.append(
        caption_row(8, 1, source="person", engine="", model="", revision="", text="I like it.")
    )
    ratings = [
        rating_row(1, mos=1.1 + 2.2),
        rating_row(1, dataset="tad", task="aesthetic", mos=9.0, score=0.9, level="perfect"),
        rating_row(2, std=None, split="val"),
        rating_row(3, split="test"),
    ]
    images = list(range(1, 6))
    if shuffle is not None:
        for rows in (captions, ratings, images):
            random.Random(shuffle).shuffle(rows)
    store = Corpus(path, write=True)
    for image in images:
        photo, file = image_rows(image)
        store.add("images", [photo])
        store.put("files", [file])
    for caption in captions:
        store.add("captions", [caption])
    for rating in ratings:
        store.put("ratings", [rating])
    return store


def write(store: Corpus, path: Path, policy: str = "everything") -> tuple[pa.Table, dict[str, Any]]:
    rules = read_policy(policy)
    filtered, verdicts = apply_policy(store, rules, shown_as=policy)
    store_verdicts(store, rules, filtered, verdicts, run_id="r", to=str(path))
    table, provenance = write_manifest(store, rules, filtered, path)
    return table, json.loads(provenance.read_text(encoding="utf-8"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_are_what_was_rated_or_described(tmp_path: Path) -> None:
    with build(tmp_path / "c.duckdb") as store:
        rows = write(store, tmp_path / "m.parquet")[0].to_pylist()
    shown = [(row["image"], row["dataset"], row["task"], row["split"]) for row in rows]
    assert shown == [
        ("/photos/4.jpg", "", "", "train"),
        ("/photos/1.jpg", "koniq", "quality", "train"),
        ("/photos/2.jpg", "koniq", "quality", "val"),
        ("/photos/3.jpg", "koniq", "quality", "test"),
        ("/photos/1.jpg", "tad", "aesthetic", "train"),
    ]
    unrated, first, _, leaked, _ = rows
    assert (unrated["mos"], unrated["score"], unrated["level"], unrated["scale"]) == (
        None,
        None,
        "",
        "",
    )
    assert unrated["group"] == unrated["image_id"]
    assert first["mos"] == 1.1 + 2.2
    assert leaked["captions"] == []
    sources = {(one["source"], one["model"]) for one in first["captions"]}
    assert sources == {("model", "fake-1@r1"), ("person", "")}
    assert all(one["weight"] == 1 for one in first["captions"])


def test_the_schema_is_the_published_one(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    assert list(schema["properties"]) == SCHEMA.names == schema["required"]
    caption = schema["properties"]["captions"]["items"]
    assert list(caption["properties"]) == [
        field.name for field in SCHEMA.field("captions").type.value_type
    ]
    with build(tmp_path / "c.duckdb") as store:
        write(store, tmp_path / "m.jsonl")
    validator = jsonschema.Draft202012Validator(schema)
    rows = lines(tmp_path / "m.jsonl")
    assert len(rows) == 5
    for row in rows:
        validator.validate(row)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**rows[0], "captoins": []})


@pytest.mark.parametrize("name", ["m.parquet", "m.jsonl"])
def test_the_same_corpus_gives_the_same_bytes_however_it_came(tmp_path: Path, name: str) -> None:
    written = set()
    provenances = []
    for number, shuffle in enumerate([None, None, 1, 2]):
        folder = tmp_path / str(number)
        with build(folder / "c.duckdb", shuffle) as store:
            for _ in range(2):
                provenances.append(write(store, folder / name)[1])
                written.add((folder / name).read_bytes())
    assert len(written) == 1
    assert all(one == provenances[0] for one in provenances)


def test_parquet_and_json_lines_are_twins_that_datasets_opens(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    with build(tmp_path / "c.duckdb") as store:
        table, _ = write(store, tmp_path / "m.parquet")
        write(store, tmp_path / "m.jsonl")
    assert pq.read_table(tmp_path / "m.parquet").schema.equals(SCHEMA)
    assert table.to_pylist() == lines(tmp_path / "m.jsonl")
    loaded = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "m.parquet"), cache_dir=str(tmp_path / "cache")
    )["train"]
    assert loaded.to_list() == table.to_pylist()
    assert loaded.column_names == SCHEMA.names


def test_provenance_says_where_every_row_came_from(tmp_path: Path) -> None:
    with build(tmp_path / "c.duckdb") as store:
        table, record = write(store, tmp_path / "m.parquet")
        again = store.table(record["query"]).cast(SCHEMA)
    assert (tmp_path / "m.parquet.provenance.json").is_file()
    sha256 = hashlib.sha256((tmp_path / "m.parquet").read_bytes()).hexdigest()
    assert record["manifest_sha256"] == sha256
    assert (record["rows"], record["splits"]) == (5, {"test": 1, "train": 3, "val": 1})
    assert record["captions"] == {
        "in_corpus": 7,
        "kept": 6,
        "dropped_by_rule": {"rating_leak": 1},
        "told_a_rating_outside_train": 0,
    }
    assert (record["policy_name"], record["policy"]["rules"], record["seed"]) == (
        "everything",
        [],
        0,
    )
    assert {"engine": "fake", "model": "fake-1", "revision": "r1", "captions": 6} in record[
        "models"
    ]
    assert {"uniqa", "duckdb"} <= set(record["versions"])
    assert len(record["corpus_snapshot"]) == 64
    assert again.equals(table)  # the stored query makes the manifest again


def test_the_snapshot_changes_with_what_was_written_or_rated(tmp_path: Path) -> None:
    with build(tmp_path / "c.duckdb") as store:
        snapshots = [write(store, tmp_path / "m.parquet")[1]["corpus_snapshot"]]
        store.add("captions", [caption_row(50, 5)])
        snapshots.append(write(store, tmp_path / "m.parquet")[1]["corpus_snapshot"])
        store.put("ratings", [rating_row(2, mos=4.0)])
        snapshots.append(write(store, tmp_path / "m.parquet")[1]["corpus_snapshot"])
    assert len(set(snapshots)) == 3


def test_a_manifest_is_a_valid_ratings_table(tmp_path: Path) -> None:
    with build(tmp_path / "c.duckdb") as store:
        write(store, tmp_path / "m.parquet")
        write(store, tmp_path / "m.jsonl")
    for name in ("m.parquet", "m.jsonl"):
        # Ratings for two tasks must not be mixed: one task at a time is a valid table.
        with pytest.raises(InputError, match="several datasets"):
            read_ratings(tmp_path / name)
        with pytest.raises(InputError, match="quality and aesthetic"):
            read_ratings(tmp_path / name, task="")
        tables = read_datasets(tmp_path / name)
        assert [(one.dataset, one.tasks) for one in tables] == [
            ("koniq", ("quality",)),
            ("tad", ("aesthetic",)),
        ]
        whole = read_frame(tmp_path / name)
        one = tmp_path / f"quality-{name}.parquet"
        whole[whole["task"] == "quality"].to_parquet(one)
        table = read_ratings(one)
        assert table.scale == Scale(1, 5)
        rated = table.frame.set_index("image")
        assert rated.loc["/photos/2.jpg", "split"] == "val"
        assert rated.loc["/photos/3.jpg", "group"] == "scene3"


def test_a_replaced_photo_leaves_the_manifest_and_a_moved_one_is_followed(tmp_path: Path) -> None:
    with build(tmp_path / "c.duckdb") as store:
        # Other bytes at 1.jpg's path; 2.jpg's bytes were found at another path.
        store.put("files", [{**image_rows(1)[1], "image_id": f"{77:064x}"}])
        moved = {"path": "/new/2.jpg", "image_id": f"{2:064x}", "size": 100, "mtime_ns": 1}
        store.put("files", [{**image_rows(2)[1], "image_id": None}, moved])
        rows = write(store, tmp_path / "m.parquet")[0].to_pylist()
    images = {row["image"]: row["image_id"] for row in rows}
    assert "/photos/1.jpg" not in images
    assert images["/new/2.jpg"] == f"{2:064x}"
    assert "/photos/2.jpg" not in images


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.parquet or \.jsonl"):
        check_path(tmp_path / "m.csv")
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with build(tmp_path / "c.duckdb") as store:
        write(store, tmp_path / "deep" / "folder" / "m.parquet")
        with pytest.raises(InputError, match="cannot write the manifest"):
            write(store, blocked / "m.parquet")
    names = {path.name for path in (tmp_path / "deep" / "folder").iterdir()}
    assert names == {"m.parquet", "m.parquet.provenance.json"}


def test_a_photo_rated_twice_never_straddles_a_split(tmp_path: Path) -> None:
    with build(tmp_path / "c.duckdb") as store:
        store.put("ratings", [rating_row(2, dataset="tad", task="aesthetic", split="test")])
        rows = write(store, tmp_path / "m.parquet")[0].to_pylist()
    splits = {(row["dataset"], row["split"]) for row in rows if row["image"] == "/photos/2.jpg"}
    assert splits == {("koniq", "test"), ("tad", "test")}


def test_the_published_example_is_a_manifest() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    folder = Path(__file__).resolve().parents[2] / "manifests"
    schema = json.loads((folder / "manifest.schema.json").read_text(encoding="utf-8"))
    lines = (folder / "example.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["split"] for line in lines] == ["train", "val", "test"]
    for line in lines:
        jsonschema.validate(json.loads(line), schema)
