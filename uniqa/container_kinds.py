"""What a container of photos can be: a tar, a Parquet file, or a `datasets` directory.

Each lists its photos without decoding any, reads one at random, and tells what stands beside the
pixels. Members are named as in addresses, without the container. Must not know how containers are
found, cached or addressed.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import json
import os
import posixpath
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from uniqa.errors import InputError
from uniqa.tars import regular_files

PHOTO_ENDINGS = frozenset(
    ".jpg .jpeg .jpe .png .webp .tif .tiff .bmp .gif .ppm .pgm .avif .jp2 .mpo".split()
)
"""File name endings that are taken for photos, in folders and in tars."""

_IMAGE_NAMES = frozenset("image img photo picture jpg jpeg png webp bytes image_bytes".split())
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")
_SIDECARS = frozenset("json txt cls mos score std votes group split dataset distortion".split())
_LARGEST_SIDECAR = 1 << 20
_BATCH_ROWS = 16


class Container(Protocol):
    """What the three kinds have in common. Members are named as in addresses, without `::`."""

    def __len__(self) -> int:
        """Photos in it."""

    def members(self) -> list[str]:
        """Names of its photos, sorted."""

    def read(self, member: str) -> bytes:
        """A photo's bytes, empty where its row has none; KeyError where there is no such photo."""

    def size(self, member: str) -> int:
        """A number that changes with the photo; -1 where there is none."""

    def columns(self) -> dict[str, bool]:
        """What is told beside the pixels: name → whether it holds numbers."""

    def table(self) -> pd.DataFrame:
        """All that is told beside the pixels, indexed by member."""


class Tar:
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
        """Names of its photos, sorted."""
        return sorted(self._photos)

    def read(self, member: str) -> bytes:
        """A photo's bytes, empty where its row has none; KeyError where there is no such photo."""
        return self._bytes(*self._photos[member])

    def size(self, member: str) -> int:
        """A number that changes with the photo; -1 where there is none."""
        return self._photos.get(member, (0, -1))[1]

    def columns(self) -> dict[str, bool]:
        """What is told beside the pixels: name → whether it holds numbers."""
        frame = self._frame(heapq.nsmallest(64, self._photos))
        return {
            str(name): bool(pd.to_numeric(frame[name], errors="coerce").notna().any())
            for name in frame.columns
        }

    def table(self) -> pd.DataFrame:
        """All that is told beside the pixels, indexed by member."""
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


class ParquetFile:
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
        """Names of its photos, sorted."""
        return [_row_name(row) for row in range(len(self))]

    def read(self, member: str) -> bytes:
        """A photo's bytes, empty where its row has none; KeyError where there is no such photo."""
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
        # Until it is found there is no group: what fails within a damaged one begins anew.
        self._group = -1
        for first, batch in self._batches:
            self._from, self._batch = first, batch
            if row < first + len(batch):
                self._group = group
                return
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
        """A number that changes with the photo; -1 where there is none."""
        try:
            _row(member, len(self))
        except KeyError:
            return -1
        return self._bytes

    def columns(self) -> dict[str, bool]:
        """What is told beside the pixels: name → whether it holds numbers."""
        return _told_columns(self._schema, self._image)

    def table(self) -> pd.DataFrame:
        """All that is told beside the pixels, indexed by member."""
        told = list(self.columns())
        with self._lock:
            table = self._file.read(columns=told)
        return _told_frame(table, self._schema, told, self.members())


class SavedDataset:
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
            for column in table.columns:
                # A damaged offset would have this process read where it must not.
                column.validate(full=True)
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
        """Names of its photos, sorted."""
        return [
            f"{prefix}{_row_name(row)}"
            for prefix, table in self._tables.items()
            for row in range(len(table))
        ]

    def read(self, member: str) -> bytes:
        """A photo's bytes, empty where its row has none; KeyError where there is no such photo."""
        prefix, table, row = self._find(member)
        return _value(table[self._images[prefix]][row])

    def size(self, member: str) -> int:
        """A number that changes with the photo; -1 where there is none."""
        try:
            return self._sizes[self._find(member)[0]]
        except KeyError:
            return -1

    def _find(self, member: str) -> tuple[str, Any, int]:
        split, slash, number = member.rpartition("/")
        table = self._tables[split + slash]
        return split + slash, table, _row(number, len(table))

    def columns(self) -> dict[str, bool]:
        """What is told beside the pixels: name → whether it holds numbers."""
        told: dict[str, bool] = {}
        for prefix, table in self._tables.items():
            told |= _told_columns(table.schema, self._images[prefix])
        return told

    def table(self) -> pd.DataFrame:
        """All that is told beside the pixels, indexed by member."""
        frames = []
        for prefix, table in self._tables.items():
            told = list(_told_columns(table.schema, self._images[prefix]))
            names = [f"{prefix}{_row_name(row)}" for row in range(len(table))]
            frame = _told_frame(table.select(told), table.schema, told, names)
            if prefix and "split" not in frame.columns:
                frame["split"] = prefix.rstrip("/")
            frames.append(frame)
        return pd.concat(frames) if frames else pd.DataFrame()


def _image_column(schema: Any, first: Callable[[str], bytes]) -> str | None:
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
        if data and (named or (data.startswith(_MAGIC) or data[8:12] == b"WEBP")):
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
