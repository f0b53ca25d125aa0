"""Runs that end before their first checkpoint lock no place and harm no model."""

import json

import pytest

from training.model import new_directory
from training.tuning.checkpoint import find
from training.tuning.loop import Loop
from uniqa.errors import UsageError


@pytest.fixture
def command(uniqa_train, clip_dir, few_path):
    def call(out, *more):
        return uniqa_train(
            "pretrain", few_path, "--out", out, "--model", clip_dir, "--epochs", 6,
            "--batch-size", 6, "--lr", 1e-3, *more,
        )  # fmt: skip

    return call


@pytest.fixture
def killed(monkeypatch):
    """From step 11 on, one after the first line of metrics, steps fail until it is called."""
    real = Loop.step

    def step(self):
        if self.done == 10:
            raise MemoryError("killed")
        return real(self)

    monkeypatch.setattr(Loop, "step", step)
    return lambda: monkeypatch.setattr(Loop, "step", real)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "checkpoint" not in path.relative_to(folder).parts
    }


def test_the_same_command_starts_anew(command, killed, tmp_path):
    out = tmp_path / "out"
    code, _, err = command(out)
    assert (code != 0, "killed" in err) == (True, True)
    lines = (out / "checkpoint" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 10
    assert find(out) is None
    (out / "checkpoint" / ".part-killed").mkdir()
    killed()
    code, _, err = command(out)
    assert code == 0, err
    assert "going on" not in err
    assert not (out / "checkpoint").exists()
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6, 8, 10, 10, 12, 12]


def test_overwrite_starts_anew_too_and_a_model_stays_whole_until_then(command, killed, tmp_path):
    out = tmp_path / "out"
    assert command(out)[0] != 0
    assert command(out, "--overwrite")[0] != 0, "killed again, not refused"
    killed()
    assert command(out, "--overwrite")[0] == 0
    assert (out / "model.json").is_file()


def test_a_model_keeps_its_metrics_when_its_successor_ends_early(command, tmp_path, request):
    out = tmp_path / "out"
    assert command(out)[0] == 0
    before = contents(out)
    revive = request.getfixturevalue("killed")
    assert command(out, "--overwrite", "--seed", 1)[0] != 0
    assert contents(out) == before
    code, _, err = command(out, "--seed", 1)
    assert code == 2
    assert "already has something in it" in err
    revive()
    assert command(out, "--overwrite", "--seed", 1)[0] == 0
    assert contents(out)["metrics.jsonl"] != before["metrics.jsonl"]


def test_a_loss_that_is_no_number_does_not_lock_the_place(command, tmp_path, monkeypatch):
    real = Loop.backward

    def backward(self):
        real(self)
        self._loss = float("nan")

    monkeypatch.setattr(Loop, "backward", backward)
    for _ in range(2):
        code, _, err = command(tmp_path / "out")
        assert code == 3
        assert "the loss is not a number at step 1" in err


def test_a_foreign_checkpoint_folder_is_not_taken_for_an_unfinished_run(command, tmp_path):
    out = tmp_path / "out"
    (out / "checkpoint").mkdir(parents=True)
    (out / "checkpoint" / "notes.txt").write_text("mine")
    code, _, err = command(out)
    assert code == 2
    assert "already has something in it" in err
    with pytest.raises(UsageError, match="already has something"):
        new_directory(out, left=("tensorboard",))
    new_directory(out, left=("checkpoint",))
