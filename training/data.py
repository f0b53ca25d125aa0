"""What training reads: manifests, ratings tables, and lists of photos.

A manifest is read strictly (any other schema is one clear line), a ratings table through
`uniqa.ratings`. Must not know models or features.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uniqa.console import say, warn
from uniqa.containers import exists, is_container, members
from uniqa.errors import InputError, UsageError, nearest
from uniqa.levels import TASKS, Scale
from uniqa.photos import find_photos, search
from uniqa.rating_files import NAMES, is_table, read_frame
from uniqa.ratings import RatingsTable, read_datasets, read_ratings, told_of
from uniqa.splits import SPLITS, seeded_key, split_groups

_COLUMNS = "image image_id dataset task mos mos_std score level scale split group captions".split()
_CAPTION = "text weight task cue source model".split()


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption as the manifest has it."""

    text: str
    weight: float
    task: str


@dataclass(frozen=True)
class Manifest:
    """A manifest's rows, column by column; `scores` are unified, NaN where nobody rated."""

    path: Path
    sha256: str
    images: list[Path]
    ids: list[str]
    tasks: list[str]
    scores: NDArray[np.float64]
    splits: list[str]
    groups: list[str]
    captions: list[list[Caption]]
    datasets: list[str]
    """Whose ratings the scores are; empty where nobody rated."""

    def rows(self, split: str) -> list[int]:
        """Rows of a split that have a caption to learn from."""
        return [row for row, name in enumerate(self.splits) if name == split and self.captions[row]]

    def main_task(self) -> str:
        """The task that most training rows are rated for; quality where none is."""
        told = [
            task for task, split in zip(self.tasks, self.splits, strict=True) if split != "test"
        ]
        return max(TASKS, key=lambda task: (told.count(task), task == "quality"))

    def photos(self) -> list[int]:
        """A number per row: rows of one photo, rated several times, have the same."""
        first = {image_id: row for row, image_id in reversed(list(enumerate(self.ids)))}
        return [first[image_id] for image_id in self.ids]

    def kinds(self) -> list[int]:
        """A code per row: scores of one code can be compared, those of others cannot.

        Sharpness and beauty are no one score, and neither are the scores of two datasets: mapped
        to 0–1, one panel's 0.7 is still another's 0.5. −1 where no task is named.
        """
        pairs = list(zip(self.tasks, self.datasets, strict=True))
        known = sorted({pair for pair in pairs if pair[0]})
        codes = {pair: code for code, pair in enumerate(known)}
        return [codes.get(pair, -1) for pair in pairs]

    def silent_tasks(self) -> list[str]:
        """Tasks that photos are rated for while no caption speaks about them.

        Captions that name no task speak about any.
        """
        spoken = {caption.task for captions in self.captions for caption in captions}
        if not spoken or "" in spoken:
            return []
        return [task for task in TASKS if task in self.tasks and task not in spoken]


@dataclass(frozen=True)
class Rated:
    """A ratings table ready for learning; `scores` unified, `splits` empty where not told."""

    path: Path
    images: list[Path]
    names: list[str]
    scores: NDArray[np.float64]
    groups: list[str]
    splits: list[str]
    scale: Scale
    task: str
    stds: NDArray[np.float64]
    """How far single votes on a photo spread, on the 0–1 scale; NaN where unknown."""
    dataset: str
    """Its name: as the table has it, or else the file's or folder's."""
    called: str
    """The table in messages, with the dataset where it has several."""

    def take(self, rows: Sequence[int]) -> Rated:
        """The same table with only these rows, in this order."""
        return Rated(
            self.path,
            [self.images[r] for r in rows],
            [self.names[r] for r in rows],
            self.scores[list(rows)],
            [self.groups[r] for r in rows],
            [self.splits[r] for r in rows],
            self.scale,
            self.task,
            self.stds[list(rows)],
            self.dataset,
            self.called,
        )


def read_manifest(path: Path, *, to_learn: bool = True) -> Manifest:
    """Read and check a Parquet or JSON-lines manifest.

    With `to_learn` a task that photos are rated for, but no caption speaks about, is said.

    Raises:
        InputError: no such file, not a manifest, or values that a manifest cannot hold.
    """
    if not path.is_file():
        raise InputError(f"no manifest at {path}", "Make one by uniqa-curate filter")
    _check_not_empty(path, "Make it again by uniqa-curate filter")
    table = _dataset(path)
    _check_columns(path, table.column_names)
    columns = {name: table[name] for name in _COLUMNS}
    if not len(columns["image"]):
        raise InputError(f"{path} has no rows")
    base = path.resolve().parent
    captions = [_captions(path, row, value) for row, value in enumerate(columns["captions"])]
    splits = [str(split) for split in columns["split"]]
    _check_known(path, "split", splits, SPLITS)
    tasks = [str(task or "") for task in columns["task"]]
    _check_known(path, "task", tasks, (*TASKS, ""))
    ids = [str(image_id) for image_id in columns["image_id"]]
    if not all(len(i) == 64 and set(i) <= set("0123456789abcdef") for i in ids):
        raise InputError(f"{path} has an image_id that is no SHA-256", "Make the manifest again")
    try:
        scores = np.array(
            [np.nan if s is None else float(s) for s in columns["score"]], dtype=np.float64
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} has a score that is no number ({error})") from error
    if ((scores < 0) | (scores > 1)).any():
        raise InputError(f"{path} has scores outside 0–1", "`score` is unified; `mos` is not")
    manifest = Manifest(
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        images=[base / str(image) for image in columns["image"]],
        ids=ids,
        tasks=tasks,
        scores=scores,
        splits=splits,
        groups=[str(g or i) for g, i in zip(columns["group"], ids, strict=True)],
        captions=captions,
        datasets=[str(dataset or "") for dataset in columns["dataset"]],
    )
    if to_learn:
        for task in manifest.silent_tasks():
            warn(
                f"{path} has photos rated for the task '{task}', but no captions about it: its "
                f"prompts will mean little. Make some by uniqa-curate generate --task {task}"
            )
    return manifest


def _check_not_empty(path: Path, remedy: str) -> None:
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)", remedy)


def _dataset(path: Path) -> Any:
    import datasets
    from datasets.exceptions import DatasetGenerationError

    datasets.disable_progress_bars()
    # What is wrong with a file is said once, by us.
    datasets.logging.get_logger("datasets").setLevel(logging.CRITICAL)
    kind = path.name.lower().rpartition(".")[2]
    if kind not in ("parquet", "jsonl"):
        raise InputError(f"{path} is not a manifest", "Use .parquet or .jsonl")

    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with tempfile.TemporaryDirectory() as scratch:
            if kind == "parquet" and pq.read_metadata(path).num_rows == 0:
                raise InputError(f"{path} has no rows")
            read = (
                datasets.Dataset.from_parquet if kind == "parquet" else datasets.Dataset.from_json
            )
            return read(str(path), keep_in_memory=True, cache_dir=scratch)
    except (DatasetGenerationError, pa.ArrowException, ValueError, OSError, StopIteration) as error:
        cause = error.__cause__ or error
        reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        raise InputError(f"{path} cannot be read as a manifest ({reason})") from error


def _check_columns(path: Path, found: Sequence[str]) -> None:
    missing = [name for name in _COLUMNS if name not in found]
    if missing:
        raise InputError(
            f"{path} is not a manifest: it has no column {', '.join(missing)}",
            "Make one by uniqa-curate filter",
        )
    unknown = sorted(set(found) - set(_COLUMNS))
    if unknown:
        raise InputError(
            f"{path} is not a manifest: unknown column '{unknown[0]}'",
            nearest(unknown[0], _COLUMNS),
        )


def _check_known(path: Path, column: str, values: Sequence[str], known: Sequence[str]) -> None:
    other = sorted(set(values) - set(known))
    if other:
        raise InputError(f"{path} has the unknown {column} '{other[0]}'", nearest(other[0], known))


def _captions(path: Path, row: int, value: Any) -> list[Caption]:
    where = f"{path}, row {row + 1}"
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InputError(f"{where}: `captions` is not a list of captions")
    captions = []
    for item in value:
        missing = [name for name in _CAPTION if name not in item]
        if missing:
            raise InputError(f"{where}: a caption without `{missing[0]}`")
        weight = item["weight"]
        if not isinstance(item["text"], str) or not item["text"].strip():
            raise InputError(f"{where}: a caption without text")
        if not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            raise InputError(f"{where}: the caption weight {weight!r} is not above 0")
        captions.append(Caption(item["text"], float(weight), str(item["task"] or "")))
    return captions


def read_rated(path: Path, **options: Any) -> Rated:
    """Read the ratings of one dataset; arguments and errors as for `read_rated_datasets`.

    Raises:
        InputError: also where the table has several datasets and none is chosen.
    """
    return _each_said(path, options, lambda asked: [read_ratings(path, **asked)])[0]


def read_rated_datasets(path: Path, **options: Any) -> list[Rated]:
    """Read a ratings table (a manifest is one), saying what was guessed and left out.

    Of a table that names tasks only the rows for `task` are taken: sharpness and beauty are not one
    score. Of one that names datasets each is by itself, those with more ratings first.

    Args:
        path: the table.
        options: `image_column`, `score_column`, `images_root`, `scale`, `task` and `only` of
            `uniqa.ratings.read_datasets`.

    Raises:
        InputError: a table that cannot be used, or one for several tasks where none is named.
        UsageError: an option that does not fit it.
    """
    return _each_said(path, options, lambda asked: read_datasets(path, **asked))


def _each_said(
    path: Path, options: dict[str, Any], read: Callable[[dict[str, Any]], list[RatingsTable]]
) -> list[Rated]:
    task = options.get("task", "")
    if task and task not in TASKS:
        raise UsageError(f"no task '{task}'", nearest(task, TASKS))
    _check_not_empty(path, "Give a table with a column for the image and one for its score")
    # Without a task named a table of several is refused.
    tables = read({"task": "", **options})
    for table in tables:
        _check_scale(table)
    guesses, losses = told_of(tables)
    for guess in guesses:
        say(f"guessed: {guess}", "dim")
    for loss in losses:
        warn(loss)
    return [_rated(table, task) for table in tables]


def _rated(table: RatingsTable, task: str) -> Rated:
    frame = table.frame
    return Rated(
        path=table.path,
        images=[Path(image) for image in frame["image"]],
        names=list(frame["name"]),
        scores=frame["score"].to_numpy(dtype=np.float64),
        groups=list(frame["group"]),
        splits=list(frame["split"]),
        scale=table.scale,
        task=task or "".join(table.tasks),
        stds=_spread_of_votes(table),
        dataset=table.dataset,
        called=table.called,
    )


def _check_scale(table: RatingsTable) -> None:
    """Ratings that all lie beyond the told scale would become all the same."""
    scale, mos = table.scale, table.frame["mos"]
    low, high = sorted((scale.worst, scale.best))
    if (mos < low).all() or (mos > high).all():
        raise InputError(
            f"all {len(mos)} ratings of {table.called} lie outside the scale {low:g}–{high:g}: "
            f"they run from {mos.min():g} to {mos.max():g}",
            "Set it by a column scale" if table.several else "Set it by --scale WORST:BEST",
        )


def _spread_of_votes(table: RatingsTable) -> NDArray[np.float64]:
    """Deviations on the 0–1 scale; NaN where none is told, or where it is of a single vote."""
    stds = table.frame["std"].to_numpy(dtype=np.float64)
    votes = table.frame["votes"].to_numpy(dtype=np.float64)
    known = np.isfinite(stds) & (stds >= 0) & ~(votes <= 1)
    return np.where(known, stds / table.scale.width, np.nan)


def hold_back(rated: Rated, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Rows of the training pool and of the test, no group in both.

    A table that names test rows is taken at its word (its train and val rows are the pool, rows
    without a split join it unless their group is tested); any other is split group by group.

    Raises:
        InputError: one of the two would be empty.
    """
    if "test" in rated.splits:
        tested = {g for g, s in zip(rated.groups, rated.splits, strict=True) if s == "test"}
        test = [row for row, split in enumerate(rated.splits) if split == "test"]
        pool = [
            row
            for row, (group, split) in enumerate(zip(rated.groups, rated.splits, strict=True))
            if split != "test" and group not in tested
        ]
        left = len(rated.splits) - len(test) - len(pool)
        if left:
            warn(f"{left} photos left out: their group is tested, so they must not be learned from")
    else:
        told = split_groups(
            rated.groups, seed=seed, fractions={"train": 1 - fraction, "test": fraction}
        )
        test = [row for row, group in enumerate(rated.groups) if told[group] == "test"]
        pool = [row for row, group in enumerate(rated.groups) if told[group] != "test"]
    if len(test) < 2 or len(pool) < 2:
        raise InputError(
            f"{rated.called} gives {len(pool)} photos to learn from and {len(test)} to test on",
            "Both need 2 or more, in different groups",
        )
    return pool, test


def draw(ids: Sequence[str], count: int, seed: int) -> list[int]:
    """`count` of the photos by seed (all when 0 or more than there are), as ascending rows.

    Drawn by identity: neither the table's order nor the photos' folder changes the draw.
    """
    order = sorted(range(len(ids)), key=lambda row: seeded_key(seed, ids[row]))
    return sorted(order[:count] if count else order)


def find_images(inputs: Sequence[Path], images_root: Path | None = None) -> list[Path]:
    """Photos named by files, folders and tables, each once, in the order they were named.

    Raises:
        InputError: an input that does not exist, or nothing found.
    """
    return [Path(address) for address in find_addresses(inputs, images_root)]


def find_addresses(inputs: Sequence[Path], images_root: Path | None = None) -> list[str]:
    """As `find_images`, as text: of ten million photos that is a gigabyte, not five.

    Raises:
        InputError: an input that does not exist, or nothing found.
    """
    found: dict[str, None] = {}
    for path in inputs:
        if path.is_dir() and not is_container(path):
            here = search(path)
            inside = (address for one in here.containers for address in members(one))
            found.update(dict.fromkeys(sorted([*here.photos, *inside])))
        elif path.is_file() and is_table(path):
            found.update(dict.fromkeys(map(str, _table_images(path, images_root))))
        elif is_container(path):
            found.update(dict.fromkeys(members(path)))
        elif path.is_file():
            found[str(path)] = None
        else:
            raise InputError(f"nothing at {path}", "Name a photo, a folder or a table")
    if not found:
        raise InputError(f"no photos in {', '.join(map(str, inputs))}", "Check the folder")
    return list(found)


def _table_images(path: Path, images_root: Path | None) -> list[Path]:
    """A table's photos, rated or not; names may lack their ending, as in ratings tables."""
    frame = read_frame(path)
    plain = {str(column).lower(): str(column) for column in frame.columns}
    column = next((plain[name] for name in NAMES["image"] if name in plain), None)
    if column is None:
        has = ", ".join(map(str, frame.columns))
        raise InputError(f"{path} has no image column (it has: {has})", "Call it image")
    names = [name for value in frame[column] if (name := str(value).strip())]
    here = path.resolve().parent
    roots = [images_root] if images_root else [here, here / "images"]
    root = max(roots, key=lambda folder: sum(exists(folder / name) for name in names[:50]))
    if all(exists(root / name) for name in names):
        return [root / name for name in names]
    stems = {
        str(photo.relative_to(folder).with_suffix("")): photo
        for folder in reversed(roots)
        if folder.is_dir()
        for photo in find_photos(folder)
    }
    return [root / n if exists(root / n) else stems.get(n, root / n) for n in names]


def make_folds(groups: Sequence[str], seed: int, count: int = 5) -> list[list[int]]:
    """Rows in up to `count` folds, groups whole, in seeded order; each to the smallest fold."""
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    folds: list[list[int]] = [[] for _ in range(min(count, len(members)))]
    for group in sorted(members, key=lambda name: (seeded_key(seed, name), name)):
        min(folds, key=len).extend(members[group])
    return [sorted(fold) for fold in folds]
