"""Where the pocket models' photographs come from, and that each is credited and licensed."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import pytest

from curation.pocket.rcc import files_of
from curation.pocket.shipped import POCKETS, shipped_models
from curation.pocket.sources import (
    APART,
    CREDITS,
    Photograph,
    apart,
    credits_table,
    packages,
    photographs,
    read_photographs,
    write_photographs,
)
from uniqa.errors import InputError

PASSED_ON = re.compile(r"CC0-1\.0|CC-BY(-SA)?-[1-4]\.\d|GPL-[23]\.0-or-later|public domain")


def test_every_photograph_is_credited_and_may_be_passed_on() -> None:
    everything = photographs()
    assert len({photograph.path for photograph in everything}) == len(everything) >= 160
    for photograph in everything:
        assert photograph.author.strip()
        assert PASSED_ON.fullmatch(photograph.licence), photograph
        assert not Path(photograph.file).is_absolute()


def test_the_exam_is_not_learned_from() -> None:
    names = {
        package for package in packages(photographs()) if "scikit" in package or "sk" in package
    }
    assert not names


@pytest.mark.parametrize("name", POCKETS)
def test_cards_credit_what_the_weights_learned_from(name: str) -> None:
    folder = shipped_models()[name]
    learned = read_photographs(folder / CREDITS)
    assert set(learned) <= set(photographs())
    card = (folder / "README.md").read_text("utf-8")
    credited = [line for line in card.splitlines() if line.startswith("| ") and "/" in line]
    assert [row for row in credits_table(learned) if row not in credited] == []
    assert f"Crops of {len(learned)} photographs" in card
    assert ", ".join(packages(learned)) in card
    if set(learned) != set(photographs()):
        assert f"The builder has {len(photographs())} photographs by now" in card


def test_tables_come_back_and_bad_ones_are_named(tmp_path: Path) -> None:
    table = tmp_path / "photographs.csv"
    some = (Photograph("p", "usr/a, b.jpg", 'Trevor "F" שם', "CC0-1.0"),)
    write_photographs(some, table)
    assert read_photographs(table) == some
    table.write_text("package,file\np,f\n", "utf-8")
    with pytest.raises(
        InputError, match=r"photographs\.csv has not the columns package, file, auth"
    ):
        read_photographs(table)
    with pytest.raises(InputError, match=r"missing\.csv cannot be read"):
        read_photographs(tmp_path / "missing.csv")


def test_a_share_of_every_larger_package_is_kept_apart() -> None:
    paths = [Path(photograph.path) for photograph in photographs()]
    learned, kept = apart(paths)
    assert len(kept) == len(paths) // APART
    assert sorted([*learned, *kept]) == sorted(paths)
    assert not set(learned) & set(kept)
    for package in packages(photographs()):
        if sum(path.parts[0] == package for path in paths) >= APART:
            assert any(path.parts[0] == package for path in kept)


def _archive(files: dict[str, bytes], flags: int = 0) -> bytes:
    """A resource file of version 1 with one folder ``in`` that holds some files."""
    names, content, nodes = b"", b"", b""

    def named(name: str) -> int:
        nonlocal names
        at = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
        return at

    nodes += struct.pack(">IHII", 0, 2, 1, 1)
    nodes += struct.pack(">IHII", named("in"), 2, len(files), 2)
    for name, data in files.items():
        nodes += struct.pack(">IHHHI", named(name), flags, 0, 0, len(content))
        content += struct.pack(">I", len(data)) + data
    head = 20
    return (
        struct.pack(
            ">4sIIII", b"qres", 1, head, head + len(nodes), head + len(nodes) + len(content)
        )
        + nodes
        + content
        + names
    )


def test_resource_files_open(tmp_path: Path) -> None:
    path = tmp_path / "a.rcc"
    path.write_bytes(_archive({"ä.webp": b"one", "b.jpg": b""}))
    assert list(files_of(path)) == [("in/ä.webp", b"one"), ("in/b.jpg", b"")]
    packed = struct.pack(">I", 3) + zlib.compress(b"two")
    path.write_bytes(_archive({"c": packed}, flags=1))
    assert list(files_of(path)) == [("in/c", b"two")]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"PK..", "unpack"),
        (b"RIFF" + bytes(40), "does not begin with"),
        (_archive({"c": b"xx"}, flags=4), "zstd"),
        (_archive({"c": struct.pack(">I", 3) + b"no stream"}, flags=1), "decompress"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "a.rcc"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"no Qt resource file.*{why}"):
        list(files_of(path))
