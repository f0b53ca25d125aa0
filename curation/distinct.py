"""Distinct-1 and distinct-2: how many different words, and pairs of words, texts use.

As defined by Li et al. (arXiv 1510.03055): the number of different words (distinct-1) or pairs of
neighbouring words (distinct-2), divided by the number of all words. Both fall the more text there
is, so only like amounts of text compare: images with as many captions, or a corpus and the same
corpus thinned. Words are what is left when case, punctuation and spacing do not count. Must not
know embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.dedup import normalise
from curation.grouped import Captions, Floats, Ints

_CHUNK = 1 << 20
"""Words looked at together, at most."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of distinct texts as numbers: those of text i are `ids[starts[i]:starts[i + 1]]`.

    Attributes:
        ids: a number per different word, in order of appearance, shape (words,).
        starts: shape (texts + 1,).
    """

    ids: Ints
    starts: Ints

    @classmethod
    def of(cls, texts: Sequence[str]) -> Words:
        """Split texts into words."""
        numbers: dict[str, int] = {}
        ids: list[int] = []
        starts = [0]
        for text in texts:
            ids.extend([numbers.setdefault(w, len(numbers)) for w in normalise(text).split()])
            starts.append(len(ids))
        return cls(np.array(ids, np.int64), np.array(starts, np.int64))

    @property
    def counts(self) -> Ints:
        """How many words each text has, shape (texts,)."""
        return np.diff(self.starts)


@dataclass(frozen=True, slots=True)
class Distinct:
    """Different words, different pairs and all words, of every image: shapes (images,)."""

    words: Ints
    pairs: Ints
    total: Ints

    @property
    def distinct_1(self) -> Floats:
        """Different words by all words, in [0, 1]; NaN where there are no words."""
        return _by(self.words, self.total)

    @property
    def distinct_2(self) -> Floats:
        """Different pairs by all words, in [0, 1); NaN where there are no words."""
        return _by(self.pairs, self.total)


def distinct(words: Words, captions: Captions, kept: NDArray[np.bool_] | None = None) -> Distinct:
    """Count the words of every image's captions.

    Args:
        words: of the texts that `captions.rows` points to.
        captions: grouped by image.
        kept: which captions count, shape (captions,); all without it.
    """
    images = len(captions.starts) - 1
    lengths = words.counts[captions.rows]
    if kept is not None:
        lengths = np.where(kept, lengths, 0)
    before = np.concatenate(([0], np.cumsum(lengths)))[captions.starts]  # words before each image
    found = Distinct(np.zeros(images, np.int64), np.zeros(images, np.int64), np.diff(before))
    many = int(words.ids.max(initial=0)) + 1
    # An image, a word and a word make one 64-bit number.
    step = max(1, min(_CHUNK, 2**62 // many**2))
    first = 0
    while first < images:
        last = int(np.searchsorted(before, before[first] + step, side="right")) - 1
        last = min(max(last, first + 1), first + step, images)
        some = slice(captions.starts[first], captions.starts[last])
        image = np.repeat(np.arange(last - first), captions.sizes[first:last])
        ids, of_image, ends = _spread(words, captions.rows[some], lengths[some], image)
        singles, pairs = _different(ids, of_image, ends, last - first, many)
        found.words[first:last], found.pairs[first:last] = singles, pairs
        first = last
    return found


def corpus_distinct(
    words: Words, captions: Captions, kept: NDArray[np.bool_] | None = None
) -> Distinct:
    """Count the words of all captions together, as if they were one image's: shapes (1,)."""
    rows = captions.rows if kept is None else captions.rows[kept]
    occurring = _once(rows)  # a text said twice adds words, but no different ones
    lengths = words.counts[occurring]
    total = int(words.counts[rows].sum())
    ids, of_image, ends = _spread(words, occurring, lengths, np.zeros(len(occurring), np.int64))
    many = int(words.ids.max(initial=0)) + 1
    singles, pairs = _different(ids, of_image, ends, 1, many)
    return Distinct(singles, pairs, np.array([total]))


def _spread(
    words: Words, rows: Ints, lengths: Ints, image: Ints
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """The words of captions one after the other, the image of each, and which end a caption."""
    before = np.cumsum(lengths) - lengths
    places = np.repeat(words.starts[rows] - before, lengths) + np.arange(int(lengths.sum()))
    ends = np.zeros(len(places), bool)
    ends[(before + lengths - 1)[lengths > 0]] = True
    return words.ids[places], np.repeat(image, lengths), ends


def _different(
    ids: Ints, image: Ints, ends: NDArray[np.bool_], images: int, many: int
) -> tuple[Ints, Ints]:
    """Different words and different pairs per image; `many` is above every word's number."""
    starts = np.flatnonzero(~ends)
    singles = _once(image * many + ids) // many
    pairs = _once((image[starts] * many + ids[starts]) * many + ids[starts + 1]) // many**2
    return np.bincount(singles, minlength=images), np.bincount(pairs, minlength=images)


def _once(values: Ints) -> Ints:
    """Different values; sorting is ten times as fast here as numpy's own `unique` (2.3)."""
    values = np.sort(values)
    first = np.ones(len(values), bool)
    first[1:] = values[1:] != values[:-1]
    return np.asarray(values[first], dtype=np.int64)


def _by(some: Ints, total: Ints) -> Floats:
    return np.asarray(np.where(total > 0, some / np.maximum(total, 1), np.nan))
