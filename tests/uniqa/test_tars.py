"""The quick reading of headers finds what `tarfile` finds."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from uniqa.tars import regular_files

NAMES = [
    "plain.jpg", "a/b/c.jpg", "ü/写真.jpg", "n" * 99 + ".jpg", "d" * 140 + "/" + "n" * 90 + ".jpg",
    "d" * 200 + "/" + "n" * 150, " space .jpg", "equals=new\nline.jpg",
]  # fmt: skip


def by_tarfile(path: Path) -> list[tuple[str, int, int]]:
    with tarfile.open(path) as tar:
        return [(one.name, one.offset_data, one.size) for one in tar if one.isreg()]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_all_formats_are_read_as_tarfile_reads_them(tmp_path: Path, form: int) -> None:
    # The oldest format has room for a hundred letters, and as many again for the folder.
    old = form == tarfile.USTAR_FORMAT
    names = [NAMES[n] for n in (0, 1, 2, 4)] if old else NAMES
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w", format=form, pax_headers={"comment": "for all"}) as tar:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size = 511 * number
            info.mtime = number if old else 1.5 * number  # type: ignore[assignment]
            tar.addfile(info, io.BytesIO(bytes(info.size)))
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
                other = tarfile.TarInfo(f"other{number}{kind!r}")
                other.type, other.linkname = kind, "plain.jpg"
                tar.addfile(other)
    assert list(regular_files(str(path))) == by_tarfile(path)
    assert len(by_tarfile(path)) == len(names)


def test_sizes_beyond_octal_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    info = tarfile.TarInfo("large.jpg")
    info.size = 1 << 40
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path.write_bytes(info.tobuf(form))
        (found,) = regular_files(str(path))
        assert (found[0], found[2]) == ("large.jpg", 1 << 40)


def test_names_in_other_encodings_are_spelled_out(tmp_path: Path) -> None:
    with tarfile.open(
        tmp_path / "t.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1"
    ) as tar:
        tar.addfile(tarfile.TarInfo("é.jpg"))
    assert [one[0] for one in regular_files(str(tmp_path / "t.tar"))] == ["\\xe9.jpg"]


def test_damaged_headers_are_told(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            tar.addfile(tarfile.TarInfo(name))
    data = bytearray(path.read_bytes())
    data[512 + 20] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="damaged header at byte 512"):
        list(regular_files(str(path)))
    for no_tar, why in ((b"", "empty"), (bytes(10240), "empty"), (b"x" * 600, "no tar header")):
        path.write_bytes(no_tar)
        with pytest.raises(ValueError, match=why):
            list(regular_files(str(path)))


def test_scrap_never_ends_in_anything_but_a_value_error(tmp_path: Path) -> None:
    import numpy as np

    path = tmp_path / "t.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in NAMES:
            info = tarfile.TarInfo(name)
            info.mtime = 0.5  # type: ignore[assignment]
            tar.addfile(info)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        at = int(random.integers(0, len(data) - 40))
        data[at : at + 40] = random.bytes(int(random.integers(1, 40))).ljust(40, b"9")
        path.write_bytes(bytes(data[: int(random.integers(1, len(data)))]))
        try:
            found = list(regular_files(str(path)))
        except ValueError:
            continue
        assert all(size >= 0 and offset >= 512 for _, offset, size in found)


def test_reading_stops_at_the_end_of_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("a.jpg"))
    path.write_bytes(path.read_bytes() + os.urandom(2000))
    assert [one[0] for one in regular_files(str(path))] == ["a.jpg"]
