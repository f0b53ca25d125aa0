"""SQL and snapshots at size: the twenty queries over a million captions, and what snapshots cost.

The corpus is made by this script: numbers and sentences drawn by a seeded generator, with ratings,
signals and verdicts, so that every query has something to find. What snapshots cost is measured on
two writers: the real `measured` engine through the command's own code, and one that only stores,
as fast as it can.

    python -m benchmarks.sql --captions 1000000
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.results import write_section
from curation.corpus import Corpus
from curation.snapshot import Publisher

ROOT = Path(__file__).parents[1]
PER_IMAGE = 10
WORDS = (
    "photo sharp soft noisy clean bright dark colour balanced warm cold edge detail blur grain "
    "subject background light shadow contrast composition centre horizon texture fine coarse sky "
    "face water green blue strong weak slight clear visible"
).split()


def make_corpus(path: Path, captions: int, seed: int = 0) -> None:
    """A corpus of `captions` captions of a tenth as many images."""
    generator = np.random.default_rng(seed)
    images = captions // PER_IMAGE
    ids = [f"{number:064x}" for number in range(images)]
    mos = generator.uniform(1, 5, images)
    levels = np.array("bad poor fair good perfect".split())
    with Corpus(path, write=True) as store:
        run = store.begin_run("generate", seed, {})
        with store.transaction():
            paths = [f"/photos/{number}.jpg" for number in range(images)]
            store.put(
                "images",
                pa.table({"image_id": ids, "path": paths, "width": [640] * images,
                          "height": [480] * images}),
            )  # fmt: skip
            store.put(
                "ratings",
                pa.table({"image_id": ids, "dataset": ["made"] * images,
                          "task": ["quality"] * images, "mos": mos, "score": (mos - 1) / 4,
                          "level": levels[np.minimum(4, (mos - 1) / 0.8).astype(int)],
                          "group_id": ids,
                          "split": generator.choice(["train", "val", "test"], images)}),
            )  # fmt: skip
            shown = json.dumps([{"image_id": ids[0], "question": "q", "answer": "a"}])
            store.put(
                "prompts",
                [{"prompt_id": f"p{n}", "template": f"t{n}", "exemplars": shown} for n in range(9)],
            )
            store.put(
                "group_losses",
                [{"dimension": "model", "value": f"model-{n}", "measure": name, "captions": 1,
                  "whole": 2.0, "beyond": 0.1, "low": 0.0, "high": 0.2}
                 for n in range(4) for name in ("vendi", "coverage", "said")],
            )  # fmt: skip
            store.put(
                "failures",
                [{"failure_id": f"f{n}", "stage": "engine", "kind": f"kind{n % 5}", "message": "m",
                  "attempts": 1, "permanent": n % 2 == 0, "resolved": n % 3 == 0, "path": "p"}
                 for n in range(captions // 1000)],
            )  # fmt: skip
            store.put(
                "filters",
                [{"filter_id": "f", "policy": "p", "manifest": "m", "run_id": "r"}],
            )
        for first in range(0, captions, 100_000):
            size = min(100_000, captions - first)
            numbers = range(first, first + size)
            drawn = generator.choice(WORDS, (size, 12))
            texts = [" ".join(row) for row in drawn]
            # One in twenty repeats a stock sentence.
            for at in range(0, size, 20):
                texts[at] = "The photo looks fine."
            keys = [f"{number:032x}" for number in numbers]
            kept = generator.random(size) < 0.7
            with store.transaction():
                store.put(
                    "captions",
                    pa.table({"caption_id": keys,
                              "image_id": [ids[number // PER_IMAGE] for number in numbers],
                              "source": ["model"] * size, "engine": ["made"] * size,
                              "model": [f"model-{number % 4}" for number in numbers],
                              "revision": ["1"] * size,
                              "task": ["quality" if n % 2 else "aesthetic" for n in numbers],
                              "cue": [["overall", "sharpness", "light"][n % 3] for n in numbers],
                              "level": ["good" if n % 7 == 0 else "" for n in numbers],
                              "prompt_id": [f"p{n % 9}" for n in numbers],
                              "sampling": ["{}"] * size,
                              "text": texts, "finish_reason": ["stop"] * size,
                              "tokens": [14] * size, "run_id": [run] * size}),
                )  # fmt: skip
                store.put(
                    "signals",
                    pa.table({"caption_id": keys, "words": [12] * size,
                              "rank": [n % PER_IMAGE + 1 for n in numbers],
                              "duplicate_kind": ["exact" if n % 20 == 0 else "" for n in numbers],
                              "duplicate_of": [f"{n + 1:032x}" if n % 20 == 0 else ""
                                               for n in numbers],
                              "images_alike": [size // 20 if n % 20 == 0 else 1 for n in numbers],
                              "problems": [int(n % 30 == 0) for n in numbers],
                              "problem_list": [["loop"] if n % 30 == 0 else [] for n in numbers],
                              "contradictions": [int(n % 11 == 0) for n in numbers],
                              "contradicted": ["noise" if n % 11 == 0 else "" for n in numbers],
                              "similarity": generator.random(size).astype(np.float32),
                              "mean_similarity": generator.random(size).astype(np.float32)}),
                )  # fmt: skip
                store.put(
                    "level_probabilities",
                    pa.table({"caption_id": keys[1::10],
                              "level_score": generator.random(len(keys[1::10]))}),
                )  # fmt: skip
                store.put(
                    "verdicts",
                    pa.table({"filter_id": ["f"] * size, "caption_id": keys, "kept": kept,
                              "rule": ["" if k else "too_short" for k in kept]}),
                )  # fmt: skip
        store.finish_run(run, "done", {})


def queries() -> list[tuple[str, str]]:
    """The document's, with their titles."""
    text = (ROOT / "docs" / "sql.md").read_text("utf-8")
    return re.findall(r"## \d+\. (.+?)\n\n```sql\n(.+?)\n```", text, re.DOTALL)


def time_queries(path: Path) -> list[tuple[float, int, str]]:
    """Seconds, rows and title of every query, opening the corpus included; slowest first."""
    found = []
    for title, query in queries():
        began = time.perf_counter()
        with Corpus(path) as corpus:
            rows = corpus.ask(query).num_rows
        found.append((time.perf_counter() - began, rows, title))
    return sorted(found, reverse=True)


def snapshots_of_a_store(path: Path, seconds: float) -> str:
    """What snapshots cost a writer that only stores windows of 5,000 captions, without pause."""
    generator = np.random.default_rng(1)
    with Corpus(path, write=True) as store:
        before = path.stat().st_size
        run = store.begin_run("generate", 0, {})
        began = time.monotonic()
        stored = 0
        with Publisher(store, run) as publisher:
            while time.monotonic() - began < seconds:
                size = 5_000
                keys = [f"n{stored + n:031x}" for n in range(size)]
                texts = [" ".join(row) for row in generator.choice(WORDS, (size, 12))]
                with store.transaction():
                    store.add(
                        "captions",
                        pa.table({"caption_id": keys,
                                  "image_id": [f"{n:064x}" for n in range(size)],
                                  "model": ["new"] * size, "text": texts}),
                    )  # fmt: skip
                stored += size
                publisher.tick({"passed": stored})
            wall = time.monotonic() - began
        store.finish_run(run, "done", {})
    cost = publisher.seconds / max(1, publisher.published)
    return (
        f"| only storing | {before / 1e6:,.0f} MB | {stored:,} | {wall:.0f} | "
        f"{publisher.published} | {cost:.2f} | {publisher.seconds / wall:.2%} |"
    )


def snapshots_of_measured(folder: Path) -> str:
    """What snapshots cost `generate` with the engine `measured` on demo photos."""
    from curation import command
    from curation.config import RunConfig, Source
    from curation.demo.photos import make_demo_photos
    from curation.engines.spec import ModelSpec

    made: list[Publisher] = []

    class Kept(Publisher):
        def __init__(self, corpus: Corpus, run_id: str) -> None:
            super().__init__(corpus, run_id)
            made.append(self)

    make_demo_photos(folder / "photos", seed=0)
    corpus = folder / "measured.duckdb"
    before, command.Publisher = command.Publisher, Kept  # type: ignore[misc]
    began = time.monotonic()
    try:
        config = RunConfig(
            sources=(Source(images=(folder / "photos",)),),
            corpus=corpus,
            models=(ModelSpec(id="measured"),),
        )
        results = command.run_generate(config)
    finally:
        command.Publisher = before  # type: ignore[misc]
    wall = time.monotonic() - began
    publisher = made[0]
    cost = publisher.seconds / max(1, publisher.published)
    return (
        f"| generate, measured ({results[0].counts.photos} photos) | "
        f"{corpus.stat().st_size / 1e6:,.1f} MB | {results[0].counts.made:,} | "
        f"{wall:.0f} | {publisher.published} | {cost:.2f} | {publisher.seconds / wall:.2%} |"
    )


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=int, default=1_000_000)
    parser.add_argument("--store-seconds", type=float, default=120)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "corpus.duckdb"
        began = time.perf_counter()
        make_corpus(path, given.captions)
        made = time.perf_counter() - began
        size = path.stat().st_size / 1e6
        print(f"made in {made:.0f} s, {size:,.0f} MB", flush=True)
        timed = time_queries(path)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        for seconds, rows, title in timed:
            print(f"{seconds:7.2f} s  {rows:6,} rows  {title}", flush=True)
        lines = [snapshots_of_measured(folder)]
        print(lines[-1], flush=True)
        lines.append(snapshots_of_a_store(path, given.store_seconds))
        print(lines[-1], flush=True)
    table = "\n".join(f"| {title} | {rows:,} | {s:.2f} |" for s, rows, title in timed)
    body = (
        f"{given.captions:,} captions of {given.captions // PER_IMAGE:,} images, {size:,.0f} MB, "
        f"made in {made:.0f} s. The twenty queries of docs/sql.md, opening the corpus included, "
        f"slowest first; the slowest takes {timed[0][0]:.2f} s, all of them "
        f"{sum(s for s, _, _ in timed):.1f} s; peak memory of the process (making the corpus "
        f"included) {peak:.1f} GiB.\n\n| query | rows | seconds |\n| --- | ---: | ---: |\n"
        f"{table}\n\n"
        "What snapshots took of the writer's time (at most 1.5 % is allowed):\n\n"
        "| writer | corpus before (first: after) | captions | seconds | snapshots | seconds each "
        "| share |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n" + "\n".join(lines)
    )
    write_section(
        "SQL and snapshots",
        body,
        f"python -m benchmarks.sql --captions {given.captions} "
        f"--store-seconds {given.store_seconds:g}",
    )


if __name__ == "__main__":
    main()
