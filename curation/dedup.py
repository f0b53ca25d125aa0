"""Duplicates: rank first, then keep greedily.

A caption is compared only with better-ranked captions of the same image that were kept, so the
best of every cluster survives and a chain of near-duplicates never takes the whole image along.
Similarity is the cosine of embeddings, in [-1, 1].
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Verdict:
    """One caption's place among its image's captions.

    `kind` is ``exact``, ``semantic`` or empty; `of` is the index of the kept caption it repeats;
    `similarity` is that to the nearest better-ranked kept caption (-1 where there is none).
    """

    kind: str
    of: int | None
    similarity: float


def normalise(text: str) -> str:
    """What is left of a text when case, accents' forms, punctuation and spacing do not count."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+", folded))


def find_duplicates(
    texts: Sequence[str], vectors: NDArray[np.float32], threshold: float
) -> list[Verdict]:
    """Judge the captions of one image.

    Args:
        texts: the captions, best-ranked first.
        vectors: their unit-length embeddings, shape (captions, dimensions).
        threshold: similarity from which two captions say the same.

    Returns:
        One verdict per caption, in the same order.
    """
    kept: list[int] = []
    by_words: dict[str, int] = {}
    verdicts: list[Verdict] = []
    for index, text in enumerate(texts):
        words = normalise(text)
        if words in by_words:
            verdicts.append(Verdict("exact", by_words[words], 1.0))
            continue
        nearest, similarity = None, -1.0
        if kept:
            similarities = vectors[kept] @ vectors[index]
            best = int(np.argmax(similarities))
            nearest, similarity = kept[best], float(np.clip(similarities[best], -1.0, 1.0))
        if nearest is not None and similarity >= threshold:
            verdicts.append(Verdict("semantic", nearest, similarity))
            continue
        kept.append(index)
        by_words[words] = index
        verdicts.append(Verdict("", None, similarity))
    return verdicts
