"""From ratings tables to what generation needs to know of each photo.

Splits are settled here, before the first prompt is written: only photos of the train split may
have their level told to a model. Groups that a corpus has already split stay where they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from curation.corpus import Corpus
from curation.plan import Rated
from uniqa.ratings import RatingsTable
from uniqa.splits import SPLITS

UNDAMAGED = frozenset("clean none no pristine reference ref original undistorted normal".split())
"""What a table may write of a photo without a distortion: nothing that could be told."""


def rated_photos(
    table: RatingsTable, drawn: pd.DataFrame, task: str, *, known: Mapping[tuple[str, str], str]
) -> dict[str, Rated]:
    """What the table says of each photo, by absolute path.

    Args:
        table: a regular ratings table.
        drawn: its frame with a split for every photo, which counts where neither the table nor the
            corpus gives one.
        task: what its ratings speak about.
        known: (dataset, group) → split, as the corpus has it.
    """
    told = set(table.frame.loc[table.frame["split"] != "", "image"])
    frame = drawn.copy()
    # What the table says holds; else what the corpus has; only a new group gets what was drawn.
    # The draw is over the whole table all the same: a run that was stopped must not draw anew.
    frame["split"] = [
        split if image in told else known.get((dataset, group), split)
        for image, dataset, group, split in zip(
            frame["image"], frame["dataset"], frame["group"], frame["split"], strict=True
        )
    ]
    return {
        row["image"]: Rated(
            dataset=row["dataset"],
            task=task,
            mos=row["mos"],
            std=_number(row["std"]),
            votes=_number(row["votes"]),
            score=row["score"],
            level=row["level"],
            scale=table.scale.name,
            group=row["group"],
            split=row["split"],
            known="" if row["known"].strip().lower() in UNDAMAGED else row["known"],
        )
        for row in frame.to_dict("records")
    }


def known_splits(corpus: Corpus) -> dict[tuple[str, str], str]:
    """(dataset, group) → split of everything rated so far; test before val before train."""
    ranks = " ".join(f"WHEN '{split}' THEN {rank}" for rank, split in enumerate(SPLITS))
    return {
        (dataset, group): split
        for dataset, group, split in corpus.rows(
            f"SELECT dataset, group_id, arg_max(split, CASE split {ranks} END) FROM ratings "
            "GROUP BY ALL"
        )
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
