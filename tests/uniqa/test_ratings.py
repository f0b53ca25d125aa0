"""Tables as people have them: taken where they can be taken, refused in one line where not."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uniqa.errors import InputError, UsageError
from uniqa.levels import Scale
from uniqa.photos import read_photo
from uniqa.rating_files import is_table
from uniqa.ratings import read_datasets, read_ratings
from uniqa.splits import SPLITS

ROWS = [("a.jpg", 1.5), ("b.jpg", 3.0), ("c.jpg", 4.5)]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def as_format(folder: Path, ending: str) -> Path:
    frame = pd.DataFrame(ROWS, columns=["image", "mos"])
    path = folder / f"koniq.{ending}"
    if ending == "parquet":
        frame.to_parquet(path)
        return path
    text = {
        "csv": frame.to_csv(index=False),
        "tsv": frame.to_csv(index=False, sep="\t"),
        "tab": frame.to_csv(index=False, sep="\t"),
        "jsonl": frame.to_json(orient="records", lines=True),
    }[ending.removesuffix(".gz")]
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("ending", "csv tsv tab parquet jsonl csv.gz tsv.gz jsonl.gz".split())
def test_every_format_gives_the_same_table(tmp_path: Path, ending: str) -> None:
    path = as_format(tmp_path, ending)
    assert is_table(path)
    table = read_ratings(path)
    frame = table.frame
    assert frame["image"].tolist() == [str(tmp_path / name) for name, _ in ROWS]
    assert frame["mos"].tolist() == [1.5, 3.0, 4.5]
    np.testing.assert_allclose(frame["score"], [0.125, 0.5, 0.875])
    assert frame["level"].tolist() == ["bad", "fair", "perfect"]
    assert set(frame["dataset"]) == {"koniq"}
    assert frame["group"].tolist() == [name for name, _ in ROWS]
    assert set(frame["split"]) == {""}


@pytest.mark.parametrize(
    "header",
    [
        "image_name,MOS",
        "Filename,mean_score",
        "img,Beauty",
        "dist_img,mos-zscore",
        "File Name,mean",
    ],
)
def test_columns_are_guessed_and_the_guess_is_said(tmp_path: Path, header: str) -> None:
    table = read_ratings(write(tmp_path / "t.csv", f"{header}\na.jpg,2\nb.jpg,4\n"))
    assert table.frame["mos"].tolist() == [2, 4]
    said = " ".join(table.guessed)
    for column in header.split(","):
        if column.lower() not in {"mos", "image"}:
            assert f"'{column}'" in said


def test_columns_called_what_they_are_need_no_guess(tmp_path: Path) -> None:
    table = read_ratings(write(tmp_path / "t.csv", "image,mos\na.jpg,2\n"), scale=Scale(1, 5))
    assert table.guessed == []
    assert table.dropped == []


def test_named_columns_win(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,mos,key,beauty score\na.jpg,1,b.jpg,4\n")
    row = read_ratings(path, image_column="key", score_column="beauty score").frame.iloc[0]
    assert (row["name"], row["mos"]) == ("b.jpg", 4)


def test_a_wrong_column_name_is_met_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,overall_mos\na.jpg,1\n")
    with pytest.raises(UsageError, match="Did you mean 'overall_mos'"):
        read_ratings(path, score_column="overal_mos")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("photo_id_x,mos\na,1\n", "no image column (it has: photo_id_x, mos)"),
        ("image,sharpness\na,1\n", "no score column (it has: image, sharpness)"),
        ("image,mos\na.jpg,good\nb.jpg,bad\n", "column 'mos' of"),
        ("image,mos\n", "has no rows"),
        ("image,mos\na.jpg,inf\n", "infinite"),
        ("", "cannot be read as a table"),
        ("image,mos,split\na.jpg,1,holdout\n", "unknown split 'holdout'"),
        ("image,mos\n,3\n,4\n", "no row with an image"),
    ],
)
def test_unusable_tables_are_refused_in_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        read_ratings(write(tmp_path / "t.csv", text))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no table at"):
        read_ratings(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="is not a table"):
        read_ratings(write(tmp_path / "t.xlsx", "x"))
    for name, content in (("t.parquet", b"no parquet"), ("t.csv", b"image,mos\n\xff\xfe,1\n"),
                          ("t.jsonl", b"{broken\n"), ("t.csv.gz", b"not gzipped")):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as a table"):
            read_ratings(tmp_path / name)


def test_missing_scores_are_left_out_and_said(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,mos\na.jpg,1\nb.jpg,\nc.jpg,n/a\n,2\nd.jpg,5\n")
    table = read_ratings(path)
    assert table.frame["name"].tolist() == ["a.jpg", "d.jpg"]
    said = " ".join(table.dropped)
    assert "1 rows left out: no image name" in said
    assert "2 rows left out: no score (first: b.jpg)" in said


def test_repeated_rows_become_one_mean_and_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,mos\na.jpg,1\nb.jpg,3\na.jpg,4\n")
    table = read_ratings(path)
    assert dict(zip(table.frame["name"], table.frame["mos"], strict=True)) == {
        "a.jpg": 2.5,
        "b.jpg": 3,
    }
    assert "1 repeated rows merged" in table.dropped[0]


def test_dmos_runs_backwards(tmp_path: Path) -> None:
    table = read_ratings(write(tmp_path / "t.csv", "image,DMOS\na.jpg,5\nb.jpg,80\n"))
    assert table.scale == Scale(100, 0)
    assert table.frame["level"].tolist() == ["perfect", "poor"]
    assert "lower is better" in " ".join(table.guessed)


@pytest.mark.parametrize(
    ("scores", "scale"),
    [
        ((0.1, 0.9), Scale(0, 1)),
        ((1.1, 4.8), Scale(1, 5)),
        ((1.1, 6.8), Scale(1, 7)),
        ((2, 8.5), Scale(1, 9)),
        ((1.2, 9.7), Scale(1, 10)),
        ((0.5, 9.7), Scale(0, 10)),
        ((3, 88), Scale(0, 100)),
        ((-4, 230), Scale(-4, 230)),
    ],
)
def test_scales_are_guessed_and_said(
    tmp_path: Path, scores: tuple[float, float], scale: Scale
) -> None:
    text = "image,mos\n" + "".join(f"{i}.jpg,{score}\n" for i, score in enumerate(scores))
    table = read_ratings(write(tmp_path / "t.csv", text))
    assert table.scale == scale
    assert "--scale" in " ".join(table.guessed)


def test_vote_counts_tell_the_scale(tmp_path: Path) -> None:
    header = "image,mean," + ",".join(f"n{i}" for i in range(1, 11))
    path = write(tmp_path / "ava.csv", f"{header}\na.jpg,4.5,{','.join('1' * 10)}\n")
    assert read_ratings(path).scale == Scale(1, 10)


def test_one_score_alone_still_has_a_scale(tmp_path: Path) -> None:
    table = read_ratings(write(tmp_path / "t.csv", "image,mos\na.jpg,500\nb.jpg,500\n"))
    assert table.frame["score"].tolist() == [0.5, 0.5]


def test_a_given_scale_wins_and_clipping_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,mos,scale\na.jpg,2,0:10\nb.jpg,7,0:10\n")
    assert read_ratings(path).scale == Scale(0, 10)
    table = read_ratings(path, scale=Scale(1, 5))
    assert table.frame["score"].tolist() == [0.25, 1.0]
    assert "1 ratings lie beyond the scale" in " ".join(table.dropped)


def test_names_with_spaces_and_without_endings_find_their_files(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    for name in ("a.jpg", "my photo.png", "sub/7.webp"):
        make_photo(tmp_path / name)
    text = "image,mos\na,1\nmy photo.png,2\n my photo ,3\nsub/7,4\ngone,5\n"
    table = read_ratings(write(tmp_path / "t.csv", text))
    assert table.frame["image"].tolist() == [
        str(tmp_path / name) for name in ("a.jpg", "my photo.png", "sub/7.webp", "gone")
    ]
    assert table.frame["mos"].tolist() == [1, 2.5, 4, 5], "two names of one file are one photo"
    assert "merged" in " ".join(table.dropped)


def test_two_scales_in_one_table_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,mos,scale\na.jpg,2,0:10\nb.jpg,7,1:5\n")
    with pytest.raises(InputError, match="mixes the scales"):
        read_ratings(path)


def test_one_photo_rated_for_two_tasks_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,mos,task\na.jpg,2,quality\na.jpg,3,aesthetic\n")
    with pytest.raises(InputError, match="has ratings for aesthetic and quality"):
        read_ratings(path)
    assert [(one.tasks, one.frame["mos"].tolist()) for one in read_datasets(path)] == [
        (("aesthetic",), [3]),
        (("quality",), [2]),
    ]


def test_an_images_folder_beside_the_table_is_found_and_said(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    photo = make_photo(tmp_path / "images" / "a.jpg")
    path = write(tmp_path / "t.csv", "image,mos\na.jpg,1\n")
    table = read_ratings(path)
    assert table.frame["image"].tolist() == [str(photo)]
    assert any("images" in guess for guess in table.guessed)


def test_images_root_is_believed(tmp_path: Path, make_photo: Callable[..., Path]) -> None:
    photo = make_photo(tmp_path / "elsewhere" / "a.jpg")
    path = write(tmp_path / "t.csv", "image,mos\na.jpg,1\n")
    frame = read_ratings(path, images_root=tmp_path / "elsewhere").frame
    assert frame["image"].tolist() == [str(photo)]
    with pytest.raises(InputError, match="no folder at"):
        read_ratings(path, images_root=tmp_path / "nowhere")


def test_absolute_names_are_taken_as_they_are(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    photo = make_photo(tmp_path / "far" / "a.jpg")
    path = write(tmp_path / "t.csv", f"image,mos\n{photo},1\n")
    assert read_ratings(path).frame["image"].tolist() == [str(photo)]


def test_numbers_as_names_stay_as_written(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,mos\n0001,1\n0002,5\n")
    assert read_ratings(path).frame["name"].tolist() == ["0001", "0002"]


def test_optional_columns_come_along(tmp_path: Path) -> None:
    text = "image,mos,std,votes,dataset,scene\na.jpg,1,0.5,12,spaq,s1\nb.jpg,2,,x,spaq,\n"
    frame = read_ratings(write(tmp_path / "t.csv", text)).frame
    assert frame["std"].iloc[0] == 0.5
    assert frame["votes"].iloc[0] == 12
    assert frame[["std", "votes"]].iloc[1].isna().all()
    assert frame["group"].tolist() == ["s1", "b.jpg"]
    assert set(frame["dataset"]) == {"spaq"}


@pytest.mark.parametrize("name", ["scores.csv", "ratings.csv", "mos.csv"])
def test_a_vague_file_name_gives_way_to_the_folders(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "tid2013"
    folder.mkdir()
    path = write(folder / name, "image,mos\na.jpg,1\n")
    assert set(read_ratings(path).frame["dataset"]) == {"tid2013"}
    assert set(read_ratings(path, dataset="mine").frame["dataset"]) == {"mine"}


def test_a_column_of_measurements_is_no_group(tmp_path: Path) -> None:
    """AADB scores an attribute that it calls Content."""
    path = write(tmp_path / "t.csv", "image,mos,Content\na.jpg,1,0.25\nb.jpg,2,0.5\n")
    assert read_ratings(path).frame["group"].tolist() == ["a.jpg", "b.jpg"]
    path = write(tmp_path / "u.csv", "image,mos,Content\na.jpg,1,7\nb.jpg,2,7\n")
    assert read_ratings(path).frame["group"].tolist() == ["7", "7"]


def test_splits_are_normalised(tmp_path: Path) -> None:
    text = "image,mos,set\na,1,Training\nb,2,validation\nc,3,TEST\nd,4,dev\ne,5,\n"
    frame = read_ratings(write(tmp_path / "t.csv", text)).frame
    assert frame["split"].tolist() == ["train", "val", "test", "val", ""]


def test_with_splits_fills_what_is_open_and_no_group_straddles(tmp_path: Path) -> None:
    lines = ["image,mos,group,split"]
    for number in range(200):
        told = "test" if number == 0 else ""
        lines.append(f"{number}.jpg,{1 + number % 5},scene{number % 40},{told}")
    table = read_ratings(write(tmp_path / "t.csv", "\n".join(lines)))
    frame = table.with_splits(seed=3)
    assert set(frame["split"]) == set(SPLITS)
    assert (frame.groupby("group")["split"].nunique() == 1).all()
    assert set(frame.loc[frame["group"] == "scene0", "split"]) == {"test"}
    assert frame["split"].tolist() == table.with_splits(seed=3)["split"].tolist()
    assert frame["split"].tolist() != table.with_splits(seed=4)["split"].tolist()
    assert (table.frame["split"] == "").sum() == 199  # the table itself is left as it was


def test_splits_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    rows = [f"{number}.jpg,{1 + number % 5}" for number in range(50)]
    one = read_ratings(write(tmp_path / "x.csv", "\n".join(["image,mos", *rows]))).with_splits(0)
    two = read_ratings(write(tmp_path / "y.csv", "\n".join(["image,mos", *rows[::-1]])))
    again = two.with_splits(0).set_index("name")["split"]
    assert one.set_index("name")["split"].to_dict() == again.to_dict()


def test_rows_longer_than_the_header_never_shift_the_columns(tmp_path: Path) -> None:
    trailing = "image,mos,std\na.jpg,4.2,0.9,\nb.jpg,3.1,0.8,\n"
    table = read_ratings(write(tmp_path / "trailing.csv", trailing))
    assert table.frame["name"].tolist() == ["a.jpg", "b.jpg"]
    assert table.frame["mos"].tolist() == [4.2, 3.1]
    assert table.frame["std"].tolist() == [0.9, 0.8]
    for text in ("image,mos\na.jpg,3,4\nb.jpg,3,5\n", "image,mos\na.jpg,3\nb.jpg,3,5\n"):
        with pytest.raises(InputError, match=r"more fields|Expected 2 fields"):
            read_ratings(write(tmp_path / "long.csv", text))


def test_semicolons_and_decimal_commas_are_understood(tmp_path: Path) -> None:
    text = "\ufeffimage;mos;std\r\na b.jpg;3,5;0,25\r\nc.jpg;4;1\r\n"
    frame = read_ratings(write(tmp_path / "t.csv", text)).frame
    assert frame["name"].tolist() == ["a b.jpg", "c.jpg"]
    assert frame["mos"].tolist() == [3.5, 4.0]
    assert frame["std"].tolist() == [0.25, 1.0]


def test_a_column_without_numbers_shows_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no numbers \(first: '60%'\)"):
        read_ratings(write(tmp_path / "t.csv", "image,mos\na.jpg,60%\n"))


# ---- photos and ratings in one container ---------------------------------------------------------


def embedded(path: Path, make_photo: Callable[..., Path], **columns: list[object]) -> Path:
    """A Parquet file with a photo per row, as `datasets` writes it."""
    count = len(next(iter(columns.values())))
    photo = make_photo(path.parent / "loose" / "p.png").read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    image = [{"bytes": photo, "path": f"{i}.png"} for i in range(count)]
    pq.write_table(pa.table({"image": image, **columns}), path)
    return path


def shard(path: Path, make_photo: Callable[..., Path], *told: str, **more: str) -> Path:
    """A tar with one photo per JSON text, and other files of each ending in `more`."""
    photo = make_photo(path.parent / "loose" / "p.png").read_bytes()
    with tarfile.open(path, "w") as tar:
        for number, text in enumerate(told):
            files = {"jpg": photo, "json": text.encode()}
            files |= {ending: value.encode() for ending, value in more.items()}
            for ending, data in files.items():
                info = tarfile.TarInfo(f"{number:03}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def test_a_parquet_file_of_photos_and_scores_is_a_table(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    path = embedded(
        tmp_path / "koniq.parquet", make_photo,
        MOS=[1.5, 3.0, 4.5], dist_type=["blur", "noise", None], scene=["a", "a", "b"],
    )  # fmt: skip
    assert is_table(path)
    table = read_ratings(path, image_column="of another table")
    frame = table.frame
    assert frame["image"].tolist() == [f"{path}::{i:08}" for i in range(3)]
    assert frame["name"].tolist() == [f"koniq.parquet::{i:08}" for i in range(3)]
    assert frame["mos"].tolist() == [1.5, 3.0, 4.5]
    assert frame["known"].tolist() == ["blur", "noise", ""]
    assert frame["group"].tolist() == ["a", "a", "b"]
    assert set(frame["dataset"]) == {"koniq"}
    assert "'dist_type' of koniq.parquet is taken as the known distortion" in " ".join(
        table.guessed
    )
    for image in frame["image"]:
        assert read_photo(image).width == 48


def test_photos_without_scores_are_no_table(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    words = embedded(tmp_path / "words.parquet", make_photo, quality=["good", "bad"], label=[1, 2])
    assert not is_table(words)
    assert is_table(words, "label")
    assert read_ratings(words, score_column="label").frame["mos"].tolist() == [1, 2]
    with pytest.raises(InputError, match=r"no score column|holds no numbers"):
        read_ratings(words)
    classes = shard(tmp_path / "classes.tar", make_photo, "{}", "{}", cls="3", txt="a cat")
    assert not is_table(classes)
    with pytest.raises(InputError, match=r"no score column \(it has: image, cls, txt\)"):
        read_ratings(classes)
    assert read_ratings(classes, score_column="cls").frame["mos"].tolist() == [3, 3]


def test_a_tar_with_scores_beside_its_photos_is_a_table(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    path = shard(
        tmp_path / "spaq.tar",
        make_photo,
        '{"ratings": {"mos": 20, "sd": 2}, "distortion": "blur"}',
        '{"ratings": {"mos": 70, "sd": 3}}',
        "{broken",
    )
    assert is_table(path)
    table = read_ratings(path)
    assert table.frame["image"].tolist() == [f"{path}::000.jpg", f"{path}::001.jpg"]
    assert table.frame["mos"].tolist() == [20, 70]
    assert table.frame["std"].tolist() == [2, 3]
    assert table.frame["known"].tolist() == ["blur", ""]
    assert table.scale == Scale(0, 100)
    assert "1 rows left out: no score" in table.dropped[0]
    assert "'ratings.mos'" in " ".join(table.guessed)


def test_a_score_may_be_a_file_of_its_own(tmp_path: Path, make_photo: Callable[..., Path]) -> None:
    path = shard(tmp_path / "t.tar", make_photo, "{}", "[1, 2]", mos="3.5\n")
    assert read_ratings(path).frame["mos"].tolist() == [3.5, 3.5]


def test_a_saved_dataset_with_scores_is_a_table_with_splits(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    from datasets import Dataset, DatasetDict, Features, Image, Value

    photo = make_photo(tmp_path / "p.png").read_bytes()
    rows = {"image": [{"bytes": photo, "path": None}] * 2, "score": [1.0, 5.0]}
    features = Features({"image": Image(), "score": Value("float32")})
    one = Dataset.from_dict(rows, features=features)
    DatasetDict({"train": one, "validation": one, "test": one}).save_to_disk(
        str(tmp_path / "kadid")
    )
    path = tmp_path / "kadid"
    assert is_table(path)
    frame = read_ratings(path).frame
    assert frame["split"].tolist() == ["test", "test", "train", "train", "val", "val"]
    assert frame["image"][0] == f"{path}::test/00000000"
    assert set(frame["dataset"]) == {"kadid"}
    assert frame["group"].is_unique


def test_shards_of_one_dataset_share_scale_and_names(
    tmp_path: Path, make_photo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, scores in {"train-00000-of-2": [1.2, 2], "train-00001-of-2": [3, 88],
                         "test-00000-of-1": [5, 6]}.items():  # fmt: skip
        embedded(tmp_path / "spaq" / f"{name}.parquet", make_photo, mos=scores)
    write(tmp_path / "spaq" / "notes.csv", "image,mos\na.jpg,1\n")
    table = read_ratings(tmp_path / "spaq")
    assert table.scale == Scale(0, 100)
    assert table.frame["mos"].tolist() == [5, 6, 1.2, 2, 3, 88]
    assert table.frame["split"].tolist() == ["test"] * 2 + ["train"] * 4
    assert "photos in test-00000-of-1.parquet are of the split test" in " ".join(table.guessed)
    assert set(table.frame["dataset"]) == {"spaq"}
    assert table.frame["group"].is_unique
    assert table.frame["name"][0] == "test-00000-of-1.parquet::00000000"
    # Named from its own place, the photos' addresses are absolute all the same.
    monkeypatch.chdir(tmp_path / "spaq")
    assert read_ratings(Path()).frame["image"].equals(table.frame["image"])
    embedded(tmp_path / "spaq" / "koniq.parquet", make_photo, mos=[1.0, 2.0])
    with pytest.raises(InputError, match=r"koniq.* look like two datasets"):
        read_ratings(tmp_path / "spaq")


def test_a_folder_without_ratings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ratings in the folder"):
        read_ratings(tmp_path)


def test_a_table_may_name_photos_in_a_container(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    tar = shard(tmp_path / "photos.tar", make_photo, "{}", "{}")
    by_name = write(tmp_path / "t.csv", "image,mos\n000.jpg,1\n001,4\ngone.jpg,2\n")
    frame = read_ratings(by_name, images_root=tar).frame
    assert frame["image"].tolist() == [f"{tar}::{n}" for n in ("000.jpg", "001.jpg", "gone.jpg")]
    folder = tmp_path / "shards"
    folder.mkdir()
    moved = tar.rename(folder / "photos.tar")
    plain = make_photo(folder / "002.png")
    by_folder = write(tmp_path / "v.csv", "image,mos\n000.jpg,1\n001,4\n002.png,2\n")
    frame = read_ratings(by_folder, images_root=folder).frame
    assert frame["image"].tolist() == [f"{moved}::000.jpg", f"{moved}::001.jpg", str(plain)]
    tar = moved.rename(tar)
    by_address = write(tmp_path / "u.csv", "image,mos\nphotos.tar::000.jpg,1\n")
    assert read_ratings(by_address).frame["image"].tolist() == [f"{tar}::000.jpg"]


def test_photos_that_were_not_embedded_are_named_by_path(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    photo = make_photo(tmp_path / "a.png")
    table = pa.table({"image": [{"bytes": None, "path": "a.png"}], "mos": [3.0]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert is_table(tmp_path / "t.parquet")
    assert read_ratings(tmp_path / "t.parquet").frame["image"].tolist() == [str(photo)]


# ---- known distortions ---------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["distortion", "Distortion Type", "dist_type", "attribute"])
def test_a_known_distortion_comes_along_as_text(tmp_path: Path, header: str) -> None:
    path = write(tmp_path / "t.csv", f"image,mos,{header}\na.jpg,1, blur \nb.jpg,2,\nc.jpg,3,4\n")
    assert read_ratings(path).frame["known"].tolist() == ["blur", "", "4"]


def test_a_code_is_no_distortion_unless_somebody_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,mos,dist_type\na.jpg,1,01\nb.jpg,2,24\nc.jpg,3,\n")
    table = read_ratings(path)
    assert table.frame["known"].tolist() == ["", "", ""]
    said = [one for one in table.guessed if "'dist_type'" in one]
    assert len(said) == 1
    assert "numbers" in said[0]
    told = read_ratings(path, known_column="dist_type").frame["known"]
    assert told.tolist() == ["01", "24", ""]


def test_a_wrong_known_column_is_met_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "image,mos,artefact\na.jpg,1,blur\n")
    assert read_ratings(path).frame["known"].tolist() == [""]
    assert read_ratings(path, known_column="artefact").frame["known"].tolist() == ["blur"]
    with pytest.raises(UsageError, match="Did you mean 'artefact'"):
        read_ratings(path, known_column="artifact")
