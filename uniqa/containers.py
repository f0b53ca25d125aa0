"""Photos inside containers: tars, Parquet files and `datasets` directories, read at random.

A photo in a container has an address, ``CONTAINER::MEMBER``, that stands wherever a path can:
``shard.tar::a/1.jpg``, ``koniq.parquet::00000012``, ``koniq::train/00000012``. Containers are
opened once per process and kept while their file is unchanged; their photos are never all in
memory. Must not know what an image looks like, nor what a score is.
"""

from __future__ import annotations

import errno
import os
import stat as stat_of
from functools import lru_cache
from pathlib import Path

import pandas as pd

from uniqa.container_kinds import Container, ParquetFile, SavedDataset, Tar
from uniqa.errors import InputError

SEPARATOR = "::"
"""Between a container and its member."""

MISSING = (-1, -1)
"""The stamp of what is not there."""

PACKED = tuple(".tar.gz .tgz .tar.bz2 .tbz2 .tar.xz .txz .tar.zst .zip .7z .rar".split())
"""Endings of archives that cannot be read at random; they are refused with a remedy."""


def is_container(path: Path | str) -> bool:
    """Whether a path is a tar, a Parquet file with images in it, or a `datasets` directory.

    Packed archives are containers too, though one that `members` refuses with a remedy. Never
    raises: a damaged Parquet file is no container.
    """
    path = str(path)
    if path.lower().endswith((*PACKED, ".tar")):
        return _is_file(path)
    version = _version(path)
    if version is None:
        return False
    try:
        return len(_opened(path, *version)) > 0
    except InputError:
        return False


def members(path: Path | str) -> list[str]:
    """Addresses of all photos in a container, sorted; nothing is decoded.

    Raises:
        InputError: a container that cannot be opened, or that cannot be read at random.
    """
    container = str(path)
    return [f"{container}{SEPARATOR}{member}" for member in open_container(path).members()]


def columns(path: Path | str) -> dict[str, bool]:
    """What a container tells beside pixels: column name → whether it holds numbers.

    Of a tar only the first photos' files are looked at.

    Raises:
        InputError: a container that cannot be opened.
    """
    return open_container(path).columns()


def read_table(path: Path | str) -> pd.DataFrame:
    """Everything that a container tells beside pixels, one row per photo.

    Returns:
        A frame with the photos' addresses as `image`, then the container's columns: class labels
        by name; of a tar's ``KEY.json`` one column per key, ``outer.inner`` for a nested one, and
        ``txt``, ``cls`` … for files of that ending.

    Raises:
        InputError: a container that cannot be opened.
    """
    frame = open_container(path).table()
    addresses = [f"{path}{SEPARATOR}{member}" for member in frame.index]
    frame = frame.drop(columns="image", errors="ignore").reset_index(drop=True)
    frame.insert(0, "image", addresses)
    return frame


def read_bytes(address: Path | str) -> bytes:
    """The bytes of a file or of a photo in a container; empty where a row has none.

    Only regular files are opened: a pipe would wait for ever, a device never ends.

    Raises:
        OSError: not there, not a regular file, or unreadable.
    """
    path = str(address)
    try:
        with open(path, "rb", opener=_open_regular) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        inside = _split(path)
        if inside is None:
            raise
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, "no file can have this name") from error
    container, version, member = inside
    try:
        return _opened(container, *version).read(member)
    except KeyError as error:
        raise FileNotFoundError(errno.ENOENT, "no such photo in the container") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:
        # Arrow's errors have no common kind: each is a photo that cannot be had.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OSError(errno.EIO, reason) from error


def stamp(address: Path | str) -> tuple[int, int]:
    """Size and modification time in ns, to notice changes by; `MISSING` where nothing is.

    For a photo in a container the time is the container's.
    """
    path = str(address)
    try:
        info = os.stat(path)  # noqa: PTH116 (called for millions of paths)
    except (OSError, ValueError):
        inside = _split(path)
        if inside is None:
            return MISSING
        container, version, member = inside
        try:
            size = _opened(container, *version).size(member)
        except InputError:
            return MISSING
        return (size, version[1]) if size >= 0 else MISSING
    return (info.st_size, info.st_mtime_ns)


def exists(address: Path | str) -> bool:
    """Whether there is a file, or a photo in a container, at an address."""
    return _is_file(str(address)) or (SEPARATOR in str(address) and stamp(address) != MISSING)


def open_container(path: Path | str) -> Container:
    """The opened container, from this process's cache.

    Raises:
        InputError: not a container, damaged, or one that cannot be read at random.
    """
    path = str(path)
    if path.lower().endswith(PACKED):
        raise InputError(
            f"{path} is packed, and photos in it cannot be read one by one",
            "Unpack it, or make it a plain .tar",
        )
    version = _version(path)
    if version is None:
        raise InputError(
            f"no container at {path}", "Name a .tar, .parquet or a saved datasets directory"
        )
    return _opened(path, *version)


def _split(path: str) -> tuple[str, tuple[int, int], str] | None:
    """Container, its version and the member, where a path is an address."""
    at = path.find(SEPARATOR)
    while at > 0:
        version = _version(path[:at])
        if version is not None:
            return path[:at], version, path[at + len(SEPARATOR) :]
        at = path.find(SEPARATOR, at + 1)
    return None


def _version(path: str) -> tuple[int, int] | None:
    """Size and time of the file that changes with a container; None for what cannot be one."""
    if path.lower().endswith((".tar", ".parquet")):
        files = [path]
    else:
        files = [f"{path}/dataset_dict.json", f"{path}/state.json"]
    for file in files:
        try:
            info = os.stat(file)  # noqa: PTH116 (called for millions of paths)
        except (OSError, ValueError):
            continue
        if stat_of.S_ISREG(info.st_mode):
            return info.st_size, info.st_mtime_ns
    return None


@lru_cache(maxsize=64)
def _opened(path: str, size: int, mtime_ns: int) -> Container:  # noqa: ARG001 (cache key)
    if path.lower().endswith(".tar"):
        return Tar(path)
    return ParquetFile(path) if path.lower().endswith(".parquet") else SavedDataset(path)


def _is_file(path: str) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (called for millions of paths)


def _open_regular(path: str, flags: int) -> int:
    # Without blocking: opening a pipe to read waits for somebody who writes.
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if stat_of.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat_of.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "a folder, not a file")
    raise OSError(errno.EINVAL, "a pipe or device, not a regular file")
