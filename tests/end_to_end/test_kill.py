"""Kill -9 in the middle of generate: only the window in flight is lost, and nothing is doubled."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

PROGRAM = str(Path(sys.executable).parent / "uniqa-curate")
PHOTOS = 160


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small crops of real photos, each with a rating, in groups of four."""
    folder = tmp_path_factory.mktemp("kill") / "photos"
    folder.mkdir()
    sources = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    generator = np.random.default_rng(0)
    lines = ["image,mos,group"]
    for number in range(PHOTOS):
        source = sources[number % 4]
        top = int(generator.integers(0, source.shape[0] - 160))
        left = int(generator.integers(0, source.shape[1] - 160))
        crop = source[top : top + 160, left : left + 160]
        Image.fromarray(crop).save(folder / f"{number:03}.png")
        lines.append(f"{number:03}.png,{1 + number % 5},{number // 4}")
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n")
    return folder


def command(folder: Path, *words: object) -> list[str]:
    return [PROGRAM, *(str(word) for word in words), "--corpus", str(folder / "corpus.duckdb")]


def generate(folder: Path, photos: Path) -> list[str]:
    table = photos / "ratings.csv"
    options = ("--ratings", table, "--workers", 1, "--json", "--model", "measured")
    return command(folder, "generate", photos, *options)


def run(words: list[str]) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def manifest(folder: Path) -> tuple[bytes, bytes]:
    run(command(folder, "refine"))
    run(command(folder, "filter", "-o", folder / "manifest.parquet"))
    return (
        (folder / "manifest.parquet").read_bytes(),
        (folder / "manifest.parquet.provenance.json").read_bytes(),
    )


def killed_after(words: list[str], wal: Path, growth: int) -> bool:
    """Start, wait until the log of commits has grown, kill -9. False if it ended before."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if wal.exists() and wal.stat().st_size > growth:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.005)
    return False


@pytest.mark.long
def test_killed_runs_go_on_and_end_in_the_same_manifest(photos: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    (result,) = json.loads(run(generate(whole, photos)))
    assert result["made"] == result["wanted"] == PHOTOS * 6

    stored = 0
    wal = broken / "corpus.duckdb.wal"
    assert killed_after(generate(broken, photos), wal, 0), "while the corpus is being made"
    for growth in (72_000, 160_000):
        assert killed_after(generate(broken, photos), wal, growth)
        (row,) = json.loads(
            run(command(broken, "sql", "--json", "SELECT count(*) AS n FROM captions"))
        )
        assert row["n"] >= stored, "a commit survives kill -9"
        assert row["n"] % 6 == 0, "windows are stored whole"
        stored = row["n"]
    assert 0 < stored < PHOTOS * 6

    (again,) = json.loads(run(generate(broken, photos)))
    assert again["resumed"] == stored
    assert again["made"] == PHOTOS * 6 - stored, "nothing twice, nothing missing"
    outcomes = run(
        command(broken, "sql", "--csv", "SELECT outcome FROM runs ORDER BY started_at")
    ).split()
    assert outcomes == ["outcome", *["killed"] * (len(outcomes) - 2), "done"]
    assert manifest(broken) == manifest(whole)
