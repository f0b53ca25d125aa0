"""The corpus's schema, as numbered steps that are each applied once.

A step is never edited after release; a new need is a new step. Only primary keys, no foreign keys
and no secondary indexes: DuckDB keeps bulk upserts fast and files sound that way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def m001_initial(db: Any) -> None:
    """Tables of facts, of signals and of verdicts."""
    db.execute("""
        CREATE TABLE images (
            image_id VARCHAR PRIMARY KEY, path VARCHAR, file_bytes BIGINT, format VARCHAR,
            mode VARCHAR, width INTEGER, height INTEGER);
        CREATE TABLE files (
            path VARCHAR PRIMARY KEY, size BIGINT, mtime_ns BIGINT, image_id VARCHAR);
        CREATE TABLE ratings (
            image_id VARCHAR, dataset VARCHAR, task VARCHAR, mos DOUBLE, std DOUBLE, votes DOUBLE,
            score DOUBLE, level VARCHAR, scale VARCHAR, group_id VARCHAR, split VARCHAR,
            PRIMARY KEY (image_id, dataset, task));
        CREATE TABLE prompts (
            prompt_id VARCHAR PRIMARY KEY, template VARCHAR, task VARCHAR, cue VARCHAR,
            level VARCHAR, system VARCHAR, text VARCHAR);
        CREATE TABLE runs (
            run_id VARCHAR PRIMARY KEY, command VARCHAR, started_at TIMESTAMPTZ,
            finished_at TIMESTAMPTZ, outcome VARCHAR, seed BIGINT, config JSON, counts JSON,
            versions JSON, host VARCHAR, pid INTEGER);
        CREATE TABLE captions (
            caption_id VARCHAR PRIMARY KEY, image_id VARCHAR, source VARCHAR, engine VARCHAR,
            model VARCHAR, revision VARCHAR, task VARCHAR, cue VARCHAR, level VARCHAR,
            prompt_id VARCHAR, sampling JSON, seed BIGINT, sample INTEGER, text VARCHAR,
            finish_reason VARCHAR, prompt_tokens INTEGER, tokens INTEGER, run_id VARCHAR,
            created_at TIMESTAMPTZ);
        CREATE TABLE failures (
            failure_id VARCHAR PRIMARY KEY, stage VARCHAR, kind VARCHAR, message VARCHAR,
            attempts INTEGER, permanent BOOLEAN, resolved BOOLEAN, path VARCHAR, image_id VARCHAR,
            model VARCHAR, task VARCHAR, cue VARCHAR, run_id VARCHAR, failed_at TIMESTAMPTZ);
        CREATE TABLE embeddings (
            text_hash VARCHAR, encoder VARCHAR, vector FLOAT[],
            PRIMARY KEY (text_hash, encoder));
        CREATE TABLE signals (
            caption_id VARCHAR PRIMARY KEY, encoder VARCHAR, words INTEGER,
            distinct_words INTEGER, rank INTEGER, duplicate_kind VARCHAR, duplicate_of VARCHAR,
            similarity FLOAT, mean_similarity FLOAT, threshold DOUBLE, run_id VARCHAR);
        CREATE TABLE image_signals (
            image_id VARCHAR PRIMARY KEY, encoder VARCHAR, captions INTEGER,
            mean_similarity FLOAT, vendi FLOAT, run_id VARCHAR);
        CREATE TABLE verdicts (
            filter_id VARCHAR, caption_id VARCHAR, kept BOOLEAN, rule VARCHAR, value VARCHAR,
            threshold VARCHAR, PRIMARY KEY (filter_id, caption_id));
        CREATE TABLE filters (
            filter_id VARCHAR PRIMARY KEY, policy VARCHAR, manifest VARCHAR, run_id VARCHAR,
            filtered_at TIMESTAMPTZ);
    """)


def m002_views(db: Any) -> None:
    """Two wide views for people."""
    db.execute("""
        CREATE VIEW corpus AS
        WITH rated AS (
            SELECT * FROM ratings
            QUALIFY row_number() OVER (PARTITION BY image_id, task ORDER BY dataset) = 1),
        anyrated AS (
            SELECT image_id, min(dataset) AS dataset,
                   min(group_id) AS group_id,
                   CASE WHEN bool_or(split = 'test') THEN 'test'
                        WHEN bool_or(split = 'val') THEN 'val' ELSE 'train' END AS split
            FROM ratings GROUP BY image_id),
        last AS (SELECT filter_id FROM filters ORDER BY filtered_at DESC, filter_id LIMIT 1)
        SELECT c.caption_id, c.image_id, i.path, i.width, i.height,
               coalesce(a.dataset, '') AS dataset, coalesce(a.group_id, c.image_id) AS group_id,
               coalesce(a.split, 'train') AS split,
               r.mos, r.score, r.level AS rated_level,
               c.source, c.engine, c.model, c.revision, c.task, c.cue,
               c.level AS prompt_level, p.template, c.sampling, c.seed, c.sample, c.text,
               c.finish_reason, c.prompt_tokens, c.tokens,
               s.words, s.distinct_words, s.rank, s.duplicate_kind, s.duplicate_of, s.similarity,
               s.mean_similarity, s.encoder, m.vendi AS image_vendi,
               v.kept, v.rule AS dropped_by, v.value AS dropped_value,
               v.threshold AS dropped_threshold, c.run_id, c.created_at
        FROM captions c
        JOIN images i USING (image_id)
        LEFT JOIN anyrated a USING (image_id)
        LEFT JOIN rated r ON r.image_id = c.image_id AND r.task = c.task
        LEFT JOIN prompts p USING (prompt_id)
        LEFT JOIN signals s USING (caption_id)
        LEFT JOIN image_signals m ON m.image_id = c.image_id
        LEFT JOIN verdicts v
               ON v.caption_id = c.caption_id AND v.filter_id = (SELECT filter_id FROM last);
        CREATE VIEW image_summary AS
        SELECT i.image_id, any_value(i.path) AS path, any_value(i.width) AS width,
               any_value(i.height) AS height, any_value(c.dataset) AS dataset,
               any_value(c.group_id) AS group_id, any_value(c.split) AS split,
               max(c.mos) AS mos, max(c.score) AS score,
               count(c.caption_id) AS captions, count(DISTINCT c.model) AS models,
               count(DISTINCT c.cue) AS cues, count(*) FILTER (c.kept) AS kept,
               count(*) FILTER (c.duplicate_kind <> '') AS duplicates,
               max(c.image_vendi) AS vendi, avg(c.mean_similarity) AS mean_similarity
        FROM images i LEFT JOIN corpus c USING (image_id) GROUP BY i.image_id;
    """)


def m003_in_context(db: Any) -> None:
    """Exemplars, levels as probabilities, cache hits, and captions that newer ones supersede."""
    db.execute("DROP VIEW image_summary; DROP VIEW corpus;")
    db.execute("""
        ALTER TABLE captions ADD COLUMN cached_tokens INTEGER;
        ALTER TABLE captions ADD COLUMN superseded_by VARCHAR;
        ALTER TABLE prompts ADD COLUMN answer_start VARCHAR DEFAULT '';
        ALTER TABLE prompts ADD COLUMN exemplars JSON DEFAULT '[]';
        CREATE TABLE level_probabilities (
            caption_id VARCHAR PRIMARY KEY, bad DOUBLE, poor DOUBLE, fair DOUBLE, good DOUBLE,
            perfect DOUBLE, level_score DOUBLE);
        CREATE TABLE exemplar_banks (
            bank_id VARCHAR PRIMARY KEY, task VARCHAR, exemplars JSON, run_id VARCHAR,
            drawn_at TIMESTAMPTZ);
        CREATE VIEW current_captions AS SELECT * FROM captions WHERE superseded_by IS NULL;
        CREATE VIEW corpus AS
        WITH rated AS (
            SELECT * FROM ratings
            QUALIFY row_number() OVER (PARTITION BY image_id, task ORDER BY dataset) = 1),
        anyrated AS (
            SELECT image_id, min(dataset) AS dataset,
                   min(group_id) AS group_id,
                   CASE WHEN bool_or(split = 'test') THEN 'test'
                        WHEN bool_or(split = 'val') THEN 'val' ELSE 'train' END AS split
            FROM ratings GROUP BY image_id),
        last AS (SELECT filter_id FROM filters ORDER BY filtered_at DESC, filter_id LIMIT 1)
        SELECT c.caption_id, c.image_id, i.path, i.width, i.height,
               coalesce(a.dataset, '') AS dataset, coalesce(a.group_id, c.image_id) AS group_id,
               coalesce(a.split, 'train') AS split,
               r.mos, r.score, r.level AS rated_level,
               c.source, c.engine, c.model, c.revision, c.task, c.cue,
               nullif(c.level, '') AS prompt_level, p.template,
               coalesce(json_array_length(p.exemplars), 0) AS shots,
               c.sampling, c.seed, c.sample, c.text,
               c.finish_reason, c.finish_reason = 'length' AS truncated,
               c.superseded_by IS NOT NULL AS superseded,
               c.prompt_tokens, c.cached_tokens, c.tokens,
               l.level_score, l.bad AS level_bad, l.poor AS level_poor, l.fair AS level_fair,
               l.good AS level_good, l.perfect AS level_perfect,
               s.words, s.distinct_words, s.rank, s.duplicate_kind, s.duplicate_of, s.similarity,
               s.mean_similarity, s.encoder, m.vendi AS image_vendi,
               v.kept, v.rule AS dropped_by, v.value AS dropped_value,
               v.threshold AS dropped_threshold, c.run_id, c.created_at
        FROM captions c
        JOIN images i USING (image_id)
        LEFT JOIN anyrated a USING (image_id)
        LEFT JOIN rated r ON r.image_id = c.image_id AND r.task = c.task
        LEFT JOIN prompts p USING (prompt_id)
        LEFT JOIN level_probabilities l USING (caption_id)
        LEFT JOIN signals s USING (caption_id)
        LEFT JOIN image_signals m ON m.image_id = c.image_id
        LEFT JOIN verdicts v
               ON v.caption_id = c.caption_id AND v.filter_id = (SELECT filter_id FROM last);
        CREATE VIEW image_summary AS
        SELECT i.image_id, any_value(i.path) AS path, any_value(i.width) AS width,
               any_value(i.height) AS height, any_value(c.dataset) AS dataset,
               any_value(c.group_id) AS group_id, any_value(c.split) AS split,
               max(c.mos) AS mos, max(c.score) AS score,
               count(c.caption_id) FILTER (NOT c.superseded) AS captions,
               count(DISTINCT c.model) AS models,
               count(DISTINCT c.cue) AS cues, count(*) FILTER (c.kept) AS kept,
               count(*) FILTER (c.duplicate_kind <> '') AS duplicates,
               max(c.image_vendi) AS vendi, avg(c.mean_similarity) AS mean_similarity,
               avg(c.level_score) FILTER (NOT c.superseded) AS level_score
        FROM images i LEFT JOIN corpus c USING (image_id) GROUP BY i.image_id;
    """)


def m004_signals(db: Any) -> None:
    """Signals of words alone, of the photo and of the whole corpus; what a group is worth."""
    db.execute("DROP VIEW image_summary; DROP VIEW corpus;")
    for column in (
        "problems INTEGER", "problem_list VARCHAR[]", "opener FLOAT", "informativeness FLOAT",
        "repeats_kind VARCHAR", "repeats VARCHAR", "images_alike INTEGER",
        "gain FLOAT", "gain_rank INTEGER", "meaning INTEGER",
        "ar FLOAT", "ir FLOAT", "air FLOAT", "air_rank INTEGER",
        "implied_score FLOAT", "level_agreement FLOAT",
        "claims INTEGER", "contradictions INTEGER", "contradicted VARCHAR", "grounding FLOAT",
        "relevance FLOAT", "relevance_model VARCHAR", "ranked_by VARCHAR",
    ):  # fmt: skip
        db.execute(f"ALTER TABLE signals ADD COLUMN {column}")
    for column in ("distinct_1", "distinct_2", "semantic_entropy"):
        db.execute(f"ALTER TABLE image_signals ADD COLUMN {column} FLOAT")
    db.execute("ALTER TABLE image_signals ADD COLUMN meanings INTEGER")
    db.execute("""
        CREATE TABLE text_signals (
            caption_id VARCHAR PRIMARY KEY, revision VARCHAR, words INTEGER,
            distinct_words INTEGER, problems VARCHAR[], informativeness FLOAT,
            ir INTEGER, implied_score FLOAT, claims INTEGER);
        CREATE TABLE measurements (
            image_id VARCHAR PRIMARY KEY, revision VARCHAR, measured JSON);
        CREATE TABLE groundings (
            caption_id VARCHAR PRIMARY KEY, revision VARCHAR, supported INTEGER,
            contradictions INTEGER, contradicted VARCHAR, score FLOAT);
        CREATE TABLE relevances (
            caption_id VARCHAR, model VARCHAR, relevance FLOAT, run_id VARCHAR,
            PRIMARY KEY (caption_id, model));
        CREATE TABLE corpus_signals (
            name VARCHAR PRIMARY KEY, value DOUBLE, encoder VARCHAR, run_id VARCHAR);
        CREATE TABLE group_losses (
            dimension VARCHAR, value VARCHAR, measure VARCHAR, captions INTEGER, images INTEGER,
            bare INTEGER, whole DOUBLE, without DOUBLE, thinned DOUBLE, beyond DOUBLE,
            low DOUBLE, high DOUBLE, encoder VARCHAR, run_id VARCHAR,
            PRIMARY KEY (dimension, value, measure));
    """)


def m005_policies(db: Any) -> None:
    """What a filter was, weights and places that it gave, and what photos look like."""
    db.execute("""
        ALTER TABLE verdicts ADD COLUMN weight FLOAT DEFAULT 1.0;
        ALTER TABLE filters ADD COLUMN source JSON;
        ALTER TABLE filters ADD COLUMN captions BIGINT;
        ALTER TABLE filters ADD COLUMN kept BIGINT;
        ALTER TABLE filters ADD COLUMN by_rule JSON;
        CREATE TABLE places (
            filter_id VARCHAR, image_id VARCHAR, group_id VARCHAR, split VARCHAR,
            PRIMARY KEY (filter_id, image_id));
        CREATE TABLE image_hashes (
            image_id VARCHAR PRIMARY KEY, method VARCHAR, hash BLOB);
    """)


MIGRATIONS: tuple[Callable[[Any], None], ...] = (
    m001_initial,
    m002_views,
    m003_in_context,
    m004_signals,
    m005_policies,
)
"""In order; the position is the number that the corpus remembers."""
