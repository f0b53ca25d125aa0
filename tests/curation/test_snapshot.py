"""Reading while another process writes: snapshots, who gets them, and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation import snapshot as snapshot_module
from curation.corpus import Corpus
from curation.demo.photos import make_demo_photos
from curation.snapshot import Publisher, snapshot_path
from tests.conftest import caption_row, image_rows
from uniqa.errors import CorpusBusyError

WRITER = """
import sys, time
from pathlib import Path
from curation import snapshot
from curation.corpus import Corpus
from tests.conftest import caption_row, image_rows
snapshot.SOONEST, snapshot.FIRST_COST = 0, 0
with Corpus(Path(sys.argv[1]), write=True) as store:
    run = store.begin_run("generate", 0, {})
    with snapshot.Publisher(store, run, share=0.99) as publisher:
        for number in range(2000):
            with store.transaction():
                image, file = image_rows(number)
                store.put("images", [image])
                store.put("captions", [caption_row(10 * number + k, number) for k in range(10)])
            time.sleep(0.02)
            progress = {"model": "fake-1", "wanted": 20000, "passed": 10 * number + 10,
                        "answered": 10 * number + 10, "seconds": 1.0}
            if publisher.tick(progress):
                print("published", number, flush=True)
            if len(sys.argv) > 2 and publisher.published == int(sys.argv[2]):
                break
    store.finish_run(run, "done", {})
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return tmp_path / "corpus.duckdb"


def start(corpus: Path, *more: str) -> subprocess.Popen[str]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(corpus), *more], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline().startswith("published")
    return writer


def end(writer: subprocess.Popen[str]) -> None:
    writer.kill()
    writer.wait()
    assert writer.stdout is not None
    writer.stdout.close()


def test_others_read_a_whole_snapshot_while_one_process_writes(
    corpus: Path, curate: Callable[..., Any]
) -> None:
    writer = start(corpus)
    try:
        seen = []
        for _ in range(5):
            with Corpus(corpus) as store:
                assert store.snapshot is not None
                images, captions = store.rows(
                    "SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM captions)"
                )[0]
            # A window is in it as a whole or not at all.
            assert captions == 10 * images > 0
            seen.append(captions)
            time.sleep(1.1)
        assert seen == sorted(seen)
        assert seen[-1] > seen[0]
        # The copy took no lock away: the file still belongs to the writer.
        with pytest.raises(CorpusBusyError, match=str(writer.pid)):
            Corpus(corpus, write=True)
        said = curate("sql", "SELECT count(*) AS n FROM captions", "--corpus", corpus, "--json")
        assert said.code == 0
        assert json.loads(said.out)[0]["n"] >= seen[-1]
        assert "snapshot of " in said.err
        assert " captions" in said.err
        told = json.loads(curate("status", "--corpus", corpus, "--json").out)
        assert told["snapshot"].startswith("snapshot of ")
        assert told["running"]["pid"] == writer.pid
        assert told["running"]["alive"] is True
        assert told["running"]["wanted"] == 20000
        assert told["running"]["rate"] > 0
        assert told["next"].startswith("wait for generate")
        people = curate("status", "--corpus", corpus)
        assert f"generate is running (process {writer.pid})" in people.err
    finally:
        end(writer)
    # Killed: the snapshot is left, but nobody needs it; the next writer takes it away.
    assert snapshot_path(corpus).is_file()
    told = json.loads(curate("status", "--corpus", corpus, "--json").out)
    assert (told["running"], told["runs"][0][2]) == (None, "killed")
    assert told["next"] == "repeat the generate command: its last run was killed"
    with Corpus(corpus) as store:
        assert store.snapshot is None
        assert store.value("SELECT count(*) FROM captions") >= seen[-1]
    with Corpus(corpus, write=True) as store:
        assert store.value("SELECT outcome FROM runs") == "killed"
        assert not snapshot_path(corpus).exists()


# The command itself; only how soon a snapshot is made and how large a window is are smaller, so
# that a run of few photos has several.
GENERATE = """
import sys
from curation import generate, snapshot
snapshot.SOONEST = snapshot.FIRST_COST = 0
generate.MOST_PHOTOS = 8
from curation.cli import main
sys.argv = ["uniqa-curate", "generate", *sys.argv[1:]]
main()
"""


@pytest.mark.slow
def test_sql_and_status_are_answered_while_generate_runs(
    tmp_path: Path, corpus: Path, curate: Callable[..., Any]
) -> None:
    table = make_demo_photos(tmp_path / "photos", seed=1)
    arguments = [str(table), "--corpus", str(corpus), "--model", "measured", "--workers", "1"]
    run = subprocess.Popen(
        [sys.executable, "-c", GENERATE, *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while not snapshot_path(corpus).exists() and time.monotonic() < deadline:
            assert run.poll() is None
            time.sleep(0.02)
        # Held still: what is asked now is asked while it has the corpus, however slow we are.
        os.kill(run.pid, signal.SIGSTOP)
        said = curate("sql", "SELECT count(*) AS n FROM corpus", "--json", "--corpus", corpus)
        count = json.loads(said.out)[0]["n"]
        assert count > 0
        assert said.err.startswith("snapshot of ")
        assert said.err.endswith(f", {count:,} captions\n")
        told = json.loads(curate("status", "--json", "--corpus", corpus).out)
        running = told["running"]
        assert (running["pid"], running["alive"]) == (run.pid, True)
        assert running["model"] == "measured"
        assert 0 < running["passed"] <= running["wanted"]
        assert running["rate"] > 0
        assert running["seconds_left"] >= 0
        assert told["captions"] == count
        os.kill(run.pid, signal.SIGCONT)
        os.kill(run.pid, signal.SIGINT)
        assert run.wait(timeout=300) in (0, 130)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    assert not snapshot_path(corpus).exists()
    with Corpus(corpus) as store:
        assert store.snapshot is None
        assert store.value("SELECT count(*) FROM captions") >= count


def test_the_snapshot_goes_when_the_run_ends(corpus: Path) -> None:
    writer = start(corpus, "2")
    assert writer.wait(60) == 0
    end(writer)
    assert [one.name for one in corpus.parent.iterdir()] == [corpus.name]
    with Corpus(corpus) as store:
        assert store.snapshot is None


def test_a_kill_at_any_moment_leaves_a_snapshot_that_opens(corpus: Path) -> None:
    for wait in (0.0, 0.013, 0.03, 0.07):
        writer = start(corpus)
        time.sleep(1.0 + wait)
        end(writer)
        beside = snapshot_path(corpus)
        with Corpus(beside) as store:
            assert store.value("SELECT count(*) FROM captions") > 0


def test_snapshots_cost_no_more_than_their_share(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(snapshot_module.time, "monotonic", lambda: clock[0])
    with Corpus(corpus, write=True) as store:
        image, _ = image_rows(1)
        store.put("images", [image])
        store.put("captions", [caption_row(1, 1)])
        publisher = Publisher(store, "run", share=0.015)

        def expensive(_progress: Any) -> None:
            clock[0] += 7.0
            publisher.published += 1

        monkeypatch.setattr(publisher, "_publish", expensive)
        for _ in range(40_000):
            clock[0] += 0.5
            publisher.tick({})
            assert publisher.seconds <= 7.0 or publisher.seconds / clock[0] <= 0.015
    assert publisher.published > 30


def test_a_full_disk_leaves_snapshots_out(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_module, "SOONEST", 0)
    monkeypatch.setattr(snapshot_module, "ROOM", 10**12)
    with Corpus(corpus, write=True) as store:
        publisher = Publisher(store, "run", share=0.99)
        time.sleep(1.2)
        assert not publisher.tick({})
        assert not snapshot_path(corpus).exists()
        monkeypatch.setattr(snapshot_module, "ROOM", 0)
        time.sleep(1.2)
        assert publisher.tick({})
        assert snapshot_path(corpus).stat().st_size == corpus.stat().st_size
    assert os.access(snapshot_path(corpus), os.R_OK)
