"""Ratings tables: CSV, TSV, Parquet or JSON lines with one row per image, on any scale.

Real tables are messy: columns have many names, file names come with spaces or without endings,
scores are missing, some scales run backwards. This module takes what can be taken, says in plain
sentences what it guessed (`RatingsTable.guessed`) and what it left out (`RatingsTable.dropped`),
and refuses with one clear line what it cannot use. A manifest is a valid ratings table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from uniqa.containers import is_container
from uniqa.errors import InputError, UniqaError, UsageError, nearest
from uniqa.image_names import names_below, resolve_images
from uniqa.levels import TASKS, Scale, level_of
from uniqa.rating_files import (
    NAMES,
    RENAMED_SPLITS,
    leaf,
    plain_name,
    read_containers,
    read_frame,
)
from uniqa.splits import SPLITS, split_groups

_NAMELESS = ["", "nan", "None"]
"""What a cell without an image name says as text."""

_USUAL_SCALES = ((0, 1), (1, 5), (0, 5), (1, 7), (1, 9), (1, 10), (0, 10), (0, 100))


@dataclass(frozen=True)
class RatingsTable:
    """The ratings of one dataset, made regular.

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
    """Tasks that the table's rows are rated for, by a column `task`; other words are no tasks."""
    several: bool = False
    """Whether the same file has further datasets."""

    @property
    def name(self) -> str:
        """What it is called in messages, in short."""
        return f"{self.dataset} in {self.path.name}" if self.several else self.path.name

    @property
    def called(self) -> str:
        """What it is called in messages."""
        return f"{self.dataset} in {self.path}" if self.several else str(self.path)

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return str(self.frame["dataset"].iloc[0])

    def with_splits(self, seed: int = 0) -> pd.DataFrame:
        """`frame` with every empty split filled, group by group (see `split_groups`)."""
        return fill_splits([self], seed)[0]


def read_ratings(path: Path, **options: Any) -> RatingsTable:
    """Read a table with the ratings of one dataset; arguments and errors as for `read_datasets`.

    Raises:
        InputError: also where there are several, and `only` names none.
    """
    tables = read_datasets(path, **options)
    if len({table.dataset for table in tables}) < len(tables):
        tasks = " and ".join(task for table in tables for task in table.tasks)
        raise InputError(f"{path} has ratings for {tasks}", "Keep one task per table")
    if len(tables) > 1:
        names = ", ".join(f"{one.dataset} ({len(one.frame):,})" for one in tables)
        raise InputError(
            f"{path} has ratings of several datasets, whose scales may differ: {names}",
            "Choose one by --dataset",
        )
    return tables[0]


def read_datasets(
    path: Path,
    *,
    image_column: str | None = None,
    score_column: str | None = None,
    images_root: Path | None = None,
    scale: Scale | None = None,
    dataset: str | None = None,
    known_column: str | None = None,
    task: str | None = None,
    only: str = "",
) -> list[RatingsTable]:
    """Read a ratings table and make it regular, each dataset that it names by itself.

    Scales of two datasets may differ, even where both are called 1–5: whoever makes something of
    them must know which is which.

    Args:
        path: .csv, .tsv, .parquet, .jsonl (also gzipped text); a container of photos with scores
            (.tar, .parquet, saved `datasets` directory), or a folder of such.
        image_column, score_column: names; guessed (and said) when not given. A container's photos
            are its members, whatever `image_column` says.
        images_root: folder or container that image names are relative to; guessed when not given:
            the table's own folder, or an ``images`` folder in it.
        scale: ends of the scale; guessed (and said) when not given. Of several datasets those have
            it that a column ``scale`` says nothing of.
        dataset: name of the dataset where a column ``dataset`` tells none; the file's otherwise.
        known_column: words for a distortion or attribute known of each photo; guessed (and said)
            when not given, but never where they are numbers.
        task: whose ratings are wanted: rows that a column ``task`` names another for are left out
            (and said). Empty: a table of several is refused. Not given: ratings of one dataset for
            two tasks are two tables.
        only: the one dataset wanted; empty: all.

    Returns:
        A table for every dataset (and task) with a rating, those with more before those with fewer.

    Raises:
        InputError: unreadable, no usable column, no usable row, or several tasks.
        UsageError: a named column, or a dataset, that the table does not have.
    """
    inside = path.is_dir() or is_container(path)
    guessed, dropped = list[str](), list[str]()
    raw = read_containers(path, score_column, guessed) if inside else read_frame(path)
    if raw.empty:
        raise InputError(f"{path} has no rows")
    named = {
        "image": "image" if inside else image_column,
        "mos": score_column,
        "known": known_column,
    }
    columns = _choose_columns(path, raw, named, guessed)
    names = _text(raw, columns.get("dataset"), "")
    names = names.where(names != "", dataset or _stem(path))
    if only:
        if not (names == only).any():
            raise UsageError(f"{path} has no dataset '{only}'", nearest(only, sorted(set(names))))
        raw = raw[names == only]
    if task is not None:
        raw = _of_task(path, raw, columns, task, dropped)
    rated = pd.to_numeric(raw[columns["mos"]], errors="coerce").notna()
    rated &= ~_text(raw, columns["image"], "").isin(_NAMELESS)
    kinds = names[raw.index]
    if task is None and len(_tasks(raw[rated], columns.get("task"))) > 1:
        named_tasks = _text(raw, columns["task"], "").str.lower()
        kinds = (kinds + "\0" + named_tasks).where(named_tasks.isin(TASKS), "")
        rated &= kinds != ""
    counts = kinds[rated].value_counts()
    # Most ratings first, then by name: the order of rows decides nothing.
    order = sorted(counts.index, key=lambda kind: (-int(counts[kind]), kind)) or [""]
    several = len(order) > 1
    silent = int((~kinds.isin(order)).sum())
    if several and silent:
        dropped.append(f"{silent} rows left out: no score, no photo or no task named")
    opened = _Opened(path, columns, inside, images_root, scale, several)
    tables = [
        _regular(opened, raw[kinds == kind] if several else raw, names, guessed, dropped)
        for kind in order
    ]
    if task is None:
        return tables
    # Where some datasets name the one task and others none, it is that of all.
    whole = _tasks(raw[rated], columns.get("task"))
    return [replace(table, tasks=whole) for table in tables]


def fill_splits(tables: Sequence[RatingsTable], seed: int = 0) -> list[pd.DataFrame]:
    """The tables' frames with every empty split filled, group by group over all of them.

    Args:
        tables: of one file: what shares a group is of one content, whichever dataset rated it.
        seed: as of `split_groups`.
    """
    whole = pd.concat([table.frame for table in tables])
    there = whole["split"] != ""
    told: dict[Any, str] = whole.loc[there].groupby("group")["split"].first().to_dict()
    free = whole.loc[~there & ~whole["group"].isin(list(told)), "group"]
    told.update(split_groups(free, seed=seed))
    frames = [table.frame.copy() for table in tables]
    for frame in frames:
        open_rows = frame["split"] == ""
        frame.loc[open_rows, "split"] = frame.loc[open_rows, "group"].map(told)
    return frames


def told_of(tables: Sequence[RatingsTable]) -> tuple[list[str], list[str]]:
    """What was guessed of a file's datasets, and what was left out, each line once.

    A line about some of them only begins with the dataset's name.
    """

    def lines(of: Callable[[RatingsTable], list[str]]) -> list[str]:
        said = [
            line if all(line in of(other) for other in tables) else f"{table.dataset}: {line}"
            for table in tables
            for line in of(table)
        ]
        return list(dict.fromkeys(said))

    return lines(lambda table: table.guessed), lines(lambda table: table.dropped)


@dataclass(frozen=True)
class _Opened:
    """What is known of all datasets of a table."""

    path: Path
    columns: dict[str, str]
    inside: bool
    """Whether the photos lie in containers."""
    images_root: Path | None
    scale: Scale | None
    several: bool


def _regular(
    opened: _Opened,
    raw: pd.DataFrame,
    names: pd.Series[str],
    guessed: Sequence[str],
    dropped: Sequence[str],
) -> RatingsTable:
    """The rows of one dataset, made regular."""
    path, columns = opened.path, opened.columns
    guessed, dropped = list(guessed), list(dropped)
    frame = pd.DataFrame({"name": _text(raw, columns["image"], "")})
    for number in ("mos", "std", "votes"):
        source = columns.get(number)
        frame[number] = pd.to_numeric(raw[source], errors="coerce") if source else float("nan")
    frame, unusable = _drop_unusable(path, raw, frame, columns)
    dropped += unusable
    _check_numeric(path, frame, columns["mos"])
    if opened.inside:
        images = frame["name"].tolist()
        # As addresses are told apart below the dataset, wherever it lies.
        frame["name"] = names_below(path, images)
    else:
        images = resolve_images(path, frame["name"].tolist(), opened.images_root, guessed)
    frame, merged = _merge_repeats(frame.assign(image=images))
    dropped += merged
    raw = raw.loc[frame.index]
    scale = _scale(opened, raw, frame, guessed)
    beyond = int(((frame["mos"] - scale.worst) * (frame["mos"] - scale.best) > 1e-9).sum())
    if beyond:
        dropped.append(f"{beyond} ratings lie beyond the scale {scale.name} and were clipped to it")
    frame["score"] = scale.unify(frame["mos"].to_numpy())
    frame["level"] = [level_of(score) for score in frame["score"]]
    frame["dataset"] = names[frame.index]
    group = _text(raw, columns.get("group"), "")
    frame["group"] = group.where(group != "", frame["name"])
    frame["split"] = _splits(path, _text(raw, columns.get("split"), ""))
    frame["known"] = _text(raw, columns.get("known"), "")
    frame = frame.reset_index(drop=True)
    tasks = _tasks(raw, columns.get("task"))
    return RatingsTable(path, frame, scale, guessed, dropped, tasks, opened.several)


def _choose_columns(
    path: Path,
    raw: pd.DataFrame,
    named: Mapping[str, str | None],
    guessed: list[str],
) -> dict[str, str]:
    plain = {plain_name(column): column for column in map(str, raw.columns)}
    for column in map(str, raw.columns):
        plain.setdefault(leaf(column), column)
    columns: dict[str, str] = {}
    for meaning, names in NAMES.items():
        wanted = named.get(meaning)
        if wanted is not None:
            if wanted not in raw.columns:
                raise UsageError(f"{path} has no column '{wanted}'", nearest(wanted, raw.columns))
            columns[meaning] = wanted
            continue
        found = next((plain[plain_name(name)] for name in names if plain_name(name) in plain), None)
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
            f"Ask for {there[0]}, or name no task",
        )
    told = _text(raw, columns["task"], "").str.lower()
    kept = raw[told.isin([task, ""])] if task else raw
    if len(kept) < len(raw):
        dropped.append(f"{len(raw) - len(kept)} rows left out: rated for another task than {task}")
    return kept


def _is_numeric(column: pd.Series[Any]) -> bool:
    """Whether all that a column says are numbers: a code such as 1 to 24 names nothing."""
    told = column[_told(column)]
    return bool(pd.to_numeric(told, errors="coerce").notna().all())


def _told(column: pd.Series[Any]) -> pd.Series[bool]:
    """Where a column says anything."""
    return column.notna() & (column.astype(str).str.strip() != "")


def _is_fractional(column: pd.Series[Any]) -> bool:
    """Whether a column holds measurements: AADB's "Content" is a score, not a content's name."""
    numbers = pd.to_numeric(column, errors="coerce").dropna()
    return bool(len(numbers) == len(column) and (numbers % 1 != 0).any())


def _drop_unusable(
    path: Path, raw: pd.DataFrame, frame: pd.DataFrame, columns: dict[str, str]
) -> tuple[pd.DataFrame, list[str]]:
    dropped = []
    unnamed = frame["name"].isin(_NAMELESS)
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


def _merge_repeats(frame: pd.DataFrame) -> tuple[Any, list[str]]:
    """One row per photo: two of one photo could land on both sides of a draw."""
    again = frame["image"].duplicated()
    if not again.any():
        return frame, []
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


def _scale(opened: _Opened, raw: pd.DataFrame, frame: pd.DataFrame, guessed: list[str]) -> Scale:
    own = None
    if opened.scale is None or opened.several:
        try:
            own = _own_scale(opened.path, _text(raw, opened.columns.get("scale"), ""))
        except UniqaError as error:
            if opened.scale is None:
                raise
            told = opened.scale.name
            guessed.append(f"the scale is {told}, as told; its column is none ({error})")
    return (
        own
        or opened.scale
        or _guess_scale(frame, raw, opened.columns["mos"], opened.several, guessed)
    )


def _own_scale(path: Path, column: pd.Series[str]) -> Scale | None:
    names = sorted(set(column) - {""})
    if len(names) > 1:
        raise InputError(
            f"{path} mixes the scales {', '.join(names)}",
            "Name the dataset of each row in a column dataset, or keep one scale per table",
        )
    return Scale.parse(names[0]) if names else None


def _guess_scale(
    frame: pd.DataFrame, raw: pd.DataFrame, column: str, several: bool, guessed: list[str]
) -> Scale:
    low, high = float(frame["mos"].min()), float(frame["mos"].max())
    backwards = "dmos" in plain_name(column)
    bins = sorted(
        int(match[1])
        for name in raw.columns
        if (match := re.fullmatch(r"n(\d{1,2})", str(name))) and _told(raw[name]).any()
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
        f"scale {ends[0]:g}–{ends[1]:g}, {better}, from {why} (set it by --scale WORST:BEST"
        f"{', or a column scale' if several else ''})"
    )
    return scale


def _text(raw: pd.DataFrame, column: str | None, default: str) -> pd.Series[str]:
    if column is None:
        return pd.Series(default, index=raw.index, dtype=object)
    cells = raw[column]
    if (
        pd.api.types.is_float_dtype(cells)
        and (cells.dropna() % 1 == 0).all()
        and (cells.dropna().abs() < 2**53).all()
    ):
        # Whole numbers beside empty cells: the names 1 and 2, not 1.0 and 2.0.
        cells = cells.astype("Int64")
    text = cells.astype(object).where(cells.notna(), default)
    return text.astype(str).str.strip()


def _splits(path: Path, split: pd.Series[str]) -> pd.Series[str]:
    renamed = split.str.lower().replace(RENAMED_SPLITS)
    unknown = sorted(set(renamed) - {*SPLITS, ""})
    if unknown:
        raise InputError(
            f"{path} has the unknown split '{unknown[0]}'",
            f"Use {', '.join(SPLITS)} or leave empty",
        )
    return renamed


def _stem(path: Path) -> str:
    """The dataset's name when nobody gave one: the table's, or its folder's if that is vague."""
    stem = path.name.split(".")[0]
    vague = {"scores", "ratings", "labels", "mos", "data", "train", "test", "index"}
    return path.resolve().parent.name if stem.lower() in vague else stem
