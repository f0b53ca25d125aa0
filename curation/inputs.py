"""From what a user names to what generation works on: photo paths, and what is rated of each.

Every source (a dataset with a scale of its own) is read by itself, so that several may meet in one
corpus. What was guessed is said. Must not know of models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from curation.config import Source
from curation.images import collect_images
from curation.plan import Rated
from curation.ratings import rated_photos
from uniqa.console import say, warn
from uniqa.containers import is_container, stamp
from uniqa.errors import InputError, UsageError, nearest
from uniqa.levels import TASKS
from uniqa.ratings import RatingsTable, fill_splits, read_datasets, told_of

_OF_TABLES = (
    "ratings_task",
    "image_column",
    "score_column",
    "known_column",
    "images_root",
    "scale",
    "dataset",
)
"""What a source may say of its table, and of nothing else."""


@dataclass(frozen=True)
class Inputs:
    """The photos of a run, sorted by path, and the ratings tables with the task each speaks of."""

    paths: list[str]
    tables: list[tuple[RatingsTable, str]]

    def rated(
        self, *, seed: int, known: Mapping[tuple[str, str], str]
    ) -> dict[str, tuple[Rated, ...]]:
        """What the tables say of each photo, by path.

        Args:
            seed: for splits that neither a table nor the corpus gives.
            known: (dataset, group) → split, as the corpus has it.
        """
        found: dict[str, tuple[Rated, ...]] = {}
        for _, some in groupby(self.tables, key=lambda pair: pair[0].path):
            tables = list(some)
            # In one draw: whoever rated them, photos of one group stay together.
            frames = fill_splits([table for table, _ in tables], seed)
            for (table, task), frame in zip(tables, frames, strict=True):
                for path, rated in rated_photos(table, frame, task, known=known).items():
                    found[path] = (*found.get(path, ()), rated)
        return found


def read_inputs(sources: Sequence[Source], tasks: Sequence[str]) -> Inputs:
    """Read every source.

    Raises:
        InputError: nothing there, or a table that cannot be used.
        UsageError: no photos named, an unknown task.
    """
    paths: set[str] = set()
    tables: list[tuple[RatingsTable, str]] = []
    for source in sources:
        if not source.images:
            raise UsageError("no photos are named", "Name a folder, photos, or a ratings table")
        task = _task_of(source, tasks)
        found, own = _read_source(source)
        silent = [table.name for table in own if not table.tasks]
        if silent and not source.ratings_task and len(tasks) > 1:
            names = ", ".join(silent)
            say(f"guessed: the ratings of {names} speak about {task} (set it by --ratings-task)")
        paths |= found
        tables += [(table, "".join(table.tasks) or task) for table in own]
    return Inputs(sorted(paths), tables)


def _task_of(source: Source, tasks: Sequence[str]) -> str:
    task = source.ratings_task or (tasks[0] if len(tasks) == 1 else "quality")
    if task not in TASKS:
        raise UsageError(f"unknown task '{task}' of ratings", nearest(task, TASKS))
    return task


def _read_source(source: Source) -> tuple[set[str], list[RatingsTable]]:
    photos, table_paths = collect_images(source.images, source.score_column)
    tables = [table for path in table_paths for table in _read_tables(source, path)]
    paths = set(photos)
    for table in tables:
        paths.update(table.frame["image"])
    named = dict.fromkeys(path for table in tables for path in table.frame["image"])
    lost = [path for path in named if stamp(path)[0] < 0]
    if lost and len(lost) == len(paths):
        raise InputError(
            f"none of the {len(lost):,} images named is there (first: {lost[0]})",
            "Check --images-root and --image-column",
        )
    if lost:
        warn(f"{len(lost):,} of {len(paths):,} images are not there (first: {lost[0]})")
    if source.ratings is not None:
        ratings = _read_tables(source, source.ratings, paths)
        rated = {image for table in ratings for image in table.frame["image"]}
        unmatched = len(paths - rated)
        if unmatched == len(paths):
            raise InputError(
                f"no image in {source.ratings} is among the {len(paths):,} photos",
                "Check --images-root and --image-column",
            )
        if unmatched:
            say(f"{unmatched:,} of {len(paths):,} photos have no rating and get unguided prompts")
        tables += ratings
    if not tables:
        for name in _OF_TABLES:
            if getattr(source, name):
                raise UsageError(
                    f"--{name.replace('_', '-')} speaks of a ratings table, and there is none",
                    "Name one by --ratings, or among the images",
                )
    return paths, tables


def _read_tables(source: Source, path: Path, photos: set[str] | None = None) -> list[RatingsTable]:
    """The datasets of a table."""
    roots: list[Path | None] = [source.images_root]
    if photos is not None and source.images_root is None:
        # The table may stand elsewhere: its names are then relative to what holds the photos.
        roots += [one for one in source.images if one.is_dir() or is_container(one)]
    best: tuple[int, list[RatingsTable]] | None = None
    for root in roots:
        tables = read_datasets(
            path,
            image_column=source.image_column,
            score_column=source.score_column,
            known_column=source.known_column,
            images_root=root,
            scale=source.scale,
            dataset=source.dataset,
            task=source.ratings_task or None,
        )
        named = {image for table in tables for image in table.frame["image"]}
        hits = len(photos & named) if photos else 0
        if best is None or hits > best[0]:
            best = (hits, tables)
    assert best is not None
    guesses, losses = told_of(best[1])
    for guess in guesses:
        say(f"guessed: {guess}")
    for loss in losses:
        warn(f"{path.name}: {loss}")
    return best[1]
