"""The photographs that the pocket models learn from, and on which terms.

They come from Debian packages of desktop backgrounds and of programs for children, whose licences
allow derived works to be passed on; `photographs.csv` lists them. The photographs that scikit-image
and scikit-learn bring along are never learned from: the models are examined on them.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path

from curation.pocket.rcc import files_of
from uniqa.errors import EngineError, InputError

TABLE = Path(__file__).resolve().parents[1] / "data" / "photographs.csv"
"""All photographs to learn from, as the packages' copyright files and READMEs credit them."""

CREDITS = "photographs.csv"
"""Within a model's folder: the photographs that it has learned from, which may be fewer."""

APART = 6
"""One photograph in so many is kept apart from the eyes."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph: where it lies in its package, whose it is, on which terms."""

    package: str
    file: str
    author: str
    licence: str

    @property
    def path(self) -> str:
        """Path below the folder that the packages were unpacked to."""
        return f"{self.package}/{self.file}"


def read_photographs(table: Path = TABLE) -> tuple[Photograph, ...]:
    """The photographs of a table, in its order.

    Raises:
        InputError: the table is missing or is not one of photographs.
    """
    wanted = [field.name for field in fields(Photograph)]
    try:
        with table.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{table} cannot be read ({error})", "Install UniQA again") from error
    if header != wanted or any(len(row) != len(wanted) for row in rows):
        raise InputError(f"{table} has not the columns {', '.join(wanted)}", "Install UniQA again")
    return tuple(Photograph(*row) for row in rows)


def write_photographs(photographs: Sequence[Photograph], table: Path) -> None:
    """Write what `read_photographs` reads."""
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Photograph)])
        writer.writerows(astuple(photograph) for photograph in photographs)


@cache
def photographs() -> tuple[Photograph, ...]:
    """All that there are to learn from."""
    return read_photographs()


def apart(several: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Photographs that the eyes learn from, and those kept apart, to see how the eyes then do.

    Packages lie together in the table, so that every one of them is in both.
    """
    kept = list(several[APART - 1 :: APART])
    return [path for path in several if path not in set(kept)], kept


def fetch_photographs(folder: Path) -> list[tuple[Photograph, Path]]:
    """The photographs with their paths; packages that are missing are downloaded and unpacked.

    Args:
        folder: each package is unpacked to a folder of its own below it.

    Raises:
        EngineError: a package is missing and ``apt-get`` or ``dpkg-deb`` is not there or fails.
        InputError: a package does not hold what it should.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages(photographs()):
        if not (folder / package).is_dir():
            _unpack(package, folder)
    found = [(photograph, folder / photograph.path) for photograph in photographs()]
    for photograph, path in found:
        if not path.is_file():
            raise InputError(
                f"{path} is missing", f"Delete {folder / photograph.package} and run again"
            )
    return found


def packages(several: Sequence[Photograph]) -> tuple[str, ...]:
    """The packages that photographs come from, sorted."""
    return tuple(sorted({photograph.package for photograph in several}))


def _unpack(package: str, folder: Path) -> None:
    remedy = (
        f"On any Debian: apt-get download {package}; put {package}_*.deb into {folder}, run again"
    )
    if shutil.which("dpkg-deb") is None:
        raise EngineError(f"dpkg-deb is not here, to unpack the Debian package {package}", remedy)
    files = sorted(folder.glob(f"{package}_*.deb"))
    if not files:
        if shutil.which("apt-get") is None:
            raise EngineError(f"the Debian package {package} is not in {folder}", remedy)
        done = subprocess.run(
            ["apt-get", "download", package],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        files = sorted(folder.glob(f"{package}_*.deb"))
        if done.returncode or not files:
            last = (done.stderr.strip().splitlines() or ["no such package"])[-1]
            raise EngineError(f"apt-get could not download {package} ({last})", remedy)
    part = folder / f"{package}.part"
    shutil.rmtree(part, ignore_errors=True)
    subprocess.run(["dpkg-deb", "-x", str(files[-1]), str(part)], check=True)
    _open_archives(package, part)
    part.replace(folder / package)
    for file in files:
        file.unlink()


def _open_archives(package: str, folder: Path) -> None:
    """Take the photographs out of Qt resource files: ``x.rcc`` gives a folder ``x`` beside it."""
    wanted = {p.file for p in photographs() if p.package == package}
    for archive in sorted(folder.rglob("*.rcc")):
        beside = archive.with_suffix("")
        here = beside.relative_to(folder).as_posix()
        if not any(file.startswith(f"{here}/") for file in wanted):
            continue
        beside.mkdir(exist_ok=True)
        for path, content in files_of(archive):
            name = path.rpartition("/")[2]
            if f"{here}/{name}" in wanted:
                (beside / name).write_bytes(content)


def credits_table(several: Sequence[Photograph]) -> Iterator[str]:
    """One Markdown table row per photograph, for the model cards."""
    for photograph in several:
        name = photograph.file.removeprefix("usr/share/")
        yield f"| {photograph.package} | {name} | {photograph.author} | {photograph.licence} |"
