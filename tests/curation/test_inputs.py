"""From what is named to photos and ratings: several datasets, each with a scale of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from curation.config import Source
from curation.inputs import read_inputs
from uniqa.errors import InputError, UsageError
from uniqa.levels import TASKS, Scale

MakePhoto = Callable[..., Path]


def dataset(folder: Path, make_photo: MakePhoto, marks: list[float], header: str = "mos") -> Path:
    lines = [f"image,{header}"]
    for number, mark in enumerate(marks):
        make_photo(folder / f"{number}.png", seed=hash((folder.name, number)) % 1000)
        lines.append(f"{number}.png,{mark}")
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_two_datasets_keep_their_scales(tmp_path: Path, make_photo: MakePhoto) -> None:
    first = dataset(tmp_path / "first", make_photo, [1, 3, 5])
    second = dataset(tmp_path / "second", make_photo, [0, 50, 100])
    inputs = read_inputs(
        [
            Source((first,), first / "ratings.csv", "quality", scale=Scale(1, 5)),
            Source((second,), second / "ratings.csv", "aesthetic", scale=Scale(100, 0)),
        ],
        TASKS,
    )
    assert inputs.paths == sorted(inputs.paths)
    assert len(inputs.paths) == 6
    rated = inputs.rated(seed=0, known={})
    (good,) = rated[str(first / "2.png")]
    (bad,) = rated[str(second / "2.png")]
    assert (good.score, good.level, good.task, good.scale) == (
        1,
        "perfect",
        "quality",
        "linear[1,5]",
    )
    assert (bad.score, bad.level, bad.task, bad.scale) == (0, "bad", "aesthetic", "linear[100,0]")


def test_datasets_of_one_table_keep_their_scales(
    tmp_path: Path, make_photo: MakePhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dataset(tmp_path / "both", make_photo, [1, 3, 5, 0])
    table = tmp_path / "mixed.csv"
    rows = ["0.png,1,a", "1.png,3,a", "2.png,5,a", "2.png,50,b", "3.png,0,b"]
    table.write_text("\n".join(["image,mos,dataset", *rows]))
    inputs = read_inputs([Source((folder,), table, "quality")], TASKS)
    assert [(one.dataset, one.scale) for one, _ in inputs.tables] == [
        ("a", Scale(1, 5)),
        ("b", Scale(0, 100)),
    ]
    rated = inputs.rated(seed=0, known={})
    # Rated by both: no mean of 5 and 50, but two ratings.
    assert [(one.dataset, one.mos, one.score) for one in rated[str(folder / "2.png")]] == [
        ("a", 5, 1.0),
        ("b", 50, 0.5),
    ]
    said = " ".join(capsys.readouterr().err.split())
    assert "a: scale 1–5" in said
    assert "b: scale 0–100" in said


def test_a_group_has_one_split_whoever_rated_it(tmp_path: Path, make_photo: MakePhoto) -> None:
    folder = dataset(tmp_path / "both", make_photo, [1] * 24)
    table = tmp_path / "mixed.csv"
    first = [f"{n}.png,{1 + n % 5},a,g{n // 2}," for n in range(20)]
    second = [f"{n}.png,{n},b,g{n // 2},{'test' if n == 3 else ''}" for n in range(3, 24)]
    table.write_text("\n".join(["image,mos,dataset,group,split", *first, *second]))
    inputs = read_inputs([Source((folder,), table, "quality")], TASKS)
    for seed in range(3):
        rated = inputs.rated(seed=seed, known={})
        splits: dict[str, set[str]] = {}
        for ratings in rated.values():
            for one in ratings:
                splits.setdefault(one.group, set()).add(one.split)
        assert all(len(one) == 1 for one in splits.values())
        assert splits["g1"] == {"test"}
        assert {split for one in splits.values() for split in one} == {"train", "val", "test"}


def test_lost_photos_are_counted_once(
    tmp_path: Path, make_photo: MakePhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dataset(tmp_path / "some", make_photo, [1, 5])
    rows = [f"{n}.png,{mark},{name}" for name in "ab" for n, mark in enumerate((1, 3, 5, 2))]
    table = folder / "mixed.csv"
    table.write_text("\n".join(["image,mos,dataset", *rows]))
    assert len(read_inputs([Source((table,))], TASKS).paths) == 4
    assert "2 of 4 images are not there" in " ".join(capsys.readouterr().err.split())


def test_one_photo_may_be_rated_for_both_tasks(tmp_path: Path, make_photo: MakePhoto) -> None:
    folder = dataset(tmp_path / "both", make_photo, [1, 5])
    beauty = tmp_path / "beauty.csv"
    beauty.write_text("image,beauty\n0.png,9\n1.png,2\n")
    inputs = read_inputs(
        [
            Source((folder,), folder / "ratings.csv", "quality", scale=Scale(1, 5)),
            Source((folder,), beauty, "aesthetic", scale=Scale(1, 10)),
        ],
        TASKS,
    )
    assert len(inputs.paths) == 2
    ratings = inputs.rated(seed=0, known={})[str(folder / "0.png")]
    assert [(one.task, one.level) for one in ratings] == [
        ("quality", "bad"),
        ("aesthetic", "perfect"),
    ]


def test_what_is_known_is_told_but_not_that_nothing_is_wrong(
    tmp_path: Path, make_photo: MakePhoto
) -> None:
    for number in range(3):
        make_photo(tmp_path / f"{number}.png", seed=number)
    table = tmp_path / "ratings.csv"
    table.write_text(
        "image,mos,distortion\n0.png,1,JPEG compression\n1.png,3,clean\n2.png,5,Reference\n"
    )
    inputs = read_inputs([Source((tmp_path,), table, scale=Scale(1, 5))], ["quality"])
    rated = inputs.rated(seed=0, known={})
    told = [rated[str(tmp_path / f"{number}.png")][0].known for number in range(3)]
    assert told == ["JPEG compression", "", ""]


def test_nothing_named_and_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no photos are named"):
        read_inputs([Source()], TASKS)
    with pytest.raises(InputError, match="nowhere"):
        read_inputs([Source((tmp_path / "nowhere",))], TASKS)
    with pytest.raises(UsageError, match="unknown task 'beauty'"):
        read_inputs([Source((tmp_path,), ratings_task="beauty")], TASKS)


def test_paths_that_go_up_are_the_same_photos(
    tmp_path: Path, make_photo: MakePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset(tmp_path / "set", make_photo, [1, 3, 5])
    beside = tmp_path / "elsewhere"
    beside.mkdir()
    monkeypatch.chdir(beside)
    source = Source((Path("../set"),), Path("../set/ratings.csv"), scale=Scale(1, 5))
    inputs = read_inputs([source], ["quality"])
    assert inputs.paths == [str(tmp_path / "set" / f"{number}.png") for number in range(3)]
    assert set(inputs.rated(seed=0, known={})) == set(inputs.paths)


def test_what_speaks_of_a_table_needs_one(tmp_path: Path, make_photo: MakePhoto) -> None:
    make_photo(tmp_path / "a.png")
    for told in ({"scale": Scale(1, 5)}, {"dataset": "mine"}, {"images_root": tmp_path}):
        with pytest.raises(UsageError, match="speaks of a ratings table, and there is none"):
            read_inputs([Source((tmp_path,), **told)], TASKS)
