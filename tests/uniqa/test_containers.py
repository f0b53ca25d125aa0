"""Photos in tars, Parquet files and saved datasets are the same photos, found at their address."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uniqa import containers
from uniqa.containers import MISSING, exists, is_container, members, read_bytes, read_table, stamp
from uniqa.errors import InputError
from uniqa.photos import PhotoError, find_photos, image_id_of, read_photo, search, size_of

COUNT = 37


@pytest.fixture
def photos(tmp_path: Path, make_photo: Callable[..., Path]) -> list[bytes]:
    """Photos of different pixels and sizes, as bytes."""
    return [
        make_photo(tmp_path / "loose" / f"{i:03}.png", seed=i, size=(20 + i, 10)).read_bytes()
        for i in range(COUNT)
    ]


def make_tar(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def make_parquet(path: Path, photos: list[bytes], rows: int = 10, **columns: Any) -> Path:
    """As `datasets` writes it: a struct of bytes and path, several row groups."""
    image = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(photos)]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": image, **columns}), path, row_group_size=rows)
    return path


def make_datasets(path: Path, **splits: list[bytes]) -> Path:
    from datasets import Dataset, DatasetDict, Features, Image, Value, disable_progress_bars

    disable_progress_bars()
    features = Features({"image": Image(), "mos": Value("float32")})
    made = {
        name: Dataset.from_dict(
            {
                "image": [{"bytes": one, "path": None} for one in photos],
                "mos": [1 + i % 5 for i in range(len(photos))],
            },
            features=features,
        )
        for name, photos in splits.items()
    }
    if set(splits) == {"all"}:
        made["all"].save_to_disk(str(path), num_shards=2)
    else:
        DatasetDict(made).save_to_disk(str(path))
    return path


def make(kind: str, folder: Path, photos: list[bytes]) -> tuple[Path, list[str]]:
    """A container of the photos, and their members' names in order."""
    rows = [f"{i:08}" for i in range(len(photos))]
    if kind == "tar":
        names = [f"in/{i:03}.png" for i in range(len(photos))]
        return make_tar(folder / "c.tar", dict(zip(names, photos, strict=True))), names
    if kind == "parquet":
        return make_parquet(folder / "c.parquet", photos), rows
    if kind == "binary":
        path = folder / "b.parquet"
        pq.write_table(pa.table({"content": photos, "n": list(range(len(photos)))}), path)
        return path, rows
    if kind == "datasets":
        return make_datasets(folder / "saved", all=photos), rows
    path = make_datasets(folder / "dict", test=photos[:7], train=photos[7:])
    return path, [f"test/{i:08}" for i in range(7)] + [f"train/{i:08}" for i in range(COUNT - 7)]


KINDS = ["tar", "parquet", "binary", "datasets", "dict"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_photo_is_found_at_its_address(
    tmp_path: Path, photos: list[bytes], kind: str
) -> None:
    path, names = make(kind, tmp_path, photos)
    assert is_container(path)
    addresses = members(path)
    assert addresses == [f"{path}::{name}" for name in names]
    for order in (range(COUNT), reversed(range(COUNT)), (5, 30, 5, 6, 31, 0)):
        for number in order:
            assert read_bytes(addresses[number]) == photos[number]
    photo = read_photo(addresses[3])
    assert read_photo(Path(addresses[3])).path == photo.path == Path(addresses[3])
    assert (photo.width, photo.height) == size_of(addresses[3]) == (23, 10)
    loose = tmp_path / "loose" / "003.png"
    assert photo.image_id == image_id_of(addresses[3]) == image_id_of(loose)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_in_it_is_unreadable(tmp_path: Path, photos: list[bytes], kind: str) -> None:
    path, names = make(kind, tmp_path, photos)
    assert exists(f"{path}::{names[0]}")
    for name in ("gone.png", "99999999", "-1", "", "train/", "train/gone", "../c.tar", "\0", "٣"):
        address = f"{path}::{name}"
        assert stamp(address) == MISSING
        assert not exists(address)
        with pytest.raises(PhotoError) as caught:
            read_photo(address)
        assert caught.value.kind == "unreadable"


@pytest.mark.parametrize("kind", KINDS)
def test_a_container_that_changes_is_opened_again(
    tmp_path: Path, photos: list[bytes], kind: str
) -> None:
    path, names = make(kind, tmp_path, photos)
    before = [stamp(f"{path}::{name}") for name in names]
    assert before == [stamp(f"{path}::{name}") for name in names]
    assert all(size > 0 and time > 0 for size, time in before)
    changed = [photos[-1], *photos[1:-1], photos[0]]
    if path.is_dir():
        import shutil

        shutil.rmtree(path)
    path, _ = make(kind, tmp_path, changed)
    marker = {"datasets": "state.json", "dict": "dataset_dict.json"}.get(kind, "")
    os.utime(path / marker, ns=(1, 1))
    assert read_bytes(f"{path}::{names[0]}") == changed[0]
    after = [stamp(f"{path}::{name}") for name in names]
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_a_plain_file_is_itself(tmp_path: Path, photos: list[bytes]) -> None:
    plain = tmp_path / "loose" / "000.png"
    assert not is_container(plain)
    assert read_bytes(plain) == photos[0]
    assert stamp(plain) == (len(photos[0]), plain.stat().st_mtime_ns)
    assert stamp(tmp_path / "gone") == stamp("\0") == MISSING
    # A name may have what separates addresses.
    odd = plain.rename(tmp_path / "loose" / "x.tar::a.png")
    assert read_bytes(odd) == photos[0]
    assert exists(odd)
    nested = make_tar(tmp_path / "a::b" / "c.tar", {"d::e.png": photos[1]})
    assert [read_bytes(one) for one in members(nested)] == [photos[1]]


def test_pipes_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(OSError, match="not a regular file"):
        read_bytes(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe.tar")
    assert not is_container(tmp_path / "pipe.tar")
    assert search(tmp_path).containers == []


def test_a_tar_lists_photos_only(tmp_path: Path, photos: list[bytes]) -> None:
    long = "n" * 150 + "/" + "ü" * 90 + ".JPG"
    files = {"./b/1.png": photos[0], "a.txt": b"x", ".hidden.png": b"x", "b/._1.png": b"x",
             "b/.cache/2.png": b"x", long: photos[1], "/root.png": photos[2]}  # fmt: skip
    path = make_tar(tmp_path / "c.tar", files)
    with tarfile.open(path, "a") as tar:
        for name, kind in (("link.png", tarfile.SYMTYPE), ("folder.png", tarfile.DIRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    assert members(path) == sorted(f"{path}::{name}" for name in ("b/1.png", long, "root.png"))
    assert read_bytes(f"{path}::b/1.png") == photos[0]
    # As a path, which takes needless parts out of a name.
    assert Path(f"{path}::b/1.png") == Path(members(path)[0])


def test_listing_a_tar_reads_its_headers_only(tmp_path: Path, photos: list[bytes]) -> None:
    path = tmp_path / "large.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(4):
            info = tarfile.TarInfo(f"{number}.jpg")
            info.size = 1 << 33
            tar.fileobj.write(info.tobuf())  # type: ignore[union-attr]
            tar.fileobj.seek(info.size, os.SEEK_CUR)  # type: ignore[union-attr]
            tar.offset += 512 + info.size  # type: ignore[attr-defined, unused-ignore]
    assert path.stat().st_size > 1 << 35
    assert [one[-5:] for one in members(path)] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert stamp(members(path)[2])[0] == 1 << 33


def test_a_tar_that_was_cut_off_keeps_what_is_whole(tmp_path: Path, photos: list[bytes]) -> None:
    names = [f"{i:03}.png" for i in range(COUNT)]
    path = make_tar(tmp_path / "c.tar", dict(zip(names, photos, strict=True)))
    end = path.read_bytes().index(photos[20]) + 40
    path.write_bytes(path.read_bytes()[:end])
    listed = members(path)
    assert [one.rpartition("::")[2] for one in listed] == names[:21]
    assert read_photo(listed[19]).width == 39
    with pytest.raises(PhotoError, match="cut off") as caught:
        read_photo(listed[20])
    assert caught.value.kind == "unreadable"


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("c.tar", b"no tar at all" * 100, "cannot be read as a tar"),
        ("c.parquet", b"PAR1 no parquet", "cannot be read as Parquet"),
        ("c.tar.gz", b"\x1f\x8b", "packed"),
        ("c.tgz", b"\x1f\x8b", "packed"),
        ("c.zip", b"PK", "packed"),
        ("c.txt", b"", "no container at"),
    ],
)
def test_unusable_containers_are_one_line(
    tmp_path: Path, name: str, data: bytes, complaint: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        members(path)
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["../elsewhere.arrow", "", "/etc/passwd", ".."])
def test_a_saved_dataset_names_no_files_elsewhere(
    tmp_path: Path, photos: list[bytes], part: str
) -> None:
    path = make_datasets(tmp_path / "saved", all=photos)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": part}]}))
    with pytest.raises(InputError, match="which is not in it"):
        members(path)
    assert not is_container(path)


def test_rows_without_bytes_are_empty_photos(tmp_path: Path, photos: list[bytes]) -> None:
    image = [{"bytes": photos[0], "path": None}, {"bytes": None, "path": "/etc/passwd"}, None]
    pq.write_table(pa.table({"image": image}), tmp_path / "c.parquet")
    addresses = members(tmp_path / "c.parquet")
    assert len(addresses) == 3
    for address in addresses[1:]:
        with pytest.raises(PhotoError) as caught:
            read_photo(address)
        assert caught.value.kind == "empty"


def test_tables_without_photos_are_no_containers(tmp_path: Path, photos: list[bytes]) -> None:
    pd.DataFrame({"image": ["a.jpg"], "mos": [1.0]}).to_parquet(tmp_path / "ratings.parquet")
    pd.DataFrame({"image": [], "mos": []}).to_parquet(tmp_path / "empty.parquet")
    vectors = pa.table({"image": ["a.jpg"], "embedding": [b"\0\1\2\3"]})
    pq.write_table(vectors, tmp_path / "vectors.parquet")
    sound = pa.table({"audio": [{"bytes": b"OggS1", "path": "a.ogg"}]})
    pq.write_table(sound, tmp_path / "sound.parquet")
    named = pa.table({"image": [{"bytes": None, "path": "a.jpg"}]})
    pq.write_table(named, tmp_path / "named.parquet")
    for path in tmp_path.glob("*.parquet"):
        assert not is_container(path), path.name
    assert search(tmp_path).containers == []


def test_folders_are_searched_with_all_that_is_in_them(tmp_path: Path, photos: list[bytes]) -> None:
    root = tmp_path / "root"
    make_tar(root / "sub" / "c.tar", {"1.png": photos[0]})
    make_tar(root / "code.tar", {"setup.py": b""})
    make_parquet(root / "d.PARQUET", photos[:2])
    make_datasets(root / "saved", train=photos[:2], test=photos[2:3])
    (root / "saved" / "preview.png").write_bytes(photos[0])
    (root / "state.json").write_text("{}")
    (root / "packed.tar.gz").write_bytes(b"")
    (root / "link").symlink_to(root / "sub")
    pd.DataFrame({"image": ["a.jpg"], "mos": [1.0]}).to_parquet(root / "ratings.parquet")
    (root / "e.png").write_bytes(photos[3])
    assert search(root) == containers_of(root)
    assert [str(path.relative_to(root)) for path in find_photos(root)] == [
        "d.PARQUET::00000000",
        "d.PARQUET::00000001",
        "e.png",
        "saved::test/00000000",
        "saved::train/00000000",
        "saved::train/00000001",
        "sub/c.tar::1.png",
    ]
    assert len(find_photos(root / "saved")) == 3
    for path in find_photos(root):
        assert read_photo(path).height == 10


def containers_of(root: Path) -> Any:
    from uniqa.photos import Found

    inside = [str(root / name) for name in ("d.PARQUET", "saved", "sub/c.tar")]
    return Found([str(root / "e.png")], inside, [str(root / "packed.tar.gz")])


def test_what_stands_beside_the_pixels(tmp_path: Path, photos: list[bytes]) -> None:
    files = {
        "a/1.png": photos[0],
        "a/1.json": b'{"mos": 2.5, "meta": {"scene": "s1", "deep": {"x": 1}}, "tags": [1]}',
        "a/1.cls": b"7\n",
        "a/2.png": photos[1],
        "a/2.json": b"{broken",
        "b/1.png": photos[2],
    }
    path = make_tar(tmp_path / "c.tar", files)
    frame = read_table(path)
    assert frame["image"].tolist() == [f"{path}::{n}" for n in ("a/1.png", "a/2.png", "b/1.png")]
    assert frame.iloc[0].drop("image").to_dict() == {"mos": 2.5, "meta.scene": "s1", "cls": "7"}
    assert frame.iloc[1:].drop(columns="image").isna().all(axis=None)
    assert containers.columns(path) == {"cls": True, "mos": True, "meta.scene": False}


def test_class_labels_are_told_by_name(tmp_path: Path, photos: list[bytes]) -> None:
    from datasets import ClassLabel, Dataset, Features, Image

    features = Features({"img": Image(), "kind": ClassLabel(names=["blur", "noise"])})
    rows = {"img": [{"bytes": one, "path": None} for one in photos[:3]], "kind": [1, 0, None]}
    Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "c.parquet"))
    frame = read_table(tmp_path / "c.parquet")
    assert frame["kind"].tolist()[:2] == ["noise", "blur"]
    assert pd.isna(frame["kind"][2])
    assert containers.columns(tmp_path / "c.parquet") == {"kind": False}


@pytest.mark.parametrize("kind", KINDS)
def test_damage_costs_what_it_hits_and_never_more_than_an_error(
    tmp_path: Path, photos: list[bytes], kind: str
) -> None:
    path, names = make(kind, tmp_path, photos)
    file = path if path.is_file() else sorted(path.rglob("*.arrow"))[0]
    whole = file.read_bytes()
    random = np.random.default_rng(0)
    right = wrong = refused = 0
    for number in range(25):
        data = bytearray(whole)
        at = int(random.integers(0, len(data) - 30))
        data[at : at + 30] = random.bytes(30)
        file.write_bytes(bytes(data))
        marker = {"datasets": "state.json", "dict": "dataset_dict.json"}.get(kind, "")
        os.utime(path / marker, ns=(number + 1, number + 1))
        try:
            addresses = members(path)
        except InputError:
            refused += 1
            continue
        known = dict(zip(names, photos, strict=True))
        for address in addresses:
            try:
                same = read_bytes(address) == known.get(address.rpartition("::")[2])
            except OSError:
                same = False
            right, wrong = right + same, wrong + (not same)
    assert refused < 25
    assert right > 4 * wrong > 0
