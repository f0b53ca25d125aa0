"""A manifest is checked without its corpus: schema, photos, splits, provenance."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.corpus import Corpus
from curation.filter import apply_policy, store_verdicts
from curation.manifest import SCHEMA, write_manifest
from curation.manifest_check import Checked, check_manifest, row_problem
from curation.policy import read_policy
from tests.conftest import Said, caption_row, rating_row
from uniqa.errors import InputError, UsageError
from uniqa.photos import image_id_of

SCHEMA_FILE = Path(__file__).parents[2] / "manifests" / "manifest.schema.json"


@pytest.fixture
def manifests(tmp_path: Path, make_photo: Callable[..., Path]) -> list[Path]:
    """The same manifest as Parquet and as JSON lines, side by side, with real photos."""
    with Corpus(tmp_path / "c.duckdb", write=True) as store:
        for number, split in enumerate(("train", "val", "test")):
            path = make_photo(tmp_path / "photos" / f"{number}.png", number)
            row = {"path": str(path), "image_id": image_id_of(path)}
            store.put("images", [row])
            store.put("files", [{**row, "size": 1, "mtime_ns": 1}])
            here = {"image_id": row["image_id"]}
            store.put("ratings", [rating_row(number, split=split) | here])
            store.add("captions", [caption_row(number, 0) | here])
        policy = read_policy("everything")
        filtered, verdicts = apply_policy(store, policy, shown_as="everything")
        store_verdicts(store, policy, filtered, verdicts, run_id="r", to="m")
        written = [tmp_path / "m.parquet", tmp_path / "m.jsonl"]
        for path in written:
            write_manifest(store, policy, filtered, path)
    return written


def wrong(found: Checked) -> dict[str, list[str]]:
    return {check.name.split(":")[0]: check.first for check in found.failed}


def change(path: Path, changed: Callable[[list[dict[str, Any]]], None]) -> None:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    changed(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_a_fresh_manifest_passes_beside_its_twin(manifests: list[Path]) -> None:
    for path in manifests:
        found = check_manifest(path, hashes=True)
        assert found.rows == 3
        assert found.failed == []
        assert [check.looked_at for check in found.checks] == [3, 3, 3, 3, 1]
    names = {path.name for path in manifests[0].parent.glob("m.*")}
    assert names == {"m.parquet", "m.jsonl", "m.parquet.provenance.json",
                     "m.jsonl.provenance.json"}  # fmt: skip


def test_a_photo_that_is_gone_or_changed_is_named(manifests: list[Path]) -> None:
    folder = manifests[0].parent / "photos"
    (folder / "0.png").unlink()
    (folder / "1.png").write_bytes((folder / "2.png").read_bytes())
    for path in manifests:
        assert wrong(check_manifest(path)) == {"photos are there": [f"{folder}/0.png is not there"]}
        found = wrong(check_manifest(path, hashes=True))
        assert found["photos are the same, byte for byte"] == [
            f"{folder}/1.png has other bytes than the manifest was made with"
        ]


def test_a_group_that_straddles_is_named(manifests: list[Path]) -> None:
    path = manifests[1]
    change(path, lambda rows: rows[1].update(group=rows[0]["group"]))
    found = wrong(check_manifest(path))
    assert list(found) == ["splits", "provenance"]
    assert "group 'scene0' is in" in found["splits"][0]
    change(path, lambda rows: rows[1].update(group="alone", image_id=rows[0]["image_id"]))
    assert wrong(check_manifest(path))["splits"][0].startswith("photo '")


def test_changed_bytes_and_a_lost_provenance_are_told(manifests: list[Path]) -> None:
    path = manifests[1]
    change(path, lambda rows: rows.pop())
    told = wrong(check_manifest(path))["provenance"]
    assert "bytes are not those" in told[0]
    assert "speaks of 3 rows" in told[1]
    place = path.with_name("m.jsonl.provenance.json")
    place.write_text("[]")
    assert "cannot be read" in wrong(check_manifest(path))["provenance"][0]
    place.unlink()
    assert "is not beside it" in wrong(check_manifest(path))["provenance"][0]


def test_a_leak_that_provenance_counts_fails(manifests: list[Path]) -> None:
    path = manifests[0]
    place = path.with_name("m.parquet.provenance.json")
    record = json.loads(place.read_text())
    record["captions"]["told_a_rating_outside_train"] = 2
    place.write_text(json.dumps(record))
    assert wrong(check_manifest(path)) == {
        "provenance": ["2 captions outside train were told a rating"]
    }


def test_other_columns_and_types_are_named(manifests: list[Path]) -> None:
    path = manifests[0]
    table = pq.read_table(path)
    pq.write_table(table.set_column(4, "mos", table["mos"].cast(pa.float32())), path)
    assert wrong(check_manifest(path))["schema"] == ["column mos is float, not double"]
    pq.write_table(table.drop_columns(["split"]), path)
    assert wrong(check_manifest(path))["schema"][0] == "row 1: 'split' is missing"
    pq.write_table(SCHEMA.empty_table(), path)
    assert wrong(check_manifest(path))["schema"] == ["the manifest has no rows"]


CHANGES: list[Callable[[dict[str, Any]], Any]] = [
    lambda row: None,
    lambda row: row.pop("group"),
    lambda row: row.update(extra=1),
    lambda row: row.update(mos=None),
    lambda row: row.update(mos="3"),
    lambda row: row.update(mos=True),
    lambda row: row.update(score=1.5),
    lambda row: row.update(score=1),
    lambda row: row.update(image_id="abc"),
    lambda row: row.update(image_id=None),
    lambda row: row.update(split="dev"),
    lambda row: row.update(task=""),
    lambda row: row.update(task="beauty"),
    lambda row: row.update(level="superb"),
    lambda row: row.update(captions=None),
    lambda row: row.update(captions=[]),
    lambda row: row.update(captions=["text"]),
    lambda row: row["captions"][0].update(weight=0),
    lambda row: row["captions"][0].update(weight=0.2),
    lambda row: row["captions"][0].update(weight="1"),
    lambda row: row["captions"][0].update(text=None),
    lambda row: row["captions"][0].update(task=""),
    lambda row: row["captions"][0].update(source="machine"),
    lambda row: row["captions"][0].pop("cue"),
    lambda row: row["captions"][0].update(more=1),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_the_check_agrees_with_the_published_schema(number: int) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
    example = (SCHEMA_FILE.parent / "example.jsonl").read_text().splitlines()[0]
    row = copy.deepcopy(json.loads(example))
    CHANGES[number](row)
    assert (row_problem(row) == "") == validator.is_valid(row)


def test_what_is_no_manifest_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no manifest at"):
        check_manifest(tmp_path / "m.parquet")
    with pytest.raises(UsageError, match="ends in"):
        check_manifest(tmp_path / "m.csv")
    for name, text in (("m.parquet", "PAR1"), ("m.jsonl", "{"), ("n.jsonl", "[1]")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=r"manifest|no JSON object"):
            check_manifest(tmp_path / name)


def test_the_command_says_what_is_wrong_in_one_line(
    manifests: list[Path], curate: Callable[..., Said]
) -> None:
    fine = curate("manifest", "check", manifests[0], "--hashes")
    assert fine.code == 0
    assert "policy everything" in fine.out
    change(manifests[1], lambda rows: rows[0].update(split="dev"))
    bad = curate("manifest", "check", manifests[1])
    assert bad.code == 3
    assert len(bad.errors) == 1
    assert "fails 2 of 4 checks (schema; provenance)" in bad.errors[0]
    as_json = curate("manifest", "check", manifests[1], "--json")
    assert json.loads(as_json.out)["checks"][0]["first"] == ["row 1: split 'dev' is unknown"]
