"""What captions claim of their photos, held against what is measured there.

Photos are measured once and kept; a caption is judged once per revision of the rules and of the
measurements. Photos that are not there any more leave their captions without a grounding. Must not
know how a claim is read or a photo is measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import measured
from curation.corpus import Corpus
from curation.grounding import ground
from curation.images import Unusable
from curation.measuring.measure import Measurements

_CHUNK = 256
_JUDGED_TOGETHER = 4096
"""Images whose captions are read at once: every reading passes over all captions."""
_RULES = ("claims", "claim_sentence", "claim_words", "tokens", "grounding")


@dataclass
class Grounded:
    """What was done: photos measured, captions judged, photos that could not be measured."""

    measured: int = 0
    judged: int = 0
    complaints: list[str] = field(default_factory=list)


@lru_cache(maxsize=1)
def rules_revision() -> str:
    """A hash of the modules that decide and of the measurements' revision."""
    folder = Path(__file__).parent
    texts = [(folder / f"{name}.py").read_bytes() for name in _RULES]
    return hashlib.sha256(b"\0".join([measured.REVISION.encode(), *texts])).hexdigest()[:12]


def ground_claims(
    corpus: Corpus,
    workers: int | None = None,
    on_progress: Callable[[str, int, int], None] = lambda _stage, _done, _total: None,
) -> Grounded:
    """Fill `measurements` and `groundings` for every current caption that claims something.

    Args:
        corpus: open for writing, with `text_signals`; committed photo by photo, chunk by chunk.
        workers: processes that measure; one per processor when None.
        on_progress: told stage, how many were done now, and the total.
    """
    done = Grounded()
    _measure(corpus, workers, done, on_progress)
    revision = rules_revision()
    todo = corpus.rows(
        f"SELECT DISTINCT c.image_id FROM {_CLAIMING} JOIN measurements m USING (image_id) "
        "ANTI JOIN (SELECT caption_id FROM groundings WHERE revision = $1) g USING (caption_id) "
        "WHERE m.revision = $2 ORDER BY c.image_id",
        [revision, measured.REVISION],
    )
    images = [image for (image,) in todo]
    for start in range(0, len(images), _JUDGED_TOGETHER):
        some = images[start : start + _JUDGED_TOGETHER]
        rows = list(_judged(corpus, some, revision))
        with corpus.transaction():
            corpus.put("groundings", rows)
        done.judged += len(rows)
        on_progress("claims", len(some), len(images))
    return done


_CLAIMING = """(
    SELECT c.caption_id, c.image_id, c.text FROM current_captions c
    JOIN text_signals t USING (caption_id) WHERE t.claims > 0) c"""


def _measure(
    corpus: Corpus,
    workers: int | None,
    done: Grounded,
    on_progress: Callable[[str, int, int], None],
) -> None:
    photos = corpus.rows(
        f"SELECT image_id, min(path) FROM (SELECT DISTINCT image_id FROM {_CLAIMING}) "
        "JOIN files USING (image_id) ANTI JOIN (SELECT image_id FROM measurements "
        "WHERE revision = ?) m USING (image_id) GROUP BY image_id ORDER BY min(path)",
        [measured.REVISION],
    )
    if not photos:
        return
    batch: list[dict[str, Any]] = []
    for number, result in enumerate(measured.measure_all(photos, workers), start=1):
        if isinstance(result, Unusable):
            done.complaints.append(f"{result.path}: {result.message}")
        else:
            batch.append(
                {
                    "image_id": result.image_id,
                    "revision": measured.REVISION,
                    "measured": measured.to_json(result.measurements),
                }
            )
            done.measured += 1
        if len(batch) == _CHUNK or number == len(photos):
            with corpus.transaction():
                corpus.put("measurements", batch)
            batch = []
        on_progress("measuring photos", 1, len(photos))


def _judged(corpus: Corpus, images: list[str], revision: str) -> Iterator[dict[str, Any]]:
    rows = corpus.join(
        "SELECT c.caption_id, c.image_id, c.text, m.measured "
        f"FROM {_CLAIMING} SEMI JOIN {{ids}} USING (image_id) JOIN measurements m USING (image_id) "
        "ORDER BY c.image_id, c.caption_id",
        pa.table({"image_id": pa.array(images, pa.string())}),
        {},
    )
    last: tuple[str, Measurements] | None = None
    for caption_id, image_id, text, told in rows:
        if last is None or last[0] != image_id:
            last = (image_id, measured.from_json(told))
        found = ground(text, last[1])
        wrong = found.contradictions
        yield {
            "caption_id": caption_id,
            "revision": revision,
            "supported": found.supported,
            "contradictions": len(wrong),
            "contradicted": ", ".join(dict.fromkeys(one.claim.aspect for one in wrong)),
            "score": found.score,
        }
