import os

import numpy as np
import pytest

from tests.training.conftest import photo
from training.tuning.photos import PixelCache, Reader, read_pixels
from uniqa.photos import PhotoError, image_id_of


@pytest.fixture
def shots(tmp_path):
    paths = []
    for k, name in enumerate(("astronaut", "coffee", "chelsea")):
        paths.append(tmp_path / f"{k}.png")
        photo(name, 64).save(paths[-1])
    return paths, [image_id_of(path) for path in paths]


def reader(shots, cache, told):
    paths, ids = shots
    return Reader(
        paths, ids, cache, lambda pixels, row, step: np.asarray(pixels) + 0, workers=2,
        report=told.append,
    )  # fmt: skip


def test_kept_pixels_are_the_photos_own_and_need_no_file(shots, tmp_path):
    paths, ids = shots
    cache = PixelCache(tmp_path / "cache", 2**20)
    fresh = read_pixels(paths[0], ids[0], cache)
    assert ids[0] in cache
    paths[0].unlink()
    again = read_pixels(paths[0], ids[0], PixelCache(tmp_path / "cache", 2**20))
    assert np.array_equal(again, fresh)
    assert np.array_equal(again, np.asarray(photo("astronaut", 64)))


def test_damaged_entries_are_made_again(shots, tmp_path):
    paths, ids = shots
    cache = PixelCache(tmp_path / "cache", 2**20)
    fresh = np.array(read_pixels(paths[0], ids[0], cache))
    file = next(cache.folder.glob("*.rgb"))
    for damage in (b"", b"nothing", file.read_bytes()[:500]):
        file.write_bytes(damage)
        assert np.array_equal(read_pixels(paths[0], ids[0], cache), fresh)
    assert cache.get(ids[0]) is not None


def test_the_cache_is_bounded_and_what_earlier_runs_left_goes_first(shots, tmp_path):
    paths, ids = shots
    room = 64 * 64 * 3 + 128
    first = PixelCache(tmp_path / "cache", 2 * room)
    for path, image_id in zip(paths, ids, strict=True):
        read_pixels(path, image_id, first)
    assert [image_id in first for image_id in ids] == [True, True, False], "a run keeps its own"
    os.utime(first.folder / f"{ids[0]}.rgb", (1, 1))
    later = PixelCache(tmp_path / "cache", 2 * room)
    assert later.get(ids[1]) is not None
    read_pixels(paths[2], ids[2], later)
    assert [image_id in later for image_id in ids] == [False, True, True]
    none = PixelCache(tmp_path / "other", 0)
    read_pixels(paths[0], ids[0], none)
    assert ids[0] not in none


def test_processes_share_the_room_and_what_was_left(shots, tmp_path):
    paths, ids = shots
    room = 64 * 64 * 3 + 128
    folder = tmp_path / "cache"
    for path, image_id in zip(paths, ids, strict=True):
        read_pixels(path, image_id, PixelCache(folder, 3 * room))
    assert PixelCache(folder, 3 * room)._old.keys() == {
        *PixelCache(folder, 3 * room, (0, 2))._old,
        *PixelCache(folder, 3 * room, (1, 2))._old,
    }
    pixels = np.zeros((64, 64, 3), np.uint8)
    several = [PixelCache(tmp_path / "other", 5 * room, (number, 2)) for number in range(2)]
    kept = [
        sum(cache.put(f"{k}{at}", pixels) for k in range(5)) for at, cache in enumerate(several)
    ]
    assert kept == [2, 2], "together no more than there is room for"


def test_what_was_asked_for_and_not_fetched_is_freed(shots, tmp_path):
    reading = reader(shots, PixelCache(tmp_path / "cache", 2**20), [])
    reading.start(0, [0])
    reading.start(1, [1, 2])
    reading.finish(1, [1], again=False)
    reading.forget(1)
    reading.close()
    assert not reading._asked


def test_changed_files_are_refused(shots, tmp_path):
    paths, ids = shots
    photo("coffee", 64).save(paths[0])
    with pytest.raises(PhotoError, match="changed"):
        read_pixels(paths[0], ids[0], PixelCache(tmp_path / "cache", 2**20))


def test_broken_photos_are_told_once_and_left_out(shots, tmp_path):
    shots[0][1].write_bytes(b"nothing")
    told = []
    reading = reader(shots, PixelCache(tmp_path / "cache", 2**20), told)
    reading.start(0, [0, 1, 2])
    assert sorted(reading.finish(0, [0, 1, 2], again=False)) == [0, 2]
    assert sorted(reading.finish(1, [1, 2], again=False)) == [2]
    reading.close()
    assert len(told) == 1
    assert "1.png" in told[0]
    assert reading.broken == {1}


@pytest.mark.parametrize("bound", [0, 2**20])
def test_a_photo_that_vanishes_between_both_passes_does_no_harm(shots, tmp_path, bound):
    reading = reader(shots, PixelCache(tmp_path / "cache", bound), [])
    first = reading.finish(0, [0, 1], again=True)
    for path in shots[0]:
        path.unlink()
    second = reading.finish(0, [0, 1], again=False)
    reading.close()
    assert all(np.array_equal(first[row], second[row]) for row in (0, 1))
