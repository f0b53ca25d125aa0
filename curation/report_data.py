"""The figures of a report: one dataclass per section, filled by queries that group in SQL.

Captions that newer ones supersede count in the first step of the funnel and nowhere else. Must not
know how figures are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from curation.corpus import Corpus
from curation.diversity import vendi
from curation.filter import snapshot_hash
from curation.report_facts import Counts, Facts, Histogram, ordered
from uniqa.levels import LEVELS

SCORE_BINS = 20

VENDI_SAMPLE = 400
"""Captions per model whose diversity is measured: the same number for each, or none."""

_LEAST_RATED = 20
"""Captions with a level of their own and a rating, below which no agreement is told."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the funnel: how many are left, and what those that are not have in common."""

    label: str
    count: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Something with captions before and after the last filter; `filter` finds it in the gallery.

    `value` is what the gallery's control `filter` is set to.
    """

    label: str
    counts: Counts
    filter: str = ""
    value: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """What one model, or the people of one collection of comments, wrote.

    Shares and means are of captions that nothing supersedes.
    `effective` is the Vendi score of `VENDI_SAMPLE` of its captions, None without embeddings;
    `agreement` is (task, SRCC with people, captions) where it gave levels itself.
    """

    name: str
    engine: str
    people: bool
    counts: Counts
    distinct: int
    truncated: int
    duplicates: int
    failures: int
    effective: float | None
    agreement: list[tuple[str, float, int]]
    signals: dict[str, float]


@dataclass(frozen=True, slots=True)
class Dataset:
    """One rated dataset, or the unrated photos (empty name)."""

    name: str
    photos: dict[str, int]
    counts: Counts


@dataclass(frozen=True, slots=True)
class Levels:
    """One task's ratings: captions per level and per bin of the unified score, and photos."""

    task: str
    levels: list[Row]
    photos: dict[str, Counts]
    bins: list[Counts]


@dataclass(frozen=True, slots=True)
class Filter:
    """The last filter run."""

    filter_id: str
    policy: str
    manifest: str
    at: str


@dataclass(frozen=True)
class Figures:
    """A corpus in figures."""

    photos: list[Step]
    captions: list[Step]
    kept: int
    reasons: list[Row]
    models: list[Model]
    signal_names: list[str]
    meanings: dict[str, str]
    tasks: list[Row]
    cues: list[Row]
    lists: list[tuple[str, str, list[Row]]]
    datasets: list[Dataset]
    levels: list[Levels]
    histograms: list[Histogram]
    duplicates: list[tuple[str, Counts]]
    threshold: float | None
    repeated: list[tuple[str, int, int, str]]
    failures: list[tuple[Any, ...]]
    open_failures: int
    runs: list[tuple[Any, ...]]
    filter: Filter | None
    refined: bool
    snapshot: str
    last_change: str


def gather(corpus: Corpus, *, seed: int) -> Figures:
    """Count everything that a report tells; `seed` draws the captions that diversity is of."""
    facts = Facts(corpus)
    threshold = corpus.rows("SELECT max(threshold), any_value(encoder) FROM signals")[0]
    histograms = facts.histograms(corpus)
    failures = corpus.rows(
        "SELECT stage, kind, count(*), count(*) FILTER (permanent), count(*) FILTER (resolved), "
        "coalesce(model, ''), min_by(message, failure_id), min_by(path, failure_id) "
        "FROM failures GROUP BY stage, kind, coalesce(model, '') ORDER BY 3 DESC, 1, 2, 6"
    )
    models = _models(corpus, facts, threshold[1], seed)
    return Figures(
        photos=_photo_steps(corpus, facts),
        captions=_caption_steps(facts),
        kept=facts.total().after,
        reasons=_reasons(facts),
        models=models,
        signal_names=[one.name for one in histograms],
        meanings=facts.meanings,
        tasks=_rows(facts, "task"),
        cues=_rows(facts, "cue"),
        lists=_lists(corpus, facts),
        datasets=_datasets(corpus, facts),
        levels=_levels(corpus, facts),
        histograms=histograms,
        duplicates=[
            (kind or "", counts) for kind, counts in ordered(facts.by("duplicate_kind")) if kind
        ],
        threshold=threshold[0],
        repeated=corpus.rows(
            "SELECT left(min(text), 400), count(*), count(DISTINCT image_id), "
            "string_agg(DISTINCT model, ', ' ORDER BY model) FROM current_captions "
            "GROUP BY hash(text) HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT 8"
        ),
        failures=failures,
        open_failures=sum(row[2] - row[4] for row in failures),
        runs=_runs(corpus),
        filter=_last_filter(corpus),
        refined=threshold[1] is not None,
        snapshot=snapshot_hash(corpus),
        last_change=_moment(
            corpus.value("SELECT max(epoch_ms(coalesce(finished_at, started_at))) FROM runs")
        ),
    )


def _photo_steps(corpus: Corpus, facts: Facts) -> list[Step]:
    files, unusable = corpus.rows("SELECT count(*), count(*) FILTER (image_id IS NULL) FROM files")[
        0
    ]
    images, captioned = corpus.rows(
        "SELECT count(*), count(*) FILTER (image_id IN (SELECT image_id FROM current_captions)) "
        "FROM images"
    )[0]
    steps = [
        Step("Files read", files, _count(unusable, "unusable")),
        Step("Different photos", images),
    ]
    steps.append(Step("With captions", captioned))
    if facts.filtered:
        kept = corpus.value("SELECT count(DISTINCT image_id) FROM corpus WHERE kept")
        steps.append(Step("With kept captions", kept))
    return steps if files else steps[1:]


def _caption_steps(facts: Facts) -> list[Step]:
    everything = facts.total(lambda _row: True).before
    current = facts.total().before
    steps = [Step("Made or imported", everything)]
    if everything > current:
        steps.append(Step("Not superseded", current))
    judged = facts.total(lambda row: row["duplicate_kind"] is not None and not row["superseded"])
    if judged.before:
        steps.append(Step("With signals", judged.before))
        alone = facts.total(lambda row: row["duplicate_kind"] == "" and not row["superseded"])
        steps.append(Step("Repeating nothing", alone.before))
    if facts.filtered:
        steps.append(Step("Kept", facts.total().after))
    return steps


def _reasons(facts: Facts) -> list[Row]:
    """Captions per rule that dropped them, with its limit (the first, where there are several)."""
    dropped: dict[str, Counts] = {}
    limits: dict[str, set[str]] = {}
    for (rule, limit), counts in facts.by(
        "dropped_by", "dropped_threshold", where=lambda row: row["kept"] is False
    ).items():
        dropped[rule or ""] = dropped.get(rule or "", Counts()) + counts
        limits.setdefault(rule or "", set()).add(limit or "")
    notes = {rule: min(all_) + " …" * (len(all_) > 1) for rule, all_ in limits.items()}
    return sorted(
        (
            Row(rule, Counts(counts.before, 0), "verdict", f"rule:{rule}", notes[rule])
            for rule, counts in dropped.items()
        ),
        key=lambda row: (-row.counts.before, row.label),
    )


def _rows(facts: Facts, facet: str) -> list[Row]:
    return [Row(word or "–", n, facet, word or "") for word, n in ordered(facts.by(facet))]


def _models(corpus: Corpus, facts: Facts, encoder: str | None, seed: int) -> list[Model]:
    counts = facts.by("model")
    engines: dict[str, set[str]] = {}
    people = set()
    for model, engine, source in facts.by("model", "engine", "source"):
        engines.setdefault(model, set()).add(engine or "")
        if source == "person":
            people.add(model)
    truncated = facts.by(
        "model", where=lambda row: bool(row["truncated"]) and not row["superseded"]
    )
    doubles = facts.by(
        "model", where=lambda row: bool(row["duplicate_kind"]) and not row["superseded"]
    )
    distinct = dict(
        corpus.rows("SELECT model, count(DISTINCT hash(text)) FROM current_captions GROUP BY model")
    )
    failed = dict(
        corpus.rows(
            "SELECT model, count(*) FROM failures WHERE NOT resolved AND model IS NOT NULL "
            "GROUP BY model"
        )
    )
    effective = _effective(corpus, encoder, seed)
    agreement = _agreement(corpus, facts)
    means = facts.means("model")
    return [
        Model(
            name=model or "",
            engine=", ".join(sorted(engines[model])),
            people=model in people,
            counts=n,
            distinct=distinct.get(model, 0),
            truncated=truncated.get((model,), Counts()).before,
            duplicates=doubles.get((model,), Counts()).before,
            failures=failed.get(model, 0),
            effective=effective.get(model),
            agreement=agreement.get(model, []),
            signals=means.get(model, {}),
        )
        for model, n in ordered(counts)
    ]


def _effective(corpus: Corpus, encoder: str | None, seed: int) -> dict[str, float]:
    """Model → Vendi score of as many of its captions as for every other, drawn by their ids."""
    if encoder is None:
        return {}
    table = corpus.table(
        "WITH drawn AS (SELECT model, text FROM current_captions QUALIFY row_number() OVER "
        "(PARTITION BY model ORDER BY md5(caption_id || $2), caption_id) <= $3) "
        "SELECT model, vector FROM drawn JOIN embeddings "
        "ON text_hash = left(sha256(text), 32) AND encoder = $1 ORDER BY model, text_hash",
        [encoder, str(seed), VENDI_SAMPLE],
    )
    vectors: dict[str, list[Any]] = {}
    for model, vector in zip(table["model"].to_pylist(), table["vector"].to_pylist(), strict=True):
        vectors.setdefault(model, []).append(vector)
    return {
        model: vendi(np.asarray(rows, dtype=np.float32))
        for model, rows in vectors.items()
        if len(rows) == VENDI_SAMPLE
    }


def _agreement(corpus: Corpus, facts: Facts) -> dict[str, list[tuple[str, float, int]]]:
    """Model → (task, SRCC, captions): its levels against ratings that no prompt told it."""
    if not {"level_score", "score", "prompt_level", "superseded"} <= set(facts.columns):
        return {}
    by_task = "PARTITION BY model, task"
    rank = "rank() OVER ({0} ORDER BY {1}) + (count(*) OVER ({0}, {1}) - 1) / 2.0"
    rows = corpus.rows(
        f"SELECT model, task, corr(a, b), count(*) FROM (SELECT model, task, "
        f"{rank.format(by_task, 'level_score')} AS a, {rank.format(by_task, 'score')} AS b "
        "FROM corpus WHERE level_score IS NOT NULL AND score IS NOT NULL "
        "AND prompt_level IS NULL AND NOT superseded) GROUP BY model, task "
        "HAVING count(*) >= ? ORDER BY model, task DESC",
        [_LEAST_RATED],
    )
    found: dict[str, list[tuple[str, float, int]]] = {}
    for model, task, srcc, n in rows:
        if srcc is not None and np.isfinite(srcc):
            found.setdefault(model, []).append((task, srcc, n))
    return found


def _lists(corpus: Corpus, facts: Facts) -> list[tuple[str, str, list[Row]]]:
    """Columns that hold lists of words: name, meaning and their most frequent words."""
    found = []
    for name in facts.lists:
        words = corpus.rows(
            f"SELECT word, count(*), count(*) FILTER (kept) FROM "
            f'(SELECT unnest("{name}") AS word, kept FROM corpus WHERE NOT superseded) '
            "GROUP BY word ORDER BY 2 DESC, 1 LIMIT 12"
        )
        if words:
            rows = [Row(str(word), Counts(n, kept)) for word, n, kept in words]
            found.append((name, facts.meanings.get(name, ""), rows))
    return found


def _datasets(corpus: Corpus, facts: Facts) -> list[Dataset]:
    photos: dict[str, dict[str, int]] = {}
    for dataset, split, n in corpus.rows(
        "SELECT coalesce(dataset, ''), CASE WHEN dataset IS NULL THEN 'train' ELSE split END, "
        "count(DISTINCT image_id) FROM images LEFT JOIN ratings USING (image_id) "
        "GROUP BY ALL ORDER BY ALL"
    ):
        photos.setdefault(dataset, {})[split or "train"] = n
    counts = facts.by("dataset")
    return [Dataset(name, splits, counts.get((name,), Counts())) for name, splits in photos.items()]


def _levels(corpus: Corpus, facts: Facts) -> list[Levels]:
    if not {"task", "rated_level", "score", "kept", "superseded"} <= set(facts.columns):
        return []
    counts = facts.by("task", "rated_level")
    photos: dict[str, dict[str, Counts]] = {}
    bins: dict[str, list[Counts]] = {}
    for task, level, n, kept in corpus.rows(
        "SELECT task, rated_level, count(DISTINCT image_id), "
        "count(DISTINCT image_id) FILTER (kept) FROM corpus "
        "WHERE rated_level IS NOT NULL AND NOT superseded GROUP BY ALL"
    ):
        photos.setdefault(task, {})[level] = Counts(n, kept)
    for task, place, n, kept in corpus.rows(
        "SELECT task, least($1 - 1, floor(score * $1))::INTEGER AS place, count(*), "
        "count(*) FILTER (kept) FROM corpus WHERE score IS NOT NULL AND NOT superseded "
        "GROUP BY task, place",
        [SCORE_BINS],
    ):
        bins.setdefault(task, [Counts()] * SCORE_BINS)[place] = Counts(n, kept)
    return [
        Levels(
            task,
            [Row(level, counts.get((task, level), Counts()), "level", level) for level in LEVELS],
            photos[task],
            bins.get(task, [Counts()] * SCORE_BINS),
        )
        for task in sorted(photos, reverse=True)
    ]


def _runs(corpus: Corpus) -> list[tuple[Any, ...]]:
    """Moment, command, outcome, seconds, seed and run id of the last runs."""
    rows = corpus.rows(
        "SELECT epoch_ms(started_at), command, outcome, "
        "date_diff('millisecond', started_at, finished_at) / 1000, seed, run_id "
        "FROM runs ORDER BY started_at DESC, run_id LIMIT 12"
    )
    return [(_moment(row[0]), *row[1:]) for row in rows]


def _last_filter(corpus: Corpus) -> Filter | None:
    rows = corpus.rows(
        "SELECT filter_id, policy, manifest, epoch_ms(filtered_at) FROM filters "
        "ORDER BY filtered_at DESC, filter_id LIMIT 1"
    )
    if not rows:
        return None
    filter_id, policy, manifest, at = rows[0]
    return Filter(filter_id, policy or "", manifest or "", _moment(at))


def _moment(milliseconds: int | None) -> str:
    """``2026-03-01 14:05 UTC``, or empty."""
    if milliseconds is None:
        return ""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number else ""
