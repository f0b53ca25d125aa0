"""Several real processes: two that learn as one, and one that is interrupted and killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.training.conftest import manifest_rows, write_manifest
from tests.training.tuning.worker import learn
from training.tuning.checkpoint import find
from training.tuning.world import World

ROOT = Path(__file__).resolve().parents[3]


def environment(**more):
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def test_two_processes_learn_as_one(clip_dir, few_path, tmp_path):
    rows = [row for row in manifest_rows(tmp_path) if row["split"] == "train"]
    (tmp_path / rows[3]["image"]).write_bytes(b"half a photo")
    torn = write_manifest(rows, tmp_path / "torn.parquet")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tests.training.tuning.worker", clip_dir, tmp_path,
               few_path, torn]  # fmt: skip
    both = [
        subprocess.Popen(
            list(map(str, command)), cwd=ROOT, stderr=subprocess.PIPE, text=True,
            env=environment(
                RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port
            ),
        )
        for rank in range(2)
    ]  # fmt: skip
    alone = learn(str(clip_dir), str(few_path), tmp_path / "cache", World())
    for process in both:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told
    found = [load_file(tmp_path / f"{few_path.stem} {rank}.safetensors") for rank in range(2)]
    assert found[0].keys() == found[1].keys() == alone.keys()
    assert any(float(v.abs().max()) > 1e-3 for n, v in alone.items() if n.startswith("gradient"))
    for name, known in alone.items():
        assert torch.equal(found[0][name], found[1][name]), name
        torch.testing.assert_close(found[0][name], known, rtol=1e-3, atol=2e-6, msg=name)

    # What one process could not read the other does not ask for either.
    found = [load_file(tmp_path / f"torn {rank}.safetensors") for rank in range(2)]
    assert found[0]["broken"].tolist() == found[1]["broken"].tolist() == [3]
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def started(arguments, out, steps):
    """The command, once its checkpoint has at least so many steps."""
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        path = find(out)
        if path and int(path.name.removeprefix("step-")) >= steps:
            return process
        time.sleep(0.005)
    process.kill()
    raise AssertionError(process.communicate()[1])


def test_interrupted_killed_and_resumed_is_uninterrupted(
    dropping_dir, few_path, tmp_path, uniqa_train
):
    options = [
        "--model", dropping_dir, "--epochs", 25, "--batch-size", 6, "--lr", 1e-3, "--ema", 0.9,
        "--chunk", 4, "--checkpoint-every", 1,
    ]  # fmt: skip
    whole, out = tmp_path / "whole", tmp_path / "out"
    words = [sys.executable, "-m", "training", "pretrain", few_path, "--out", out, *options,
             "--cache", tmp_path / "cache"]  # fmt: skip
    command = list(map(str, words))
    process = started(command, out, 3)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from there" in told
    stopped = int(find(out).name.removeprefix("step-"))
    process = started(command, out, stopped + 3)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (out / "model.json").exists(), "it was killed midway"
    code, _, err = uniqa_train("pretrain", few_path, "--out", out, *options, "--lr", 2e-3)
    assert code == 2
    assert "config lr" in err
    code, _, err = uniqa_train("pretrain", few_path, "--out", out, *options, "--resume")
    assert code == 0, err
    assert "going on after step" in err
    assert not (out / "checkpoint").exists()
    code, _, _ = uniqa_train("pretrain", few_path, "--out", whole, *options)
    assert code == 0
    for name in ("towers/model.safetensors", "model.safetensors", "seen.safetensors", "model.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [r["epoch"] for r in records if "epoch" in r] == list(range(1, 26))
    assert {"loss.png", "retrieval.png"} <= {file.name for file in out.iterdir()}
    code, _, err = uniqa_train("pretrain", few_path, "--out", out, *options, "--resume")
    assert code == 2
    assert "no checkpoint" in err
