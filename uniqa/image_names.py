"""From the names that a table gives its photos to files, or to photos in containers.

Names come without endings, or relative to another folder than the table's. Must not know ratings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from uniqa.containers import SEPARATOR, exists, is_container, members
from uniqa.errors import InputError
from uniqa.photos import absolute, search


def resolve_images(
    table: Path, names: Sequence[str], images_root: Path | None, guessed: list[str]
) -> list[str]:
    """Absolute paths (or addresses in containers) for the image names of a table.

    Args:
        table: names are relative to its folder, or to an ``images`` folder in it.
        names: as written; endings may be missing.
        images_root: folder or container that they are relative to instead.
        guessed: where it is said which folder was taken.

    Raises:
        InputError: no folder at `images_root`.
    """
    return _Resolver(table, images_root, guessed).resolve(names)


class _Resolver:
    """Finds files, or photos in containers, for the names in a table."""

    def __init__(self, table: Path, images_root: Path | None, guessed: list[str]) -> None:
        if images_root is not None and not (images_root.is_dir() or is_container(images_root)):
            raise InputError(f"no folder at {images_root}", "Check --images-root")
        # Where a table is a link, its photos may stand beside the link or beside the file.
        beside = dict.fromkeys((absolute(table).parent, table.resolve().parent))
        self.roots = [one for here in beside for one in (here, here / "images")]
        if images_root:
            self.roots = [absolute(images_root)]
        self.told = images_root is not None
        self.guessed = guessed

    def resolve(self, names: Sequence[str]) -> list[str]:
        if self.told and is_container(self.roots[0]):
            inside = self._inside(self.roots[0])
            return [inside.get(n, f"{self.roots[0]}{SEPARATOR}{n}") for n in names]
        sample = names[:: max(1, len(names) // 50)]
        hits = {r: sum(self._find(r, name) is not None for name in sample) for r in self.roots}
        root = max(self.roots, key=lambda candidate: hits[candidate])
        if not self.told and root != self.roots[0]:
            self.guessed.append(f"image names are relative to {root}")
        missing = [name for name in sample if self._find(root, name) is None]
        stems: dict[str, str] = {}
        if missing and root.is_dir():
            # Names without an ending, or of photos in containers: look all up once.
            found = search(root, inside=self.told)
            for file in found.photos:
                relative = Path(file).relative_to(root)
                stems.setdefault(str(relative.with_suffix("")), file)
            for container in found.containers:
                stems = self._inside(container) | stems
        return [self._find(root, n) or stems.get(n) or str(absolute(root / n)) for n in names]

    @staticmethod
    def _find(root: Path, name: str) -> str | None:
        path = absolute(root / name)
        return str(path) if exists(path) else None

    @staticmethod
    def _inside(container: Path | str) -> dict[str, str]:
        """Addresses of a container's photos by name, with and without ending."""
        start = len(f"{container}{SEPARATOR}")
        inside = {address[start:]: address for address in members(container)}
        return {name.rpartition(".")[0]: address for name, address in inside.items()} | inside


def names_below(path: Path, addresses: Sequence[str]) -> list[str]:
    """Addresses as they read in the dataset's own folder."""
    own = absolute(path)
    start = len(str(own.parent if is_container(own) else own).rstrip("/")) + 1
    return [address[start:] for address in addresses]
