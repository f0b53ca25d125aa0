"""What is lost when a part of `generate` is killed at the worst moment: everything real.

    python benchmarks/kill_matrix.py --photos FOLDER [--limit 64]

A shipped model describes photos through vLLM. Per row a run is started, brought to a moment, hurt
there, and the same command is repeated until all is done; what is stored is counted meanwhile from
copies of the corpus, because the run holds its lock. Writes a table into RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.results import write_section
from curation.corpus import Corpus
from curation.pocket.shipped import POCKET_OPTIONS, shipped_models
from uniqa import console
from uniqa.errors import CorpusBusyError, UniqaError
from uniqa.photos import find_photos

PROGRAM = str(Path(sys.executable).parent / "uniqa-curate")
MODEL = "pocket-a"
WINDOW = 48
"""Requests per window; 6 captions per photo make 8 photos of it."""

UNREACHABLE = 5.0
"""Seconds that a server may be away here; 60 where nothing is said."""

PATIENCE = 420.0
"""Seconds after which a row is given up."""

READY = ("init engine", "warmup completed")
"""vLLM's log has said all this when the model is loaded."""

MOMENTS = ("start", "middle", "end")


class NotInTime(Exception):
    """Something did not happen, or happened too early."""


# ---- a run and what can be seen of it from outside -----------------------------------------------


@dataclass
class Job:
    """One row's folder: a corpus, a run file, the command."""

    folder: Path
    photos: list[Path]
    words: Path
    """Where it speaks to people; not beside the corpus, whose disk may be full."""
    separate_core: bool = False
    url: str = ""
    corpus: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.corpus = self.folder / "corpus.duckdb"
        model: dict[str, Any] = {"id": MODEL, "window": WINDOW}
        if self.separate_core:
            model["separate_core"] = True
        if self.url:
            options = {"unreachable": UNREACHABLE}
            model |= {"engine": "server", "url": self.url, "options": options}
        told = {
            "images": [str(path) for path in self.photos],
            "corpus": str(self.corpus),
            "models": [model],
            "workers": 1,
        }
        (self.folder / "run.yaml").write_text(yaml.safe_dump(told))

    def start(self) -> Running:
        """The command, in a session of its own as a terminal would have it."""
        command = [PROGRAM, "generate", "--config", str(self.folder / "run.yaml"), "--json"]
        with self.words.open("ab") as words:
            process = subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=words,
                start_new_session=True,
            )
        return Running(self, process)

    def repeat(self) -> None:
        """The same command until its end, which must be a good one."""
        running = self.start()
        if running.ended() != 0:
            raise NotInTime(f"the repetition failed: {self.last_words()}")

    def last_words(self) -> str:
        """The last line for people."""
        lines = self.words.read_text().strip().splitlines()
        return lines[-1] if lines else ""

    def stored(self) -> int:
        """Captions that a kill at this moment would leave."""
        folder = self.folder / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            shutil.copy(self.corpus, folder)
            with suppress(FileNotFoundError):
                shutil.copy(f"{self.corpus}.wal", folder)
            with Corpus(folder / self.corpus.name) as corpus:
                return int(corpus.value("SELECT count(*) FROM captions"))
        except (UniqaError, FileNotFoundError):
            # Not made yet, or copied while it was written.
            return 0

    @property
    def loaded(self) -> bool:
        """Whether the model in the child process has been loaded."""
        logs = self.folder.glob("corpus.logs/*.log")
        words = "".join(log.read_text(errors="replace") for log in logs)
        return all(one in words for one in READY)

    def count(self) -> tuple[int, int]:
        """Captions, and how many of them are there twice for one photo, prompt and sample."""
        with Corpus(self.corpus) as corpus:
            ((stored, distinct),) = corpus.rows(
                "SELECT count(*), count(DISTINCT (image_id, prompt_id, sample)) FROM captions"
            )
        return stored, stored - distinct


@dataclass
class Running:
    """A run of the command, seen from outside."""

    job: Job
    process: subprocess.Popen[bytes]

    def ended(self) -> int:
        """Its exit code, when it has one."""
        return self.process.wait(PATIENCE)

    def family(self) -> list[psutil.Process]:
        """The command's process and all that it started."""
        with suppress(psutil.NoSuchProcess):
            leader = psutil.Process(self.process.pid)
            return [leader, *leader.children(recursive=True)]
        return []

    def workers(self) -> list[psutil.Process]:
        """vLLM's child: it leads a session of its own."""
        return [one for one in self.family()[1:] if _session(one.pid) == one.pid]

    def core(self) -> psutil.Process:
        """The engine core: the largest process that vLLM's child started."""
        (worker,) = self.workers()
        return max(worker.children(recursive=True), key=lambda one: one.memory_info().rss)


def _session(pid: int) -> int:
    with suppress(ProcessLookupError):
        return os.getsid(pid)
    return 0


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], bool], running: Running | None = None) -> float:
    """Seconds until something is so. Raises NotInTime if it is not after minutes."""
    began = time.monotonic()
    while not condition():
        if running is not None and running.process.poll() is not None and not condition():
            raise NotInTime(f"the run ended too early: {running.job.last_words()}")
        if time.monotonic() - began > PATIENCE:
            raise NotInTime("waited in vain")
        time.sleep(0.02)
    return time.monotonic() - began


# ---- moments -------------------------------------------------------------------------------------


def reach(running: Running, moment: str, wanted: int, ready: Callable[[], bool]) -> None:
    """Wait for a moment: the model just loaded, half stored, or all but two windows stored.

    Two are in flight, as vLLM gets the next one before one is done: of the last alone it may have
    answered everything by the time that this is seen.
    """
    if moment == "start":
        until(ready, running)
        return
    enough = wanted // 2 if moment == "middle" else wanted - 2 * WINDOW
    until(lambda: running.job.stored() >= enough, running)


# ---- who is killed -------------------------------------------------------------------------------


@dataclass
class Row:
    """One line of the table."""

    who: str
    moment: str
    wanted: int
    stored: int
    lost: int
    doubled: int
    noticed: float
    happened: str

    def __str__(self) -> str:
        return (
            f"| {self.who} | {self.moment} | {self.wanted:,} | {self.stored:,} | {self.lost:,} "
            f"| {self.doubled:,} | {self.noticed:.1f} | {self.happened} |"
        )


HEAD = (
    "| killed | moment | captions wanted | stored then | lost in the end | doubled "
    "| seconds until noticed | what happened |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"
)


class Matrix:
    """Makes the rows."""

    def __init__(self, folder: Path, photos: list[Path], wanted: int) -> None:
        self.folder = folder
        self.photos = photos
        self.wanted = wanted

    def _job(self, name: str, **settings: Any) -> Job:
        words = self.folder / f"{name.replace('/', ' ')}.txt"
        return Job(self.folder / name, self.photos, words, **settings)

    def _row(self, job: Job, who: str, moment: str, noticed: float, happened: str) -> Row:
        """Count, repeat the command, count again."""
        stored, _ = job.count()
        job.repeat()
        there, doubled = job.count()
        row = Row(who, moment, self.wanted, stored, self.wanted - there, doubled, noticed, happened)
        console.say(str(row))
        return row

    def parent(self, moment: str) -> Row:
        """Kill -9 of the command itself."""
        job = self._job(f"parent {moment}")
        running = job.start()
        reach(running, moment, self.wanted, lambda: job.loaded)
        children = running.family()[1:]
        running.process.kill()
        noticed = until(lambda: _opens(job.corpus))
        gone = noticed + until(lambda: not any(map(_alive, children)))
        running.ended()
        what = f"its processes ended after {gone:.1f} s; the command was repeated"
        return self._row(job, "`uniqa-curate generate`", moment, noticed, what)

    def child(self, moment: str, *, core: bool) -> Row:
        """Kill -9 of vLLM's child, or of the engine core beside it."""
        who = "EngineCore (`separate_core`)" if core else "vLLM's child"
        job = self._job(f"{'core' if core else 'child'} {moment}", separate_core=core)
        running = job.start()
        reach(running, moment, self.wanted, lambda: job.loaded)
        if core and moment == "start":
            time.sleep(1)  # the core still has to tell vLLM's child that it is there
        (worker,) = running.workers()
        (running.core() if core else worker).kill()
        noticed = until(lambda: any(one != worker for one in running.workers()), running)
        code = running.ended()
        what = f"started anew by itself, the run ended with {code}"
        return self._row(job, who, moment, noticed, what)

    def server(self, moment: str) -> Row:
        """Kill -9 of a server with all its processes; it is started again for the repetition."""
        with served(self.folder / f"server-{moment}.log") as server:
            job = self._job(f"server {moment}", url=server.url)
            running = job.start()
            reach(running, moment, self.wanted, server.busy)
            server.kill()
            began = time.monotonic()
            code = running.ended()
            noticed = time.monotonic() - began
            words = job.last_words().removeprefix("error: ").replace(server.url, "URL")
            words = re.sub(r"(?<=[\s(])/\S+/", "", words)  # where the photos lie says nothing
            what = f"exit code {code}: “{words}”; started again, the command was repeated"
            server.start()
            return self._row(job, "vLLM as a server", moment, noticed, what)

    def stopped(self, who: str, *signals: int) -> Row:
        """Ctrl-C or SIGTERM in the middle."""
        job = self._job(who)
        running = job.start()
        reach(running, "middle", self.wanted, lambda: job.loaded)
        children = running.family()[1:]
        for number, one in enumerate(signals):
            time.sleep(0.5 if number else 0.0)
            began = time.monotonic()
            if one == signal.SIGINT:
                os.killpg(running.process.pid, one)  # as a terminal does
            else:
                running.process.send_signal(one)
        code = running.ended()
        noticed = time.monotonic() - began
        _, left = psutil.wait_procs(children, timeout=2)
        words = job.last_words().removeprefix("error: ")
        if "Traceback" in job.words.read_text():
            words += " (and a traceback)"
        what = f"exit code {code}: “{words}”; {len(left) or 'no'} processes left; repeated"
        return self._row(job, who, "middle", noticed, what)

    def disk_full(self) -> Row:
        """No room any more in the middle; there is again for the repetition."""
        with small_disk(self.folder / "small disk") as place:
            job = self._job("small disk/job")
            running = job.start()
            reach(running, "middle", self.wanted, lambda: job.loaded)
            began = time.monotonic()
            filler = _fill(place, running)
            code = running.ended()
            noticed = time.monotonic() - began
            words = job.last_words().removeprefix("error: ").replace(f"{place}/", "…/")
            filler.unlink(missing_ok=True)
            what = f"exit code {code}: “{words}”; with room again, the command was repeated"
            return self._row(job, "nothing: disk full", "middle", noticed, what)


def _opens(corpus: Path) -> bool:
    try:
        with Corpus(corpus):
            return True
    except CorpusBusyError:
        return False


# ---- what rows need ------------------------------------------------------------------------------


class Server:
    """vLLM's OpenAI-compatible server in a session of its own."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/v1"
        self._log = log
        self.start()

    def start(self) -> None:
        """Start it and wait until it serves the model."""
        # The console script `vllm` does not run with the CPU build; flags as in the worker.
        options = {
            "model": shipped_models()[MODEL],
            "served-model-name": MODEL,
            "host": "127.0.0.1",
            "port": self._port,
            "dtype": POCKET_OPTIONS["dtype"],
            "max-model-len": POCKET_OPTIONS["max_model_len"],
            "kv-cache-memory-bytes": POCKET_OPTIONS["kv_cache_memory_bytes"],
            "block-size": 32,
            "limit-mm-per-prompt": '{"image": 1, "video": 0}',
        }
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
        command += ["--enforce-eager", "--no-enable-chunked-prefill"]
        quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_DO_NOT_TRACK": "1"}
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | quiet | {"VLLM_CPU_OMP_THREADS_BIND": "nobind"},
            )
        until(lambda: bool(self._get("/v1/models")))

    def _get(self, page: str) -> str:
        with suppress(httpx.HTTPError):
            reply = httpx.get(self.url.removesuffix("/v1") + page, trust_env=False)
            return reply.text if reply.status_code == 200 else ""
        return ""

    def busy(self) -> bool:
        """Whether it works on several requests: the first window is there."""
        for line in self._get("/metrics").splitlines():
            if line.startswith("vllm:num_requests_running"):
                return float(line.split()[-1]) > 1
        return False

    def kill(self) -> None:
        """Kill -9 of all its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)


@contextmanager
def served(log: Path) -> Iterator[Server]:
    """A server that is gone afterwards."""
    server = Server(log)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of its own; a plain folder without the right to mount one."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield place
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


def _fill(place: Path, running: Running) -> Path:
    """Take all room from a run. Returns the file that takes it."""
    filler = place / "filler"
    if not place.is_mount():
        import resource

        log = running.job.corpus.with_name("corpus.duckdb.wal")
        size = log.stat().st_size
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (size, size))
        return filler
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


# ---- the table -----------------------------------------------------------------------------------


def main() -> None:
    """Parse, make the rows, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--only", default="", help="rows whose name holds this; nothing is written")
    options = parser.parse_args()
    photos = find_photos(options.photos)[: options.limit]
    with tempfile.TemporaryDirectory(prefix="uniqa-") as name:
        folder = Path(name)
        matrix = Matrix(folder, photos, _wanted(folder, photos))
        rows: dict[str, Callable[[], Row]] = {}
        for moment in MOMENTS:
            rows[f"parent {moment}"] = partial(matrix.parent, moment)
        for moment in MOMENTS:
            rows[f"child {moment}"] = partial(matrix.child, moment, core=False)
        for moment in MOMENTS:
            rows[f"core {moment}"] = partial(matrix.child, moment, core=True)
        for moment in MOMENTS:
            rows[f"server {moment}"] = partial(matrix.server, moment)
        twice = (signal.SIGINT, signal.SIGINT)
        rows["Ctrl-C"] = partial(matrix.stopped, "Ctrl-C once", signal.SIGINT)
        rows["Ctrl-C twice"] = partial(matrix.stopped, "Ctrl-C twice", *twice)
        rows["SIGTERM"] = partial(matrix.stopped, "SIGTERM", signal.SIGTERM)
        rows["disk full"] = matrix.disk_full
        lines = [_line(name, make) for name, make in rows.items() if options.only in name]
    table = "\n".join([HEAD, *lines])
    console.people.print(table, markup=False, soft_wrap=True)
    if not options.only:
        command = (
            f"python benchmarks/kill_matrix.py --photos {options.photos.name} "
            f"--limit {options.limit}"
        )
        write_section("Kill matrix", f"{_ABOUT}\n\n{table}", command)


def _line(name: str, make: Callable[[], Row]) -> str:
    """A row; one that went wrong says so, and the others are made nevertheless."""
    try:
        return str(make())
    except NotInTime as error:
        return f"| {name} | | | | | | | not made: {error} |"


_ABOUT = (
    f"`{MODEL}` through vLLM, windows of {WINDOW} requests, kill -9. *Start*: the model is loaded "
    "and the first window on its way; *middle*: half is stored; *end*: only the last two windows, "
    "both in flight, are not. *Stored then* is what the run left when it was killed or had ended; "
    "*lost* and *doubled* are counted after the same command was repeated. *Noticed*: the corpus "
    "could be opened by others (the command), a new child had been started (vLLM), the run had "
    "ended with the words quoted (the server, which may be away for "
    f"{UNREACHABLE:g} s here, 60 s by default; signals)."
)


def _wanted(folder: Path, photos: list[Path]) -> int:
    """Captions in the plan."""
    command = [PROGRAM, "generate", *map(str, photos), "--model", MODEL, "--dry-run", "--no-probe"]
    command += ["--corpus", str(folder / "none.duckdb"), "--json"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(json.loads(told)[0]["wanted"])


if __name__ == "__main__":
    main()
