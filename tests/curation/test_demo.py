"""Demo photos: balanced, deterministic, complete or not at all, honest about their ratings."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter

import numpy as np
import pytest

from curation.demo import photos as demo_photos
from curation.demo.distort import KINDS
from curation.demo.photos import COLUMNS, SOURCES, make_demo_photos, plan
from uniqa.errors import InputError
from uniqa.levels import LEVELS
from uniqa.photos import find_photos, read_photo
from uniqa.ratings import read_ratings


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    assert make_demo_photos(folder) == folder / "ratings.csv"
    return folder


def test_the_table_is_complete_and_balanced(demo):
    table = read_ratings(demo / "ratings.csv")
    frame = table.frame
    assert 150 <= len(frame) <= 250
    assert table.scale.name == "linear[1,5]"
    assert not table.dropped
    levels = Counter(frame["level"])
    assert set(levels) == set(LEVELS)
    assert max(levels.values()) <= 1.1 * min(levels.values()) + 1
    with (demo / "ratings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert {row["distortion"] for row in rows} == {*KINDS, "none"}
    assert {(demo / row["image"]).resolve() for row in rows} == {
        path.resolve() for path in find_photos(demo)
    }
    assert {row["group"] for row in rows} <= {source.name for source in SOURCES}
    assert all((row["severity"] == "0") == (row["distortion"] == "none") for row in rows)


def test_photos_are_sound_and_of_useful_size(demo):
    for path in find_photos(demo)[::9]:
        photo = read_photo(path)
        assert min(photo.width, photo.height) >= 250
        assert max(photo.width, photo.height) <= 620
        assert np.ptp(photo.pixels) > 0


def test_readme_says_where_everything_comes_from(demo):
    text = (demo / "README.txt").read_text("utf-8")
    assert "derived from the known severity, not from people" in " ".join(text.split())
    assert "CC BY 2.0" in text
    for group in read_ratings(demo / "ratings.csv").frame["group"]:
        assert group in text


def test_same_seed_same_bytes_and_another_seed_others(demo, tmp_path):
    make_demo_photos(tmp_path / "again")
    assert digest(tmp_path / "again") == digest(demo)
    make_demo_photos(tmp_path / "other", seed=1)
    assert digest(tmp_path / "other") != digest(demo)


def test_a_complete_set_is_left_alone_and_an_incomplete_one_completed(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_photos, "SOURCES", SOURCES[:2])
    make_demo_photos(tmp_path)
    before = digest(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    make_demo_photos(tmp_path)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    next(iter(times)).unlink()
    make_demo_photos(tmp_path)
    assert digest(tmp_path) == before


def test_other_peoples_folders_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_photos, "SOURCES", SOURCES[:1])
    (tmp_path / "ratings.csv").write_text("image,mos\nmine.jpg,3\n")
    with pytest.raises(InputError, match="not ours"):
        make_demo_photos(tmp_path)
    (tmp_path / "ratings.csv").unlink()
    make_demo_photos(tmp_path)
    with pytest.raises(InputError, match="another set"):
        make_demo_photos(tmp_path, seed=2)


def test_missing_sources_are_skipped(tmp_path, monkeypatch):
    known = demo_photos._installed
    monkeypatch.setattr(
        demo_photos,
        "_installed",
        lambda source: known(source) if source.name in ("coffee", "coins") else None,
    )
    table = read_ratings(make_demo_photos(tmp_path)).frame
    assert set(table["group"]) == {"coffee", "coins"}
    monkeypatch.setattr(demo_photos, "_installed", lambda source: None)
    with pytest.raises(InputError, match="no demo photograph"):
        make_demo_photos(tmp_path / "none")


def test_the_plan_repeats_nothing_and_spares_grey_photos_colour():
    photos = plan(list(SOURCES), dict.fromkeys((source.name for source in SOURCES), 2), seed=3)
    assert len({photo.file for photo in photos}) == len(photos)
    for photo in photos:
        assert not (photo.source.grey and photo.kind in ("desaturation", "colour_cast"))
    clean = [photo for photo in photos if not photo.severity]
    assert {photo.source.name for photo in clean} == {source.name for source in SOURCES}
