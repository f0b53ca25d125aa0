"""Duplicates: rank first, then keep greedily.

From the best-ranked caption down, each is kept unless one that was kept says the same; then it is
a duplicate of the best-ranked such one. So the best of every cluster survives, a survivor is never
itself a duplicate, and a chain of near-duplicates never takes the whole cluster along. The result
follows from texts, vectors and ranks alone, not from the order of the rows.

There are two scopes, asked for apart since they answer different questions. Within an image
(`images` given): does this image hear it twice? Over the corpus (`images` left out): is the same
sentence on many images? A caption may survive in its image and repeat another image's.

Kinds, from the strictest: ``exact``, the same words when case, accents' forms, punctuation and
spacing do not count; ``near``, the same wording but for slips and additions (`curation.nearexact`);
``semantic``, a similarity of embeddings from a threshold on. Similarity is the cosine, in [-1, 1].
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.leaders import leaders, settle
from curation.nearexact import near_exact
from curation.sketch import Indices, exact_products, sketch
from curation.within import within_groups

KINDS = ("exact", "near", "semantic")

NEAR = 0.85
"""Jaccard index of letter 5-grams from which two texts are near-exact."""

Vectors = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Duplicates:
    """One place per caption, in the order in which the captions were given.

    `of` is the index of the survivor that the caption repeats, -1 for survivors. `kind` is one of
    KINDS, empty for survivors. `similarity` is that to the survivor, in [-1, 1]: 1 for the same
    words by definition, else the cosine, which for ``near`` may be below the threshold. For a
    survivor it is that to the most similar better-ranked survivor of its image, and NaN where there
    is none or where the scope is the corpus.
    """

    of: Indices
    kind: NDArray[np.str_]
    similarity: NDArray[np.float32]

    @property
    def survivors(self) -> NDArray[np.bool_]:
        """Which captions are no duplicates."""
        return self.of < 0

    @property
    def ratio(self) -> float:
        """Share of captions that are duplicates, in [0, 1); 0 for no captions."""
        return float(1 - self.survivors.mean()) if len(self.of) else 0.0

    @property
    def counts(self) -> dict[str, int]:
        """Duplicates by kind."""
        return {kind: int((self.kind == kind).sum()) for kind in KINDS}


def normalise(text: str) -> str:
    """What is left of a text when case, accents' forms, punctuation and spacing do not count.

    A text of signs only stays what it is.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+", folded)) or "".join(folded.split())


def best_first(scores: NDArray[np.floating[Any]], ids: Sequence[str] | NDArray[Any]) -> Indices:
    """Indices of captions, best-ranked first: by score, the highest first, then by id.

    Raises:
        ValueError: a score that is no number; ids that are not as many as scores.
    """
    values = np.asarray(scores, dtype=np.float64)
    if len(values) != len(ids):
        raise ValueError(f"{len(values)} scores, but {len(ids)} ids")
    if np.isnan(values).any():
        raise ValueError(f"caption {ids[int(np.isnan(values).argmax())]} has no score to rank by")
    return np.asarray(np.lexsort((np.asarray(ids, dtype=np.str_), -values)), dtype=np.int64)


def find_duplicates(
    texts: Sequence[str],
    vectors: Vectors,
    order: Indices,
    *,
    threshold: float,
    images: Sequence[Any] | NDArray[Any] | None = None,
    rows: Indices | None = None,
    among: NDArray[np.bool_] | None = None,
    near: float | None = NEAR,
    semantic: bool = True,
    on_progress: Callable[[int], None] = lambda _captions: None,
) -> Duplicates:
    """Find the captions that repeat another one.

    Texts with the same words count as one, with the embedding of the best-ranked of them.

    Args:
        texts: the captions, n of them.
        vectors: unit-length embeddings, shape (m, dimensions), float16 or float32, perhaps
            memory-mapped.
        order: indices of all captions, best-ranked first (see `best_first`).
        threshold: similarity in [-1, 1] from which two captions say the same.
        images: the image of each caption; only captions of one image are compared. Without it the
            scope is the corpus.
        rows: the row of `vectors` of each caption; the caption's own index without it.
        among: which captions take part; the others are neither duplicates nor survivors' rivals.
        near: Jaccard index from which captions are near-exact; None looks for none.
        semantic: whether similarity alone makes a duplicate. Over a large corpus this is by far the
            most work.
        on_progress: told how many captions were decided.

    Raises:
        ValueError: lengths that do not fit, a threshold outside [-1, 1], an `order` that is no
            permutation.
    """
    rows = np.arange(len(texts)) if rows is None else np.asarray(rows, dtype=np.int64)
    order = _checked(len(texts), vectors, order, threshold, images, rows)
    members = order if among is None else order[among[order]]
    group = None if images is None else _codes(images)[members]
    wording, names = _wordings(texts, members)
    # A node is one wording (of one image): the best-ranked caption stands for it.
    key = wording if group is None else group * max(len(names), 1) + wording
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    sequence = np.argsort(first) if group is None else np.lexsort((first, group[first]))
    nodes = members[first[sequence]]
    place = np.empty(len(sequence), dtype=np.int64)
    place[sequence] = np.arange(len(sequence))
    node_of = place[inverse]
    node_group = None if group is None else group[first[sequence]]

    pairs = np.empty((0, 2), np.int64)
    if near is not None:
        spellings = [names[word] for word in wording[first[sequence]].tolist()]
        pairs = near_exact(spellings, near, node_group).pairs
    nearest = np.full(len(nodes), np.nan, dtype=np.float32)
    reach = threshold if semantic else 2.0
    if node_group is not None:
        leader, nearest = within_groups(vectors, rows[nodes], node_group, reach, pairs, on_progress)
    elif semantic:
        leader = leaders(sketch(vectors, rows[nodes]), threshold, pairs, on_progress)
    else:
        leader = settle(len(nodes), pairs)[1]
        on_progress(len(nodes))
    return _tell(len(texts), members, nodes, node_of, leader, nearest, pairs, vectors, rows)


def images_per_cluster(
    duplicates: Duplicates, images: Sequence[Any] | NDArray[Any]
) -> NDArray[np.int64]:
    """On how many images each caption's cluster is found, at least 1; of shape (captions,).

    A cluster is a survivor with its duplicates; meant for duplicates over the corpus.
    """
    codes = _codes(images)
    if not len(codes):
        return np.empty(0, dtype=np.int64)
    cluster = np.where(duplicates.survivors, np.arange(len(codes)), duplicates.of)
    seen = np.unique(cluster * (codes.max() + 1) + codes)
    counts = np.bincount(seen // (codes.max() + 1), minlength=len(codes))
    return np.asarray(counts[cluster], dtype=np.int64)


def _checked(
    count: int,
    vectors: Vectors,
    order: Indices,
    threshold: float,
    images: Sequence[Any] | NDArray[Any] | None,
    rows: Indices,
) -> Indices:
    order = np.asarray(order, dtype=np.int64)
    if not -1 <= threshold <= 1:
        raise ValueError(f"a similarity is in [-1, 1], not {threshold}")
    if len(rows) != count or (count and not 0 <= rows.min() <= rows.max() < len(vectors)):
        raise ValueError(f"{count} texts, but {len(vectors)} vectors and {len(rows)} rows")
    if images is not None and len(images) != count:
        raise ValueError(f"{count} texts, but the images of {len(images)}")
    if len(order) != count or not np.array_equal(np.sort(order), np.arange(count)):
        raise ValueError(f"the order is no permutation of the {count} captions")
    return order


def _codes(labels: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
    """The place of each label among the sorted distinct ones."""
    if not len(labels):
        return np.empty(0, dtype=np.int64)
    coded = pa.array(labels).dictionary_encode()
    ranks = pc.rank(coded.dictionary, tiebreaker="first").to_numpy().astype(np.int64) - 1
    return np.asarray(ranks[coded.indices.to_numpy()], dtype=np.int64)


def _wordings(texts: Sequence[str], members: Indices) -> tuple[NDArray[np.int64], list[str]]:
    """A number for the words of each member, and the words of each number."""
    seen: dict[str, int] = {}
    numbers: dict[str, int] = {}
    codes = np.empty(len(members), dtype=np.int64)
    for index, member in enumerate(members.tolist()):
        text = texts[member]
        code = seen.get(text)
        if code is None:
            code = seen[text] = numbers.setdefault(normalise(text), len(numbers))
        codes[index] = code
    return codes, list(numbers)


def _tell(
    count: int,
    members: Indices,
    nodes: Indices,
    node_of: Indices,
    leader: Indices,
    nearest: NDArray[np.float32],
    pairs: NDArray[np.int64],
    vectors: Vectors,
    rows: Indices,
) -> Duplicates:
    """Carry what was decided for wordings to captions."""
    kinds = np.array(["", *KINDS])
    own = np.arange(len(nodes))
    led = leader != own
    code = np.ones(len(nodes), dtype=np.int64)
    code[led] = 3
    known = np.isin(leader * len(nodes) + own, pairs[:, 0] * len(nodes) + pairs[:, 1])
    code[led & known] = 2
    similarity = np.ones(len(nodes), dtype=np.float32)
    for part in np.array_split(np.flatnonzero(led), max(1, int(led.sum()) // 16_384)):
        products = exact_products(vectors[rows[nodes[part]]], vectors[rows[nodes[leader[part]]]])
        similarity[part] = np.clip(products, -1, 1)

    of = np.full(count, -1, dtype=np.int64)
    kind = np.full(count, "", dtype=kinds.dtype)
    values = np.full(count, np.nan, dtype=np.float32)
    survivor = nodes[leader[node_of]]
    repeats = survivor != members
    of[members[repeats]] = survivor[repeats]
    kind[members[repeats]] = kinds[code[node_of[repeats]]]
    values[members] = np.where(repeats, similarity[node_of], nearest[node_of])
    return Duplicates(of, kind, values)
