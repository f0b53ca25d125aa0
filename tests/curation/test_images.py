from __future__ import annotations

import resource
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path

import pytest

from curation import images
from curation.images import ImageStep, Prepared, Unusable, collect_images, failure_id
from uniqa.containers import stamp
from uniqa.errors import InputError
from uniqa.photos import Photo, PhotoError, image_id_of
from uniqa.ratings import read_ratings


def crash_if_square(photo: Photo) -> int:
    """A photo that leads a decoder astray."""
    if photo.width == photo.height:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.raise_signal(signal.SIGSEGV)
    return photo.width


def kill_if_square(photo: Photo) -> int:
    """A photo in whose time the system, short of memory, kills the process."""
    if photo.width == photo.height:
        signal.raise_signal(signal.SIGKILL)
    return photo.width


def heed_nothing(photo: Photo) -> int:
    """A reader that is told to end, as a batch system tells all processes of a job."""
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    return photo.width


def stop_if_square(photo: Photo) -> int:
    """A reader that does not hear its own timer."""
    if photo.width == photo.height:
        signal.raise_signal(signal.SIGSTOP)
    return photo.width


def no_room(_photo: Photo) -> int:
    raise MemoryError


def test_inputs_are_sorted_into_photos_and_tables(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    a, b = make_photo(tmp_path / "in" / "b.png"), make_photo(tmp_path / "in" / "a.jpg")
    odd = make_photo(tmp_path / "c.png").rename(tmp_path / "photo.without")
    table = tmp_path / "scores.csv.gz"
    table.write_bytes(b"")
    photos, tables = collect_images([tmp_path / "in", a, odd, table])
    assert photos == [str(b), str(a), str(odd)]
    assert tables == [table]


def test_relative_inputs_become_absolute(
    tmp_path: Path, make_photo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = make_photo(tmp_path / "in" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert collect_images([Path("in"), Path("in/a.png")]) == ([str(photo)], [])


def test_inputs_that_hold_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photos in the folder"):
        collect_images([tmp_path])
    with pytest.raises(InputError, match="no photo, folder or table at"):
        collect_images([tmp_path / "gone"])


def test_windows_keep_order_and_a_crashed_reader_costs_one_photo(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    good = [make_photo(tmp_path / f"{i}.png", seed=i, size=(120, 60)) for i in range(3)]
    killer = make_photo(tmp_path / "killer.png", size=(40, 40))
    broken = tmp_path / "broken.jpg"
    broken.write_text("no photo")
    batches = [[good[0], broken], [killer, good[1]], [good[2]]]
    with ImageStep(crash_if_square, 30, workers=1) as step:
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
    assert "SIGSEGV" in flat["killer.png"].message


def test_a_reader_that_others_killed_is_no_verdict_on_its_photo(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    good = str(make_photo(tmp_path / "good.png", size=(60, 30)))
    unlucky = str(make_photo(tmp_path / "unlucky.png", size=(40, 40)))
    with ImageStep(kill_if_square, 0, workers=2) as step:
        first, second = next(step.windows([[good, unlucky]]))
    assert isinstance(first, Prepared)
    assert isinstance(second, Unusable)
    assert (second.kind, second.permanent) == ("killed_reader", False)


def test_readers_leave_it_to_their_parent_to_end(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    paths = [str(make_photo(tmp_path / f"{n}.png", seed=n)) for n in range(2)]
    with ImageStep(heed_nothing, 0, workers=1) as step:
        items = next(step.windows([paths]))
        items.append(step._alone(paths[0]))
    assert [type(item) for item in items] == [Prepared] * 3


UNCLOSED = """
import sys
from operator import attrgetter
from curation.images import ImageStep

if __name__ == "__main__":
    step = ImageStep(attrgetter("width"), 0, workers=1)
    print(next(step.windows([[sys.argv[1]]]))[0].payload, step._alone(sys.argv[1]).payload)
"""


@pytest.mark.timeout(120)
def test_a_program_that_closes_nothing_ends_all_the_same(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    """The standard library ends children where a program does not, and then waits for them."""
    (tmp_path / "unclosed.py").write_text(UNCLOSED)
    command = [sys.executable, tmp_path / "unclosed.py", make_photo(tmp_path / "a.png")]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    assert (said.stdout, said.stderr) == ("48 48\n", "")


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_reader_that_does_not_even_hear_its_timer_is_given_up(
    tmp_path: Path, make_photo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_START_SECONDS", 20.0)
    monkeypatch.setattr(images, "_GRACE_SECONDS", 2.0)
    good = [str(make_photo(tmp_path / f"{n}.png", seed=n, size=(60, 30))) for n in range(3)]
    stuck = str(make_photo(tmp_path / "stuck.png", size=(40, 40)))
    with ImageStep(stop_if_square, 0, workers=1, seconds=2) as step:
        windows = list(step.windows([[good[0], stuck], good[1:2], good[2:]]))
    first, hung, *others = [item for window in windows for item in window]
    assert [type(item) for item in (first, *others)] == [Prepared] * 3
    assert isinstance(hung, Unusable)
    assert (hung.kind, hung.permanent) == ("hung_reader", False)


def test_memory_that_is_short_is_no_verdict_on_a_photo(
    tmp_path: Path, make_photo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(make_photo(tmp_path / "a.png"))
    job = images._Job(path, 0, no_room, 60, stamp(path))
    unprepared = images._prepared(job)

    def no_room_to_read(_path: str, **_how: object) -> Photo:
        try:
            raise MemoryError
        except MemoryError as error:
            raise PhotoError(Path(path), "too_large", "does not fit into memory") from error

    monkeypatch.setattr(images, "read_photo", no_room_to_read)
    for item in (unprepared, images._prepared(job)):
        assert item == Unusable(path, "too_large", "does not fit into memory", False, stamp(path))


def test_no_photo_starts_no_process() -> None:
    step = ImageStep(attrgetter("width"), 30, workers=1)
    with step:
        assert list(step.windows([])) == []
        assert step._pool is None


def test_a_failures_key_is_its_path() -> None:
    assert failure_id("/a.jpg") == failure_id("/a.jpg") != failure_id("/b.jpg")


def hang_if_square(photo: Photo) -> int:
    """A decoder that never comes back, deep in C, where no Python signal handler runs."""
    if photo.width == photo.height:
        _hold_everything()
    return photo.width


def _hold_everything() -> None:
    import ctypes

    ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the interpreter's lock, as decoders do


def fail_if_square(photo: Photo) -> int:
    return 30 // (photo.width - photo.height)


def test_a_photo_that_hangs_its_reader_costs_itself_alone(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    good = [str(make_photo(tmp_path / f"{i}.png", seed=i, size=(60, 30))) for i in range(5)]
    stuck = str(make_photo(tmp_path / "stuck.png", size=(40, 40)))
    batches = [good[:2], [good[2], stuck], [good[3]], [good[4]]]
    with ImageStep(hang_if_square, 0, workers=2, seconds=2) as step:
        windows = list(step.windows(batches))
    flat = [item for window in windows for item in window]
    assert [item.path for item in flat] == [path for batch in batches for path in batch]
    assert [type(item) for item in flat if item.path != stuck] == [Prepared] * 5
    hung = flat[3]
    assert isinstance(hung, Unusable)
    assert (hung.kind, hung.permanent) == ("hung_reader", False)
    assert "more than 2 seconds" in hung.message


def test_later_windows_outlive_a_killer(tmp_path: Path, make_photo: Callable[..., Path]) -> None:
    """The pool that replaces a broken one must not be taken for it."""
    paths = []
    for number in range(12):
        size = (40, 40) if number in (1, 6) else (60, 30)
        paths.append(str(make_photo(tmp_path / f"{number:02}.png", seed=number, size=size)))
    with ImageStep(kill_if_square, 0, workers=1) as step:
        windows = list(step.windows([[path] for path in paths]))
    kinds = [type(window[0]) for window in windows]
    assert [at for at, kind in enumerate(kinds) if kind is Unusable] == [1, 6]


def test_what_cannot_be_prepared_is_a_failure_and_not_the_end(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    paths = [
        str(make_photo(tmp_path / "a.png", size=(40, 40))),
        str(make_photo(tmp_path / "b.png", size=(60, 40))),
    ]
    with ImageStep(fail_if_square, 0, workers=1) as step:
        odd, good = next(step.windows([paths]))
    assert isinstance(good, Prepared)
    assert isinstance(odd, Unusable)
    assert odd.kind == "unprepared"
    assert "ZeroDivisionError" in odd.message


def test_containers_are_photos_or_tables(tmp_path: Path, make_photo: Callable[..., Path]) -> None:
    make_photo(tmp_path / "a.png")
    with tarfile.open(tmp_path / "plain.tar", "w") as tar:
        tar.add(tmp_path / "a.png", "in/a.png")
    for name in ("one-1.tar", "one-2.tar"):
        (tmp_path / "rated").mkdir(exist_ok=True)
        (tmp_path / "a.json").write_text('{"mos": 3.5}')
        with tarfile.open(tmp_path / "rated" / name, "w") as tar:
            tar.add(tmp_path / "a.png", "1.png")
            tar.add(tmp_path / "a.json", "1.json")
    address = f"{tmp_path}/plain.tar::in/a.png"
    assert collect_images([tmp_path / "plain.tar"]) == ([address], [])
    rated = tmp_path / "rated"
    assert collect_images([rated / "one-1.tar"]) == ([], [rated / "one-1.tar"])
    # The shards of one dataset are one table: their scale and splits belong together.
    photos = [f"{tmp_path}/a.png", address]
    assert collect_images([tmp_path, tmp_path / "plain.tar"]) == (photos, [tmp_path])
    assert collect_images([rated / "one-1.tar"], "beauty") == ([f"{rated}/one-1.tar::1.png"], [])
    table = read_ratings(tmp_path)
    assert table.frame["image"].tolist() == [f"{rated}/one-{n}.tar::1.png" for n in (1, 2)]
    assert table.frame["name"].tolist() == ["rated/one-1.tar::1.png", "rated/one-2.tar::1.png"]


@pytest.mark.parametrize("name", ["shard.tar.gz", "photos.zip"])
def test_packed_archives_are_refused_with_a_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b")
    for item in (tmp_path, tmp_path / name):
        with pytest.raises(InputError, match="npack") as caught:
            collect_images([item])
        assert name in str(caught.value)
        assert "make" in str(caught.value)


def test_photos_in_containers_go_through_the_step(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for number in range(3):
            path = make_photo(tmp_path / f"{number}.png", seed=number)
            tar.add(path, path.name)
    photos, _ = collect_images([tmp_path / "shard.tar"])
    with ImageStep(attrgetter("width"), 0, workers=1) as step:
        items = next(step.windows([[*photos, f"{tmp_path}/shard.tar::gone.png"]]))
    for number, item in enumerate(items[:3]):
        assert isinstance(item, Prepared)
        assert item.image_id == image_id_of(tmp_path / f"{number}.png")
    assert isinstance(items[3], Unusable)
    assert (items[3].kind, items[3].permanent) == ("unreadable", False)


def test_only_some_windows_are_read_ahead(tmp_path: Path, make_photo: Callable[..., Path]) -> None:
    """What bounds memory: payloads of no more than `ahead + 1` windows exist at once."""
    paths = [str(make_photo(tmp_path / f"{i}.png", seed=i)) for i in range(8)]
    begun = []

    def batches() -> Iterator[list[str]]:
        for path in paths:
            begun.append(path)
            yield [path]

    with ImageStep(attrgetter("width"), 0, workers=1) as step:
        for number, _ in enumerate(step.windows(batches(), ahead=2)):
            assert len(begun) == min(number + 3, 8)
