"""Time of all diversity signals, given embeddings, beside a loop over images.

    python benchmarks/refine_diversity.py [--captions 200000]

Made-up unit vectors and texts of 8 to 40 words; images with ten captions each, and with 1 to 60.
Both sides compute the same: Vendi score, mean similarity, meanings, semantic entropy, what every
caption adds, and distinct-1 and -2. The loop is numpy too, one image at a time; it does a share of
the images and its time is scaled up. Values are compared on that share.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.results import write_section
from curation.dedup import normalise
from curation.distinct import Words, corpus_distinct, distinct
from curation.diversity import SAME_MEANING, corpus_diversity, corpus_meanings, diversity
from curation.grouped import Captions, one_thread
from curation.losses import losses

SEED, DIMENSIONS, VOCABULARY, SHARE = 5, 384, 6000, 20
TITLE = "Diversity signals"


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--captions", type=int, default=200_000)
    options = parser.parse_args()
    body = section(options.captions)
    print(body)
    write_section(
        TITLE, body, f"python benchmarks/refine_diversity.py --captions {options.captions}"
    )


def section(captions: int = 200_000) -> str:
    """The Markdown of both corpora."""
    rng = np.random.default_rng(SEED)
    sizes = rng.integers(1, 61, captions // 30)
    rows = [
        measured("10 each", np.full(captions // 10, 10), rng),
        measured("1 to 60", sizes, rng),
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return "\n".join(
        [
            "| captions of an image | captions | images | per image and caption | distinct-1, -2 |"
            " corpus | all | loop over images | ratio | losses of 3 groups |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
            *rows,
            "",
            "Seconds of CPU, and in brackets of the wall clock: other programs shared the machine."
            " *Distinct* splits the texts into words as well; *corpus* is Vendi score, mean"
            " similarity, distinct-1 and -2 of all captions and the meanings among 2,000. The loop"
            f" goes over every {SHARE}th image, its time is multiplied by {SHARE}, its values are"
            " ours to six decimals; it and the ratio are without the corpus. *Losses* looks at"
            f" 1,000 images, 8 draws, 6 measures. Peak memory of the process, texts included:"
            f" {peak:,.0f} MiB.",
        ]
    )


def measured(name: str, sizes: NDArray[np.int64], rng: np.random.Generator) -> str:
    """One row: make a corpus, measure it, do a share of it plainly, compare."""
    captions, texts = made(sizes, rng)
    wall = time.perf_counter()
    began = time.process_time()
    found = diversity(captions)
    inside = time.process_time() - began
    began = time.process_time()
    words = Words.of(texts)
    counted = distinct(words, captions)
    wording = time.process_time() - began
    began = time.process_time()
    corpus_diversity(captions)
    corpus_distinct(words, captions)
    corpus_meanings(captions)
    together = time.process_time() - began
    wall = time.perf_counter() - wall
    began = time.process_time()
    values = [f"model {place % 3}" for place in range(len(captions.rows))]
    losses(captions, words, values)
    lost = time.process_time() - began
    images = range(0, len(sizes), SHARE)
    began = time.process_time()
    with one_thread():
        plain = [one_by_one(captions, texts, image) for image in images]
    loop = (time.process_time() - began) * len(sizes) / len(images)
    ours = np.stack(
        [
            found.vendi,
            found.mean_similarity,
            found.meanings,
            found.semantic_entropy,
            np.add.reduceat(found.gain**2, captions.starts[:-1]),
            counted.distinct_1,
            counted.distinct_2,
        ],
        axis=1,
    )[list(images)]
    np.testing.assert_allclose(ours, np.array(plain), atol=2e-6)
    own = inside + wording
    return (
        f"| {name} | {len(captions.rows):,} | {len(sizes):,} | {inside:.2f} | {wording:.2f} |"
        f" {together:.2f} | **{own + together:.1f}** ({wall:.1f}) |"
        f" {loop:.1f} | {own / loop:.3f} | {lost:.1f} |"
    )


def made(sizes: NDArray[np.int64], rng: np.random.Generator) -> tuple[Captions, list[str]]:
    """Captions around a point per image, a fifth of them close to another of the image."""
    count = int(sizes.sum())
    image = np.repeat(np.arange(len(sizes)), sizes)
    vectors = rng.standard_normal((len(sizes), DIMENSIONS), np.float32)[image]
    vectors += rng.standard_normal((count, DIMENSIONS), np.float32)
    echo = np.flatnonzero((rng.random(count - 1) < 0.2) & (image[1:] == image[:-1])) + 1
    vectors[echo] = vectors[echo - 1] + 0.3 * rng.standard_normal(
        (len(echo), DIMENSIONS), np.float32
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths = rng.integers(8, 41, count)
    drawn = (VOCABULARY * rng.random(int(lengths.sum())) ** 3).astype(np.int64).tolist()
    ends = np.cumsum(lengths).tolist()
    starts = [0, *ends[:-1]]
    texts = [" ".join(f"word{w}" for w in drawn[a:b]) for a, b in zip(starts, ends, strict=True)]
    begins = np.concatenate(([0], np.cumsum(sizes)))
    return Captions(vectors, np.arange(count), begins), texts


def one_by_one(captions: Captions, texts: list[str], image: int) -> list[float]:
    """The same measures of one image, as one would write them for one image."""
    start, end = captions.starts[image], captions.starts[image + 1]
    vectors = captions.vectors[start:end].astype(np.float64)
    n = len(vectors)
    square = vectors @ vectors.T
    eigenvalues = np.linalg.eigvalsh(square / n)
    eigenvalues = eigenvalues[eigenvalues > 1e-12]
    vendi = float(np.exp(-(eigenvalues * np.log(eigenvalues)).sum()))
    mean = float((square.sum() - np.trace(square)) / (n * (n - 1))) if n > 1 else float("nan")
    unit = np.rint(np.maximum(square, 0) * 1e6)
    covered, left, order, gains = np.zeros(n), list(range(n)), [], []
    while left:
        added = np.maximum(unit[left] - covered, 0).sum(axis=1)
        best = left.pop(int(np.argmax(added)))
        gains.append(float(added.max()) / 1e6)
        covered = np.maximum(covered, unit[best])
        order.append(best)
    clusters: dict[int, int] = {}
    for place in order:
        leaders = list(clusters)
        near = square[place, leaders]
        if leaders and near.max() >= SAME_MEANING:
            clusters[leaders[int(np.argmax(near))]] += 1
        else:
            clusters[place] = 1
    shares = np.array(list(clusters.values())) / n
    entropy = float(-(shares * np.log(shares)).sum())
    split = [normalise(text).split() for text in texts[start:end]]
    total = sum(map(len, split))
    singles = {word for text in split for word in text}
    pairs = {pair for text in split for pair in pairwise(text)}
    squares = float(np.square(gains).sum())
    return [
        vendi, mean, len(clusters), entropy, squares, len(singles) / total, len(pairs) / total
    ]  # fmt: skip


if __name__ == "__main__":
    main()
