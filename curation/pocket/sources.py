"""The photographs that the pocket models learn from, and on which terms.

They come from Debian packages of desktop backgrounds, whose licences allow derived works to be
passed on. The photographs that scikit-image and scikit-learn bring along are never learned from:
the models are examined on them.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uniqa.errors import EngineError, InputError


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


_UBPORTS = "usr/share/backgrounds"
_MATE = "usr/share/backgrounds/mate/nature"
_PLASMA = "usr/share/wallpapers"


def _lomiri(name: str, author: str, licence: str) -> Photograph:
    return Photograph("lomiri-wallpapers-16.04", f"{_UBPORTS}/{name}.jpg", author, licence)


def _mate(name: str, author: str) -> Photograph:
    return Photograph("mate-backgrounds", f"{_MATE}/{name}.jpg", author, "GPL-2.0-or-later")


def _plasma(name: str) -> Photograph:
    return Photograph(
        "plasma-workspace-wallpapers", f"{_PLASMA}/{name}/contents/images/2560x1600.jpg",
        "KDE Visual Design Group", "GPL-2.0-or-later",
    )  # fmt: skip


def _tux(name: str) -> Photograph:
    return Photograph(
        "tuxpaint-data", f"usr/share/tuxpaint/templates/{name}.jpg",
        "Bill Kendrick and contributors of Tux Paint", "GPL-2.0-or-later",
    )  # fmt: skip


# As the packages' copyright files state it.
PHOTOGRAPHS = (
    _lomiri("Bridge_by_Sander_Klootwijk", "Sander Klootwijk", "CC-BY-SA-4.0"),
    _lomiri("Dragonfly_by_Bolly", "Bolly", "CC-BY-SA-4.0"),
    _lomiri("Picture_0B_by_freespace", "Trevor \"Freespace\"", "CC-BY-4.0"),
    _lomiri("Picture_1A_by_freespace", "Trevor \"Freespace\"", "CC-BY-4.0"),
    _lomiri("Wine_by_Jakkub_Mede", "Jakub Mede", "CC-BY-4.0"),
    _lomiri("aitzgorri_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0"),
    _lomiri("free_by_Peter_Nerlich", "Peter Nerlich", "CC-BY-SA-4.0"),
    _lomiri("friends_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0"),
    _lomiri("greentock_by_Peter_Nerlich", "Peter Nerlich", "CC-BY-SA-4.0"),
    _lomiri("life_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0"),
    _lomiri("picosdeeuropa_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0"),
    _lomiri("seeding_by_Clements_Engelhardt", "Clemens Engelhardt", "CC0-1.0"),
    _lomiri("sunset_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0"),
    Photograph("lomiri-wallpapers-20.04", f"{_UBPORTS}/Kleiber_by_Lukas_Baubkus.jpg",
               "Lukas Baubkus", "CC-BY-SA-3.0"),
    _mate("Aqua", "Charles Barbin"),
    _mate("Blinds", "Lennart Poettering, Andrea Cimitan"),
    _mate("Dune", "Marco Cogoni, Hylke Bons"),
    _mate("FreshFlower", "Jens Ansorg"),
    _mate("Garden", "Charles Barbin"),
    _mate("GreenMeadow", "Timothy Schellhase, Lapo Calamandrei"),
    _mate("LadyBird", "Charles Barbin"),
    _mate("RainDrops", "blackcombwhistler07"),
    _mate("Storm", "Sergey Nazarov"),
    _mate("TwoWings", "Charles Barbin, Hylke Bons"),
    _mate("Wood", "Jean-François Fortin Tam"),
    _mate("YellowFlower", "Charles Barbin"),
    _plasma("BytheWater"),
    _plasma("ColdRipple"),
    _plasma("ColorfulCups"),
    _plasma("DarkestHour"),
    _plasma("EveningGlow"),
    _plasma("FallenLeaf"),
    _plasma("Grey"),
    _plasma("Kite"),
    _plasma("OneStandsOut"),
    _plasma("Path"),
    _plasma("summer_1am"),
    _tux("burnt_bark"),
    _tux("cliff"),
    _tux("corn_maze"),
    _tux("jellyfish"),
    _tux("lighthouse"),
    _tux("mossy_bark"),
    _tux("mossy_log"),
    _tux("mudstone"),
    _tux("ocean_splash"),
    _tux("ocean_waves"),
    _tux("redwoods_above"),
    _tux("rocks"),
    _tux("sheep"),
    _tux("spiders_web"),
    _tux("sun_behind_clouds"),
    _tux("sun_behind_leaves"),
    _tux("trees_above"),
    _tux("trees_at_dusk"),
    _tux("wool_mill_machine"),
)  # fmt: skip

PACKAGES = tuple(sorted({photograph.package for photograph in PHOTOGRAPHS}))


def fetch_photographs(folder: Path) -> list[tuple[Photograph, Path]]:
    """The photographs with their paths; packages that are missing are downloaded and unpacked.

    Args:
        folder: each package is unpacked to a folder of its own below it.

    Raises:
        EngineError: a package is missing and ``apt-get`` or ``dpkg-deb`` is not there or fails.
        InputError: a package does not hold what it should.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if not (folder / package).is_dir():
            _unpack(package, folder)
    found = [(photograph, folder / photograph.path) for photograph in PHOTOGRAPHS]
    for photograph, path in found:
        if not path.is_file():
            raise InputError(
                f"{path} is missing", f"Delete {folder / photograph.package} and run again"
            )
    return found


def _unpack(package: str, folder: Path) -> None:
    remedy = (
        f"On any Debian: apt-get download {package}; dpkg-deb -x {package}_*.deb {folder / package}"
    )
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise EngineError(f"the Debian package {package} is not in {folder}", remedy)
    done = subprocess.run(
        ["apt-get", "download", package], cwd=folder, capture_output=True, text=True, check=False
    )
    files = sorted(folder.glob(f"{package}_*.deb"))
    if done.returncode or not files:
        last = (done.stderr.strip().splitlines() or ["no such package"])[-1]
        raise EngineError(f"apt-get could not download {package} ({last})", remedy)
    part = folder / f"{package}.part"
    shutil.rmtree(part, ignore_errors=True)
    subprocess.run(["dpkg-deb", "-x", str(files[-1]), str(part)], check=True)
    part.replace(folder / package)
    for file in files:
        file.unlink()


def credits_table() -> Iterator[str]:
    """One Markdown table row per photograph, for the model cards."""
    for photograph in PHOTOGRAPHS:
        name = photograph.file.removeprefix("usr/share/")
        yield f"| {photograph.package} | {name} | {photograph.author} | {photograph.licence} |"
