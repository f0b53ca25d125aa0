"""What the corpus's tables, views and columns mean, for `uniqa-curate schema`.

Views tell it themselves, by comments in the file (`curation.views`); tables are described here. A
column that several tables share is described once, under ``*``; one that the view `corpus` shows
under the same name means there what it means here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from curation.corpus import Corpus
from curation.views import CORPUS

_TABLES = """
*: in every table
    run_id: the run that wrote the row
    image_id: SHA-256 of the photo's bytes
    caption_id: the caption, by its id
    revision: version of what computed the row
    encoder: sentence encoder that was used
    model: the model
    task: quality or aesthetic
    cue: what was asked about
images: one row per photo
    path: where it lay when it was last read
    file_bytes: size of the file, bytes
    format: JPEG, PNG, …; empty for images known by name alone
    mode: colour mode of the file: RGB, L, …
files: one row per file that was ever looked at
    path: absolute path, or container::member
    size: bytes
    mtime_ns: time of its last change, nanoseconds since 1970
    image_id: the photo in it; null if it was no usable one
ratings: one row per photo, dataset and task
    dataset: name of the rated dataset
    std: standard deviation of the votes, on the dataset's own scale
    votes: number of votes
    level: band of the unified score: bad, poor, fair, good, perfect
    scale: the mapping from MOS to unified score
    group_id: photos of one content share it
    split: train, val or test
prompts: one row per prompt as it was rendered
    prompt_id: hash of system message, question, answer_start and exemplars
    template: name of the template
    level: level that the prompt told; empty if none
    system: system message
    text: the question
    answer_start: words that the answer was made to begin with
    exemplars: answered photos shown before the question, as JSON
runs: one row per invocation that wrote
    command: generate, import, refine or filter
    started_at: when it began
    finished_at: when it ended; null while it runs or if it was killed
    outcome: running, done, interrupted, failed or killed
    seed: the run's seed
    config: its settings, as JSON
    counts: what it did, as JSON; while it runs, its progress
    versions: versions of everything that may change a result, as JSON
    host: the machine
    pid: its process
captions: one row per caption or comment, superseded ones included
    level: level that the prompt told; empty if none
    prompt_id: the prompt that it answers
    superseded_by: the run whose captions took its place; null if none did
level_probabilities: one row per caption of the cue score
    bad: probability of the word bad
    poor: probability of the word poor
    fair: probability of the word fair
    good: probability of the word good
    perfect: probability of the word perfect
exemplar_banks: exemplars that were drawn from this corpus
    bank_id: hash of the exemplars
    exemplars: the answered photos, as JSON
    drawn_at: when they were drawn
failures: one row per photo or caption that failed
    failure_id: the caption's id, or a hash of file and stage
    stage: image or engine
    kind: class of the failure
    message: what happened
    attempts: how often it was tried
    permanent: whether it is not tried again
    resolved: whether a later run overcame it
    path: the photo's file
    failed_at: when it failed last
embeddings: one row per distinct text and encoder
    text_hash: hash of the text
    vector: its embedding, of length 1
signals: one row per caption: what refine found
    threshold: similarity from which on two captions count as saying the same
text_signals: signals of words alone, kept so that they are computed once
    problems: names of what is wrong with the text
    ir: informativeness in words, for the rank IR
measurements: what was measured of each photo
    measured: the measurements, as JSON
groundings: claims of each caption, held against the photo
    supported: claims that the photo bears out
    contradictions: claims that it contradicts
    contradicted: which ones
    score: share of the decided claims that the photo bears out, 0 to 1; null if none is
relevances: how well each caption fits its photo, by an image-text model
    relevance: cosine of text and photo, -1 to 1
corpus_signals: numbers about the corpus as a whole
    name: what is measured
    value: its value
group_losses: what the corpus would lose without a model, cue or other group
    dimension: what groups are by
    value: the group
    measure: measure of diversity
    captions: captions of the group
    images: images of the group
    bare: images that would have no caption without the group
    whole: the measure with everything
    without: the measure without the group
    thinned: the measure after as many captions at random were left out
    beyond: what is lost beyond that
    low: lower end of its 95 % interval
    high: upper end of its 95 % interval
image_signals: one row per image: what refine found
    captions: captions that nothing supersedes
    mean_similarity: mean cosine between its captions, -1 to 1
    vendi: Vendi score of its captions, 1 to their number
    distinct_1: share of words that are different
    distinct_2: share of pairs of words that are different
    semantic_entropy: entropy of the meanings of its captions, nats
    meanings: groups of captions that mean the same
verdicts: one row per caption and filter run
    filter_id: the filter run
    kept: whether the caption was kept
    rule: the rule that dropped it; empty if kept
    value: the value that decided
    threshold: the rule's limit
    weight: how much the caption counts in training
filters: one row per filter run
    filter_id: hash of the policy, the captions, the ratings and what was decided
    policy: name of the policy
    manifest: the manifest that was written
    filtered_at: when
    source: the policy, as JSON
    captions: captions that it judged
    kept: captions that it kept
    by_rule: captions that each rule dropped, as JSON
places: where a filter put each photo
    filter_id: the filter run
    group_id: photos of one content share it
    split: train, val or test
image_hashes: perceptual hashes, by which near-identical photos are found
    method: how they are computed
    hash: the hash
migrations: steps by which this file's schema came about
    number: position of the step
    name: its name
    applied_at: when it was applied
current_captions: the captions that nothing supersedes
"""


@dataclass(frozen=True, slots=True)
class ColumnFound:
    """A column of a corpus."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, slots=True)
class TableFound:
    """A table or view of a corpus."""

    name: str
    kind: str
    meaning: str
    columns: tuple[ColumnFound, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def read_schema(corpus: Corpus) -> list[TableFound]:
    """The views for people first, then the other views and tables, each by name."""
    views = corpus.rows(
        "SELECT view_name, 'view', comment FROM duckdb_views() WHERE NOT internal ORDER BY "
        "comment IS NULL, view_name"
    )
    tables = corpus.rows(
        "SELECT table_name, 'table', comment FROM duckdb_tables() "
        "WHERE NOT internal AND NOT temporary ORDER BY table_name"
    )
    said: dict[tuple[str, str], str] = {}
    types: dict[str, list[tuple[str, str]]] = {}
    for table, column, type_, comment in corpus.rows(
        "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
        "WHERE NOT internal ORDER BY table_name, column_index"
    ):
        types.setdefault(table, []).append((column, type_))
        said[table, column] = comment or ""
    meanings = _meanings()
    found = []
    for name, kind, comment in [*views, *tables]:
        columns = tuple(
            ColumnFound(column, type_, said[name, column] or _meaning(meanings, name, column))
            for column, type_ in types.get(name, [])
        )
        found.append(TableFound(name, kind, comment or meanings.get((name, ""), ""), columns))
    return found


def _meaning(meanings: dict[tuple[str, str], str], table: str, column: str) -> str:
    source = "captions" if table == "current_captions" else table
    for key in ((source, column), ("*", column), ("corpus", column)):
        if key in meanings:
            return meanings[key]
    return ""


def _meanings() -> dict[tuple[str, str], str]:
    found = {("corpus", column.name): column.meaning for column in CORPUS}
    table = ""
    for line in _TABLES.strip().splitlines():
        name, _, meaning = line.strip().partition(": ")
        if line[0] != " ":
            table, name = name, ""
        found[table, name] = meaning
    return found
