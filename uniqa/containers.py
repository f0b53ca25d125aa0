"""Photos inside containers: tars, Parquet files and `datasets` directories, read at random.

A photo in a container has an address, ``CONTAINER::MEMBER``, that stands wherever a path can:
``shard.tar::a/1.jpg``, ``koniq.parquet::00000012``, ``koniq::train/00000012``. Containers are
opened once per process and kept while their file is unchanged; their photos are never all in
memory. Must not know what an image looks like, nor what a score is.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import posixpath
import stat as stat_of
import threading
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from uniqa.errors import InputError
from uniqa.tars import regular_files

SEPARATOR = "::"
"""Between a container and its member."""

PHOTO_ENDINGS = frozenset(
    ".jpg .jpeg .jpe .png .webp .tif .tiff .bmp .gif .ppm .pgm .avif .jp2 .mpo".split()
)
"""File name endings that are taken for photos, in folders and in tars."""

MISSING = (-1, -1)
"""The stamp of what is not there."""

PACKED = tuple(".tar.gz .tgz .tar.bz2 .tbz2 .tar.xz .txz .tar.zst .zip .7z .rar".split())
"""Endings of archives that cannot be read at random; they are refused with a remedy."""

_IMAGE_NAMES = frozenset("image img photo picture jpg jpeg png webp bytes image_bytes".split())
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM")
_SIDECARS = frozenset("json txt cls mos score std votes group split dataset distortion".split())
_LARGEST_SIDECAR = 1 << 20
_BATCH_ROWS = 16


class _Container(Protocol):
    """What the three kinds have in common. Members are named as in addresses, without `::`."""

    def __len__(self) -> int:
        """Photos in it."""

    def members(self) -> list[str]:
        """Names of its photos, sorted."""

    def read(self, member: str) -> bytes:
        """A member's bytes, empty where its row has none; KeyError where there is no member."""

    def size(self, member: str) -> int:
        """A number that changes with the member; -1 where there is none."""

    def columns(self) -> dict[str, bool]:
        """What is told beside the pixels: name → whether it holds numbers."""

    def table(self) -> pd.DataFrame:
        """The same as a frame, indexed by member."""


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
    except (InputError, ValueError, OverflowError) as error:
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


def open_container(path: Path | str) -> _Container:
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
def _opened(path: str, size: int, mtime_ns: int) -> _Container:  # noqa: ARG001 (cache key)
    if path.lower().endswith(".tar"):
        return _Tar(path)
    return _Parquet(path) if path.lower().endswith(".parquet") else _Datasets(path)


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


class _Tar:
    """A tar's headers: where each photo and each small file beside it begins."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._photos: dict[str, tuple[int, int]] = {}
        self._beside: dict[str, dict[str, tuple[int, int]]] = {}
        try:
            for name, offset, size in regular_files(path):
                self._add(posixpath.normpath(name).lstrip("/"), offset, size)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} cannot be read as a tar ({_line(error)})", "Copy it again"
            ) from error

    def _add(self, name: str, offset: int, size: int) -> None:
        if name.startswith(".") or "/." in name:
            return
        key, ending = _key(name)
        if posixpath.splitext(name)[1].lower() in PHOTO_ENDINGS:
            self._photos[name] = (offset, size)
        elif ending in _SIDECARS and size <= _LARGEST_SIDECAR:
            self._beside.setdefault(key, {})[ending] = (offset, size)

    def __len__(self) -> int:
        return len(self._photos)

    def members(self) -> list[str]:
        return sorted(self._photos)

    def read(self, member: str) -> bytes:
        return self._bytes(*self._photos[member])

    def size(self, member: str) -> int:
        return self._photos.get(member, MISSING)[1]

    def columns(self) -> dict[str, bool]:
        frame = self._frame(list(itertools.islice(sorted(self._photos), 64)))
        return {
            str(name): bool(pd.to_numeric(frame[name], errors="coerce").notna().any())
            for name in frame.columns
        }

    def table(self) -> pd.DataFrame:
        return self._frame(self.members())

    def _frame(self, photos: list[str]) -> pd.DataFrame:
        rows = [self._told(_key(photo)[0]) for photo in photos]
        return pd.DataFrame(rows, index=pd.Index(photos, dtype=object))

    def _told(self, key: str) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for ending, place in sorted(self._beside.get(key, {}).items()):
            text = self._bytes(*place).decode("utf-8", "replace").strip()
            if ending == "json":
                row.update(_flat(text))
            else:
                row.setdefault(ending, text)
        return row

    def _bytes(self, offset: int, size: int) -> bytes:
        with open(self._path, "rb", buffering=0) as file:  # noqa: PTH123 (unbuffered, hot)
            data = os.pread(file.fileno(), size, offset)
            while len(data) < size:
                more = os.pread(file.fileno(), size - len(data), offset + len(data))
                if not more:
                    raise OSError(errno.EIO, "the tar is cut off within this photo")
                data += more
        return data


class _Parquet:
    """A Parquet file with a column of image bytes, read batch by batch.

    Reading in order costs one pass over the file, however large its row groups are; going back
    begins the row group again.
    """

    def __init__(self, path: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            # Buffered and not ahead: else a whole row group comes into memory at once.
            self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
            self._schema = self._file.schema_arrow
            self._image = _image_column(self._schema, self._first)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{path} cannot be read as Parquet ({_line(error)})", "Copy it again"
            ) from error
        counts = [
            self._file.metadata.row_group(group).num_rows
            for group in range(self._file.num_row_groups)
        ]
        self._starts = list(itertools.accumulate(counts, initial=0))
        self._bytes = os.path.getsize(path)  # noqa: PTH202
        self._lock = threading.Lock()
        self._batches: Iterator[tuple[int, Any]] = iter(())
        self._group, self._from, self._batch = -1, 0, _no_rows()

    def __len__(self) -> int:
        return self._starts[-1] if self._image else 0

    def members(self) -> list[str]:
        return [_row_name(row) for row in range(len(self))]

    def read(self, member: str) -> bytes:
        row = _row(member, len(self))
        with self._lock:
            if not self._from <= row < self._from + len(self._batch):
                self._seek(row)
            return _value(self._batch[row - self._from])

    def _seek(self, row: int) -> None:
        group = bisect_right(self._starts, row) - 1
        if group != self._group or row < self._from:
            self._group, self._batch = group, _no_rows()
            self._batches = self._from_group(group)
        for first, batch in self._batches:
            self._from, self._batch = first, batch
            if row < first + len(batch):
                return
        self._group = -1
        raise OSError(errno.EIO, "the Parquet file has fewer rows than it says")

    def _from_group(self, group: int) -> Iterator[tuple[int, Any]]:
        at = self._starts[group]
        for batch in self._file.iter_batches(
            _BATCH_ROWS, row_groups=[group], columns=[self._leaf(str(self._image))]
        ):
            yield at, batch.column(0)
            at += len(batch)

    def _leaf(self, column: str) -> str:
        import pyarrow as pa

        return f"{column}.bytes" if pa.types.is_struct(self._schema.field(column).type) else column

    def _first(self, column: str) -> bytes:
        """The first photo's bytes."""
        for batch in self._file.iter_batches(
            1, row_groups=[0] if self._file.num_row_groups else [], columns=[self._leaf(column)]
        ):
            return _value(batch.column(0)[0])
        return b""

    def size(self, member: str) -> int:
        try:
            _row(member, len(self))
        except KeyError:
            return -1
        return self._bytes

    def columns(self) -> dict[str, bool]:
        return _told_columns(self._schema, self._image)

    def table(self) -> pd.DataFrame:
        told = list(self.columns())
        with self._lock:
            table = self._file.read(columns=told)
        return _told_frame(table, self._schema, told, self.members())


class _Datasets:
    """A directory written by `save_to_disk`, one dataset or several splits, memory-mapped."""

    def __init__(self, path: str) -> None:
        self._tables: dict[str, Any] = {}
        self._images: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        marker = Path(path) / "dataset_dict.json"
        splits = [str(name) for name in _json(marker, "splits")] if marker.is_file() else [""]
        for split in sorted(splits):
            folder = _below(Path(path), split) if split else Path(path)
            self._open(f"{split}/" if split else "", folder)

    def _open(self, prefix: str, folder: Path) -> None:
        import pyarrow as pa

        files = [
            _below(folder, str(file.get("filename")) if isinstance(file, dict) else "")
            for file in _json(folder / "state.json", "_data_files")
        ]
        try:
            tables = [pa.ipc.open_stream(pa.memory_map(str(file))).read_all() for file in files]
            if not tables:
                return
            table = pa.concat_tables(tables)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{folder} cannot be read as a saved dataset ({_line(error)})", "Save it again"
            ) from error

        def first(column: str) -> bytes:
            return _value(table[column][0]) if len(table) else b""

        image = _image_column(table.schema, first)
        if image:
            self._tables[prefix] = table
            self._images[prefix] = image
            self._sizes[prefix] = sum(file.stat().st_size for file in files)

    def __len__(self) -> int:
        return sum(map(len, self._tables.values()))

    def members(self) -> list[str]:
        return [
            f"{prefix}{_row_name(row)}"
            for prefix, table in self._tables.items()
            for row in range(len(table))
        ]

    def read(self, member: str) -> bytes:
        prefix, table, row = self._find(member)
        return _value(table[self._images[prefix]][row])

    def size(self, member: str) -> int:
        try:
            return self._sizes[self._find(member)[0]]
        except KeyError:
            return -1

    def _find(self, member: str) -> tuple[str, Any, int]:
        split, slash, number = member.rpartition("/")
        table = self._tables[split + slash]
        return split + slash, table, _row(number, len(table))

    def columns(self) -> dict[str, bool]:
        told: dict[str, bool] = {}
        for prefix, table in self._tables.items():
            told |= _told_columns(table.schema, self._images[prefix])
        return told

    def table(self) -> pd.DataFrame:
        frames = []
        for prefix, table in self._tables.items():
            told = list(_told_columns(table.schema, self._images[prefix]))
            names = [f"{prefix}{_row_name(row)}" for row in range(len(table))]
            frame = _told_frame(table.select(told), table.schema, told, names)
            if prefix and "split" not in frame.columns:
                frame["split"] = prefix.rstrip("/")
            frames.append(frame)
        return pd.concat(frames) if frames else pd.DataFrame()


def _image_column(schema: Any, first: Any) -> str | None:
    """The column with image bytes: told by `datasets`, or by its type, name and first value."""
    import pyarrow as pa

    features = _features(schema)
    fitting: list[str] = []
    for field in schema:
        kind = str(features.get(field.name, {}).get("_type", ""))
        struct = pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
        binary = pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)
        if (struct or binary) and kind in ("", "Image", "Value"):
            fitting.append(field.name)
    # Named like an image before others, so that a mask or a thumbnail does not win.
    fitting.sort(key=lambda name: (name.lower() not in _IMAGE_NAMES, schema.names.index(name)))
    for name in fitting:
        data = first(name)
        named = name.lower() in _IMAGE_NAMES or features.get(name, {}).get("_type") == "Image"
        if data and (named or data.startswith(_MAGIC)):
            return name
    return None


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """What `datasets` noted of each column."""
    try:
        told = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: value for name, value in told.items() if isinstance(value, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _told_columns(schema: Any, image: str | None) -> dict[str, bool]:
    import pyarrow as pa

    features = _features(schema)
    told: dict[str, bool] = {}
    for field in schema:
        kind = field.type
        number = (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        )
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        plain = number or text or pa.types.is_boolean(kind) or pa.types.is_dictionary(kind)
        if field.name != image and plain:
            told[field.name] = number and features.get(field.name, {}).get("_type") != "ClassLabel"
    return told


def _told_frame(table: Any, schema: Any, told: list[str], names: list[str]) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()[told] if told else pd.DataFrame(index=range(len(table)))
    for column, feature in _features(schema).items():
        labels = feature.get("names")
        if column in told and feature.get("_type") == "ClassLabel" and isinstance(labels, list):
            frame[column] = frame[column].map(dict(enumerate(map(str, labels))))
    return frame.set_index(pd.Index(names, dtype=object))


def _row_name(row: int) -> str:
    # As wide as hundred million rows need, so that addresses sort like rows.
    return f"{row:08d}"


def _row(name: str, rows: int) -> int:
    """The row that a member's name means; KeyError where there is none."""
    if not (name.isascii() and name.isdigit() and len(name) < 20) or int(name) >= rows:
        raise KeyError(name)
    return int(name)


def _value(cell: Any) -> bytes:
    value = cell.as_py()
    if isinstance(value, dict):
        value = value.get("bytes")
    return value if isinstance(value, bytes) else b""


def _no_rows() -> Any:
    return ()


def _key(name: str) -> tuple[str, str]:
    """A tar member's sample and ending: ``a/1.json`` is ``("a/1", "json")``."""
    folder, base = posixpath.split(name)
    key, _, ending = base.partition(".")
    return posixpath.join(folder, key), ending.lower()


def _flat(text: str) -> dict[str, Any]:
    """JSON's keys and values, nested ones as ``outer.inner``; nothing where it is no object."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    flat: dict[str, Any] = {}
    for key, value in told.items() if isinstance(told, dict) else ():
        nested = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else None
        for name, one in (nested or {key: value}).items():
            if isinstance(one, str | int | float):
                flat[str(name)] = one
    return flat


def _json(path: Path, key: str) -> list[Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} is not what `save_to_disk` writes ({_line(error)})", "Save the dataset again"
        ) from error
    return value if isinstance(value, list) else []


def _below(folder: Path, name: str) -> Path:
    """A file or folder named in a dataset's own directory, never one elsewhere."""
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise InputError(f"{folder} names the part {name!r}, which is not in it", "Save it again")
    return folder / name


def _line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__
