"""Purification of people's comments as UniQA does it: AR, IR and AIR.

Zhou et al., *UniQA: Unified Vision-Language Pre-training for Image Quality and Aesthetic
Assessment*, arXiv 2406.01069, the section on purifying captions. Per image,

- AR, aesthetics relevance, is the similarity of a comment to a model's aesthetic description of
  the same image;
- IR, informativeness, is the length of the comment;
- AIR is the sum of the ranks of both, and the K comments with the best AIR are kept.

Here so that the recipe can be repeated and compared with; what a comment says is measured by
`curation.informative`. Works on embeddings and texts; must not know the encoder or the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

Numbers = NDArray[np.float64]

_CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class Purity:
    """One comment's place among its image's comments; ranks run from 1 to n, n is best."""

    relevance: float
    words: int
    relevance_rank: float
    length_rank: float
    air: float
    kept: bool


def relevance(vectors: NDArray[np.float32], descriptions: NDArray[np.float32]) -> Numbers:
    """AR: cosine of each comment to the description, in [-1, 1]; the mean over several.

    Args:
        vectors: unit-length embeddings of an image's comments, shape (n, d).
        descriptions: of the image's descriptions, shape (d,) or (m, d) with m ≥ 1.

    Raises:
        ValueError: no description, or embeddings of different widths.
    """
    wide = np.atleast_2d(np.asarray(descriptions, dtype=np.float64))
    if wide.size == 0:
        raise ValueError("relevance needs at least one description of the image")
    if len(vectors) and vectors.shape[1] != wide.shape[1]:
        raise ValueError(f"comments have {vectors.shape[1]} dimensions, not {wide.shape[1]}")
    if not len(vectors):
        return np.empty(0)
    similarities: Numbers = np.asarray(vectors, dtype=np.float64) @ wide.T
    return np.asarray(similarities.mean(axis=1), dtype=np.float64)


def words(texts: Sequence[str]) -> NDArray[np.int64]:
    """IR as the paper takes it: the number of words of each text."""
    return np.array([len(text.split()) for text in texts], dtype=np.int64)


def ranks(values: Sequence[float] | Numbers | NDArray[np.int64]) -> Numbers:
    """Ranks from 1 to n, the largest value last; equal values share their mean rank."""
    return np.asarray(rankdata(np.asarray(values, dtype=np.float64)), dtype=np.float64)


def air(relevances: Numbers, lengths: NDArray[np.int64]) -> Numbers:
    """AIR of one image's comments, 2 to 2n: rank of relevance plus rank of length."""
    return ranks(relevances) + ranks(lengths)


@dataclass(frozen=True, slots=True)
class Purities:
    """AR, IR and AIR of many comments, each of shape (captions,); NaN where there is none.

    `place` is a comment's place among its image's by AIR, 1 is best; of equal ones the more
    relevant comes first, then the earlier.
    """

    relevance: Numbers
    words: Numbers
    air: Numbers
    place: Numbers


def purities(
    vectors: NDArray[np.float32],
    rows: NDArray[np.int64],
    images: NDArray[np.int64],
    comment: NDArray[np.bool_],
    description: NDArray[np.bool_],
    lengths: NDArray[np.int64],
) -> Purities:
    """AIR within every image of a corpus at once.

    Args:
        vectors: unit-length embeddings of the distinct texts, shape (texts, d).
        rows: each caption's text, shape (captions,).
        images: each caption's image as a number from 0, shape (captions,).
        comment: which captions are people's comments.
        description: which are a model's aesthetic descriptions. Comments of an image without any
            have no AR, and so no AIR.
        lengths: words of each caption (see `words`).
    """
    nothing = np.full(len(rows), np.nan)
    if not len(rows):
        return Purities(nothing, nothing.copy(), nothing.copy(), nothing.copy())
    described = np.bincount(images[description], minlength=int(images.max()) + 1)
    # The mean of cosines to several descriptions is the cosine to their mean, unscaled.
    number = np.cumsum(described > 0) - 1
    means = np.zeros((int((described > 0).sum()), vectors.shape[1]), np.float64)
    np.add.at(means, number[images[description]], vectors[rows[description]])
    means /= described[described > 0, None]
    found = np.flatnonzero(comment & (described[images] > 0))
    ar, ir = nothing, nothing.copy()
    total, place = nothing.copy(), nothing.copy()
    ir[comment] = lengths[comment]
    for start in range(0, len(found), _CHUNK):
        some = found[start : start + _CHUNK]
        wide = vectors[rows[some]].astype(np.float64)
        ar[some] = (wide * means[number[images[some]]]).sum(axis=1)
    frame = pd.DataFrame({"image": images[found], "ar": ar[found].round(6), "ir": ir[found]})
    by_image = frame.groupby("image")
    frame["air"] = by_image["ar"].rank() + by_image["ir"].rank()
    total[found] = frame["air"]
    # A stable sort of what stands in the corpus's order: the earlier of equal ones stays first.
    order = frame.sort_values(["air", "ar"], ascending=False, kind="stable")
    place[found[order.index]] = order.groupby("image").cumcount() + 1
    return Purities(ar, ir, total, place)


def purify(
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    descriptions: NDArray[np.float32],
    k: int,
) -> list[Purity]:
    """Rank the comments of one image and mark the top K.

    Args:
        texts: the image's comments.
        vectors: their unit-length embeddings, shape (n, d).
        descriptions: unit-length embeddings of its aesthetic descriptions, (d,) or (m, d).
        k: how many are kept; all where there are no more. Of equal ones the more relevant is
            kept, then the earlier.

    Raises:
        ValueError: `k` below 1, or not one embedding per text.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if len(texts) != len(vectors):
        raise ValueError(f"{len(texts)} texts, but {len(vectors)} embeddings")
    relevances, lengths = relevance(vectors, descriptions), words(texts)
    by_relevance, by_length = ranks(relevances), ranks(lengths)
    total = air(relevances, lengths)
    best = sorted(range(len(texts)), key=lambda i: (-total[i], -by_relevance[i], i))[:k]
    kept = set(best)
    return [
        Purity(
            float(relevances[i]), int(lengths[i]),
            float(by_relevance[i]), float(by_length[i]), float(total[i]), i in kept,
        )
        for i in range(len(texts))
    ]  # fmt: skip
