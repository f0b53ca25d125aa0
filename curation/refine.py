"""Refine: one row of signals per caption, and what they tell of images and of the corpus.

Everything that costs much is done once and kept: embeddings per text, what the words alone tell
per caption, measurements per photo, claims held against them. What compares captions with one
another (ranks, duplicates, diversity) is worked out anew from these, so another threshold costs no
embedding and new captions only their own work. Nothing is deleted and no caption is judged: that
is `filter`'s work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation import refined_rows as tables
from curation.corpus import Corpus
from curation.dedup import Duplicates, best_first, find_duplicates, images_per_cluster
from curation.distinct import Words, corpus_distinct, distinct
from curation.diversity import SAME_MEANING, corpus_diversity, corpus_meanings, diversity
from curation.embed import Encoder, embed
from curation.grouped import Captions
from curation.hygiene import find_openers
from curation.losses import Loss, losses
from curation.purity import purities
from curation.ranking import rank_scores
from curation.text_signals import read_texts
from curation.truth import ground_claims

SAME = 0.92
"""Similarity from which two captions of an image say the same, unless told otherwise."""

DIMENSIONS = ("model", "template", "cue", "shots", "temperature")
"""What captions are grouped by to see what the corpus would lose without each group."""

COMMENT = "comment"
"""The cue of people's comments."""

_DRAWS, _FEW = 8, 12

Progress = Callable[[str, int, int], None]
"""Told the stage, how many were done now, and how many there are in all."""


def untold(_stage: str, _done: int, _total: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class Settings:
    """What a user may choose."""

    encoder: str
    """The encoder's stored name."""
    similarity: float = SAME
    """From here on, in [-1, 1], two captions of an image say the same."""
    meaning: float = SAME_MEANING
    """From here on, in [-1, 1], two captions of an image mean the same (semantic entropy)."""
    rank_by: str = "worth"
    """What decides who survives; see `curation.ranking`."""
    repeats: str = "near"
    """Down to which kind the same text is looked for over the corpus: exact, near or semantic."""
    language: str = "en"
    """That captions should be in."""
    grounding: bool = True
    """Whether photos are measured and claims held against that."""
    workers: int | None = None
    """Processes that measure photos; one per processor when None."""
    seed: int = 0
    """Of the draws that the worth of groups is compared with."""


@dataclass(frozen=True)
class Refined:
    """What a refine run found; diversity per image is a mean over those with several captions."""

    captions: int
    images: int
    encoder: str
    embedded: int
    read: int
    measured: int
    duplicates: dict[str, int]
    repeats: dict[str, int]
    problems: dict[str, int]
    openers: int
    contradicted: int
    mean_similarity: float
    vendi: float
    corpus: dict[str, float]
    losses: dict[str, list[Loss]] = field(default_factory=dict)
    """By what captions are grouped by."""
    unmeasured: list[str] = field(default_factory=list)
    """Photos that could not be measured, and why."""


def refine(
    corpus: Corpus,
    load: Callable[[], Encoder],
    settings: Settings,
    *,
    run_id: str,
    on_progress: Progress = untold,
) -> Refined:
    """Write signals for every current caption.

    Args:
        corpus: open for writing.
        load: makes the encoder, called only when a text is new.
        settings: see `Settings`.
        run_id: goes into every row.
        on_progress: told of every stage.

    Raises:
        UsageError: `rank_by` is no signal that captions can be ranked by.
    """
    read = read_texts(corpus, settings.language, on_progress)
    grounded = ground_claims(corpus, settings.workers, on_progress) if settings.grounding else None
    told = corpus.table(tables.QUERY)
    texts: list[str] = told["text"].to_pylist()
    held = embed(corpus, texts, load, settings.encoder,
                 lambda done: on_progress("embedding", done, len(texts)))  # fmt: skip
    group = tables.codes(told["image_id"])
    starts = np.flatnonzero(np.diff(group, prepend=-1, append=group[-1] + 1 if len(group) else 0))
    captions = Captions(held.vectors, held.rows, starts)
    problems: list[list[str]] = told["problems"].to_pylist()
    openers = _openers(texts, told)
    scores = rank_scores(told, tables.counts(problems), settings.rank_by)
    order = best_first(scores, told["caption_id"].to_numpy(zero_copy_only=False))
    own = find_duplicates(
        texts, held.vectors, order, threshold=settings.similarity, images=group, rows=held.rows,
        on_progress=lambda done: on_progress("duplicates", done, len(texts)),
    )  # fmt: skip
    everywhere = find_duplicates(
        texts, held.vectors, order, threshold=settings.similarity, rows=held.rows,
        near=None if settings.repeats == "exact" else tables.NEAR,
        semantic=settings.repeats == "semantic",
        on_progress=lambda done: on_progress("repeats", done, len(texts)),
    )  # fmt: skip
    on_progress("diversity", 0, len(texts))
    diverse = diversity(captions, settings.meaning)
    words = Words.of(tables.distinct_texts(texts, held.rows, len(held.vectors)))
    spoken = distinct(words, captions)
    comment = tables.is_value(told["source"], "person")
    described = ~comment & tables.is_value(told["task"], "aesthetic")
    pure = purities(
        held.vectors, held.rows, group, comment, described, told["ir"].to_numpy().astype(np.int64)
    )
    on_progress("diversity", len(texts), len(texts))
    worth = _losses(captions, words, told, settings, on_progress)
    whole = _whole(captions, words, settings)
    signals = tables.signals(
        told, problems, openers, order, own, everywhere, images_per_cluster(everywhere, group),
        diverse, pure, encoder=settings.encoder, threshold=settings.similarity,
        ranked_by=settings.rank_by, run_id=run_id,
    )  # fmt: skip
    images = tables.image_signals(told, captions, diverse, spoken, settings.encoder, run_id)
    _store(corpus, signals, images, whole, worth, settings.encoder, run_id)
    several = captions.sizes > 1
    return Refined(
        captions=len(texts),
        images=len(captions.sizes),
        encoder=settings.encoder,
        embedded=held.encoded,
        read=read,
        measured=grounded.measured if grounded else 0,
        duplicates=own.counts,
        repeats=_beyond_images(everywhere, group),
        problems=tables.by_name(problems),
        openers=int((openers > 0).sum()),
        contradicted=int((signals["contradictions"].fill_null(0).to_numpy() > 0).sum()),
        mean_similarity=_mean(diverse.mean_similarity[several]),
        vendi=_mean(diverse.vendi[several]),
        corpus=whole,
        losses=worth,
        unmeasured=grounded.complaints if grounded else [],
    )


def _openers(texts: list[str], told: pa.Table) -> NDArray[np.float64]:
    """The share of its writer's texts that begin as each caption does; 0 if that is no boilerplate.

    A habit of one writer is looked for among its own texts, and people are many writers.
    """
    shares = np.zeros(len(texts))
    writer = tables.codes(told["model"])
    for one in np.unique(writer):
        own = np.flatnonzero(writer == one).tolist()
        openers = find_openers(texts[index] for index in own)
        if openers.shares:
            shares[own] = [openers.share(texts[index]) for index in own]
    return shares


def _losses(
    captions: Captions, words: Words, told: pa.Table, settings: Settings, on_progress: Progress
) -> dict[str, list[Loss]]:
    found: dict[str, list[Loss]] = {}
    # People were asked nothing: what they say stands beside the answers on the whole photo.
    asked = [
        f"{task}/{'overall' if cue == COMMENT else cue}"
        for task, cue in zip(*map(_list(told), ("task", "cue")), strict=True)
    ]
    models = _list(told)("model")
    for dimension in DIMENSIONS:
        values = asked if dimension == "cue" else _list(told)(dimension)
        if len(set(values)) > 1:
            # Drawn with equal questions, or equal models: their balance is not the group's merit.
            alike = models if dimension in {"cue", "template"} else asked
            # Many groups are small ones, for which fewer draws tell chance as well.
            draws = _DRAWS if len(set(values)) <= _FEW else _DRAWS // 4
            found[dimension] = losses(
                captions, words, values, threshold=settings.meaning, alike=alike, draws=draws,
                seed=settings.seed,
            )  # fmt: skip
        on_progress("worth of groups", 1, len(DIMENSIONS))
    return found


def _list(told: pa.Table) -> Callable[[str], list[Any]]:
    return lambda column: told[column].to_pylist()


def _whole(captions: Captions, words: Words, settings: Settings) -> dict[str, float]:
    """What is told of all captions together."""
    if not len(captions.rows):
        return {}
    together, said = corpus_diversity(captions), corpus_distinct(words, captions)
    sampled = corpus_meanings(captions, settings.meaning, seed=settings.seed)
    return {
        "vendi": together.vendi,
        "mean_similarity": together.mean_similarity,
        "distinct_1": float(said.distinct_1[0]),
        "distinct_2": float(said.distinct_2[0]),
        "sampled_captions": float(sampled.captions),
        "sampled_meanings": float(sampled.meanings),
        "sampled_semantic_entropy": sampled.semantic_entropy,
    }


def _beyond_images(everywhere: Duplicates, group: NDArray[np.int64]) -> dict[str, int]:
    """Captions that repeat one of another image, by kind."""
    found = np.flatnonzero(everywhere.of >= 0)
    other = found[group[found] != group[everywhere.of[found]]]
    kinds, counts = np.unique(everywhere.kind[other], return_counts=True)
    return dict(zip(kinds.tolist(), counts.tolist(), strict=True))


def _store(
    corpus: Corpus,
    signals: pa.Table,
    images: pa.Table,
    whole: dict[str, float],
    worth: dict[str, list[Loss]],
    encoder: str,
    run_id: str,
) -> None:
    with corpus.transaction():
        # In one piece: nobody may read a corpus that is half old and half new.
        corpus.put("signals", signals)
        corpus.put("image_signals", images)
        corpus.put("corpus_signals", tables.corpus_signals(whole, encoder, run_id))
        corpus.empty("group_losses")
        corpus.put("group_losses", tables.group_losses(worth, encoder, run_id))


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
