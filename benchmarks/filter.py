"""Filtering a million captions: time and memory of filter, dry run, sweep and difference.

    python benchmarks/filter.py [--captions 1000000] [--keep FOLDER]

The corpus is made here: ten captions per photo by three models and people, with signals drawn from
distributions like those of real ones, ratings in two datasets, and hashes of photos of which one in
two hundred is a near-identical copy of another. The photos themselves do not exist: how long
looking at photos takes is measured on photos drawn here. Writes into RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.results import write_section
from curation.alike import METHOD, hash_photos
from curation.corpus import Corpus
from uniqa import console
from uniqa.levels import level_of
from uniqa.photos import image_id_of
from uniqa.splits import split_groups

PER_IMAGE, PER_GROUP = 10, 4
CHUNK = 100_000
PHOTOS = 400
MODELS = ("small-mllm", "middle-mllm", "large-mllm", "contest")
CUES = ("overall", "sharpness", "noise", "exposure", "colour", "composition", "light", "score")
WORDS = (
    "the photo is sharp soft noisy clean bright dark balanced flat vivid pale with a centred "
    "subject strong light and deep shadows colours look natural edges are crisp background blurred "
    "slightly heavily pleasing harsh composition follows thirds horizon tilted detail lost grain"
).split()


@dataclass(frozen=True)
class Took:
    """What a command took and said."""

    seconds: float
    cpu: float
    mebibytes: float
    said: Any


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--captions", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="folder for the corpus, used again if there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="uniqa-") as scratch:
        work = options.keep or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        corpus = work / f"{options.captions}.duckdb"
        if not corpus.exists():
            console.say(f"making {corpus}")
            make_corpus(corpus, options.captions)
        body = measure(corpus, work)
    write_section("Filtering a million captions", body, "python benchmarks/filter.py")
    console.people.print(body, markup=False, soft_wrap=True)


def make_corpus(path: Path, captions: int) -> None:
    """Write a refined corpus of so many captions."""
    generator = np.random.default_rng(0)
    images = captions // PER_IMAGE
    ids = np.array([f"{number:064x}" for number in generator.permutation(images)])
    score = generator.beta(2.5, 2.0, images)
    groups = np.array([f"scene{number // PER_GROUP}" for number in range(images)])
    split_of = split_groups(groups.tolist())
    split = np.array([split_of[group] for group in groups])
    level = np.array([level_of(float(one)) for one in score])
    rated = generator.random(images) < 0.9
    with Corpus(path, write=True) as store:
        run_id = store.begin_run("generate", 0, {})
        with store.transaction():
            _photos(store, generator, ids)
            _ratings(store, ids, score, groups, split, level, rated)
        for start in range(0, images, CHUNK // PER_IMAGE):
            part = slice(start, min(images, start + CHUNK // PER_IMAGE))
            told = np.where((split[part] == "train") & rated[part], level[part], "")
            with store.transaction():
                _captions(store, generator, ids[part], told, start * PER_IMAGE, run_id)
        store.finish_run(run_id, "done", {})


def _photos(store: Corpus, generator: np.random.Generator, ids: np.ndarray) -> None:
    count = len(ids)
    paths = pa.array([f"/photos/{one[-12:]}.jpg" for one in ids])
    constant = {"file_bytes": 100_000, "format": "JPEG", "mode": "RGB", "width": 640, "height": 480}
    store.put(
        "images",
        pa.table({"image_id": ids, "path": paths} | {k: [v] * count for k, v in constant.items()}),
    )
    store.put(
        "files",
        pa.table({"path": paths, "size": [1] * count, "mtime_ns": [1] * count, "image_id": ids}),
    )
    bits = generator.integers(0, 2, (count, 256), dtype=np.uint8)
    bits[:, 255] = 0
    copies = generator.choice(count // 2, count // 200, replace=False)
    flipped = generator.random((len(copies), 256)) < 0.04
    bits[count // 2 + copies] = bits[copies] ^ flipped
    hashes = [row.tobytes() for row in np.packbits(bits, axis=1)]
    table = {"image_id": ids, "method": [METHOD] * count, "hash": pa.array(hashes, pa.binary())}
    store.put("image_hashes", pa.table(table))


def _ratings(
    store: Corpus,
    ids: np.ndarray,
    score: np.ndarray,
    groups: np.ndarray,
    split: np.ndarray,
    level: np.ndarray,
    rated: np.ndarray,
) -> None:
    dataset = np.where(np.arange(len(ids)) // PER_GROUP % 2, "first", "second")
    task = np.where(dataset == "first", "quality", "aesthetic")
    columns = {
        "image_id": ids, "dataset": dataset, "task": task, "mos": 1 + 4 * score, "score": score,
        "level": level, "group_id": groups, "split": split,
    }  # fmt: skip
    table = pa.table({name: values[rated] for name, values in columns.items()})
    scale = pa.array(["linear[1,5]"] * table.num_rows)
    store.put("ratings", table.append_column("scale", scale))


def _captions(
    store: Corpus,
    generator: np.random.Generator,
    images: np.ndarray,
    told: np.ndarray,
    start: int,
    run_id: str,
) -> None:
    count = len(images) * PER_IMAGE
    model = generator.integers(0, len(MODELS), count)
    person = model == len(MODELS) - 1
    length = np.clip(generator.gamma(4.0, 5.0, count).astype(int), 1, 80)
    drawn = generator.integers(0, len(WORDS), int(length.sum()))
    ends = np.cumsum(length)
    texts = [
        " ".join(WORDS[word] for word in drawn[end - size : end])
        for end, size in zip(ends, length, strict=True)
    ]
    ids = np.array([f"{number * 2654435761 % 2**32:08x}{number:024x}" for number in
                    range(start, start + count)])  # fmt: skip
    image = np.repeat(images, PER_IMAGE)
    names = np.array(MODELS)[model]
    cut = (generator.random(count) < 0.03) & ~person
    store.put(
        "captions",
        pa.table(
            {
                "caption_id": ids,
                "image_id": image,
                "source": np.where(person, "person", "model"),
                "engine": np.where(person, "import", "vllm"),
                "model": names,
                "revision": np.where(person, "", "r1"),
                "task": np.where(generator.random(count) < 0.5, "quality", "aesthetic"),
                "cue": np.where(person, "comment", np.array(CUES)[generator.integers(0, 8, count)]),
                "level": np.where(person, "", np.repeat(told, PER_IMAGE)),
                "prompt_id": ["p"] * count,
                "sampling": ["{}"] * count,
                "seed": [0] * count,
                "sample": [0] * count,
                "text": texts,
                "finish_reason": np.where(cut, "length", "stop"),
                "tokens": length,
                "run_id": [run_id] * count,
            }
        ),
    )
    similarity = np.clip(generator.normal(0.72, 0.14, count), -1, 1)
    rank = np.tile(np.arange(1, PER_IMAGE + 1), len(images))
    similarity[rank == 1] = -1
    exact = (generator.random(count) < 0.02) & (rank > 1)
    similarity[exact] = 1.0
    kind = np.where(exact, "exact", np.where(similarity >= 0.92, "semantic", ""))
    air = np.where(person, generator.integers(2, 20, count).astype(float), np.nan)
    gain = np.argsort(generator.random((len(images), PER_IMAGE)), axis=1).ravel() + 1
    signals = {
        "caption_id": ids, "encoder": ["benchmark"] * count, "words": length,
        "distinct_words": np.minimum(length, 40), "rank": rank, "duplicate_kind": kind,
        "similarity": similarity.round(4), "mean_similarity": np.clip(similarity - 0.1, -1, 1),
        "threshold": [0.92] * count, "run_id": [run_id] * count,
        "problems": (generator.random(count) < 0.04).astype(int),
        "informativeness": generator.beta(2.0, 2.5, count), "gain_rank": gain,
        "level_agreement": generator.beta(6.0, 2.0, count),
        "contradictions": (generator.random(count) < 0.05).astype(int),
    }  # fmt: skip
    table = pa.table(signals)
    for name, values in (("air", air), ("air_rank", np.where(person, rank, np.nan))):
        table = table.append_column(name, pa.array(values, from_pandas=True))
    store.put("signals", table)


def measure(corpus: Path, work: Path) -> str:
    """Run the commands, each in a process of its own, and lay out what they took."""
    named = ["--corpus", str(corpus), "--json"]
    manifest = work / "balanced.parquet"
    commands = {
        "dry run, `balanced`": ["filter", "--dry-run"],
        "filter, `balanced`, to Parquet": ["filter", "-o", str(manifest)],
        "sweep of ten points, `similarity=0.80:0.98:0.02`": [
            "filter", "--sweep", "similarity=0.80:0.98:0.02"],
        "dry run, `strict`": ["filter", "--policy", "strict", "--dry-run"],
        "filter, `paper`, to JSON lines": [
            "filter", "--policy", "paper", "-o", str(work / "paper.jsonl")],
        "difference of the last filter and `strict`": ["filter", "--diff", "last", "strict"],
    }  # fmt: skip
    lines = [
        "| command | seconds | of CPU | peak memory, MiB | captions kept |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    answers = {}
    for name, command in commands.items():
        console.say(name)
        took = run([*command, *named])
        answers[name] = took.said
        numbers = f"{took.seconds:.1f} | {took.cpu:.1f} | {took.mebibytes:,.0f}"
        lines.append(f"| {name} | {numbers} | {_kept(took.said)} |")
    caption = "SELECT caption_id FROM corpus WHERE NOT kept LIMIT 1"
    with Corpus(corpus) as store:
        images, captions = store.rows(
            "SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM captions)"
        )[0]
        one = store.value(caption)
    for name, command in (
        ("why", ["why", one, *named]),
        ("manifest check (no photo is there)", ["manifest", "check", str(manifest), "--json"]),
    ):
        took = run(command, may_fail=name != "why")
        lines.append(f"| {name} | {took.seconds:.1f} | {took.cpu:.1f} | {took.mebibytes:,.0f} | |")
    dry = answers["dry run, `balanced`"]
    planted = images // 200
    told = (
        f"{captions:,} captions of {images:,} photos, {corpus.stat().st_size / 2**20:,.0f} MiB. "
        f"Of {planted:,} planted near-identical copies (4 % of bits flipped) the pairs found are "
        f"{dry['near_identical_pairs']:,}, without comparing each photo with each. Seconds include "
        f"the program's start; the machine's {os.cpu_count()} cores had "
        f"{os.getloadavg()[1]:.0f} processes to run on average while it was measured.\n\n"
    )
    return told + "\n".join(lines) + "\n\n" + _looking(work)


def _kept(said: Any) -> str:
    if "kept" in said:
        return f"{said['kept']:,}"
    if "points" in said:
        return " … ".join(f"{said['points'][at]['kept']:,}" for at in (0, -1))
    return f"{said['both']:,} by both"


def run(command: list[str], *, may_fail: bool = False) -> Took:
    """Run ``uniqa-curate`` in a process of its own; seconds and peak memory are the process's."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([sys.executable, "-m", "curation.cli", *command], stdout=out)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        if process.returncode and not may_fail:
            raise SystemExit(f"{command} ended with {process.returncode}")
        out.seek(0)
        cpu = used.ru_utime + used.ru_stime
        return Took(seconds, cpu, used.ru_maxrss / 1024, json.load(out))


def _looking(work: Path) -> str:
    """How fast photos are looked at, on drawn ones."""
    generator = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        rows = []
        for number in range(PHOTOS):
            path = Path(folder) / f"{number}.jpg"
            coarse = generator.integers(0, 255, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((1600, 1200), Image.Resampling.BICUBIC).save(path)
            rows.append({"path": str(path), "image_id": image_id_of(path)})
        with Corpus(Path(folder) / "photos.duckdb", write=True) as store:
            store.put("images", rows)
            store.put("files", [{**row, "size": 1, "mtime_ns": 1} for row in rows])
            began = time.monotonic()
            hash_photos(store)
            seconds = time.monotonic() - began
            looked = store.value("SELECT count(*) FROM image_hashes")
    return (
        f"Looking at photos, once each: {looked:,} of 1600 × 1200 pixels in {seconds:.1f} s, "
        f"{looked / seconds:,.0f} per second with {os.cpu_count()} processes, starts included."
    )


if __name__ == "__main__":
    main()
