"""Three models of different kinds over one rated dataset, stopped once and gone on with.

    python benchmarks/several_models.py TABLE [--task aesthetic] [--shots 2]

The measured engine, a tiny random Idefics3 (several photos per prompt: its exemplars are photos)
and a tiny random Blip2 (one photo and a plain prompt: its exemplars are text) run in turn through
vLLM. What the random models say is gibberish; that every caption, of every model, is made once
across a Ctrl-C is the point. Writes into RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.results import write_section
from curation.corpus import Corpus
from tests import tiny_blip2, tiny_idefics3
from uniqa import console

PROGRAM = Path(sys.executable).parent / "uniqa-curate"
STOP_AFTER = 60.0
"""Seconds after which the first run is told to stop; with luck in the middle of a model."""


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--task", default="aesthetic")
    parser.add_argument("--shots", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="uniqa-") as folder:
        work = Path(folder)
        console.say("making two tiny models")
        models = [
            tiny_idefics3.build(work / "tiny-idefics3"),
            tiny_blip2.build(work / "tiny-blip2"),
        ]
        command = [str(PROGRAM), "generate", str(options.table), "--task", options.task]
        command += ["--model", "measured", "--corpus", str(work / "corpus.duckdb"), "--json"]
        for model in models:
            command += ["--model", str(model)]
        command += ["--shots", str(options.shots), "--max-tokens", "24", "--temperature", "1"]
        command += ["--engine-option", "max_model_len=1024"]
        command += ["--engine-option", f"kv_cache_memory_bytes={64 << 20}"]
        console.say("first run, to be stopped")
        stopped = _run(command, STOP_AFTER)
        console.say("second run")
        again = _run(command, None)
        body = _report(work / "corpus.duckdb", stopped, again)
    write_section(
        "Several models in one run",
        body,
        f"python benchmarks/several_models.py {options.table.name}",
    )
    console.people.print(body, markup=False, soft_wrap=True)


def _run(command: list[str], stop_after: float | None) -> dict[str, Any]:
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        out, _ = process.communicate(timeout=stop_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
    models = {one["model"]: one for one in json.loads(out)} if out.strip() else {}
    return {"code": process.returncode, "seconds": time.monotonic() - began, "models": models}


def _report(corpus: Path, stopped: dict[str, Any], again: dict[str, Any]) -> str:
    with Corpus(corpus) as store:
        rows = store.rows(
            "SELECT engine, model, any_value(shots), count(*), "
            "count(DISTINCT (image_id, prompt_level, cue, sample)), "
            "count(*) FILTER (truncated), count(DISTINCT text), "
            "sum(cached_tokens) / sum(prompt_tokens) FROM corpus GROUP BY ALL ORDER BY ALL"
        )
        failures = store.value("SELECT count(*) FROM failures WHERE NOT resolved")
        runs = store.rows("SELECT outcome FROM runs ORDER BY started_at")
    lines = [
        "| engine | model | exemplars | first run | second run | stored | distinct identities "
        "| cut off | different texts | prefix cache |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for engine, model, shots, count, distinct, cut, texts, hits in rows:
        made = [one["models"].get(model, {}).get("made", 0) for one in (stopped, again)]
        share = "–" if hits is None else f"{hits:.0%}"
        lines.append(
            f"| {engine} | {model} | {shots} | {made[0]:,} | {made[1]:,} | {count:,} "
            f"| {distinct:,} | {cut:,} | {texts:,} | {share} |"
        )
    told = (
        f"First run stopped by Ctrl-C after {stopped['seconds']:.0f} s (exit code "
        f"{stopped['code']}), the same command again took {again['seconds']:.0f} s (exit code "
        f"{again['code']}); runs in the corpus: {', '.join(row[0] for row in runs)}; "
        f"{failures:,} failures left."
    )
    return told + "\n\n" + "\n".join(lines)


if __name__ == "__main__":
    main()
