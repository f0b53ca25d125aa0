"""What refining costs and finds, side by side with what others do.

    python benchmarks/refine.py COMMENTS --work FOLDER [--only dedup] [--repeats 2]
                                [--largest 1000000]

COMMENTS is a CSV with a column `comment`. FOLDER keeps the embeddings of its sentences between
runs. Every section is a function below and writes its own section of RESULTS.md; `--only`, which
may be repeated, picks some.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.refine_dedup import dedup, growth
from benchmarks.refine_embed import embedding
from benchmarks.results import write_section

SECTIONS: dict[str, tuple[str, Callable[[argparse.Namespace], str]]] = {
    "dedup": ("Duplicates among 100,000 embeddings, against semhash", dedup),
    "growth": ("Duplicates, growing to a million captions", growth),
    "embedding": ("Embedding throughput against plain sentence-transformers", embedding),
}
"""Name → title in RESULTS.md and what measures and tells it."""


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("comments", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", action="append", choices=sorted(SECTIONS))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--largest", type=int, default=1_000_000)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for name in options.only or SECTIONS:
        title, measure = SECTIONS[name]
        body = measure(options)
        print(body)
        command = f"python benchmarks/refine.py COMMENTS --work FOLDER --only {name}"
        write_section(title, body, command)


if __name__ == "__main__":
    main()
