"""Ratings tables: CSV, TSV, Parquet or JSON lines with one row per image, on any scale.

Containers of photos (see `uniqa.containers`) that hold scores too are ratings tables as well; so
is a folder of such containers, the shards of one dataset.

Real tables are messy: columns have many names, file names come with spaces or without endings,
scores are missing, some scales run backwards. This module takes what can be taken, says in plain
sentences what it guessed (`RatingsTable.guessed`) and what it left out (`RatingsTable.dropped`),
and refuses with one clear line what it cannot use. A manifest is a valid ratings table.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from uniqa.containers import SEPARATOR, columns, exists, is_container, members, read_table
from uniqa.errors import InputError, UsageError, nearest
from uniqa.levels import TASKS, Scale, level_of
from uniqa.photos import absolute, search
from uniqa.splits import SPLITS, split_groups

# First name that a table has wins; compared in lower case without spaces, dashes, underscores.
NAMES: dict[str, list[str]] = {
    "image": (
        "image image_path image_name img path file filename file_name filepath photo picture "
        "dist_img dis_img_path distorted name image_id id"
    ).split(),
    "mos": (
        "mos mean_opinion_score dmos mos_quality quality_mos mos_zscore score mean rating "
        "mean_score beauty quality aesthetic"
    ).split(),
    "std": "std mos_std sd stddev mos_sd score_std stdev".split(),
    "votes": "votes n_votes num_votes n raters num_ratings count".split(),
    "dataset": ["dataset"],
    "group": "group content scene reference ref ref_img ref_img_path source_image".split(),
    "split": "split set fold".split(),
    "scale": ["scale"],
    "task": ["task"],
    "known": (
        "distortion distortion_type dist_type distortion_name dist_name degradation corruption "
        "attribute known"
    ).split(),
}

_RENAMED_SPLITS = {
    "training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test",
}  # fmt: skip

_USUAL_SCALES = ((0, 1), (1, 5), (0, 5), (1, 7), (1, 9), (1, 10), (0, 10), (0, 100))


@dataclass(frozen=True)
class RatingsTable:
    """A ratings table made regular.

    `frame` has one row per image, in the table's order, with the columns `image` (absolute path
    as text), `name` (as written in the table), `mos` (own scale), `score` (unified, 0–1),
    `level`, `std`, `votes` (NaN where unknown), `dataset`, `group`, `split` and `known` (a word
    for a distortion or attribute that is known of the photo); the last two are empty where the
    table gives none.
    """

    path: Path
    frame: pd.DataFrame
    scale: Scale
    guessed: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    tasks: tuple[str, ...] = ()
    """Tasks that the kept rows are rated for, by a column `task`; other words are no tasks."""

    @property
    def name(self) -> str:
        """What the table is called in messages."""
        return self.path.name

    def with_splits(self, seed: int = 0) -> pd.DataFrame:
        """`frame` with every empty split filled, group by group (see `split_groups`)."""
        frame = self.frame.copy()
        open_rows = frame["split"] == ""
        if open_rows.any():
            told: dict[Any, str] = frame.loc[~open_rows].groupby("group")["split"].first().to_dict()
            free = frame.loc[open_rows & ~frame["group"].isin(list(told)), "group"]
            told.update(split_groups(free, seed=seed))
            frame.loc[open_rows, "split"] = frame.loc[open_rows, "group"].map(told)
        return frame


def is_table(path: Path, score_column: str | None = None) -> bool:
    """Whether a path is a ratings table: by its ending, or a container of photos with scores.

    Args:
        path: a file or a `datasets` directory.
        score_column: name of the scores, when they have an unusual one.

    Raises:
        InputError: a container that cannot be opened.
    """
    if is_container(path):
        return has_scores(path, score_column)
    return _kind(path) is not None and not path.is_dir()


def has_scores(container: Path | str, score_column: str | None = None) -> bool:
    """Whether a container of photos has a numeric column that is named like scores are.

    Raises:
        InputError: a container that cannot be opened.
    """
    names = {_plain(score_column)} if score_column else set(map(_plain, NAMES["mos"]))
    return any(
        number and bool(names.intersection((_plain(name), _leaf(name))))
        for name, number in columns(container).items()
    )


def read_frame(path: Path) -> pd.DataFrame:
    """Read a table as it is, every cell of a text format as text.

    A container, or a folder of rated containers, gives the photos' addresses as `image` and all
    that it tells beside the pixels.

    Raises:
        InputError: no such file, an ending that is no table's, or a file that does not parse.
    """
    if path.is_dir() or is_container(path):
        return _read_containers(path, None, [])
    kind = _kind(path)
    if not path.is_file():
        raise InputError(f"no table at {path}", "Check the path")
    if kind is None:
        raise InputError(f"{path} is not a table", "Use .csv, .tsv, .parquet or .jsonl")
    try:
        if kind == "parquet":
            return _with_image_paths(pd.read_parquet(path))
        if kind == "json":
            return pd.read_json(path, lines=True, dtype=False)
        return _read_text(path, "\t" if kind == "tsv" else ",")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} cannot be read as a table (not UTF-8 text)", "Save it as UTF-8"
        ) from error
    except (ValueError, OSError, pd.errors.ParserError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as a table ({reason})") from error


def _with_image_paths(frame: pd.DataFrame) -> pd.DataFrame:
    """`datasets` writes photos that it did not embed as pairs of no bytes and a path."""
    for column in frame.columns:
        first = frame[column].iloc[0] if len(frame) else None
        if isinstance(first, dict) and set(first) == {"bytes", "path"}:
            frame[column] = [cell.get("path") if cell else None for cell in frame[column]]
    return frame


def _read_containers(path: Path, score_column: str | None, guessed: list[str]) -> pd.DataFrame:
    """A container's table, or one of all rated containers below a folder: shards of a dataset."""
    path = absolute(path)
    if is_container(path):
        shards = [str(path)]
    else:
        shards = [one for one in search(path).containers if has_scores(one, score_column)]
    if not shards:
        raise InputError(
            f"no ratings in the folder {path}", "Name a table, or a container of photos with scores"
        )
    _check_shards(path, shards)
    frames: list[pd.DataFrame] = []
    for shard in shards:
        frame = read_table(shard)
        told = re.match(r"([a-z]+)[-_.\d]", Path(shard).name.lower())
        if told and "split" not in frame.columns:
            name = _RENAMED_SPLITS.get(told[1], told[1])
            if name in SPLITS:
                frame["split"] = name
                guessed.append(f"photos in {Path(shard).name} are of the split {name}, by its name")
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _check_shards(folder: Path, shards: Sequence[str]) -> None:
    """Refuse two datasets in one folder: they would get one scale.

    Shards differ in numbers and splits only: train-00000-of-00004, test-00000-of-00001.
    """
    words = {*SPLITS, *_RENAMED_SPLITS, "of", ""}
    first = None
    for shard in shards:
        parts = re.split(r"[\W\d_]+", str(Path(shard).relative_to(folder.parent)).lower())
        name = [part for part in parts if part not in words]
        if first not in (None, name):
            raise InputError(
                f"{shards[0]} and {shard} look like two datasets with ratings",
                "Name each by itself, or put each into a folder of its own",
            )
        first = name


def _read_text(path: Path, separator: str) -> pd.DataFrame:
    header = pd.read_csv(path, sep=separator, nrows=0, index_col=False).columns
    if len(header) == 1 and "\t" in str(header[0]):
        # Tables for CLIP training are called .csv, whatever separates their columns.
        separator = "\t"
        header = pd.read_csv(path, sep=separator, nrows=0, index_col=False).columns
    semicolons = len(header) == 1 and ";" in str(header[0])
    if semicolons:
        separator = ";"
        header = pd.read_csv(path, sep=separator, nrows=0, index_col=False).columns
    # With a column to spare: a field too many would else shift all the others by one, silently.
    names = [*header, "\0spare"]
    with warnings.catch_warnings():
        # Of fields too many, which is said once, below.
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        frame = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            header=None,
            skiprows=1,
            names=names,
            index_col=False,
        )
    spare = frame.pop("\0spare")
    full = spare[spare.notna() & (spare != "")]
    if len(full):
        raise InputError(
            f"{path} has more fields in row {int(full.index[0]) + 2} than in its header",
            "Quote commas inside a field",
        )
    if semicolons:
        # Where the semicolon separates, the comma is the decimal sign.
        frame = frame.replace(r"^(-?\d+),(\d+)$", r"\1.\2", regex=True)
    return frame


def read_ratings(
    path: Path,
    *,
    image_column: str | None = None,
    score_column: str | None = None,
    images_root: Path | None = None,
    scale: Scale | None = None,
    dataset: str | None = None,
    known_column: str | None = None,
    task: str | None = None,
) -> RatingsTable:
    """Read a ratings table and make it regular.

    Args:
        path: .csv, .tsv, .parquet, .jsonl (also gzipped text); a container of photos with scores
            (.tar, .parquet, saved `datasets` directory), or a folder of such.
        image_column, score_column: names; guessed (and said) when not given. A container's photos
            are its members, whatever `image_column` says.
        images_root: folder or container that image names are relative to; guessed when not given:
            the table's own folder, or an ``images`` folder in it.
        scale: ends of the scale; guessed (and said) when not given.
        dataset: name of the dataset; the table's ``dataset`` column or its file name otherwise.
        known_column: words for a distortion or attribute known of each photo; guessed (and said)
            when not given, but never where they are numbers.
        task: whose ratings are wanted: rows that a column ``task`` names another for are left out
            (and said). Empty: a table of several is refused. Not given: all are taken.

    Raises:
        InputError: unreadable, no usable column, no usable row, or several tasks.
        UsageError: a named column that the table does not have.
    """
    inside = path.is_dir() or is_container(path)
    guessed: list[str] = []
    raw = _read_containers(path, score_column, guessed) if inside else read_frame(path)
    if raw.empty:
        raise InputError(f"{path} has no rows")
    named = {
        "image": "image" if inside else image_column,
        "mos": score_column,
        "known": known_column,
    }
    columns = _choose_columns(path, raw, named, guessed)
    dropped: list[str] = []
    if task is not None:
        raw = _of_task(path, raw, columns, task, dropped)
    frame = pd.DataFrame({"name": raw[columns["image"]].astype(str).str.strip()})
    for number in ("mos", "std", "votes"):
        source = columns.get(number)
        frame[number] = pd.to_numeric(raw[source], errors="coerce") if source else float("nan")
    frame, unusable = _drop_unusable(path, raw, frame, columns)
    dropped += unusable
    _check_numeric(path, frame, columns["mos"])
    if inside:
        images = frame["name"].tolist()
        # As addresses are told apart below the dataset, wherever it lies.
        frame["name"] = _below(path, images)
    else:
        images = resolve_images(path, frame["name"].tolist(), images_root, guessed)
    frame, merged = _merge_repeats(path, raw.loc[frame.index], frame.assign(image=images))
    dropped += merged
    raw = raw.loc[frame.index]
    own = columns.get("scale")
    if scale is None and own is not None:
        scale = _own_scale(path, raw[own])
    if scale is None:
        scale = _guess_scale(frame, raw.columns, columns["mos"], guessed)
    beyond = int(((frame["mos"] - scale.worst) * (frame["mos"] - scale.best) > 1e-9).sum())
    if beyond:
        dropped.append(f"{beyond} ratings lie beyond the scale {scale.name} and were clipped to it")
    frame["score"] = scale.unify(frame["mos"].to_numpy())
    frame["level"] = [level_of(score) for score in frame["score"]]
    frame["dataset"] = _text(raw, columns.get("dataset"), dataset or _stem(path))
    group = _text(raw, columns.get("group"), "")
    frame["group"] = group.where(group != "", frame["name"])
    frame["split"] = _splits(path, _text(raw, columns.get("split"), ""))
    frame["known"] = _text(raw, columns.get("known"), "")
    tasks = _tasks(raw, columns.get("task"))
    return RatingsTable(path, frame.reset_index(drop=True), scale, guessed, dropped, tasks)


def _choose_columns(
    path: Path,
    raw: pd.DataFrame,
    named: Mapping[str, str | None],
    guessed: list[str],
) -> dict[str, str]:
    plain = {_plain(column): column for column in map(str, raw.columns)}
    for column in map(str, raw.columns):
        plain.setdefault(_leaf(column), column)
    columns: dict[str, str] = {}
    for meaning, names in NAMES.items():
        wanted = named.get(meaning)
        if wanted is not None:
            if wanted not in raw.columns:
                raise UsageError(f"{path} has no column '{wanted}'", nearest(wanted, raw.columns))
            columns[meaning] = wanted
            continue
        found = next((plain[_plain(name)] for name in names if _plain(name) in plain), None)
        if found is None or (meaning == "group" and _is_fractional(raw[found])):
            continue
        if meaning == "known" and _is_numeric(raw[found]):
            guessed.append(
                f"column '{found}' of {path.name} is not taken for distortions: it holds numbers, "
                "which name none"
            )
            continue
        columns[meaning] = found
        if found != meaning:
            what = {"mos": "score", "known": "known distortion"}.get(meaning, meaning)
            guessed.append(f"column '{found}' of {path.name} is taken as the {what}")
    for meaning, option in (("image", "--image-column"), ("mos", "--score-column")):
        if meaning not in columns:
            what = "image" if meaning == "image" else "score"
            has = ", ".join(map(str, raw.columns))
            raise InputError(f"{path} has no {what} column (it has: {has})", f"Name it by {option}")
    return columns


def _tasks(raw: pd.DataFrame, column: str | None) -> tuple[str, ...]:
    told = set(_text(raw, column, "").str.lower())
    return tuple(task for task in TASKS if task in told)


def _of_task(
    path: Path, raw: pd.DataFrame, columns: dict[str, str], task: str, dropped: list[str]
) -> pd.DataFrame:
    """The rows for one task, and those that name none; all where no row names a task."""
    scored = raw[pd.to_numeric(raw[columns["mos"]], errors="coerce").notna()]
    there = _tasks(scored, columns.get("task"))
    if not there:
        return raw
    if not task and len(there) > 1:
        raise InputError(f"{path} has ratings for {' and '.join(there)}", "Choose one by --task")
    if task and task not in there:
        raise InputError(
            f"{path} has no ratings for the task '{task}', only for {there[0]}",
            f"Leave --task out, or give --task {there[0]}",
        )
    told = _text(raw, columns["task"], "").str.lower()
    kept = raw[told.isin([task, ""])] if task else raw
    if len(kept) < len(raw):
        dropped.append(f"{len(raw) - len(kept)} rows left out: rated for another task than {task}")
    return kept


def _is_numeric(column: pd.Series[Any]) -> bool:
    """Whether all that a column says are numbers: a code such as 1 to 24 names nothing."""
    told = column[column.notna() & (column.astype(str).str.strip() != "")]
    return bool(pd.to_numeric(told, errors="coerce").notna().all())


def _is_fractional(column: pd.Series[Any]) -> bool:
    """Whether a column holds measurements: AADB's "Content" is a score, not a content's name."""
    numbers = pd.to_numeric(column, errors="coerce").dropna()
    return bool(len(numbers) == len(column) and (numbers % 1 != 0).any())


def _drop_unusable(
    path: Path, raw: pd.DataFrame, frame: pd.DataFrame, columns: dict[str, str]
) -> tuple[pd.DataFrame, list[str]]:
    dropped = []
    unnamed = frame["name"].isin(["", "nan", "None"])
    unscored = frame["mos"].isna() & ~unnamed
    if unscored.all():
        column = columns["mos"]
        cells = raw.loc[frame.index, column].astype(str)
        first = f" (first: {cells.iloc[0]!r})" if len(cells) else ""
        raise InputError(
            f"column '{column}' of {path} holds no numbers{first}",
            "Write them like 3.5, or name another column by --score-column",
        )
    for rows, why in ((unnamed, "no image name"), (unscored, "no score")):
        if rows.any():
            first = frame.loc[rows, "name"].iloc[0] or "an empty name"
            dropped.append(f"{int(rows.sum())} rows left out: {why} (first: {first})")
    frame = frame[~(unnamed | unscored)]
    return frame, dropped


def _merge_repeats(path: Path, raw: pd.DataFrame, frame: pd.DataFrame) -> tuple[Any, list[str]]:
    """One row per photo: two of one photo could land on both sides of a draw."""
    again = frame["image"].duplicated()
    if not again.any():
        return frame, []
    if "task" in raw.columns and raw["task"].nunique() > 1:
        raise InputError(f"{path} rates one photo for several tasks", "Keep one task per table")
    means = frame.groupby("image")["mos"].transform("mean")
    first = frame.loc[again, "name"].iloc[0]
    merged = f"{int(again.sum())} repeated rows merged to a mean MOS (first: {first})"
    return frame.assign(mos=means)[~again], [merged]


def _check_numeric(path: Path, frame: pd.DataFrame, column: str) -> None:
    if frame.empty:
        raise InputError(f"{path} has no row with an image and a score in '{column}'")
    if not frame["mos"].abs().lt(float("inf")).all():
        raise InputError(
            f"column '{column}' of {path} holds infinite scores", "Correct or leave out these rows"
        )


def _own_scale(path: Path, column: pd.Series[Any]) -> Scale:
    names = sorted({str(name) for name in column})
    if len(names) > 1:
        raise InputError(
            f"{path} mixes the scales {', '.join(names)}", "Keep one dataset per ratings table"
        )
    return Scale.parse(names[0])


def _guess_scale(
    frame: pd.DataFrame, columns: Iterable[object], column: str, guessed: list[str]
) -> Scale:
    low, high = float(frame["mos"].min()), float(frame["mos"].max())
    backwards = "dmos" in _plain(column)
    bins = sorted(
        int(match[1]) for name in columns if (match := re.fullmatch(r"n(\d{1,2})", str(name)))
    )
    if len(bins) >= 3 and bins == list(range(bins[0], bins[0] + len(bins))):
        ends = (float(bins[0]), float(bins[-1]))
        why = f"its vote counts n{bins[0]}…n{bins[-1]}"
    else:
        usual = (ends for ends in _USUAL_SCALES if ends[0] <= low and high <= ends[1])
        ends = tuple(map(float, next(usual, (low, high))))  # type: ignore[assignment]
        why = f"scores from {low:g} to {high:g}"
    if ends[0] == ends[1]:
        ends = (ends[0] - 0.5, ends[1] + 0.5)
    scale = Scale(*(reversed(ends) if backwards else ends))
    better = "lower is better" if backwards else "higher is better"
    guessed.append(
        f"scale {ends[0]:g}–{ends[1]:g}, {better}, from {why} (set it by --scale WORST:BEST)"
    )
    return scale


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


def _below(path: Path, addresses: Sequence[str]) -> list[str]:
    """Addresses as they read in the dataset's own folder."""
    own = absolute(path)
    start = len(str(own.parent if is_container(own) else own).rstrip("/")) + 1
    return [address[start:] for address in addresses]


def _text(raw: pd.DataFrame, column: str | None, default: str) -> pd.Series[str]:
    if column is None:
        return pd.Series(default, index=raw.index, dtype=object)
    text = raw[column].astype(object).where(raw[column].notna(), default)
    return text.astype(str).str.strip()


def _splits(path: Path, split: pd.Series[str]) -> pd.Series[str]:
    renamed = split.str.lower().replace(_RENAMED_SPLITS)
    unknown = sorted(set(renamed) - {*SPLITS, ""})
    if unknown:
        raise InputError(
            f"{path} has the unknown split '{unknown[0]}'",
            f"Use {', '.join(SPLITS)} or leave empty",
        )
    return renamed


def _kind(path: Path) -> str | None:
    name = path.name.lower().removesuffix(".gz")
    endings = {"csv": "csv", "tsv": "tsv", "tab": "tsv", "parquet": "parquet", "jsonl": "json"}
    return endings.get(name.rpartition(".")[2])


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name).lower()


def _leaf(name: str) -> str:
    """The last part of a nested name: ``mos`` of ``ratings.mos``."""
    return _plain(name.rpartition(".")[2])


def _stem(path: Path) -> str:
    """The dataset's name when nobody gave one: the table's, or its folder's if that is vague."""
    stem = path.name.split(".")[0]
    vague = {"scores", "ratings", "labels", "mos", "data", "train", "test", "index"}
    return path.resolve().parent.name if stem.lower() in vague else stem
