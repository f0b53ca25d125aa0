"""The corpus's views for people: what each column is, and what it means.

Made anew whenever the schema moves, so a column is added here and nowhere else. Every column has a
comment, which `uniqa-curate schema` prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """A view's column: its name, the SQL it is made by, and what it means."""

    name: str
    sql: str
    meaning: str


def _columns(prefix: str, text: str) -> tuple[Column, ...]:
    """Columns of one table, a line each: ``name: meaning`` or ``name = column: meaning``."""
    found = []
    for line in text.strip().splitlines():
        left, _, meaning = line.strip().partition(": ")
        name, _, source = left.partition(" = ")
        found.append(Column(name, f'{prefix}."{source or name}"', meaning))
    return tuple(found)


CORPUS: tuple[Column, ...] = (
    *_columns(
        "c",
        """
        caption_id: hash of image, model, prompt, sampling, seed and sample
        image_id: SHA-256 of the photo's bytes
        """,
    ),
    *_columns(
        "i",
        """
        path: where the photo lay when it was last read
        width: pixels, upright
        height: pixels, upright
        """,
    ),
    Column("dataset", "coalesce(a.dataset, '')", "rated dataset of the photo; empty if unrated"),
    Column("group_id", "coalesce(a.group_id, c.image_id)", "photos of one content share it"),
    Column("split", "coalesce(a.split, 'train')", "train, val or test; test wins over others"),
    *_columns(
        "r",
        """
        mos: mean opinion score for the caption's task, on the dataset's own scale
        score: unified score for the caption's task: 0 worst, 1 best
        rated_level = level: band of the unified score: bad, poor, fair, good, perfect
        """,
    ),
    *_columns(
        "c",
        """
        source: model, or person for comments
        engine: vllm, transformers, server or measured; import for texts from elsewhere
        model: who wrote it: the model, or the collection that a comment comes from
        revision: the model's revision or a hash of its files
        task: quality or aesthetic
        cue: what was asked about: overall, sharpness, noise, …; comment for comments
        """,
    ),
    Column("prompt_level", "nullif(c.level, '')", "level that the prompt told; null if none"),
    Column("template", "p.template", "name of the prompt's template"),
    Column("shots", "coalesce(json_array_length(p.exemplars), 0)", "exemplars shown before"),
    *_columns(
        "c",
        """
        sampling: temperature, top_p, max_tokens … as JSON
        seed: seed of the sample
        sample: number of the sample among those of one question
        text: the caption
        finish_reason: stop, or length if it was cut off
        """,
    ),
    Column("truncated", "c.finish_reason = 'length'", "whether max_tokens cut it off"),
    Column("superseded", "c.superseded_by IS NOT NULL", "whether newer captions took its place"),
    *_columns(
        "c",
        """
        prompt_tokens: tokens of the prompt, photos included
        cached_tokens: of these, taken from the prefix cache
        tokens: tokens of the caption
        """,
    ),
    *_columns(
        "l",
        """
        level_score: expected level by token probabilities, 0 (bad) to 1 (perfect); cue score only
        level_bad = bad: probability of the word bad
        level_poor = poor: probability of the word poor
        level_fair = fair: probability of the word fair
        level_good = good: probability of the word good
        level_perfect = perfect: probability of the word perfect
        """,
    ),
    *_columns(
        "s",
        """
        words: words of the text
        distinct_words: different words of the text
        problems: things that are wrong with the text whatever the photo, 0 is best
        problem_list: their names: refusal, loop, cut_off, language, markup, …
        opener: share of the writer's texts that begin in the same words, where that is boilerplate
        informativeness: what it says of the photo's look, 0 nothing to 1, whatever its length
        rank: place among the image's captions, 1 is best
        ranked_by: what ranks are by
        duplicate_kind: exact, near or semantic; empty for what repeats nothing of its image
        duplicate_of: the better-ranked caption of the image that it repeats
        similarity: cosine to what it repeats, or to the nearest better-ranked one kept; -1 for none
        repeats_kind: the same over the whole corpus: exact, near, or semantic if asked for
        repeats: the better-ranked caption of the corpus that it repeats
        images_alike: images with this text or one that repeats it, at least 1
        mean_similarity: mean cosine to the image's other captions, -1 to 1
        gain: what it adds to covering the image, in captions, 0 to their number
        gain_rank: its turn in that: the first k cover the image best
        meaning: number of its cluster of one meaning within the image, from 1
        ar: comments: relevance, mean cosine to the photo's aesthetic captions by models, -1 to 1
        ir: comments: informativeness as UniQA takes it, words
        air: comments: rank of ar plus rank of ir within the image, higher is better
        air_rank: comments: place by air within the image, 1 is best
        implied_score: level that the words imply, 0 worst to 1 best; null if they imply none
        level_agreement: 1 less the distance of implied_score and score, 0 to 1
        claims: claims about sharpness, noise, exposure, contrast, colour and compression
        contradictions: claims that the photo's measurements contradict
        contradicted: what these are about
        grounding: share of the decided claims that the measurements bear out, 0 to 1
        relevance: cosine of photo and text by relevance_model, -1 to 1
        relevance_model: the contrastive model that was asked
        encoder: sentence encoder that similarities come from
        """,
    ),
    Column("image_vendi", "m.vendi", "Vendi score of the image's captions, 1 to their number"),
    Column("image_entropy", "m.semantic_entropy", "semantic entropy of the image's captions, nats"),
    *_columns(
        "v",
        """
        kept: whether the last filter kept it; null before any
        dropped_by = rule: the rule that dropped it; empty if kept, null before any filter
        dropped_value = value: the value that decided
        dropped_threshold = threshold: the rule's limit
        weight: what the last filter weighs it with, if kept; 1 unless the policy says otherwise
        """,
    ),
    *_columns(
        "c",
        """
        run_id: the run that made it
        created_at: when it was stored
        """,
    ),
)

IMAGE_SUMMARY: tuple[Column, ...] = (
    Column("image_id", "i.image_id", "SHA-256 of the photo's bytes"),
    Column("path", "any_value(i.path)", "where the photo lay when it was last read"),
    Column("width", "any_value(i.width)", "pixels, upright"),
    Column("height", "any_value(i.height)", "pixels, upright"),
    Column("dataset", "any_value(c.dataset)", "rated dataset; empty if unrated"),
    Column("group_id", "any_value(c.group_id)", "photos of one content share it"),
    Column("split", "any_value(c.split)", "train, val or test"),
    Column("mos", "max(c.mos)", "mean opinion score on the dataset's own scale"),
    Column("score", "max(c.score)", "unified score: 0 worst, 1 best"),
    Column(
        "captions",
        "count(c.caption_id) FILTER (NOT c.superseded)",
        "captions that nothing supersedes",
    ),
    Column("models", "count(DISTINCT c.model)", "models that described it"),
    Column("cues", "count(DISTINCT c.cue)", "cues that were asked about"),
    Column("kept", "count(*) FILTER (c.kept)", "captions that the last filter kept"),
    Column("duplicates", "count(*) FILTER (c.duplicate_kind <> '')", "captions that repeat others"),
    Column("vendi", "max(c.image_vendi)", "Vendi score of its captions, 1 to their number"),
    Column("mean_similarity", "avg(c.mean_similarity)", "mean cosine between its captions"),
    Column("meanings", "max(m.meanings)", "clusters of one meaning among its captions"),
    Column("semantic_entropy", "max(m.semantic_entropy)", "entropy of these clusters, nats"),
    Column("distinct_1", "max(m.distinct_1)", "different words by all words"),
    Column("distinct_2", "max(m.distinct_2)", "different pairs of words by all words"),
    Column("contradictions", "sum(c.contradictions)", "claims that measurements contradict"),
    Column("grounding", "avg(c.grounding)", "mean grounding of its captions, 0 to 1"),
    Column(
        "level_score",
        "avg(c.level_score) FILTER (NOT c.superseded)",
        "mean expected level by token probabilities, 0 to 1",
    ),
)

_CORPUS_FROM = """
    FROM captions c
    JOIN images i USING (image_id)
    LEFT JOIN anyrated a USING (image_id)
    LEFT JOIN rated r ON r.image_id = c.image_id AND r.task = c.task
    LEFT JOIN prompts p USING (prompt_id)
    LEFT JOIN level_probabilities l USING (caption_id)
    LEFT JOIN signals s USING (caption_id)
    LEFT JOIN image_signals m ON m.image_id = c.image_id
    LEFT JOIN verdicts v
           ON v.caption_id = c.caption_id AND v.filter_id = (SELECT filter_id FROM last)
"""

_CORPUS_WITH = """
    WITH rated AS (
        SELECT * FROM ratings
        QUALIFY row_number() OVER (PARTITION BY image_id, task ORDER BY dataset) = 1),
    anyrated AS (
        SELECT image_id, min(dataset) AS dataset, min(group_id) AS group_id,
               CASE WHEN bool_or(split = 'test') THEN 'test'
                    WHEN bool_or(split = 'val') THEN 'val' ELSE 'train' END AS split
        FROM ratings GROUP BY image_id),
    last AS (SELECT filter_id FROM filters ORDER BY filtered_at DESC, filter_id LIMIT 1)
"""


def create_views(db: Any) -> None:
    """Make the views and their comments, in place of older ones."""
    db.execute("DROP VIEW IF EXISTS image_summary; DROP VIEW IF EXISTS corpus;")
    db.execute(f"CREATE VIEW corpus AS {_CORPUS_WITH} SELECT {_select(CORPUS)} {_CORPUS_FROM}")
    db.execute(
        f"CREATE VIEW image_summary AS SELECT {_select(IMAGE_SUMMARY)} "
        "FROM images i LEFT JOIN corpus c USING (image_id) "
        "LEFT JOIN image_signals m ON m.image_id = i.image_id GROUP BY i.image_id"
    )
    _comment(db, "corpus", "One row per caption, with all signals and its last verdict.", CORPUS)
    _comment(db, "image_summary", "One row per image.", IMAGE_SUMMARY)


def _select(columns: Sequence[Column]) -> str:
    return ", ".join(f'{column.sql} AS "{column.name}"' for column in columns)


def _comment(db: Any, view: str, meaning: str, columns: Sequence[Column]) -> None:
    db.execute(f"COMMENT ON VIEW {view} IS '{_quoted(meaning)}'")
    for column in columns:
        db.execute(f"COMMENT ON COLUMN {view}.\"{column.name}\" IS '{_quoted(column.meaning)}'")


def _quoted(text: str) -> str:
    return text.replace("'", "''")
