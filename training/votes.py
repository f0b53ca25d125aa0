"""Single votes: who rated which photo how, matched with the photos of a ratings table.

A long table (CSV, TSV, Parquet, JSON lines; gzipped too) has one row per vote. Columns are guessed
by their names and the guess is said. Must not know what votes are for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uniqa.console import say, warn
from uniqa.errors import InputError, UsageError, nearest
from uniqa.rating_files import NAMES, read_frame

COLUMNS: dict[str, list[str]] = {
    "image": NAMES["image"],
    "rater": (
        "rater rater_id user user_id worker worker_id subject subject_id observer observer_id "
        "participant participant_id annotator annotator_id voter respondent person"
    ).split(),
    "rating": (
        "rating vote score opinion value answer response stars quality beauty aesthetic mos"
    ).split(),
}
"""Meaning → names it goes by, likeliest first."""


@dataclass(frozen=True)
class Votes:
    """Votes on photos: `photo` (v,) rows of the ratings table, `rater` (v,) codes, `value` (v,)."""

    photo: NDArray[np.int64]
    rater: NDArray[np.int64]
    value: NDArray[np.float64]

    @property
    def raters(self) -> int:
        """How many people voted."""
        return len(np.unique(self.rater))

    def on(self, photos: Mapping[int, int]) -> Votes:
        """The same votes, each on the photo that `photos` names in its photo's place.

        Where that leaves a rater two votes on one photo, their mean counts; votes on photos that
        are not named are left out.
        """
        kept = np.array([row in photos for row in self.photo.tolist()], dtype=bool)
        photo = np.array([photos[row] for row in self.photo[kept].tolist()], dtype=np.int64)
        return _single(photo, self.rater[kept], self.value[kept])

    def of(self, photos: Sequence[int]) -> Votes:
        """Votes on some photos only, which are numbered by their place in `photos`."""
        place = {row: at for at, row in enumerate(photos)}
        kept = np.array([row in place for row in self.photo.tolist()], dtype=bool)
        return Votes(
            np.array([place[row] for row in self.photo[kept].tolist()], dtype=np.int64),
            self.rater[kept],
            self.value[kept],
        )


def read_votes(path: Path, names: Sequence[str], columns: str = "") -> Votes:
    """Read a table of single votes.

    Args:
        path: the table.
        names: the photos' names in the ratings table; a vote's photo is found by its whole name,
            else by its file name, with or without the ending.
        columns: ``IMAGE,RATER,RATING`` where the names are not guessed rightly.

    Raises:
        InputError: unreadable, a column is missing, or no vote is on one of these photos.
        UsageError: `columns` that the table does not have.
    """
    frame = read_frame(path)
    if frame.empty:
        raise InputError(f"{path} has no rows")
    image, rater, rating = _columns(path, frame, columns)
    values = pd.to_numeric(frame[rating], errors="coerce").to_numpy(dtype=np.float64)
    people = frame[rater].astype(str).str.strip()
    photos = _match([str(value).strip() for value in frame[image]], names)
    usable = np.isfinite(values) & (people != "").to_numpy() & frame[rater].notna().to_numpy()
    if not usable.any():
        raise InputError(f"column '{rating}' of {path} holds no numbers", "Name another column")
    if not (usable & (photos >= 0)).any():
        first = str(frame[image].iloc[0])
        raise InputError(
            f"no vote in {path} is on a photo of the ratings table (first: '{first}', "
            f"there: '{names[0] if names else ''}')",
            "Name the columns by --votes-columns IMAGE,RATER,RATING",
        )
    if not usable.all():
        warn(f"{int((~usable).sum())} votes of {path.name} left out: no number or no rater")
    kept = usable & (photos >= 0)
    return _once(path, photos[kept], pd.factorize(people[kept])[0], values[kept])


def _once(
    path: Path, photo: NDArray[np.int64], rater: NDArray[np.int64], value: NDArray[np.float64]
) -> Votes:
    """One vote per rater and photo, said where there were several."""
    single = _single(photo, rater, value)
    again = len(photo) - len(single.photo)
    if again:
        warn(f"{again} votes of {path.name} are a rater's second on one photo: their mean counts")
    return single


def _single(
    photo: NDArray[np.int64], rater: NDArray[np.int64], value: NDArray[np.float64]
) -> Votes:
    """One vote per rater and photo: the mean of several."""
    frame = pd.DataFrame({"photo": photo, "rater": rater, "value": value})
    single = frame.groupby(["photo", "rater"], as_index=False, sort=True)["value"].mean()
    return Votes(
        single["photo"].to_numpy(dtype=np.int64),
        single["rater"].to_numpy(dtype=np.int64),
        single["value"].to_numpy(dtype=np.float64),
    )


def _columns(path: Path, frame: pd.DataFrame, told: str) -> list[str]:
    has = [str(column) for column in frame.columns]
    if told:
        named = [part.strip() for part in told.split(",")]
        if len(named) != len(COLUMNS):
            raise UsageError(
                f"--votes-columns '{told}' names {len(named)} columns", "Write IMAGE,RATER,RATING"
            )
        for column in named:
            if column not in has:
                raise UsageError(f"{path} has no column '{column}'", nearest(column, has))
        return named
    plain = {column.lower().replace(" ", "_").replace("-", "_"): column for column in has}
    found: list[str] = []
    guessed = []
    for meaning, names in COLUMNS.items():
        free = [plain[name] for name in names if name in plain and plain[name] not in found]
        if not free:
            raise InputError(
                f"{path} has no {meaning} column (it has: {', '.join(has)})",
                "Name all three by --votes-columns IMAGE,RATER,RATING",
            )
        column = free[0]
        if column != meaning:
            guessed.append(f"column '{column}' of {path.name} is taken as the {meaning}")
        found.append(column)
    for line in guessed:
        say(f"guessed: {line}", "dim")
    return found


def _match(wanted: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    """(v,) rows of `names`, −1 where a vote is on none of them, or on no single one."""
    whole = {name: row for row, name in enumerate(names)}
    loose: dict[str, int] = {}
    for row, name in enumerate(names):
        for key in _loosely(name):
            # What two photos could mean means neither.
            loose[key] = row if loose.get(key, row) == row else -1
    rows = {}
    for name in set(wanted):
        row = whole.get(name, -1)
        for key in _loosely(name):
            row = row if row >= 0 else loose.get(key, -1)
        rows[name] = row
    return np.array([rows[name] for name in wanted], dtype=np.int64)


def _loosely(name: str) -> tuple[str, str]:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.name, path.name.removesuffix(path.suffix)
