"""Features of photos and texts, computed once and kept.

The store is a folder of safetensors shards per encoder and crop policy; a row is known by the
SHA-256 of what it was made from, so renamed and moved photos are found again and changed ones are
not. Shards are written beside and renamed, small ones are merged into later ones; a killed run
loses at most the last `FLUSH` rows. Must not know what features are for.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from training.encoders import MAX_SIDE, Features, ImageTower, TextTower
from uniqa.console import progress, warn
from uniqa.errors import InputError
from uniqa.photos import PhotoError, image_id_of, read_photo

SHARD_ROWS = 512
FLUSH = 128

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


def default_cache() -> Path:
    """The user's own cache folder for features."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("uniqa")) / "features"


@dataclass(frozen=True)
class PhotoFeatures:
    """Features of those of the asked-for photos that could be read.

    `rows` maps each asked-for position to a row of `values`, −1 where the photo failed; `ids` and
    `errors` (message by position) speak of the asked-for positions too.
    """

    values: Features
    rows: NDArray[np.int64]
    ids: list[str]
    errors: dict[int, str] = field(default_factory=dict)
    computed: int = 0

    @property
    def good(self) -> NDArray[np.int64]:
        """Positions of photos that have features."""
        return np.flatnonzero(self.rows >= 0)


class FeatureStore:
    """Rows of half-precision numbers by 64-digit key, for one encoder and policy.

    What `get` returns has been through half precision even when just computed: a first and a
    repeated run see the same numbers.
    """

    def __init__(self, folder: Path, kind: str, dim: int) -> None:
        digest = hashlib.sha256(f"{kind}\x1f{dim}".encode()).hexdigest()[:16]
        self.folder = folder / digest
        self.dim = dim
        self._where: dict[str, tuple[Path, int]] = {}
        self._pending: dict[str, NDArray[np.float16]] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "about.txt").write_text(f"{kind}\n{dim}\n", encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"the feature cache {folder} cannot be written ({error.strerror})",
                "Name another folder by --cache",
            ) from error
        self._index()

    def __contains__(self, key: str) -> bool:
        """Whether a row is stored or waiting to be."""
        return key in self._where or key in self._pending

    def put(self, key: str, values: Features) -> None:
        """Keep one row; every `FLUSH` rows go to disk."""
        self._pending[key] = values.astype(np.float16)
        if len(self._pending) >= FLUSH:
            self.flush()

    def get(self, keys: Sequence[str]) -> Features:
        """(n, dim) stored rows in the order of `keys`.

        Raises:
            KeyError: a key that is not stored.
        """
        out = np.empty((len(keys), self.dim), dtype=np.float32)
        by_shard: dict[Path, list[int]] = {}
        for at, key in enumerate(keys):
            if key in self._pending:
                out[at] = self._pending[key]
            else:
                by_shard.setdefault(self._where[key][0], []).append(at)
        for shard, places in by_shard.items():
            rows = [self._where[keys[at]][1] for at in places]
            try:
                out[places] = _load_shard(shard)["values"][rows]
            except InputError:
                # Another process merged this shard into a larger one since it was indexed.
                self._where.clear()
                self._index()
                if any(self._where.get(keys[at], (shard, 0))[0] == shard for at in places):
                    raise
                out[places] = self.get([keys[at] for at in places])
        return out

    def flush(self) -> None:
        """Write what is waiting, together with the last shard that has room."""
        if not self._pending:
            return
        merged: list[Path] = []
        rows = dict(self._pending)
        for shard, count in self._sizes().items():
            if count < SHARD_ROWS and len(rows) + count <= SHARD_ROWS:
                keys = [key for key, (where, _) in self._where.items() if where == shard]
                try:
                    values = _load_shard(shard)["values"]
                except InputError:
                    continue
                rows.update({key: values[self._where[key][1]] for key in keys})
                merged.append(shard)
        self._write(rows)
        self._pending.clear()
        for shard in merged:
            shard.unlink(missing_ok=True)

    def _write(self, rows: dict[str, NDArray[np.float16]]) -> None:
        from safetensors.numpy import save

        keys = sorted(rows)
        packed = np.frombuffer(bytes.fromhex("".join(keys)), dtype=np.uint8).reshape(-1, 32)
        blob = save({"keys": packed.copy(), "values": np.stack([rows[key] for key in keys])})
        shard = self.folder / f"part-{hashlib.sha256(blob).hexdigest()[:16]}.safetensors"
        handle, name = tempfile.mkstemp(dir=self.folder, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(blob)
        Path(name).replace(shard)
        self._where.update({key: (shard, row) for row, key in enumerate(keys)})

    def _sizes(self) -> dict[Path, int]:
        sizes: dict[Path, int] = {}
        for shard, _ in self._where.values():
            sizes[shard] = sizes.get(shard, 0) + 1
        return sizes

    def _index(self) -> None:
        for shard in sorted(self.folder.glob("part-*.safetensors")):
            try:
                packed = _load_shard(shard, only="keys")["keys"]
            except InputError:
                warn(f"the cached features in {shard.name} are damaged and will be made again")
                shard.unlink(missing_ok=True)
                continue
            self._where.update({bytes(key).hex(): (shard, row) for row, key in enumerate(packed)})


class PassingStore(FeatureStore):
    """Rows kept in memory only, with the same rounding: for photos that nobody will ask for again.

    Ten million photos would fill a disk with features, and an index of them the memory.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._where = {}
        self._pending = {}

    def put(self, key: str, values: Features) -> None:
        """Keep one row."""
        self._pending[key] = values.astype(np.float16)

    def flush(self) -> None:
        """Nothing goes to disk."""


def _load_shard(path: Path, only: str = "") -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as shard:
            return {name: shard.get_tensor(name) for name in ([only] if only else shard.keys())}
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} cannot be read ({error})", "Run again: it will be made anew"
        ) from error


def store_of(tower: ImageTower, cache: Path) -> FeatureStore:
    """The cache's store of one tower's photos."""
    return FeatureStore(cache, f"{tower.name} {tower.policy}", tower.dim)


def photo_features(
    paths: Sequence[Path],
    tower: ImageTower,
    cache: Path,
    *,
    ids: Sequence[str] | None = None,
    label: str = "features",
    workers: int = 2,
    store: FeatureStore | None = None,
    tick: Callable[[], None] | None = None,
) -> PhotoFeatures:
    """Features of photos, from the store where it has them.

    Args:
        paths: files; those that cannot be read end up in `errors`, nothing is raised for them.
        tower: the encoder.
        cache: folder of the store.
        ids: SHA-256 of each file's bytes where already known; a file that no longer has these
            bytes is an error when its features have to be computed.
        label: stage shown while it runs.
        workers: reading threads.
        store: an open store to use instead of the cache's.
        tick: hears after each photo; with it no display of its own is shown.
    """
    store = store or store_of(tower, cache)
    errors: dict[int, str] = {}
    display = progress() if tick is None else contextlib.nullcontext(Progress(disable=True))
    with ThreadPoolExecutor(workers) as pool, display as bar:
        if ids is None:
            task = bar.add_task("hashing", total=len(paths), note="")
            known = []
            for at, result in enumerate(_ahead(pool, _hash, paths, 64)):
                known.append("" if isinstance(result, PhotoError) else result)
                if isinstance(result, PhotoError):
                    errors[at] = result.message
                bar.advance(task)
        else:
            known = list(ids)
        wanted = {key: at for at, key in reversed(list(enumerate(known))) if key}
        missing = sorted(at for key, at in wanted.items() if key not in store)
        failed: dict[str, str] = {}

        def read(at: int) -> tuple[str, Any] | PhotoError:
            return _read(paths[at], tower)

        task = bar.add_task(label, total=len(wanted), completed=len(wanted) - len(missing), note="")
        try:
            for at, got in zip(missing, _ahead(pool, read, missing, 4 * workers), strict=True):
                if isinstance(got, PhotoError):
                    failed[known[at]] = got.message
                elif got[0] != known[at]:
                    failed[known[at]] = "the file has changed: its bytes are not those listed"
                else:
                    store.put(known[at], tower.encode(got[1]))
                bar.update(task, advance=1, note=f"{len(failed)} failed" if failed else "")
                if tick is not None:
                    tick()
        finally:
            store.flush()
    errors.update({at: failed[key] for at, key in enumerate(known) if key in failed})
    good = [at for at in range(len(paths)) if at not in errors]
    rows = np.full(len(paths), -1, dtype=np.int64)
    rows[good] = np.arange(len(good))
    values = store.get([known[at] for at in good])
    return PhotoFeatures(values, rows, known, errors, len(missing) - len(failed))


def text_features(
    texts: Sequence[str], tower: TextTower, cache: Path, *, label: str = "captions"
) -> Features:
    """(n, dim) features of texts, from the store where it has them."""
    store = FeatureStore(cache, tower.name, tower.dim)
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    missing = [
        at
        for at in dict(zip(keys, range(len(keys)), strict=True)).values()
        if keys[at] not in store
    ]
    if not missing:
        return store.get(keys)
    # Long texts together: a window then has few different lengths, so its batches are full.
    missing.sort(key=lambda at: (len(texts[at]), texts[at]))
    with progress() as bar:
        task = bar.add_task(label, total=len(set(keys)), note="")
        bar.advance(task, len(set(keys)) - len(missing))
        try:
            for start in range(0, len(missing), 1024):
                window = missing[start : start + 1024]
                values = tower.encode([texts[at] for at in window])
                for at, row in zip(window, values, strict=True):
                    store.put(keys[at], row)
                bar.advance(task, len(window))
        finally:
            store.flush()
    return store.get(keys)


def _hash(path: Path) -> str | PhotoError:
    try:
        return image_id_of(path)
    except PhotoError as error:
        return error


def _read(path: Path, tower: ImageTower) -> tuple[str, Any] | PhotoError:
    try:
        photo = read_photo(path, max_side=MAX_SIDE)
    except PhotoError as error:
        return error
    return photo.image_id, tower.prepare(photo.pixels)


def _ahead(
    pool: ThreadPoolExecutor,
    work: Callable[[_Item], _Done],
    items: Sequence[_Item],
    window: int,
) -> Iterator[_Done]:
    """Results in order, with at most `window` items under way: memory stays bounded."""
    waiting: deque[Future[_Done]] = deque()
    source = iter(items)
    try:
        for item in source:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            with contextlib.suppress(Exception):
                future.cancel()
