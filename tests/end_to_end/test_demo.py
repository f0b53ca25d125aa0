"""The demo, every step of it on some of the photos: what a newcomer sees first must not break."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from curation.pocket.shipped import POCKETS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_demo_goes_from_photos_to_scores(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "demo.py"), str(folder), "--scenes", "8"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for title in (
        "Captions per engine",
        "Duplicates found",
        "Kept, and dropped by reason",
        "SRCC by method",
        "Five best photos",
        "Five worst photos",
        "Where the files are",
        "Ask the corpus",
    ):
        assert title in done.stdout
    assert done.stdout.count("uniqa-curate sql") == 3
    for model in (*POCKETS, "measured"):
        assert f" {model} " in done.stdout

    manifest = folder / "manifests" / "balanced.parquet"
    rows = datasets.Dataset.from_parquet(str(manifest), keep_in_memory=True)
    assert set(rows["split"]) == {"train", "val", "test"}
    groups = {(row["group"], row["split"]) for row in rows}
    assert len(groups) == len({group for group, _ in groups}), "no source photo straddles a split"
    assert all(row["captions"] for row in rows)

    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        scores = list(csv.DictReader(file))
    assert len(scores) == len(rows) == 8 * 13
    assert all(0 <= float(row["score"]) <= 1 and not row["error"] for row in scores)
    assert (folder / "best_and_worst.jpg").stat().st_size > 10_000
