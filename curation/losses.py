"""What a corpus loses without one of its models, prompts, cues, numbers of shots, temperatures.

Fewer captions are less diverse whatever is taken away, so a loss is compared with chance: the same
number of captions is taken from every image at random, from all of them. Four figures per measure:

- *whole*: with all captions;
- *without*: without the group;
- *thinned*: without as many captions of every image, drawn at random (the mean of some draws);
- *beyond* = thinned − without: at equal cost, how much better the captions are with the group in
  the mix than without it. Above 0, the group says what the others do not; at 0, more captions of
  the others would do as well; below 0, they would do better.

A draw may be told which captions are alike (their cue, say): it then takes as many of every kind
as the group has, so that a model is not credited with the balance of its questions.

The measures: per image, as a mean over the images that have both captions of the group and others,
`vendi`, `coverage` (how well what is left covers all captions of the image: the mean, over all of
them, of the highest similarity to one that is left), `said` (the share of all captions that
something left resembles by the threshold or more) and `distinct_2`; over all images together,
`corpus_vendi` and `corpus_distinct_2`. Diversity is not worth: a model that talks nonsense adds
much of it. Must not know the corpus, nor what a group stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.distinct import Words, corpus_distinct, distinct
from curation.diversity import SAME_MEANING, corpus_diversity, vendi_of
from curation.grouped import Captions, Floats, Ints, batches, one_thread

PER_IMAGE = ("vendi", "coverage", "said", "distinct_2")
PER_CORPUS = ("corpus_vendi", "corpus_distinct_2")
_NORMAL = 1.96

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Loss:
    """One measure with and without one group.

    Attributes:
        value: the group.
        measure: one of `PER_IMAGE` or `PER_CORPUS`.
        captions: how many the group has, in the images looked at.
        images: how many images the figures are from: those with captions of the group and others
            for a measure per image, all that were looked at for one per corpus.
        bare: how many images have no caption but the group's.
        whole, without, thinned: see the module; NaN where there is no such image.
        low, high: 95 % interval of `beyond`: over images for a measure per image; from the spread
            of the draws for one per corpus.
    """

    value: str
    measure: str
    captions: int
    images: int
    bare: int
    whole: float
    without: float
    thinned: float
    low: float
    high: float

    @property
    def lost(self) -> float:
        """What is gone without the group, however much of it for being fewer."""
        return self.whole - self.without

    @property
    def beyond(self) -> float:
        """What is gone beyond that for being fewer."""
        return self.thinned - self.without


def losses(
    captions: Captions,
    words: Words,
    values: Sequence[str],
    *,
    threshold: float = SAME_MEANING,
    alike: Sequence[str] | None = None,
    most: int = 1000,
    draws: int = 8,
    seed: int = 0,
) -> list[Loss]:
    """Measure what is lost without each group.

    Args:
        captions: grouped by image.
        words: of the texts that `captions.rows` points to.
        values: each caption's group, shape (captions,).
        threshold: similarity in [-1, 1] from which two captions say the same.
        alike: each caption's kind; a draw takes as many of a kind as the group has. One kind
            without it.
        most: images looked at; drawn at random where there are more.
        draws: how often as many captions are taken at random.
        seed: of both.

    Returns:
        One row per group and measure, groups in order of their names; none for a single group.

    Raises:
        ValueError: values or kinds that are not one per caption; fewer than two draws.
    """
    count = len(captions.rows)
    if len(values) != count or (alike is not None and len(alike) != count):
        raise ValueError("one value, and one kind, per caption")
    if draws < 2:
        raise ValueError(f"two draws or more tell chance, not {draws}")
    names, group = np.unique(np.asarray(values, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2:
        return []
    kind = np.zeros(count, np.int64)
    if alike is not None:
        kind = np.unique(np.asarray(alike, dtype=object).astype(str), return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    captions, drawn = _some_images(captions, most, rng)
    group, kind = group[drawn], kind[drawn]
    cells = captions.image_of * (int(kind.max(initial=0)) + 1) + kind
    turns = [_turns(cells, rng) for _ in range(draws)]
    found: list[Loss] = []
    with one_thread():
        whole = _measure(captions, words, [np.ones(len(group), bool)], threshold)[0]
        for number in np.unique(group):
            own = group == number
            taken = np.bincount(cells[own], minlength=len(cells) and int(cells.max()) + 1)[cells]
            kept = [~own, *(turn >= taken for turn in turns)]
            without, *thinned = _measure(captions, words, kept, threshold)
            found += _of_group(str(names[number]), own, captions, whole, without, thinned)
    return found


@dataclass(frozen=True, slots=True)
class _Measured:
    image: dict[str, Floats]
    corpus: dict[str, float]


def _of_group(
    name: str,
    own: Mask,
    captions: Captions,
    whole: _Measured,
    without: _Measured,
    thinned: list[_Measured],
) -> list[Loss]:
    counts = np.bincount(captions.image_of[own], minlength=len(captions.sizes))
    shared = (counts > 0) & (counts < captions.sizes)
    bare = int((counts == captions.sizes).sum())
    found = []
    for measure in PER_IMAGE:
        less = without.image[measure][shared]
        chance = np.mean([one.image[measure][shared] for one in thinned], axis=0)
        half = _NORMAL * _spread(chance - less) / np.sqrt(max(1, len(less)))
        three = (whole.image[measure][shared], less, chance)
        found.append(_loss(name, measure, int(own.sum()), len(less), bare, three, half))
    for measure in PER_CORPUS:
        chance = np.array([one.corpus[measure] for one in thinned])
        half = _NORMAL * _spread(chance) * np.sqrt(1 + 1 / len(chance))
        three = (np.array([whole.corpus[measure]]), np.array([without.corpus[measure]]), chance)
        found.append(_loss(name, measure, int(own.sum()), len(captions.sizes), bare, three, half))
    return found


def _loss(
    name: str,
    measure: str,
    captions: int,
    images: int,
    bare: int,
    three: tuple[Floats, Floats, Floats],
    half: float,
) -> Loss:
    whole, without, thinned = (float(x.mean()) if len(x) else float("nan") for x in three)
    beyond = thinned - without
    return Loss(
        name, measure, captions, images, bare, whole, without, thinned, beyond - half, beyond + half
    )


def _spread(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _some_images(
    captions: Captions, most: int, rng: np.random.Generator
) -> tuple[Captions, NDArray[np.intp]]:
    """At most so many images, and their captions' places."""
    images = len(captions.sizes)
    chosen = np.zeros(images, bool)
    chosen[rng.permutation(images)[:most]] = True
    kept = chosen[captions.image_of]
    return captions.where(kept), np.flatnonzero(kept)


def _turns(cells: Ints, rng: np.random.Generator) -> Ints:
    """When each caption would be taken away from its cell, from 0, if they went at random."""
    keys = rng.random(len(cells))
    order = np.lexsort((keys, cells))
    sorted_ = cells[order]
    first = np.flatnonzero(np.concatenate(([True], sorted_[1:] != sorted_[:-1])))
    turns = np.empty(len(cells), np.int64)
    turns[order] = np.arange(len(cells)) - np.repeat(
        first, np.diff(np.concatenate((first, [len(cells)])))
    )
    return turns


def _measure(
    captions: Captions, words: Words, kept: list[Mask], threshold: float
) -> list[_Measured]:
    """All measures for each choice of captions; NaN for an image of which nothing is left."""
    image = [{name: np.full(len(captions.sizes), np.nan) for name in PER_IMAGE} for _ in kept]
    for batch in batches(captions):
        near = np.maximum(batch.similarity, 0.0)
        for found, mask in zip(image, kept, strict=True):
            stays = mask[batch.members]
            count = stays.sum(axis=1)
            some = count > 0
            both = stays[some, :, None] & stays[some, None, :]
            rest = np.where(both, batch.similarity[some], 0.0)
            best = np.where(stays[some, None, :], near[some], 0.0).max(axis=2)
            at = batch.images[some]
            found["vendi"][at] = vendi_of(rest, count[some])
            found["coverage"][at] = best.mean(axis=1)
            # What is left says itself, however its own similarity was rounded.
            found["said"][at] = (stays[some] | (best >= threshold)).mean(axis=1)
    corpus = []
    for found, mask in zip(image, kept, strict=True):
        found["distinct_2"] = distinct(words, captions, mask).distinct_2
        corpus.append(
            {
                "corpus_vendi": corpus_diversity(captions, mask).vendi,
                "corpus_distinct_2": float(corpus_distinct(words, captions, mask).distinct_2[0]),
            }
        )
    return [_Measured(one, other) for one, other in zip(image, corpus, strict=True)]
