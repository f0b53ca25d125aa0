"""Ratings tables: CSV, TSV, Parquet or JSON lines with one row per image, on any scale.

Real tables are messy: columns have many names, file names come with spaces or without endings,
scores are missing, some scales run backwards. This module takes what can be taken, says in plain
sentences what it guessed (`RatingsTable.guessed`) and what it left out (`RatingsTable.dropped`),
and refuses with one clear line what it cannot use. A manifest is a valid ratings table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from uniqa.containers import is_container
from uniqa.errors import InputError, UsageError, nearest
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
    opened = _open(path, image_column, score_column, known_column, task)
    return _regular(opened, opened.raw, images_root, scale, dataset)


def read_datasets(
    path: Path,
    *,
    image_column: str | None = None,
    score_column: str | None = None,
    images_root: Path | None = None,
    scale: Scale | None = None,
    task: str | None = None,
    first: str = "",
) -> list[RatingsTable]:
    """Read a ratings table as `read_ratings` does, each dataset that it names by itself.

    Scales of two datasets may differ, even where both are called 1–5: what is made of them must be
    told which is which.

    Args:
        path, image_column, score_column, images_root, task: as for `read_ratings`.
        scale: of the first dataset; the others have their own, told or guessed.
        first: the dataset to begin with; otherwise it is that with the most rated photos.

    Returns:
        A table for every dataset with a rating: `first`, then those with more ratings before
        those with fewer.

    Raises:
        InputError: as `read_ratings`.
        UsageError: as `read_ratings`, or `first` is not there.
    """
    opened = _open(path, image_column, score_column, None, task)
    raw, named = opened.raw, _text(opened.raw, opened.columns.get("dataset"), "")
    rated = pd.to_numeric(raw[opened.columns["mos"]], errors="coerce").notna()
    # Most photos first, then by name: the order of rows decides nothing.
    counts = named[rated].value_counts()
    names = sorted(counts.index, key=lambda name: (name != first, -int(counts[name]), name))
    if first and first not in names:
        known = [name for name in names if name] or [_stem(path)]
        if first not in known:
            raise UsageError(f"{path} rates no photos of '{first}'", nearest(first, known))
    if len(names) < 2:
        return [_regular(opened, raw, images_root, scale)]
    return [
        _regular(opened, raw[named == name], images_root, scale if name == names[0] else None)
        for name in names
    ]


@dataclass(frozen=True)
class _Opened:
    """A table as it was found, and which of its columns mean what."""

    path: Path
    raw: pd.DataFrame
    columns: dict[str, str]
    inside: bool
    """Whether the photos lie in containers."""
    guessed: list[str]
    dropped: list[str]


def _open(
    path: Path,
    image_column: str | None,
    score_column: str | None,
    known_column: str | None,
    task: str | None,
) -> _Opened:
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
    if task is not None:
        raw = _of_task(path, raw, columns, task, dropped)
    return _Opened(path, raw, columns, inside, guessed, dropped)


def _regular(
    opened: _Opened,
    raw: pd.DataFrame,
    images_root: Path | None,
    scale: Scale | None,
    dataset: str | None = None,
) -> RatingsTable:
    """Some rows of a table, made regular."""
    path, columns = opened.path, opened.columns
    guessed, dropped = list(opened.guessed), list(opened.dropped)
    frame = pd.DataFrame({"name": raw[columns["image"]].astype(str).str.strip()})
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
    backwards = "dmos" in plain_name(column)
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


def _text(raw: pd.DataFrame, column: str | None, default: str) -> pd.Series[str]:
    if column is None:
        return pd.Series(default, index=raw.index, dtype=object)
    text = raw[column].astype(object).where(raw[column].notna(), default)
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
