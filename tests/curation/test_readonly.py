"""Queries read the corpus and nothing else, whatever they are made of."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from curation.corpus import Corpus, check_condition
from curation.readonly import TABLE_FUNCTIONS, check_tree
from tests.conftest import caption_row, image_rows
from uniqa.errors import UsageError

READS = """
SELECT * FROM read_csv('t.csv')
SELECT * FROM read_csv_auto('t.csv')
SELECT * FROM read_parquet('t.parquet')
SELECT * FROM parquet_metadata('t.parquet')
SELECT * FROM read_json('t.json')
SELECT * FROM read_ndjson('t.json')
SELECT * FROM read_blob('t.csv')
SELECT * FROM read_text('t.csv')
SELECT * FROM read_text('CORPUS')
SELECT * FROM read_blob('CORPUS.wal')
SELECT * FROM system.main.read_text('CORPUS')
SELECT * FROM read_duckdb('CORPUS')
SELECT * FROM sniff_csv('t.csv')
SELECT * FROM glob('*')
SELECT (SELECT max(content) FROM read_text('CORPUS'))
SELECT * FROM prompts WHERE text IN (SELECT content FROM read_text('CORPUS'))
SELECT list_transform([1], x -> (SELECT max(size) FROM read_text('CORPUS')))
WITH x AS (SELECT * FROM read_text('CORPUS')) SELECT 1
SELECT 1 UNION ALL SELECT size FROM read_text('CORPUS')
SELECT * FROM 't.csv'
FROM 't.csv'
FROM "t.csv"
FROM 'CORPUS'
DESCRIBE 't.csv'
SUMMARIZE 't.csv'
SELECT * FROM 'https://127.0.0.1:1/x.parquet'
SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')
SELECT getenv('HOME')
SELECT current_setting('home_directory')
SELECT * FROM duckdb_settings()
SELECT * FROM duckdb_secrets()
SELECT * FROM which_secret('s3://x', 's3')
SELECT * FROM duckdb_databases()
SELECT * FROM duckdb_logs()
SELECT * FROM query('SELECT 1')
SELECT * FROM query('SELECT * FROM read_csv(''t.csv'')')
SELECT * FROM query_table('t.csv')
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))
SELECT * FROM sqlite_scan('x', 'y')
SELECT * FROM arrow_scan(1, 2, 3)
SELECT * FROM pandas_scan(1)
SELECT * FROM statements
SELECT * FROM Corpus_
SELECT load_aws_credentials()
"""

WRITES = """
INSERT INTO prompts (prompt_id) VALUES ('y')
INSERT INTO prompts (prompt_id) VALUES ('y') RETURNING *
WITH x AS (INSERT INTO prompts (prompt_id) VALUES ('q') RETURNING *) SELECT * FROM x
MERGE INTO prompts USING prompts p ON false WHEN NOT MATCHED THEN INSERT VALUES (1)
UPDATE captions SET text = 'x'
DELETE FROM captions
TRUNCATE captions
DROP TABLE captions
DROP VIEW corpus
ALTER TABLE captions DROP COLUMN text
COMMENT ON TABLE captions IS 'x'
CREATE TABLE mine AS SELECT 1
CREATE TEMP TABLE mine AS SELECT 1
CREATE VIEW v AS SELECT 1
CREATE MACRO m() AS 1
CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')
CREATE INDEX i ON captions (text)
COPY captions TO 's.csv'
COPY (SELECT 1) TO 'CORPUS' (FORMAT csv)
COPY captions FROM 't.csv'
COPY FROM DATABASE c TO d
EXPLAIN ANALYZE COPY (SELECT 1) TO 'CORPUS' (FORMAT csv)
EXPLAIN EXPLAIN ANALYZE DROP TABLE captions
EXPLAIN /* */ COPY captions TO 's.csv'
EXPLAIN ANALYZE SELECT * FROM read_text('CORPUS')
EXPLAIN ANALYZE INSERT INTO prompts (prompt_id) VALUES ('z')
EXPORT DATABASE 'stolen'
IMPORT DATABASE 'stolen'
ATTACH 'other.duckdb' AS other
ATTACH ':memory:' AS memory
ATTACH 'CORPUS' AS again
DETACH corpus
USE memory
INSTALL httpfs
FORCE INSTALL httpfs
LOAD httpfs
UPDATE EXTENSIONS
SET enable_external_access = true
RESET enable_external_access
SET GLOBAL enable_external_access = true
SET lock_configuration = false
SET memory_limit = '1GB'
SET home_directory = '.'
SET VARIABLE x = 1
PRAGMA threads = 1
PRAGMA database_list
PRAGMA enable_profiling
SET log_query_path = 'log'
CALL enable_logging(storage='file', storage_config={'path': 'logs'})
SELECT * FROM enable_logging(storage='file', storage_path='logs')
SELECT * FROM enable_profiling(save_location='prof')
SELECT * FROM force_checkpoint()
SELECT write_log('x')
SELECT nextval('s')
CHECKPOINT
VACUUM
ANALYZE
BEGIN
COMMIT
PREPARE p AS SELECT 1
EXECUTE p
SELECT 1; SELECT 2
SELECT 1; DROP TABLE captions
SELECT 1) TO 'x'; DROP TABLE captions; --
SELECT 1 INTO OUTFILE 'x'
.shell ls
"""

ALLOWED = [
    "SHOW TABLES",
    "DESCRIBE corpus",
    "SUMMARIZE captions",
    "FROM corpus",
    "VALUES (1)",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) FROM r",
    'WITH "a.b" AS (SELECT 1) SELECT * FROM "a.b"',
    "SELECT unnest(from_json(counts, '[\"json\"]')) FROM runs WHERE false",
    "SELECT * FROM range(3) JOIN generate_series(1, 2) s ON true",
    "PIVOT captions ON model IN ('m') USING count(*) GROUP BY task",
    "SELECT * FROM information_schema.columns",
    "SELECT comment FROM duckdb_columns()",
    "SELECT * FROM current_captions EXCEPT SELECT * FROM captions",
]


def attacks(text: str, corpus: Path) -> list[str]:
    return [line.replace("CORPUS", str(corpus)) for line in text.strip().splitlines()]


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "t.json").write_text('[{"a": 1}]')
    path = tmp_path / "c.duckdb"
    with Corpus(path, write=True) as store:
        store.add("images", [image_rows(1)[0]])
        store.add("captions", [caption_row(1, 1)])
    return path


def state(folder: Path) -> dict[str, str]:
    """Every file below a folder, by a hash of its bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("kind", ["reads", "writes"])
def test_attacks_are_refused_in_one_line_and_leave_everything_as_it_was(
    closed: Path, kind: str
) -> None:
    before = state(closed.parent)
    with Corpus(closed) as store:
        for query in attacks(READS if kind == "reads" else WRITES, closed):
            with pytest.raises(UsageError) as caught:
                store.ask(query)
            assert "\n" not in str(caught.value), query
        assert store.ask("SELECT count(*) AS n FROM captions").to_pylist() == [{"n": 1}]
    assert state(closed.parent) == before


def test_a_writing_process_refuses_the_same(closed: Path) -> None:
    """Filter asks a policy's conditions while it may write: there the file is no protection."""
    with Corpus(closed, write=True) as store:
        before = store.rows("FROM duckdb_tables() SELECT table_name, estimated_size ORDER BY ALL")
        for query in attacks(READS, closed) + attacks(WRITES, closed):
            with pytest.raises(UsageError):
                store.ask(query)
        for condition in (
            "true); DROP TABLE captions; VALUES (1",
            "true); INSERT INTO prompts (prompt_id) VALUES ('x'); VALUES (1",
            "text = getenv('HOME')",
            "true) UNION ALL (FROM read_text('t.csv')",
        ):
            with pytest.raises(UsageError, match="rule 'a': the condition") as caught:
                check_condition(store, condition, "rule 'a'")
            assert "\n" not in str(caught.value), condition
        after = store.rows("FROM duckdb_tables() SELECT table_name, estimated_size ORDER BY ALL")
        assert after == before


def test_what_only_reads_is_answered(closed: Path) -> None:
    with Corpus(closed) as store:
        for query in ALLOWED:
            store.ask(query)
        with pytest.raises(UsageError, match="must name its values"):
            store.ask("PIVOT captions ON model USING count(*)")


def test_a_tree_is_judged_without_a_database() -> None:
    deep: dict[str, object] = {"type": "TABLE_FUNCTION", "function": {"function_name": "glob"}}
    for _ in range(5000):
        deep = {"left": [deep]}
    with pytest.raises(UsageError, match=r"glob\(\) is refused"):
        check_tree(deep, ())
    with pytest.raises(UsageError, match="DELETE is refused"):
        check_tree({"a": {"type": "DELETE_QUERY_NODE"}}, ())
    check_tree({"type": "BASE_TABLE", "table_name": "my-table"}, {"My-Table"})
    assert not {name for name in TABLE_FUNCTIONS if "read" in name or "scan" in name}
