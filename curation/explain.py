"""Everything that is known of one caption, and the parts of it that decided.

Signals as stored; neighbours by the stored embeddings; problems, what is said of the look, the
implied level and each claim with its place in the text, read again by the very rules. Changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from curation import measured
from curation.corpus import Corpus
from curation.embed import text_hash
from curation.grounding import ground
from curation.hygiene import Context, find_openers, hygiene
from curation.implied import imply
from curation.informative import inform
from curation.text_signals import prompts_of
from curation.views import CORPUS
from uniqa.errors import InputError

NEIGHBOURS = 5
"""Shown of the image, and of the rest of the corpus."""

Row = tuple[Any, ...]

_FACTS = (
    "caption_id", "image_id", "path", "dataset", "split", "mos", "score", "source", "engine",
    "model", "revision", "task", "cue", "template", "prompt_level", "shots", "sampling", "seed",
    "sample", "text", "finish_reason", "tokens", "run_id", "created_at",
)  # fmt: skip
_NOT_SIGNALS = (
    "width", "height", "group_id", "truncated", "superseded", "prompt_tokens", "cached_tokens",
    "kept", "dropped_by", "dropped_value", "dropped_threshold",
)  # fmt: skip


@dataclass(frozen=True)
class Explanation:
    """A caption with its signals; each list holds a table's rows, the parts with their places."""

    facts: dict[str, Any]
    signals: dict[str, Any]
    meanings: dict[str, str]
    neighbours: list[Row]
    repeats: list[Row]
    parts: list[Row] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = ("similarity", "where", "model", "cue", "caption_id", "text")
        parts = ("signal", "part", "start", "end", "why")
        return {
            **{key: value for key, value in asdict(self).items() if key != "meanings"},
            "neighbours": [dict(zip(names, row, strict=True)) for row in self.neighbours],
            "repeats": [dict(zip(("relation", "caption_id", "text"), row, strict=True))
                        for row in self.repeats],
            "parts": [dict(zip(parts, row, strict=True)) for row in self.parts],
        }  # fmt: skip

    def tables(self) -> Iterator[tuple[str, list[str], list[Row], list[str]]]:
        """Title, columns, rows and right-aligned columns of each table."""
        yield "Caption", ["what", "value"], list(self.facts.items()), []
        told = [(name, value, self.meanings.get(name, "")) for name, value in self.signals.items()]
        yield "Signals", ["signal", "value", "meaning"], told, ["value"]
        yield "Repeats", ["relation", "caption", "text"], self.repeats, []
        columns = ["similarity", "where", "model", "cue", "caption", "text"]
        short = [(*row[:4], row[4][:12], row[5]) for row in self.neighbours]
        yield "Nearest captions", columns, short, ["similarity"]
        parts = [
            (signal, part, f"{start}–{end}", why) for signal, part, start, end, why in self.parts
        ]
        yield "What decided", ["signal", "part of the text", "place", "why"], parts, []


def explain(corpus: Corpus, caption_id: str) -> Explanation:
    """Tell all that is known of a caption.

    Args:
        corpus: refined.
        caption_id: the id, or its beginning if no other id begins so.

    Raises:
        InputError: no such caption, several, or no signals yet.
    """
    record = _record(corpus, caption_id)
    if record["words"] is None:
        raise InputError(
            f"caption {record['caption_id']} has no signals yet", "Run uniqa-curate refine"
        )
    return Explanation(
        facts={name: record[name] for name in _FACTS if record[name] not in (None, "")},
        signals={
            name: value
            for name, value in record.items()
            if name not in (*_FACTS, *_NOT_SIGNALS) and value is not None
        },
        meanings={column.name: column.meaning for column in CORPUS},
        neighbours=_neighbours(corpus, record),
        repeats=_repeats(corpus, record),
        parts=list(_parts(corpus, record)),
    )


def _record(corpus: Corpus, caption_id: str) -> dict[str, Any]:
    found = corpus.table(
        "SELECT * FROM corpus WHERE starts_with(caption_id, ?) ORDER BY caption_id LIMIT 3",
        [caption_id],
    ).to_pylist()
    if not caption_id or not found:
        raise InputError(
            f"no caption '{caption_id}' in {corpus.path}",
            'Find one: uniqa-curate sql "SELECT caption_id, text FROM corpus"',
        )
    if len(found) > 1 and found[0]["caption_id"] != caption_id:
        ids = ", ".join(row["caption_id"] for row in found[:2])
        raise InputError(f"several captions begin with '{caption_id}' ({ids} …)", "Give more of it")
    return dict(found[0])


def _neighbours(corpus: Corpus, record: dict[str, Any]) -> list[Row]:
    """The most similar captions of the image, and those of other images."""
    rows: list[Row] = []
    for where, condition in (("its image", "="), ("elsewhere", "<>")):
        rows += corpus.rows(
            f"""
            WITH own AS (SELECT vector FROM embeddings WHERE text_hash = $hash AND encoder = $name),
            others AS (SELECT sha256(text)[:32] AS text_hash, model, cue, caption_id, text
                       FROM current_captions
                       WHERE caption_id <> $id AND image_id {condition} $image)
            SELECT round(list_dot_product(e.vector, (FROM own)), 4) AS similarity, '{where}',
                   o.model, o.cue, o.caption_id, o.text
            FROM others o JOIN embeddings e ON e.text_hash = o.text_hash AND e.encoder = $name
            ORDER BY similarity DESC, o.caption_id LIMIT {NEIGHBOURS}
            """,
            {
                "hash": text_hash(record["text"]), "name": record["encoder"],
                "id": record["caption_id"], "image": record["image_id"],
            },
        )  # fmt: skip
    return rows


def _repeats(corpus: Corpus, record: dict[str, Any]) -> list[Row]:
    """What it repeats, and what repeats it."""
    rows: list[Row] = []
    for relation, column in (("repeats of its image", "duplicate_of"), ("repeats", "repeats")):
        if record[column]:
            rows += corpus.rows(
                "SELECT ?, caption_id, text FROM captions WHERE caption_id = ?",
                [relation, record[column]],
            )
        rows += corpus.rows(
            f"SELECT ?, caption_id, text FROM corpus WHERE {column} = ? "
            "ORDER BY caption_id LIMIT ?",
            ["is repeated" + relation.removeprefix("repeats"), record["caption_id"], NEIGHBOURS],
        )
    return list(dict.fromkeys(rows))


def _parts(corpus: Corpus, record: dict[str, Any]) -> Iterator[Row]:
    text = record["text"]
    asked = corpus.value(
        "SELECT coalesce(p.system || chr(10) || p.text, '') FROM captions c "
        "LEFT JOIN prompts p USING (prompt_id) WHERE c.caption_id = ?",
        [record["caption_id"]],
    )
    openers = find_openers(
        row[0]
        for row in corpus.rows(
            "SELECT text FROM current_captions WHERE model = ?", [record["model"]]
        )
    )
    context = Context(prompts_of(asked or ""), openers)
    for finding in hygiene(text, context, record["finish_reason"] or ""):
        yield f"problem: {finding.name}", finding.part, finding.start, finding.end, finding.detail
    for part in inform(text).parts:
        yield "informativeness", part.words, part.start, part.end, f"{part.aspect}, {part.weight:g}"
    for cue in imply(text).cues:
        why = f"{cue.kind}: worth {cue.worth:g}, weight {cue.weight:g}"
        yield "implied_score", cue.text, cue.start, cue.end, why
    told = corpus.value(
        "SELECT measured FROM measurements WHERE image_id = ? AND revision = ?",
        [record["image_id"], measured.REVISION],
    )
    if told is None:
        return
    for one in ground(text, measured.from_json(told)).findings:
        claim = one.claim
        said = claim.what if claim.present else f"no {claim.what}"
        why = f"{said}: {one.verdict}; {one.scale} is {one.measured:.3g}"
        if one.threshold is not None:
            why += f", decided at {one.threshold:.3g}"
        yield "grounding", claim.text, claim.start, claim.end, why
