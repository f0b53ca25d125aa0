"""Image–text relevance of the corpus's captions, stored per caption and model.

Must not know contrastive models: `curation.relevance` asks one in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from curation.corpus import Corpus
from curation.relevance import Pair, relevance

_CHUNK = 50_000


def store_relevances(
    corpus: Corpus,
    model: str,
    run_id: str,
    on_progress: Callable[[str, int, int], None] = lambda _stage, _done, _total: None,
) -> list[str]:
    """Fill `relevances` for every current caption whose photo is at hand.

    Args:
        corpus: open for writing.
        model: see `curation.relevance.relevance`. Photos and texts that it knows cost nothing.
        run_id: goes into every row; the last run's model is the one that signals show.
        on_progress: told stage, how many were done now, and the total.

    Returns:
        What went wrong, a line per photo.

    Raises:
        InputError: the model cannot be used.
    """
    rows = corpus.rows(
        "SELECT c.caption_id, c.image_id, f.path, c.text FROM current_captions c "
        "JOIN (SELECT image_id, min(path) AS path FROM files GROUP BY image_id) f USING (image_id) "
        "ORDER BY c.image_id, c.caption_id"
    )
    passed: dict[str, int] = {}

    def tell(stage: str, done: int, total: int) -> None:
        on_progress(f"relevance: {stage}", done - passed.get(stage, 0), total)
        passed[stage] = done

    pairs = [Pair(image_id, path, text) for _, image_id, path, text in rows]
    found = relevance(pairs, model, on_progress=tell)
    with corpus.transaction():
        corpus.empty("relevances", model=found.model)
        for start in range(0, len(rows), _CHUNK):
            corpus.put(
                "relevances",
                [
                    {
                        "caption_id": row[0], "model": found.model, "relevance": value,
                        "run_id": run_id,
                    }
                    for row, value in zip(
                        rows[start : start + _CHUNK], found.values[start : start + _CHUNK],
                        strict=True,
                    )
                    if value is not None
                ],
            )  # fmt: skip
    return [f"{path}: {why}" for path, why in sorted(found.errors.items())]
