"""The corpus: a real DuckDB file, opened, asked, held, killed and refused."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from curation.corpus import Corpus, KnownFile, check_column, check_condition
from curation.corpus import store as corpus_module
from curation.migrations import MIGRATIONS
from tests.conftest import caption_row, image_rows, rating_row
from uniqa.errors import CorpusBusyError, InputError, UsageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "corpus.duckdb"


@pytest.fixture
def corpus(path: Path) -> Iterator[Corpus]:
    with Corpus(path, write=True) as store:
        yield store


def failure(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "failure_id": name,
        "stage": "engine",
        "kind": "refused",
        "message": "no",
        "permanent": False,
        "path": "/photos/1.jpg",
        "image_id": None,
        "model": None,
        "task": None,
        "cue": None,
        "run_id": "run1",
        "failed_at": None,
        **changes,
    }


def state(store: Corpus, name: str) -> tuple[Any, ...]:
    query = "SELECT attempts, permanent, resolved FROM failures WHERE failure_id = ?"
    return store.rows(query, [name])[0]


# ---- opening ------------------------------------------------------------------------------------


def test_migrations_are_recorded_once(path: Path) -> None:
    for _ in range(2):
        with Corpus(path, write=True) as store:
            names = store.rows("SELECT number, name FROM migrations ORDER BY number")
    assert names == [(i, step.__name__) for i, step in enumerate(MIGRATIONS, start=1)]


def test_a_missing_corpus_is_not_made_by_reading(path: Path) -> None:
    with pytest.raises(InputError, match="no corpus at"):
        Corpus(path)
    assert not path.exists()


def test_folders_are_made_for_a_new_corpus(tmp_path: Path) -> None:
    with Corpus(tmp_path / "a" / "b" / "c.duckdb", write=True) as store:
        assert store.value("SELECT count(*) FROM captions") == 0
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot make the folder"):
        Corpus(tmp_path / "file" / "c.duckdb", write=True)


@pytest.mark.parametrize("write", [True, False])
def test_another_duckdb_file_is_no_corpus_and_stays_as_it_was(path: Path, write: bool) -> None:
    with duckdb.connect(str(path)) as db:
        db.execute("CREATE TABLE mine AS SELECT 42 AS answer")
    with pytest.raises(InputError, match="no UniQA corpus"):
        Corpus(path, write=write)
    with duckdb.connect(str(path)) as db:
        assert db.execute("SHOW TABLES").fetchall() == [("mine",)]


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("name", ["text.duckdb", "clock.duckdb"])
def test_what_is_no_database_is_refused_as_input(tmp_path: Path, name: str, write: bool) -> None:
    (tmp_path / name).write_text("a text, whatever its name says\n" * 500)
    with pytest.raises(InputError, match="cannot be opened as a corpus") as caught:
        Corpus(tmp_path / name, write=write)
    assert "\n" not in str(caught.value)


def test_a_newer_corpus_is_left_alone(path: Path) -> None:
    with Corpus(path, write=True):
        pass
    with duckdb.connect(str(path)) as db:
        db.execute("INSERT INTO migrations VALUES (99, 'm099_future', now())")
    with pytest.raises(InputError, match="newer UniQA"):
        Corpus(path, write=True)


HOLD = """
import sys, time
from pathlib import Path
from curation.corpus import Corpus
with Corpus(Path(sys.argv[1]), write=True) as store:
    store.begin_run("generate", 0, {})
    store.add("prompts", [{"prompt_id": "kept"}])
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the corpus open for writing, in the middle of a run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_busy_corpus_names_its_holder_and_a_killed_run_is_marked(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    for write in (True, False):
        with pytest.raises(CorpusBusyError, match=f"in use by process {holder.pid} .*python"):
            Corpus(path, write=write)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with Corpus(path, write=True) as store:
        assert store.rows("SELECT command, outcome FROM runs") == [("generate", "killed")]
        assert store.value("SELECT prompt_id FROM prompts") == "kept"


# ---- writing ------------------------------------------------------------------------------------


def test_runs_say_what_they_were_and_how_they_ended(corpus: Corpus) -> None:
    run = corpus.begin_run("refine", 7, {"threshold": 0.9, "path": Path("x")})
    other = corpus.begin_run("filter", 0, {})
    assert run != other
    corpus.finish_run(run, "done", {"captions": 3})
    row = corpus.table("SELECT * FROM runs WHERE run_id = ?", [run]).to_pylist()[0]
    assert (row["command"], row["outcome"], row["seed"]) == ("refine", "done", 7)
    assert json.loads(row["config"]) == {"threshold": 0.9, "path": "x"}
    assert json.loads(row["counts"]) == {"captions": 3}
    assert {"uniqa", "duckdb", "python"} <= set(json.loads(row["versions"]))
    assert row["finished_at"] >= row["started_at"]


def test_a_transaction_is_all_or_nothing(corpus: Corpus) -> None:

    def interrupted() -> None:
        with corpus.transaction():
            corpus.add("captions", [caption_row(1, 1)])
            corpus.add("images", [image_rows(1)[0]])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert corpus.value("SELECT count(*) FROM captions") == 0
    assert corpus.value("SELECT count(*) FROM images") == 0
    with corpus.transaction():
        corpus.add("captions", [caption_row(1, 1)])
    assert corpus.value("SELECT count(*) FROM captions") == 1


def test_add_leaves_and_put_replaces(corpus: Corpus) -> None:
    corpus.add("captions", [caption_row(1, 1, text="first")])
    corpus.add("captions", [caption_row(1, 1, text="second"), caption_row(2, 1, text="new")])
    texts = "SELECT text FROM captions ORDER BY caption_id"
    assert corpus.rows(texts) == [("first",), ("new",)]
    corpus.put("captions", [caption_row(1, 1, text="third")])
    assert corpus.rows(texts) == [("third",), ("new",)]


def test_rows_with_one_key_in_one_call_count_once(corpus: Corpus) -> None:
    rows = [rating_row(1, mos=1.0), rating_row(1, mos=2.0), rating_row(1, dataset="spaq")]
    corpus.put("ratings", rows)
    found = corpus.rows("SELECT dataset, mos FROM ratings ORDER BY dataset")
    assert found == [("koniq", 2.0), ("spaq", 3.0)]


def test_arrow_tables_and_nothing_are_written_too(corpus: Corpus) -> None:
    assert corpus.put("prompts", []) == 0
    assert corpus.put("prompts", pa.table({"prompt_id": ["a", "b"], "text": ["x", None]})) == 2
    assert corpus.rows("SELECT prompt_id, text FROM prompts ORDER BY ALL") == [
        ("a", "x"),
        ("b", None),
    ]


def test_files_are_remembered(corpus: Corpus) -> None:
    corpus.put("files", [image_rows(1, "/ü/a b'.jpg")[1]])
    corpus.put("files", [{"path": "/bad.jpg", "size": 3, "mtime_ns": 4, "image_id": None}])
    known = corpus.known_files(["/ü/a b'.jpg", "/bad.jpg", "/unknown.jpg"])
    assert known == {
        "/ü/a b'.jpg": KnownFile(100, 1, f"{1:064x}"),
        "/bad.jpg": KnownFile(3, 4, None),
    }
    assert corpus.known_files([]) == {}


def test_done_is_what_is_stored_or_failed_for_good(corpus: Corpus) -> None:
    corpus.add("captions", [caption_row(1, 1)])
    corpus.add_failures([failure("hopeless", permanent=True), failure("later")])
    asked = ["caption001", "hopeless", "later", "never"]
    assert corpus.done(asked) == {"caption001", "hopeless"}
    assert corpus.done([]) == set()


def test_failures_count_their_attempts_and_stay_as_history(corpus: Corpus) -> None:
    corpus.add_failures([failure("a"), failure("b", permanent=True)])
    assert (state(corpus, "a"), state(corpus, "b")) == ((1, False, False), (1, True, False))
    corpus.add_failures([failure("a", message="again"), failure("c")])
    assert state(corpus, "a") == (2, False, False)
    assert state(corpus, "c") == (1, False, False)
    corpus.resolve_failures(["a", "b", "unknown"])
    assert (state(corpus, "a"), state(corpus, "b")) == ((2, False, True), (1, False, True))
    corpus.add_failures([failure("a")])
    assert state(corpus, "a") == (3, False, False)
    corpus.add_failures([])
    corpus.resolve_failures([])
    assert corpus.value("SELECT count(*) FROM failures") == 3


# ---- asking -------------------------------------------------------------------------------------


@pytest.fixture
def closed(path: Path) -> Path:
    """A corpus with two captions that nobody has open."""
    with Corpus(path, write=True) as store:
        for image in (1, 2):
            photo, file = image_rows(image)
            store.add("images", [photo])
            store.put("files", [file])
        store.add("captions", [caption_row(1, 1), caption_row(2, 2)])
        store.put("ratings", [rating_row(1)])
    return path


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT seed, mos FROM corpus ORDER BY caption_id", [(0, 3), (0, None)]),
        ("FROM image_summary SELECT sum(captions)::INT", [(2,)]),
        ("WITH x AS (SELECT 1 AS one) SELECT * FROM x;  -- a comment", [(1,)]),
        ("SELECT count(*) FROM images WHERE path LIKE '%;%'", [(0,)]),
        ("SELECT 1 AS a, 2 AS a, 3 AS a_1", [(1, 2, 3)]),
    ],
)  # fmt: skip
def test_selects_are_answered(closed: Path, query: str, rows: list[tuple[Any, ...]]) -> None:
    with Corpus(closed) as store:
        assert [tuple(row.values()) for row in store.ask(query).to_pylist()] == rows


FORBIDDEN = [
    "INSERT INTO prompts (prompt_id) VALUES ('x')",
    "UPDATE captions SET text = 'x'",
    "DELETE FROM captions",
    "DROP TABLE captions",
    "DROP VIEW corpus",
    "CREATE TABLE mine AS SELECT 1",
    "ALTER TABLE captions DROP COLUMN text",
    "COPY captions TO 'stolen.csv'",
    "COPY captions FROM 'table.csv'",
    "EXPORT DATABASE 'stolen'",
    "ATTACH 'other.duckdb' AS other",
    "SELECT * FROM read_csv('table.csv')",
    "SELECT * FROM read_text('table.csv')",
    "SELECT * FROM 'table.csv'",
    "SELECT * FROM glob('*')",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE captions",
    "SELEC 1",
    "SELECT nothing FROM corpus",
    "SELECT * FROM captoins",
    "",
    "  -- only a comment",
]


def test_everything_but_reading_is_refused_and_the_file_is_unchanged(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    before = hashlib.sha256(closed.read_bytes()).hexdigest()
    there = set(tmp_path.iterdir())
    with Corpus(closed) as store:
        for query in FORBIDDEN:
            with pytest.raises(UsageError) as caught:
                store.ask(query)
            assert "\n" not in str(caught.value), query
        assert store.ask("SELECT count(*) AS n FROM captions").to_pylist() == [{"n": 2}]
    assert hashlib.sha256(closed.read_bytes()).hexdigest() == before
    assert set(tmp_path.iterdir()) == there


def test_reading_takes_no_lock_from_other_readers(closed: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from curation.corpus import Corpus\n"
        "print(Corpus(Path(sys.argv[1])).value('SELECT count(*) FROM captions'))"
    )
    with Corpus(closed):
        done = subprocess.run(
            [sys.executable, "-c", code, str(closed)], capture_output=True, text=True, check=True
        )
    assert done.stdout == "2\n"


def test_conditions_are_checked_before_they_are_used(corpus: Corpus) -> None:
    check_condition(corpus, "words >= 3 AND task = 'quality'", "rule 'a'")
    check_condition(corpus, "text NOT LIKE '%random select now%'", "rule 'a'")
    for condition in ("wrods >= 3", "words >=", "1; DROP TABLE captions", "count(*) > 1", "kept"):
        with pytest.raises(UsageError, match="rule 'a': the condition"):
            check_condition(corpus, condition, "rule 'a'")
    for condition in ("random() < 0.5", "created_at < now()", "uuid() > text", "current_date > 1"):
        with pytest.raises(UsageError, match="not the same every time"):
            check_condition(corpus, condition, "rule 'a'")
    with pytest.raises(UsageError, match="no subquery"):
        check_condition(corpus, "caption_id IN (SELECT caption_id FROM verdicts)", "rule 'a'")
    with pytest.raises(UsageError, match="unknown signal or column 'kept'"):
        check_column(corpus, "kept", "policy.yaml")
    check_column(corpus, "similarity", "policy.yaml")
    with pytest.raises(UsageError, match=r"policy\.yaml: unknown .* Did you mean 'similarity'"):
        check_column(corpus, "similarty", "policy.yaml")


def test_the_view_corpus_puts_a_photo_of_any_test_split_there(corpus: Corpus) -> None:
    corpus.add("images", [image_rows(1)[0]])
    corpus.add("captions", [caption_row(1, 1), caption_row(2, 1, task="aesthetic")])
    corpus.put("ratings", [rating_row(1), rating_row(1, dataset="tad", split="test", mos=9.0)])
    rows = corpus.rows("SELECT task, split, mos, group_id FROM corpus ORDER BY task")
    assert rows == [("aesthetic", "test", None, "scene1"), ("quality", "test", 3.0, "scene1")]


@pytest.mark.parametrize("large", [True, False])
def test_keys_are_found_in_large_and_in_small_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    """By the primary key's index or by a join: the same rows."""
    monkeypatch.setattr(corpus_module, "ROWS_PER_KEY", 0 if large else 500)
    monkeypatch.setattr(corpus_module, "PER_LOOK", 3)
    with Corpus(tmp_path / "c.duckdb", write=True) as corpus:
        corpus.put("captions", [caption_row(number, 0) for number in range(0, 20, 2)])
        corpus.put("files", [image_rows(number)[1] for number in range(5)])
        failure = {
            "stage": "engine", "kind": "k", "message": "m", "path": "p", "run_id": "r",
        }  # fmt: skip
        corpus.add_failures(
            [
                {**failure, "failure_id": f"caption{number:03}", "permanent": number == 1}
                for number in (1, 3)
            ]
        )
        wanted = [f"caption{number:03}" for number in range(8)]
        assert corpus.done(wanted) == {f"caption{number:03}" for number in (0, 1, 2, 4, 6)}
        assert corpus.done([]) == set()
        known = corpus.known_files([f"/photos/{number}.jpg" for number in range(3, 9)])
        assert sorted(known) == ["/photos/3.jpg", "/photos/4.jpg"]
        assert known["/photos/3.jpg"].image_id == f"{3:064x}"
        corpus.resolve_failures(wanted)
        assert corpus.rows("SELECT DISTINCT resolved FROM failures") == [(True,)]


def test_little_memory_holds_while_captions_are_made_and_not_longer(tmp_path: Path) -> None:
    asked = "SELECT current_setting('memory_limit')"
    with Corpus(tmp_path / "c.duckdb", write=True) as corpus:
        before = corpus.value(asked)
        with corpus.in_little_memory(captions=1_000_000, photos=100_000):
            assert corpus.value(asked) == "207.0 MiB"
        with corpus.in_little_memory(captions=0, photos=0):
            assert corpus.value(asked) == "64.0 MiB"
        assert corpus.value(asked) == before
