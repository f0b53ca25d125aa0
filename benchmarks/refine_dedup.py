"""Duplicates among many: time, memory and recall, against semhash given the same embeddings.

The embeddings are MiniLM's of real comments and of their sentences. What is planted lies between
two real ones, on the great circle from one towards another, at a chosen similarity to the first:
so it stays where texts are, while a random direction would not. Every tenth vector is a planted
duplicate (similarity to its original from just above the threshold to nearly 1), every tenth a
planted non-duplicate (from 0.85 to just below). Where there are fewer texts than originals are
needed, the others lie between two real ones, too, at 0.6 to 0.8 from the first. Ranks are drawn at
random.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.child import measured, run
from curation.dedup import find_duplicates
from curation.embed import SentenceEncoder
from curation.leaders import leaders
from curation.sketch import exact_products, sketch

THRESHOLD, SEED = 0.9, 5
SHARE = 0.1
WAYS = ("ours", "semhash")
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Planted:
    """Vectors in rank order, and pairs of places: planted duplicates and non-duplicates."""

    vectors: Floats
    same: Indices
    different: Indices


def pool(options: argparse.Namespace) -> tuple[list[str], Floats]:
    """All distinct comments and sentences of four words or more, and their embeddings."""
    comments = pd.read_csv(options.comments)["comment"].dropna().astype(str)
    sentences = {part.strip() for text in comments for part in re.split(r"(?<=[.!?])\s+|\n+", text)}
    texts = sorted(set(comments) | {text for text in sentences if len(text.split()) >= 4})
    kept = options.work / "pool.npy"
    if kept.exists() and len(vectors := np.load(kept)) == len(texts):
        return texts, vectors
    vectors = SentenceEncoder(precision="auto").encode(texts)
    np.save(kept, vectors)
    return texts, vectors


def plant(real: Floats, count: int, seed: int = SEED) -> Planted:
    """`count` vectors, of which a tenth are duplicates and a tenth nearly so."""
    generator = np.random.default_rng(seed)
    extra = int(count * SHARE)
    originals = count - 2 * extra
    vectors = np.empty((count, real.shape[1]), dtype=np.float32)
    taken = min(originals, len(real))
    vectors[:taken] = real[generator.permutation(len(real))[:taken]]
    others = originals - taken
    first = generator.integers(len(real), size=others)
    similarity = generator.uniform(0.6, 0.8, others)
    _between(real, first, vectors[taken:originals], similarity, generator)
    copied = generator.choice(originals, size=2 * extra, replace=2 * extra > originals)
    similarity = np.concatenate(
        [generator.uniform(THRESHOLD + 5e-4, 0.999, extra),
         generator.uniform(0.85, THRESHOLD - 5e-4, extra)]
    )  # fmt: skip
    _between(vectors[:originals], copied, vectors[originals:], similarity, generator)
    place = generator.permutation(count)
    ranked = np.empty_like(vectors)
    ranked[place] = vectors
    pairs = np.stack([place[copied], place[originals:]], axis=1)
    return Planted(ranked, pairs[:extra], pairs[extra:])


def _between(
    real: Floats,
    which: Indices,
    out: Floats,
    similarity: NDArray[np.float64],
    generator: np.random.Generator,
) -> None:
    """Fill `out` with vectors of a given similarity to real[which], towards other real ones."""
    towards = generator.integers(len(real), size=len(which))
    for start in range(0, len(which), 20_000):
        part = slice(start, start + 20_000)
        one = real[which[part]].astype(np.float64)
        way = real[towards[part]] - exact_products(real[towards[part]], one)[:, None] * one
        # The same text drawn twice leads nowhere: any direction will do then.
        lost = np.linalg.norm(way, axis=1) < 1e-3
        way[lost] = generator.normal(size=(int(lost.sum()), real.shape[1]))
        way -= exact_products(way, one)[:, None] * one
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        cosine = similarity[part, None]
        out[part] = cosine * one + np.sqrt(1 - cosine**2) * way


# ---- sections ------------------------------------------------------------------------------------


def dedup(options: argparse.Namespace) -> str:
    """Ours and semhash on 100,000 vectors, in turn."""
    _, real = pool(options)
    planted, folder = plant(real, min(100_000, options.largest)), options.work
    np.save(folder / "vectors.npy", planted.vectors)
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for turn in range(options.repeats):
        for way in WAYS if turn % 2 == 0 else reversed(WAYS):
            runs[way].append(run("benchmarks.refine_dedup", way, folder))
    pairs = all_pairs(planted.vectors)
    lines = [
        "| way | seconds | CPU seconds | peak GiB | survivors | recall, planted "
        "| recall, all pairs | planted non-duplicates merged | below the threshold |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way in WAYS:
        of = np.load(folder / f"{way}.npy")
        lines.append(f"| {way} | {_costs(runs[way])} | {_found(of, planted, pairs)} |")
    ratio = {
        key: median(one[key] for one in runs["ours"]) / median(one[key] for one in runs["semhash"])
        for key in ("seconds", "cpu")
    }
    load = max(one["load"] for way in WAYS for one in runs[way])
    return "\n".join(lines) + (
        f"\n\nOurs takes {ratio['seconds']:.2f} of semhash's time by the clock, {ratio['cpu']:.2f} "
        f"of its CPU time (medians of {options.repeats} runs each, in turn; load up to {load:.1f})."
        f" {len(planted.vectors):,} vectors, {len(pairs):,} pairs at {THRESHOLD} or more by "
        "comparing everything in double precision where it is close, of which "
        f"{len(planted.same):,} are planted; {len(planted.different):,} planted non-duplicates."
        "\nRecall is the share of such pairs of which not both survive; the last two columns count"
        " planted non-duplicates that were given each other as original, and reported duplicates"
        " whose similarity is below the threshold.\n"
        "semhash gets the same embeddings by `from_embeddings` and builds its index within the"
        " time, as we prepare our bound; both take ranks as their order. "
        f"{' '.join((__doc__ or '').split('.', 1)[1].split())}"
    )


def growth(options: argparse.Namespace) -> str:
    """The whole search, with texts, at 10,000, 100,000 and a million captions."""
    texts, real = pool(options)
    (options.work / "texts.json").write_text(json.dumps(texts))
    lines = [
        "| captions | seconds | CPU seconds | peak GiB | embeddings alone, seconds | survivors "
        "| recall, planted | planted non-duplicates merged | below the threshold |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    loads = []
    for count in (10_000, 100_000, 1_000_000):
        if count > options.largest:
            continue
        planted = plant(real, count)
        np.save(options.work / "vectors.npy", planted.vectors)
        np.savez(options.work / "pairs.npz", same=planted.same, different=planted.different)
        del planted
        told = run("benchmarks.refine_dedup", "whole", options.work)
        loads.append(told["load"])
        with np.load(options.work / "pairs.npz") as pairs:
            planted = Planted(
                np.load(options.work / "vectors.npy", mmap_mode="r"),
                pairs["same"],
                pairs["different"],
            )
        of, by_words = np.load(options.work / "whole.npy"), np.load(options.work / "by_words.npy")
        found = _found(of, planted, gone=by_words)
        lines.append(f"| {count:,} | {_costs([told])} | {told['leaders']:.1f} | {found} |")
    return "\n".join(lines) + (
        "\n\n`find_duplicates` over the whole corpus: equal wordings, near-exact ones by MinHash,"
        " and similarity of embeddings among everything. Texts are pairs of sentences drawn from"
        " the same comments, so that the search for near-exact ones has its work; they do not"
        " belong to the vectors. The peak includes the embeddings (float32) and the texts. "
        f"Load at the start of each: {', '.join(f'{load:.1f}' for load in loads)}. "
        f"{' '.join((__doc__ or '').split('.', 1)[1].split())}"
    )


def all_pairs(vectors: Floats) -> Indices:
    """Every pair at the threshold or above, by comparing everything with everything."""
    found = []
    for start in range(0, len(vectors), 2000):
        part = vectors[start : start + 2000] @ vectors[start:].T
        rows, columns = np.nonzero(part >= THRESHOLD - 1e-5)
        found.append(np.stack([rows, columns], axis=1)[columns > rows] + start)
    pairs = np.concatenate(found)
    return pairs[exact_products(vectors[pairs[:, 0]], vectors[pairs[:, 1]]) >= THRESHOLD]


def _costs(runs: list[dict[str, Any]]) -> str:
    middle = {key: median(one[key] for one in runs) for key in ("seconds", "cpu", "gib")}
    return f"{middle['seconds']:.1f} | {middle['cpu']:.1f} | {middle['gib']:.1f}"


def _found(
    of: Indices,
    planted: Planted,
    pairs: Indices | None = None,
    gone: NDArray[np.bool_] | None = None,
) -> str:
    """Columns that tell what was found; `gone` are duplicates for another reason."""
    repeats = np.flatnonzero(of >= 0)
    kept = of < 0 if gone is None else (of < 0) & ~gone

    def recall(which: Indices) -> str:
        return f"{1 - float((kept[which[:, 0]] & kept[which[:, 1]]).mean()):.5f}"

    first, second = planted.different.T
    merged = int(((of[first] == second) | (of[second] == first)).sum())
    similarity = np.concatenate(
        [
            exact_products(planted.vectors[part], planted.vectors[of[part]])
            for part in np.array_split(repeats, len(repeats) // 20_000 + 1)
        ]
    )
    every = "" if pairs is None else f" | {recall(pairs)}"
    below = int((similarity < THRESHOLD).sum())
    return f"{int(kept.sum()):,} | {recall(planted.same)}{every} | {merged} | {below}"


# ---- in a process of its own ---------------------------------------------------------------------


def _ours(folder: Path) -> dict[str, Any]:
    vectors = np.load(folder / "vectors.npy")
    with measured() as told:
        leader = leaders(sketch(vectors), THRESHOLD)
    np.save(folder / "ours.npy", np.where(leader == np.arange(len(leader)), -1, leader))
    return told


def _semhash(folder: Path) -> dict[str, Any]:
    from semhash import SemHash

    vectors = np.load(folder / "vectors.npy")
    records = [str(index) for index in range(len(vectors))]

    class Never:
        """semhash asks for a model; with embeddings given it never calls it."""

        def encode(self, *_: Any, **__: Any) -> Any:
            raise AssertionError("semhash has its embeddings")

    with measured() as told:
        index = SemHash.from_embeddings(vectors, records, Never())
        result = index.self_deduplicate(threshold=THRESHOLD)
    of = np.full(len(vectors), -1, dtype=np.int64)
    for one in result.filtered:
        of[int(one.record)] = int(one.duplicate_of)
    np.save(folder / "semhash.npy", of)
    return told


def _whole(folder: Path) -> dict[str, Any]:
    vectors = np.load(folder / "vectors.npy")
    said = json.loads((folder / "texts.json").read_text())
    generator = np.random.default_rng(SEED)
    # Each pair once: equal texts with unlike vectors would be nobody's captions.
    drawn = np.unique(generator.integers(len(said) ** 2, size=len(vectors) * 11 // 10))
    drawn = generator.permutation(drawn)[: len(vectors)].tolist()
    texts = [f"{said[pair // len(said)]} {said[pair % len(said)]}" for pair in drawn]
    del said, drawn
    order = np.arange(len(vectors))
    with measured() as alone:
        leaders(sketch(vectors), THRESHOLD)
    with measured() as told:
        found = find_duplicates(texts, vectors, order, threshold=THRESHOLD)
    np.save(folder / "whole.npy", np.where(found.kind == "semantic", found.of, -1))
    # Texts do not belong to the vectors here: what their words make duplicates is told apart.
    np.save(folder / "by_words.npy", (found.kind == "exact") | (found.kind == "near"))
    return {**told, "leaders": alone["seconds"], **found.counts}


if __name__ == "__main__":
    role = {"ours": _ours, "semhash": _semhash, "whole": _whole}[sys.argv[1]]
    print(json.dumps(role(Path(sys.argv[2]))))
