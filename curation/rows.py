"""How photos, prompts, captions and failures stand in the corpus: one row maker per table.

Must not know when or in which order rows are written.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from curation.corpus import now
from curation.engines.base import Answer, Engine, Refused
from curation.images import Prepared, Unusable, failure_id
from curation.plan import Rated, Wanted
from curation.prompts import Question
from uniqa.levels import LEVELS

Row = dict[str, Any]


def image_row(photo: Prepared) -> Row:
    """A row of `images`."""
    return {
        "image_id": photo.image_id,
        "path": photo.path,
        "file_bytes": photo.file_bytes,
        "format": photo.format,
        "mode": photo.mode,
        "width": photo.width,
        "height": photo.height,
    }


def file_row(item: Prepared | Unusable) -> Row:
    """A row of `files`."""
    size, mtime = item.stamp
    if isinstance(item, Unusable) and not item.permanent:
        size = -1  # never equal to a real size: it is read again on the next run
    image_id = item.image_id if isinstance(item, Prepared) else None
    return {"path": item.path, "size": size, "mtime_ns": mtime, "image_id": image_id}


def rating_row(image_id: str, rated: Rated) -> Row:
    """A row of `ratings`."""
    row = asdict(rated)
    row["group_id"] = row.pop("group")
    del row["known"]
    return {"image_id": image_id, **row}


def prompt_row(question: Question) -> Row:
    """A row of `prompts`."""
    shots = [
        {"image_id": shot.image_id, "question": shot.question, "answer": shot.answer}
        for shot in question.exemplars
    ]
    return {
        "prompt_id": question.prompt_id,
        "template": question.template,
        "task": question.task,
        "cue": question.cue,
        "level": question.level,
        "system": question.system,
        "text": question.text,
        "answer_start": question.answer_start,
        "exemplars": json.dumps(shots, ensure_ascii=False),
    }


def caption_row(wanted: Wanted, answer: Answer, engine: Engine, run_id: str) -> Row:
    """A row of `captions`."""
    return {
        "caption_id": wanted.caption_id,
        "image_id": wanted.image_id,
        "source": "model",
        "engine": engine.name,
        "model": engine.model,
        "revision": engine.revision,
        "task": wanted.question.task,
        "cue": wanted.question.cue,
        "level": wanted.question.level,
        "prompt_id": wanted.question.prompt_id,
        "sampling": wanted.sampling,
        "seed": wanted.seed,
        "sample": wanted.sample,
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "cached_tokens": answer.cached_tokens,
        "tokens": answer.tokens,
        "run_id": run_id,
        "created_at": now(),
    }


def level_row(answer: Answer) -> Row:
    """A row of `level_probabilities`; the score is the expected level, 0 (bad) to 1 (perfect)."""
    assert answer.levels is not None
    top = len(LEVELS) - 1
    score = sum(step / top * share for step, share in enumerate(answer.levels))
    return {
        "caption_id": answer.caption_id,
        **dict(zip(LEVELS, answer.levels, strict=True)),
        "level_score": score,
    }


def photo_failure(item: Unusable, run_id: str) -> Row:
    """A row of `failures` for a file that is no usable photo."""
    return _failure(
        failure_id(item.path), "image", item.kind, item.message, item.permanent, item.path, run_id
    )


def caption_failure(wanted: Wanted, refused: Refused, engine: Engine, run_id: str) -> Row:
    """A row of `failures` for a caption that an engine did not give."""
    row = _failure(
        refused.caption_id,
        "engine",
        refused.kind,
        refused.message,
        refused.permanent,
        wanted.path,
        run_id,
    )
    return {
        **row,
        "image_id": wanted.image_id,
        "model": engine.model,
        "task": wanted.question.task,
        "cue": wanted.question.cue,
    }


def _failure(
    identity: str, stage: str, kind: str, message: str, permanent: bool, path: str, run_id: str
) -> Row:
    return {
        "failure_id": identity,
        "stage": stage,
        "kind": kind,
        "message": message,
        "permanent": permanent,
        "path": path,
        "image_id": None,
        "model": None,
        "task": None,
        "cue": None,
        "run_id": run_id,
        "failed_at": now(),
    }
