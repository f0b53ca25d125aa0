"""How differently the captions of an image, or of a corpus, speak.

All measures take unit-length embeddings; whoever stores them stores the encoder's name beside them.

- *Vendi score* (Friedman & Dieng, arXiv 2210.02410): the exponential of the Shannon entropy of the
  eigenvalues of K / n, where K is the similarity matrix: 1 when all captions say the same, n when
  all are orthogonal. K and the covariance of the vectors have the same eigenvalues, so that the
  corpus's score costs a matrix of dimensions × dimensions.
- *Mean similarity*: the mean cosine over all pairs, in [-1, 1].
- *Meanings* and *semantic entropy*: the entropy, in nats, of the shares that clusters of one
  meaning have among an image's captions (Kuhn et al., arXiv 2302.09664; counted, not weighted by
  likelihood, as in the discrete form of Farquhar et al. 2024). There, two answers mean the same if
  each entails the other; here, if their similarity reaches a threshold, which cannot tell "sharp"
  from "not sharp". A cluster has a leader: captions are taken in the order in which they cover the
  image (`curation.cover`); each joins the leader it is most similar to if that reaches the
  threshold, and leads a cluster of its own otherwise. So no chain of near-repeats becomes one
  meaning, and the order of the input does not matter.

Must not know the corpus, nor what a policy makes of a figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.cover import greedy
from curation.grouped import Captions, Floats, Ints, batches, one_thread

SAME_MEANING = 0.8
"""From this similarity on, most pairs of captions of one photo were read as saying the same in
other words (all-MiniLM-L6-v2; captions of two multimodal models and of measurements)."""

_TINY = 1e-12
_CHUNK = 8192


@dataclass(frozen=True, slots=True)
class Diversity:
    """What `diversity` found: of every image, shape (images,), and every caption, (captions,).

    Attributes:
        vendi: in [1, captions of the image].
        mean_similarity: over pairs, in [-1, 1]; NaN for an image with one caption.
        meanings: clusters of one meaning, in [1, captions of the image].
        semantic_entropy: in nats, in [0, log captions of the image].
        to_others: a caption's mean similarity to the image's others, in [-1, 1]; NaN if alone.
        gain: what a caption added to covering the image when its turn came, in captions. The
            image's gains sum to its captions; one that says nothing new has 0, the last one at
            most 1.
        cover_rank: its turn, from 1: the first k cover the image best.
        meaning: its cluster, numbered from 1 in order of their leaders' turns.
    """

    vendi: Floats
    mean_similarity: Floats
    meanings: Ints
    semantic_entropy: Floats
    to_others: Floats
    gain: Floats
    cover_rank: Ints
    meaning: Ints


def diversity(captions: Captions, threshold: float = SAME_MEANING) -> Diversity:
    """Measure the diversity of all images and what every caption adds to its image.

    Args:
        captions: grouped by image, in each ordered by identity.
        threshold: similarity in [-1, 1] from which two captions mean the same.

    Raises:
        ValueError: a threshold outside [-1, 1].
    """
    if not -1 <= threshold <= 1:
        raise ValueError(f"a similarity is in [-1, 1], not {threshold}")
    with one_thread():
        return _diversity(captions, threshold)


def _diversity(captions: Captions, threshold: float) -> Diversity:
    images, count = len(captions.starts) - 1, len(captions.rows)
    score, mean, entropy = np.empty(images), np.full(images, np.nan), np.empty(images)
    meanings = np.empty(images, np.int64)
    others, gain = np.full(count, np.nan), np.empty(count)
    turn, meaning = np.empty(count, np.int64), np.empty(count, np.int64)
    for batch in batches(captions):
        square, size = batch.similarity, batch.similarity.shape[1]
        score[batch.images] = vendi_of(square)
        if size > 1:
            to_others = (square.sum(axis=2) - np.diagonal(square, axis1=1, axis2=2)) / (size - 1)
            others[batch.members] = to_others
            mean[batch.images] = to_others.mean(axis=1)
        order, gains = greedy(square)
        chosen = np.take_along_axis(batch.members, order, axis=1)
        gain[chosen], turn[chosen] = gains, np.arange(1, size + 1)
        clusters = _meanings(square, order, threshold)
        meaning[batch.members] = clusters
        meanings[batch.images] = clusters.max(axis=1)
        entropy[batch.images] = _entropy(clusters)
    return Diversity(score, mean, meanings, entropy, others, gain, turn, meaning)


def vendi(vectors: NDArray[np.float32]) -> float:
    """Vendi score of unit-length vectors of shape (n, d), in [1, n]; 0 for none."""
    if len(vectors) == 0:
        return 0.0
    wide = vectors.astype(np.float64)
    kernel = wide @ wide.T if len(wide) <= wide.shape[1] else wide.T @ wide
    return float(_exponential(np.linalg.eigvalsh(kernel / len(wide))))


@dataclass(frozen=True, slots=True)
class CorpusDiversity:
    """Of all captions together, whatever their image.

    Attributes:
        vendi: in [1, dimensions]; 0 for no captions.
        mean_similarity: over all pairs, in [-1, 1]; NaN for fewer than two captions.
    """

    vendi: float
    mean_similarity: float


def corpus_diversity(captions: Captions, kept: NDArray[np.bool_] | None = None) -> CorpusDiversity:
    """Measure all captions together, or those in `kept`, shape (captions,)."""
    with one_thread():
        return _corpus_diversity(captions, kept)


def _corpus_diversity(captions: Captions, kept: NDArray[np.bool_] | None) -> CorpusDiversity:
    rows = captions.rows if kept is None else captions.rows[kept]
    counts = np.bincount(rows, minlength=len(captions.vectors))
    n, occurring = len(rows), np.flatnonzero(counts)
    dimensions = captions.vectors.shape[1]
    covariance, total = np.zeros((dimensions, dimensions)), np.zeros(dimensions)
    for start in range(0, len(occurring), _CHUNK):
        some = occurring[start : start + _CHUNK]
        roots = np.sqrt(counts[some]).astype(np.float32)
        scaled = captions.vectors[some] * roots[:, None]
        covariance += scaled.T @ scaled
        total += roots @ scaled
    if not n:
        return CorpusDiversity(0.0, float("nan"))
    score = float(_exponential(np.linalg.eigvalsh(covariance / n)))
    pairs = n * (n - 1)
    mean = float(total @ total - np.trace(covariance)) / pairs if pairs else float("nan")
    return CorpusDiversity(score, mean)


@dataclass(frozen=True, slots=True)
class Meanings:
    """Clusters of one meaning among some captions, and the entropy of their shares in nats."""

    captions: int
    meanings: int
    semantic_entropy: float


def corpus_meanings(
    captions: Captions, threshold: float = SAME_MEANING, *, sample: int = 2000, seed: int = 0
) -> Meanings:
    """Meanings among `sample` captions of the corpus, drawn at random.

    Both figures grow with the number of captions, so that corpora compare at samples of one size.
    """
    count = len(captions.rows)
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.permutation(count)[:sample])
    if not len(drawn):
        return Meanings(0, 0, 0.0)
    starts = np.array([0, len(drawn)])
    found = diversity(Captions(captions.vectors, captions.rows[drawn], starts), threshold)
    return Meanings(len(drawn), int(found.meanings[0]), float(found.semantic_entropy[0]))


def mean_similarity(vectors: NDArray[np.float32]) -> float:
    """Mean cosine over all pairs, in [-1, 1]; NaN for fewer than two vectors of shape (n, d)."""
    n = len(vectors)
    if n < 2:
        return float("nan")
    wide = vectors.astype(np.float64)
    total = wide.sum(axis=0)
    return float((total @ total - (wide * wide).sum()) / (n * (n - 1)))


def vendi_of(similarity: Floats, counts: Ints | int | None = None) -> Floats:
    """Vendi scores of many similarity matrices, shape (images, captions, captions).

    With `counts`, that many captions of each image are there and the others' rows and columns are
    zero: a caption that is not there has the eigenvalue zero and adds nothing.
    """
    n = similarity.shape[1] if counts is None else counts
    return _exponential(np.linalg.eigvalsh(similarity / np.reshape(n, (-1, 1, 1))))


def _exponential(eigenvalues: NDArray[np.floating[Any]]) -> Floats:
    sound = np.maximum(eigenvalues, _TINY)
    entropy = -np.where(eigenvalues > _TINY, sound * np.log(sound), 0.0).sum(axis=-1)
    return np.asarray(np.exp(entropy), dtype=np.float64)


def _meanings(similarity: Floats, order: Ints, threshold: float) -> Ints:
    """Each caption's cluster, from 1, shape (images, captions)."""
    images, size = order.shape
    every = np.arange(images)
    leads = np.full((images, size), -np.inf)  # 0 where a caption leads, so that it can be added
    clusters = np.empty((images, size), np.int64)
    found = np.zeros(images, np.int64)
    for turn in range(size):
        here = order[:, turn]
        # Rounded, so that the last digit decides neither a tie nor what reaches the threshold.
        near = np.round(similarity[every, here], 6) + leads
        nearest = np.argmax(near, axis=1)
        alone = near[every, nearest] < threshold
        found += alone
        clusters[every, here] = np.where(alone, found, clusters[every, nearest])
        leads[every[alone], here[alone]] = 0.0
    return clusters


def _entropy(clusters: Ints) -> Floats:
    images, size = clusters.shape
    places = (np.arange(images)[:, None] * size + clusters - 1).ravel()
    shares = np.bincount(places, minlength=images * size).reshape(images, size) / size
    logs = np.log(np.where(shares > 0, shares, 1.0))
    return np.asarray(np.maximum(-(shares * logs).sum(axis=1), 0.0))
