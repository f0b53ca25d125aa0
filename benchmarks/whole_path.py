"""The whole path on a rated dataset, and how well each method agrees with people.

    python benchmarks/whole_path.py TABLE --task quality [--name NAME] [--model measured …]

Twice from photos to evaluation, on the same split by groups: first with captions that were told no
rating, so that a budget of 50 labels means 50 labels; then with captions guided by the levels of
the train split, which is how the method is meant but lets all train ratings into pre-training.
Tables go into RESULTS.md. No data comes with this script: name a ratings table of your own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.results import write_section

BIN = Path(sys.executable).parent


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--task", choices=("quality", "aesthetic"), required=True)
    parser.add_argument("--name", default="")
    parser.add_argument("--model", action="append")
    parser.add_argument("--labels", default="50,100,200")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    name = options.name or options.table.resolve().parent.name
    models = options.model or ["measured"]
    with tempfile.TemporaryDirectory() as scratch:
        bodies = [
            _report(*_run(Path(scratch), options, models, guided=guided), models, guided=guided)
            for guided in (False, True)
        ]
    body = "\n\n".join(bodies)
    print(body)
    command = (
        f"python benchmarks/whole_path.py {name}/{options.table.name} --task {options.task} "
        f"--draws {options.draws} --seed {options.seed}"
    )
    write_section(f"The whole path on {name}", body, command)


def _run(
    scratch: Path, options: argparse.Namespace, models: list[str], *, guided: bool
) -> tuple[dict[str, Any], dict[str, float]]:
    form = "guided" if guided else "unguided"
    corpus, manifest = scratch / f"{form}.duckdb", scratch / f"{form}.parquet"
    base, cache = scratch / f"{form}-model", ("--cache", scratch / "features")
    # With guided captions every train rating is in the model already: budgets mean nothing.
    labels = () if guided else ("--labels", options.labels, "--draws", options.draws)
    chosen = [word for model in models for word in ("--model", model)]
    seed = ("--seed", options.seed)
    both = ("--task", "quality", "--task", "aesthetic")
    steps: dict[str, tuple[object, ...]] = {
        "generate": (
            "uniqa-curate", "generate", options.table, "--corpus", corpus, *chosen, *both,
            "--ratings-task", options.task, "--guided" if guided else "--no-guided", *seed,
        ),
        "refine": ("uniqa-curate", "refine", "--corpus", corpus),
        "filter": ("uniqa-curate", "filter", "--corpus", corpus, "-o", manifest),
        "pretrain": ("uniqa-train", "pretrain", manifest, "--out", base, *seed, *cache),
        "evaluate": (
            "uniqa-train", "evaluate", base, "--ratings", manifest, "--json", *labels, *seed,
            *cache,
        ),
    }  # fmt: skip
    seconds = {}
    out = ""
    for step, (program, *rest) in steps.items():
        started = time.perf_counter()
        done = subprocess.run(
            [str(BIN / str(program)), *(str(word) for word in rest)],
            env={"HF_HUB_OFFLINE": "1", **os.environ},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        seconds[step] = time.perf_counter() - started
        out = done.stdout
        if step != "evaluate":
            print(out)
    return json.loads(out), seconds


def _report(
    evaluation: dict[str, Any], seconds: dict[str, float], models: list[str], *, guided: bool
) -> str:
    budgets = evaluation["labels"]
    methods = list(evaluation["all_labels"])
    told = "guided by the train split's levels" if guided else "told no rating"
    lines = [
        f"**Captions {told}.** Task {evaluation['task']}: {evaluation['train']} photos to learn "
        f"from, {evaluation['test']} test photos in {evaluation['test_groups']} groups never seen; "
        f"captions by {', '.join(models)}. SRCC, mean ± sd over draws of labels; for all labels "
        "with the 95 % bootstrap interval over groups.",
        "",
        "| method | "
        + " | ".join([*(f"{budget} labels" for budget in budgets), "all labels"])
        + " |",
        "| --- |" + " --- |" * (len(budgets) + 1),
    ]
    for method in methods:
        cells = []
        for values in budgets.values():
            sd = values[method]["sd"]
            cells.append(f"{values[method]['srcc']:.3f}" + (f" ± {sd:.3f}" if sd else ""))
        whole = evaluation["all_labels"][method]["srcc"]
        low, high = whole["interval"]
        cells.append(f"{whole['value']:.3f} [{low:.3f}, {high:.3f}]")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    timing = ", ".join(f"{step} {took:.0f} s" for step, took in seconds.items())
    return "\n".join([*lines, "", f"Time: {timing}."])


if __name__ == "__main__":
    main()
