"""Qt resource files (``.rcc``): archives that some Debian packages keep their photographs in.

Only what is needed to take files out: the tree, names, zlib. Must not know photographs.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from uniqa.errors import InputError

_COMPRESSED, _FOLDER, _ZSTD = 1, 2, 4


def files_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """Path within the archive, with ``/``, and content, of every file, folder by folder.

    Raises:
        InputError: it is not a resource file, is cut off, or holds something else than plain and
            zlib-compressed files.
    """
    data = path.read_bytes()
    try:
        magic, version, tree, content, names = struct.unpack_from(">4sIIII", data)
        if magic != b"qres":
            raise ValueError("it does not begin with 'qres'")
        # Since version 2 every node carries the time of its last change.
        yield from _walk(data, (22 if version >= 2 else 14, tree, content, names), 0, "")
    except (struct.error, ValueError, zlib.error) as error:
        raise InputError(f"{path} is no Qt resource file ({error})", "Fetch it again") from error


def _walk(
    data: bytes, layout: tuple[int, int, int, int], node: int, path: str
) -> Iterator[tuple[str, bytes]]:
    size, tree, content, names = layout
    at = tree + node * size
    name, flags = struct.unpack_from(">IH", data, at)
    if node:
        path = f"{path}/{_name(data, names + name)}".lstrip("/")
    if flags & _FOLDER:
        count, first = struct.unpack_from(">II", data, at + 6)
        for child in range(first, first + count):
            yield from _walk(data, layout, child, path)
        return
    start = content + struct.unpack_from(">I", data, at + 10)[0]
    length = struct.unpack_from(">I", data, start)[0]
    held = data[start + 4 : start + 4 + length]
    if len(held) < length:
        raise ValueError("it is cut off")
    if flags & _ZSTD:
        raise ValueError(f"{path} in it is compressed by zstd")
    # Four bytes of the uncompressed length come before the stream.
    yield path, zlib.decompress(held[4:]) if flags & _COMPRESSED else held


def _name(data: bytes, at: int) -> str:
    length = struct.unpack_from(">H", data, at)[0]
    return data[at + 6 : at + 6 + 2 * length].decode("utf-16-be")
