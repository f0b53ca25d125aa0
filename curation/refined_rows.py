"""How signals stand in the corpus, column by column.

Must not know how a signal is found, nor when it is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.dedup import NEAR, Duplicates
from curation.distinct import Distinct
from curation.diversity import Diversity
from curation.grouped import Captions
from curation.losses import Loss
from curation.purity import Purities

__all__ = ["NEAR"]

QUERY = """
SELECT c.caption_id, c.image_id, c.text, c.finish_reason, c.source, c.task, c.cue, c.model,
       coalesce(p.template, '') AS template,
       CAST(coalesce(json_array_length(p.exemplars), 0) AS VARCHAR) AS shots,
       coalesce(json_extract_string(c.sampling, '$.temperature'), '') AS temperature,
       t.words, t.distinct_words, t.problems, t.informativeness, t.ir,
       t.implied_score, t.claims,
       round(1 - abs(t.implied_score - r.score), 4)::FLOAT AS level_agreement,
       g.contradictions, g.contradicted, g.score AS grounding,
       v.relevance, v.model AS relevance_model
FROM current_captions c JOIN text_signals t USING (caption_id)
LEFT JOIN prompts p USING (prompt_id)
LEFT JOIN groundings g USING (caption_id)
LEFT JOIN (SELECT image_id, task, score FROM ratings
           QUALIFY row_number() OVER (PARTITION BY image_id, task ORDER BY dataset) = 1) r
       ON r.image_id = c.image_id AND r.task = c.task
LEFT JOIN (SELECT * FROM relevances QUALIFY model = last_value(model) OVER (ORDER BY rowid
           ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) v
       ON v.caption_id = c.caption_id
ORDER BY c.image_id, c.caption_id
"""


def codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number per distinct value, in order of first appearance, shape (rows,)."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def is_value(column: pa.ChunkedArray, value: str) -> NDArray[np.bool_]:
    """Which rows hold the value."""
    values = column.to_numpy(zero_copy_only=False)
    return np.asarray(values == value, dtype=bool)


def counts(lists: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """How long each list is."""
    return np.fromiter((len(one) for one in lists), dtype=np.int64, count=len(lists))


def by_name(lists: Sequence[Sequence[str]]) -> dict[str, int]:
    """How often each name occurs, the most frequent first."""
    return dict(Counter(name for one in lists for name in one).most_common())


def distinct_texts(texts: Sequence[str], rows: NDArray[np.int64], count: int) -> list[str]:
    """The text of each row of the embeddings."""
    found = [""] * count
    for text, row in zip(texts, rows.tolist(), strict=True):
        found[row] = text
    return found


def signals(
    told: pa.Table,
    problems: Sequence[Sequence[str]],
    openers: NDArray[np.float64],
    order: NDArray[np.int64],
    own: Duplicates,
    everywhere: Duplicates,
    images_alike: NDArray[np.int64],
    diverse: Diversity,
    pure: Purities,
    *,
    encoder: str,
    threshold: float,
    ranked_by: str,
    run_id: str,
) -> pa.Table:
    """Rows of the table `signals`, in the order of `told`."""
    count = told.num_rows
    ids = told["caption_id"].to_numpy(zero_copy_only=False)
    similarity = np.where(np.isnan(own.similarity), -1.0, own.similarity)
    columns: dict[str, Any] = {
        "caption_id": told["caption_id"],
        "encoder": _same(encoder, count),
        "words": told["words"],
        "distinct_words": told["distinct_words"],
        "problems": pa.array(counts(problems), pa.int32()),
        "problem_list": pa.array(problems, pa.list_(pa.string())),
        "opener": _floats(openers),
        "informativeness": told["informativeness"],
        "rank": pa.array(_ranks(order, codes(told["image_id"])), pa.int32()),
        "ranked_by": _same(ranked_by, count),
        "duplicate_kind": pa.array(own.kind.tolist(), pa.string()),
        "duplicate_of": _named(own.of, ids),
        "similarity": _floats(similarity),
        "repeats_kind": pa.array(everywhere.kind.tolist(), pa.string()),
        "repeats": _named(everywhere.of, ids),
        "images_alike": pa.array(images_alike, pa.int32()),
        "mean_similarity": _floats(diverse.to_others),
        "gain": _floats(diverse.gain),
        "gain_rank": pa.array(diverse.cover_rank, pa.int32()),
        "meaning": pa.array(diverse.meaning, pa.int32()),
        "ar": _floats(pure.relevance),
        "ir": _floats(pure.words),
        "air": _floats(pure.air),
        "air_rank": pa.array(pure.place, pa.float64(), from_pandas=True).cast(pa.int32()),
        "threshold": pa.array(np.full(count, threshold), pa.float64()),
        "run_id": _same(run_id, count),
    }
    for name in (
        "implied_score", "level_agreement", "claims", "contradictions", "contradicted", "grounding",
        "relevance", "relevance_model",
    ):  # fmt: skip
        columns[name] = told[name]
    return pa.table(columns)


def image_signals(
    told: pa.Table,
    captions: Captions,
    diverse: Diversity,
    spoken: Distinct,
    encoder: str,
    run_id: str,
) -> pa.Table:
    """Rows of the table `image_signals`."""
    images = len(captions.sizes)
    return pa.table(
        {
            "image_id": told["image_id"].take(pa.array(captions.starts[:-1])),
            "encoder": _same(encoder, images),
            "captions": pa.array(captions.sizes, pa.int32()),
            "mean_similarity": _floats(diverse.mean_similarity),
            "vendi": _floats(diverse.vendi),
            "distinct_1": _floats(spoken.distinct_1),
            "distinct_2": _floats(spoken.distinct_2),
            "meanings": pa.array(diverse.meanings, pa.int32()),
            "semantic_entropy": _floats(diverse.semantic_entropy),
            "run_id": _same(run_id, images),
        }
    )


def corpus_signals(whole: dict[str, float], encoder: str, run_id: str) -> list[dict[str, Any]]:
    """Rows of the table `corpus_signals`."""
    return [
        {"name": name, "value": _finite(value), "encoder": encoder, "run_id": run_id}
        for name, value in whole.items()
    ]


def group_losses(worth: dict[str, list[Loss]], encoder: str, run_id: str) -> list[dict[str, Any]]:
    """Rows of the table `group_losses`."""
    return [
        {
            "dimension": dimension,
            "value": one.value,
            "measure": one.measure,
            "captions": one.captions,
            "images": one.images,
            "bare": one.bare,
            "whole": _finite(one.whole),
            "without": _finite(one.without),
            "thinned": _finite(one.thinned),
            "beyond": _finite(one.beyond),
            "low": _finite(one.low),
            "high": _finite(one.high),
            "encoder": encoder,
            "run_id": run_id,
        }
        for dimension, found in worth.items()
        for one in found
    ]


def _ranks(order: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each caption's place among its group's in `order`, from 1; groups stand together."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    within = np.lexsort((place, group))
    starts = np.flatnonzero(np.diff(group[within], prepend=-1))
    sizes = np.diff(np.append(starts, len(group)))
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[within] = np.arange(len(order)) - np.repeat(starts, sizes) + 1
    return ranks


def _named(indices: NDArray[np.int64], ids: NDArray[Any]) -> pa.Array:
    found = np.full(len(indices), None, dtype=object)
    found[indices >= 0] = ids[indices[indices >= 0]]
    return pa.array(found, pa.string())


def _floats(values: NDArray[Any]) -> pa.Array:
    """Four decimals, null for NaN: the rest depends on the order of additions."""
    return pa.array(np.round(values.astype(np.float64), 4), pa.float32(), from_pandas=True)


def _same(value: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), count)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
