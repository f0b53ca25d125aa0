"""What can be told of a caption by its words alone: hygiene, informativeness, claims.

Worked out once per caption and revision of the rules, in a process pool where there are many, and
kept in the corpus; another run only looks at what is new. What depends on the other captions
(openers, duplicates) is not here. Must not know photos, ratings or embeddings.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.claims import claims
from curation.corpus import Corpus
from curation.dedup import normalise
from curation.hygiene import Context, Prompts, hygiene
from curation.implied import imply
from curation.informative import informativeness

_CHUNK = 2000
_POOL_FROM = 8 * _CHUNK
_RULES = (
    "hygiene", "language", "informative", "informative_words", "claims", "claim_sentence",
    "claim_words", "tokens", "implied", "text_signals",
)  # fmt: skip

SCHEMA = pa.schema(
    [
        ("caption_id", pa.string()),
        ("revision", pa.string()),
        ("words", pa.int32()),
        ("distinct_words", pa.int32()),
        ("problems", pa.list_(pa.string())),
        ("informativeness", pa.float32()),
        ("ir", pa.int32()),
        ("implied_score", pa.float32()),
        ("claims", pa.int32()),
    ]
)

Job = tuple[str, str, str, str]
"""Caption id, text, finish reason, what was asked (system text and question)."""


@lru_cache(maxsize=1)
def rules_revision() -> str:
    """A hash of the modules that decide: other rules, other signals."""
    folder = Path(__file__).parent
    texts = [(folder / f"{name}.py").read_bytes() for name in _RULES]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:12]


def read_texts(
    corpus: Corpus,
    language: str,
    on_progress: Callable[[str, int, int], None] = lambda _stage, _done, _total: None,
) -> int:
    """Fill the table `text_signals` for every current caption that has no row of this revision.

    Args:
        corpus: open for writing; committed chunk by chunk.
        language: that captions should be in, such as ``en``.
        on_progress: told the stage, how many captions were done now, and how many there are.

    Returns:
        How many captions were read.
    """
    revision = f"{rules_revision()}/{language}"
    todo = corpus.table(
        "SELECT c.caption_id, c.text, coalesce(c.finish_reason, '') AS finish_reason, "
        "coalesce(p.system || chr(10) || p.text, '') AS asked "
        "FROM current_captions c LEFT JOIN prompts p USING (prompt_id) "
        "ANTI JOIN (SELECT caption_id FROM text_signals WHERE revision = ?) t "
        "ON t.caption_id = c.caption_id ORDER BY c.text, c.caption_id",
        [revision],
    )
    for rows in _work(todo, revision, language):
        with corpus.transaction():
            corpus.put("text_signals", rows)
        on_progress("reading texts", rows.num_rows, todo.num_rows)
    return int(todo.num_rows)


def _work(todo: pa.Table, revision: str, language: str) -> Iterator[pa.Table]:
    jobs = (
        (_jobs(todo.slice(start, _CHUNK)), revision, language)
        for start in range(0, todo.num_rows, _CHUNK)
    )
    if todo.num_rows < _POOL_FROM:
        yield from (read_chunk(*job) for job in jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count() or 2, context) as pool:
        waiting: list[Any] = []
        for job in jobs:
            waiting.append(pool.submit(read_chunk, *job))
            if len(waiting) > 2 * (os.cpu_count() or 2):
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _jobs(table: pa.Table) -> list[Job]:
    columns = [table[name].to_pylist() for name in ("caption_id", "text", "finish_reason", "asked")]
    return list(zip(*columns, strict=True))


def read_chunk(jobs: Sequence[Job], revision: str, language: str) -> pa.Table:
    """Rows of `text_signals` for some captions; texts that stand together are read once."""
    rows: list[dict[str, Any]] = []
    last: tuple[tuple[str, ...], dict[str, Any]] | None = None
    for caption_id, *rest in jobs:
        if last is None or last[0] != tuple(rest):
            text, finish_reason, asked = rest
            last = (tuple(rest), _read(text, finish_reason, asked, language))
        rows.append({"caption_id": caption_id, "revision": revision, **last[1]})
    return pa.Table.from_pylist(rows, SCHEMA)


def _read(text: str, finish_reason: str, asked: str, language: str) -> dict[str, Any]:
    words = normalise(text).split()
    findings = hygiene(text, Context(prompts_of(asked), language=language), finish_reason)
    return {
        "words": len(words),
        "distinct_words": len(set(words)),
        "problems": [finding.name for finding in findings],
        "informativeness": informativeness(text),
        "ir": len(text.split()),
        "implied_score": imply(text).score,
        "claims": len(claims(text)),
    }


@lru_cache(maxsize=4096)
def prompts_of(asked: str) -> Prompts:
    """What one caption's model was asked: only its own prompt can leak into it."""
    return Prompts([asked] if asked else [])
