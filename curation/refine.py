"""Refine: one row of signals per caption, computed from the corpus alone.

Embeds each distinct text once, ranks the captions of every image, marks duplicates and measures
diversity. Nothing is deleted and no caption is judged: that is `filter`'s work.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from curation.corpus import Corpus
from curation.dedup import find_duplicates, normalise
from curation.diversity import mean_similarity, mean_similarity_to_others, vendi
from curation.embed import Encoder, embed

_BATCH_IMAGES = 5000


@dataclass(frozen=True)
class Refined:
    """What a refine run found; diversity is a mean over images with two captions or more."""

    captions: int
    images: int
    embedded: int
    exact: int
    semantic: int
    mean_similarity: float
    vendi: float
    encoder: str


def refine(
    corpus: Corpus,
    load: Callable[[], Encoder],
    encoder: str,
    *,
    threshold: float,
    run_id: str,
    on_embedded: Callable[[int], None] = lambda _texts: None,
    on_refined: Callable[[int], None] = lambda _captions: None,
) -> Refined:
    """Write signals for every caption.

    Args:
        corpus: open for writing.
        load: makes the encoder, called only when a text is new.
        encoder: the encoder's stored name.
        threshold: similarity in [-1, 1] from which two captions of an image say the same.
        run_id: goes into every row.
        on_embedded, on_refined: told how many texts, captions were done.
    """
    captions = corpus.table(
        "SELECT image_id, caption_id, text, finish_reason FROM current_captions ORDER BY image_id"
    ).to_pylist()
    ids = [caption["caption_id"] for caption in captions]
    held = embed(corpus, [caption["text"] for caption in captions], load, encoder, on_embedded)
    vectors, embedded = held.vectors, held.encoded
    order = sorted(range(len(captions)), key=lambda index: _rank(captions[index]))
    duplicates = find_duplicates(
        [caption["text"] for caption in captions],
        vectors,
        np.array(order, dtype=np.int64),
        threshold=threshold,
        images=[caption["image_id"] for caption in captions],
        rows=held.rows,
    )
    signals: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    numbered = list(enumerate(captions))
    for image_id, group in groupby(numbered, key=lambda item: item[1]["image_id"]):
        ranked = sorted(group, key=lambda item: _rank(item[1]))
        matrix = vectors[held.rows[[index for index, _ in ranked]]]
        others = mean_similarity_to_others(matrix)
        for rank, (index, caption) in enumerate(ranked):
            words = normalise(caption["text"]).split()
            of, similarity = int(duplicates.of[index]), float(duplicates.similarity[index])
            signals.append(
                {
                    "caption_id": caption["caption_id"],
                    "encoder": encoder,
                    "words": len(words),
                    "distinct_words": len(set(words)),
                    "rank": rank + 1,
                    "duplicate_kind": str(duplicates.kind[index]),
                    "duplicate_of": None if of < 0 else ids[of],
                    "similarity": -1.0 if math.isnan(similarity) else round(similarity, 4),
                    "mean_similarity": _rounded(others[rank]),
                    "threshold": threshold,
                    "run_id": run_id,
                }
            )
        images.append(
            {
                "image_id": image_id,
                "encoder": encoder,
                "captions": len(ranked),
                "mean_similarity": _rounded(mean_similarity(matrix)),
                "vendi": _rounded(vendi(matrix)),
                "run_id": run_id,
            }
        )
        on_refined(len(ranked))
    with corpus.transaction():
        # In one piece: nobody may read a corpus that is half old and half new.
        for start in range(0, len(signals), _BATCH_IMAGES * 10):
            corpus.put("signals", pa.Table.from_pylist(signals[start : start + _BATCH_IMAGES * 10]))
        corpus.put("image_signals", images)
    several = [image for image in images if image["captions"] > 1]
    kinds = [signal["duplicate_kind"] for signal in signals]
    return Refined(
        captions=len(signals),
        images=len(images),
        embedded=embedded,
        exact=kinds.count("exact"),
        semantic=kinds.count("semantic"),
        mean_similarity=_mean([image["mean_similarity"] for image in several]),
        vendi=_mean([image["vendi"] for image in several]),
        encoder=encoder,
    )


def _rank(caption: dict[str, Any]) -> tuple[bool, int, str]:
    """Best first: whole before cut off, then what says more different words, then by identity."""
    distinct = len(set(normalise(caption["text"]).split()))
    return (caption["finish_reason"] == "length", -distinct, caption["caption_id"])


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
