from __future__ import annotations

import os
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import pytest

from curation.images import ImageStep, Prepared, Unusable, collect_images, failure_id
from uniqa.errors import InputError
from uniqa.photos import Photo, image_id_of


def kill_if_square(photo: Photo) -> int:
    """A photo that takes its process along, like one that does not fit into memory."""
    if photo.width == photo.height:
        os._exit(9)
    return photo.width


def test_inputs_are_sorted_into_photos_and_tables(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    a, b = make_photo(tmp_path / "in" / "b.png"), make_photo(tmp_path / "in" / "a.jpg")
    odd = make_photo(tmp_path / "c.png").rename(tmp_path / "photo.without")
    table = tmp_path / "scores.csv.gz"
    table.write_bytes(b"")
    photos, tables = collect_images([tmp_path / "in", a, odd, table])
    assert photos == [b, a, odd]
    assert tables == [table]


def test_relative_inputs_become_absolute(
    tmp_path: Path, make_photo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = make_photo(tmp_path / "in" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert collect_images([Path("in"), Path("in/a.png")]) == ([photo], [])


def test_inputs_that_hold_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photos in the folder"):
        collect_images([tmp_path])
    with pytest.raises(InputError, match="no photo, folder or table at"):
        collect_images([tmp_path / "gone"])


def test_windows_keep_order_and_a_killed_reader_costs_one_photo(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    good = [make_photo(tmp_path / f"{i}.png", seed=i, size=(120, 60)) for i in range(3)]
    killer = make_photo(tmp_path / "killer.png", size=(40, 40))
    broken = tmp_path / "broken.jpg"
    broken.write_text("no photo")
    batches = [[good[0], broken], [killer, good[1]], [good[2]]]
    with ImageStep(kill_if_square, 30, workers=1) as step:
        windows = list(step.windows([[str(path) for path in batch] for batch in batches]))
    assert [[item.path for item in window] for window in windows] == [
        [str(path) for path in batch] for batch in batches
    ]
    flat = {Path(item.path).name: item for window in windows for item in window}
    for path in good:
        item = flat[path.name]
        assert isinstance(item, Prepared)
        assert (item.payload, item.width, item.height) == (30, 120, 60)
        assert item.image_id == image_id_of(path)
    for name, kind in {"broken.jpg": "not_an_image", "killer.png": "killed_reader"}.items():
        item = flat[name]
        assert isinstance(item, Unusable)
        assert (item.kind, item.permanent) == (kind, True)


def test_no_photo_starts_no_process() -> None:
    step = ImageStep(attrgetter("width"), 30, workers=1)
    with step:
        assert list(step.windows([])) == []
        assert step._pool is None


def test_a_failures_key_is_its_path() -> None:
    assert failure_id("/a.jpg") == failure_id("/a.jpg") != failure_id("/b.jpg")
