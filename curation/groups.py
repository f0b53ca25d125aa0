"""Places: the group and the split of every photo, as one policy has them.

Photos belong together if a ratings table says so, if they are one and the same file under several
names, or if they are near-identical. What belongs together is one group with one split: test before
val before train, so that a published test photo stays one. Must not know captions' texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from curation.alike import read_pairs
from curation.corpus import Corpus
from curation.rules import Policy, Splits
from uniqa.levels import level_of
from uniqa.splits import SPLITS, split_stratified

TOLD = """
SELECT DISTINCT image_id FROM captions WHERE coalesce(level, '') <> ''
UNION
SELECT DISTINCT json_extract_string(shot, '$.image_id') FROM (
    SELECT unnest(from_json(exemplars, '["JSON"]')) AS shot FROM prompts
    WHERE json_array_length(exemplars) > 0)
"""
"""Photos whose rating a model was told, or whose caption it was shown as an example."""


@dataclass(frozen=True)
class Places:
    """Where every photo belongs.

    Args:
        table: columns image_id, group_id, split; one row per photo of the corpus.
        near_identical: pairs of photos that look alike.
        joined: groups that were several before the photos were looked at.
        moved: rated photos whose split is not that of their ratings table.
        not_looked_at: photos without a hash: not there, or never read.
        told: photos that had to stay in train when splits were drawn.
    """

    table: pa.Table
    near_identical: int = 0
    joined: int = 0
    moved: int = 0
    not_looked_at: int = 0
    told: int = 0


def place_photos(corpus: Corpus, policy: Policy) -> Places:
    """Find the group and the split of every photo of the corpus.

    Args:
        corpus: with the hashes of its photos, as far as there are any.
        policy: its seed, and its splits if it draws them anew.
    """
    ids = corpus.table("SELECT image_id FROM images ORDER BY image_id")["image_id"].to_pylist()
    ratings = corpus.table(
        "SELECT image_id, dataset, group_id, split, score FROM ratings "
        "SEMI JOIN images USING (image_id) ORDER BY image_id, dataset, task"
    ).to_pandas()
    number = pd.Series(np.arange(len(ids)), index=ids, dtype=np.int64)
    ratings["image"] = ratings["image_id"].map(number).astype(np.int64)
    pairs = read_pairs(corpus)
    near = [(int(number[a]), int(number[b])) for a, b in pairs if a in number and b in number]
    apart = _components(len(ids), ratings, [])
    together = _components(len(ids), ratings, near) if near else apart
    names = _names(ids, ratings, together)
    before = ratings.groupby("image")["split"].agg(_first_split)
    told = 0
    if policy.splits is None:
        split = _as_rated(ratings, together)
    else:
        held = {int(number[one]) for (one,) in corpus.rows(TOLD) if one in number}
        split, told = _drawn(ratings, together, names, policy.splits, policy.seed, held)
    splits = split[together]
    return Places(
        table=pa.table(
            {
                "image_id": pa.array(ids, pa.string()),
                "group_id": pa.array(names[together].tolist(), pa.string()),
                "split": pa.array(splits.tolist(), pa.string()),
            }
        ),
        near_identical=len(near),
        joined=len(np.unique(apart)) - len(np.unique(together)),
        moved=int((before.to_numpy() != splits[before.index.to_numpy()]).sum()),
        not_looked_at=int(
            corpus.value("SELECT count(*) FROM images ANTI JOIN image_hashes USING (image_id)")
        ),
        told=told,
    )


def _components(
    images: int, ratings: pd.DataFrame, near: Sequence[tuple[int, int]]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The number of each image's component, where rated groups are nodes, too."""
    if not images:
        return np.zeros(0, dtype=np.int64)
    groups = ratings.groupby(["dataset", "group_id"], sort=True).ngroup().to_numpy(dtype=np.int64)
    left = np.concatenate([ratings["image"].to_numpy(), np.array([a for a, _ in near], np.int64)])
    right = np.concatenate([groups + images, np.array([b for _, b in near], np.int64)])
    size = images + int(groups.max(initial=-1)) + 1
    edges = coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(size, size))
    found = connected_components(edges, directed=False)[1][:images]
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def _names(
    ids: Sequence[str], ratings: pd.DataFrame, component: np.ndarray
) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """A name for each component that no other has: the rated group's where that is enough."""
    # The photo with the smallest id stands for those without a rating.
    first = np.unique(component, return_index=True)[1]
    names = np.array([ids[row] for row in first], dtype=object)
    if ratings.empty:
        return names
    rated = ratings.assign(component=component[ratings["image"].to_numpy()])
    chosen = rated.sort_values(["component", "dataset", "group_id"]).drop_duplicates("component")
    rows = chosen["component"].to_numpy()
    # Two datasets' scene "1" are not one scene.
    full = chosen["dataset"].str.cat(chosen["group_id"], sep="/")
    names[rows] = chosen["group_id"].where(~chosen["group_id"].duplicated(keep=False), full)
    for row in np.flatnonzero(pd.Series(names).duplicated(keep=False)):
        names[row] = ids[first[row]]
    return names


def _as_rated(ratings: pd.DataFrame, component: np.ndarray) -> np.ndarray:
    split = np.full(int(component.max(initial=-1)) + 1, "train", dtype=object)
    for name in ("val", "test"):
        rows = ratings.loc[ratings["split"] == name, "image"].to_numpy()
        split[component[rows]] = name
    return split


def _drawn(
    ratings: pd.DataFrame,
    component: np.ndarray,
    names: np.ndarray,
    splits: Splits,
    seed: int,
    told: set[int],
) -> tuple[np.ndarray, int]:
    """Splits of all components, drawn among those that are rated; the number of photos told.

    A photo whose rating a model was told keeps its whole group in train.
    """
    split = np.full(len(names), "train", dtype=object)
    if ratings.empty:
        return split, 0
    rated = ratings.assign(component=component[ratings["image"].to_numpy()])
    parts = rated.groupby("component")
    facts = pd.DataFrame(
        {
            "level": parts["score"].mean().map(lambda score: "" if pd.isna(score) else
                                               level_of(float(np.clip(score, 0.0, 1.0)))),
            "dataset": parts["dataset"].min(),
        }
    )  # fmt: skip
    images = np.bincount(component, minlength=len(names))
    stayed = {int(component[row]) for row in told}
    rows = facts.index.to_numpy()
    strata = facts[list(splits.stratify)].agg("/".join, axis=1) if splits.stratify else None
    drawn = split_stratified(
        {names[row]: int(images[row]) for row in rows},
        {names[row]: "" if strata is None else str(strata.loc[row]) for row in rows},
        seed=seed,
        fractions=splits.fractions,
        pinned={names[row]: "train" for row in rows if row in stayed},
    )
    split[rows] = [drawn[names[row]] for row in rows]
    return split, len(told)


def _first_split(splits: pd.Series) -> str:
    """Test before val before train."""
    return str(max(splits, key=SPLITS.index))
