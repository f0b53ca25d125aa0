import json

import pytest
from PIL import Image
from rich.console import Console
from rich.live import Live

from training.tuning import tensorboard
from training.tuning.curves import ticks, write_curves
from training.tuning.live import Lines, Pace, Rows, sentence
from uniqa.console import clock

WINDOW = {"step": 10.0, "loss": 2.5, "lr": 1e-4, "temperature": 14.2, "images_per_second": 31.0}
EPOCH = {
    "epoch": 1.0, "step": 10.0, "train_loss": 2.4, "scale": 14.0, "val_loss": 2.2,
    "val_r1": 0.25, "val_r1_text": 0.5,
}  # fmt: skip


def test_the_table_has_what_people_want_to_know():
    console = Console(width=140, force_terminal=True)
    with console.capture() as captured, Live(console=console, auto_refresh=False) as live:
        rows = Rows(40, 0, live)
        rows.tell(WINDOW)
        rows.tell(EPOCH)
        console.print(rows.table())
    text = captured.get()
    for part in ("10/40", "2.5000", "2.2000", "25.0%", "50.0%", "14.2", "1.00e-04", "31.0"):
        assert part in text
    for column in ("R@1 image→text", "R@1 text→image", "images/s", "left"):
        assert column in text


def test_plain_lines_are_few_but_epochs_always_have_theirs(capsys):
    lines = Lines(40, 0)
    for _ in range(5):
        lines.tell(WINDOW)
    lines.tell(EPOCH)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "images/s" in told[0]
    assert "epoch 1, step 10/40, loss 2.4000, val loss 2.2000, R@1 image→text 25.0%" in told[1]


def test_time_left_counts_this_parts_steps_only():
    now = [100.0]
    pace = Pace(50, 20, clock=lambda: now[0])
    assert pace.left(20) == "–"
    now[0] = 160.0
    assert pace.left(30) == "0:02:00"
    assert clock(3723.4) == "1:02:03"
    assert sentence(WINDOW, 50, "0:02:00").endswith("0:02:00 left")


def test_curves_are_drawn_from_windows_and_epochs(tmp_path):
    windows = [WINDOW | {"step": float(10 * k), "loss": 3 / k} for k in range(1, 20)]
    epochs = [EPOCH | {"epoch": float(k), "step": 60.0 * k, "val_r1": 0.1 * k} for k in range(1, 4)]
    written = write_curves([*windows, *epochs], tmp_path)
    assert [path.name for path in written] == ["loss.png", "retrieval.png"]
    for path in written:
        picture = Image.open(path).convert("RGB")
        assert picture.size == (960, 540)
        colours = {colour for _, colour in picture.getcolors(2**20)}
        assert {(31, 119, 180), (214, 39, 40)} <= colours, "both lines are there"


def test_nothing_is_drawn_of_nothing(tmp_path):
    nan = float("nan")
    records = [{"epoch": 1.0, "train_loss": 1.0, "val_loss": nan, "val_r1": nan}]
    assert [path.name for path in write_curves(records, tmp_path)] == ["loss.png"]


@pytest.mark.parametrize("ends", [(0.0, 1.0), (2.31, 2.32), (0, 12345.0), (5.0, 5.0)])
def test_ticks_are_round_and_hold_the_range(ends):
    marks = ticks(*ends)
    assert marks[0] <= ends[0]
    assert marks[-1] >= ends[1]
    assert 2 <= len(marks) <= 8


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--towers", "tunde"], "Did you mean 'tuned'"),
        (["--loss", "sigmod"], "Did you mean 'sigmoid'"),
        (["--chunk", "8"], "--towers tuned"),
        (["--towers", "tuned", "--precision", "fp16"], "no --precision 'fp16'"),
        (["--caption-weights", "none"], "no --caption-weights"),
        (["--towers", "tuned", "--ema", "1.5"], "--ema is 1.5"),
        (["--towers", "tuned", "--warmup", "1"], "--warmup"),
        (["--towers", "tuned", "--checkpoint-every", "-1"], "--checkpoint-every"),
        (["--resume"], "no checkpoint to go on from"),
        (["--tensorboard"], "--towers tuned"),
        (["--chunks", "8"], "--chunk"),
    ],
)
def test_mistakes_are_one_line(uniqa_train, tmp_path, words, says):
    code, out, err = uniqa_train("pretrain", "none.parquet", "--out", tmp_path / "x", *words)
    assert (code, out) == (2, "")
    assert says in err
    assert len([line for line in err.splitlines() if line.startswith("error")]) == 1


def test_missing_packages_are_named_before_any_work(uniqa_train, tmp_path, monkeypatch, few_path):
    monkeypatch.setattr(tensorboard.importlib.util, "find_spec", lambda _: None)
    where = ["pretrain", few_path, "--out", tmp_path / "x", "--towers", "tuned"]
    code, _, err = uniqa_train(*where, "--tensorboard")
    assert code == 2
    assert "pip install tensorboard" in err
    code, _, err = uniqa_train(*where, "--lora", 4)
    assert code == 2
    assert "pip install peft" in err


def test_the_frozen_path_takes_every_loss(uniqa_train, few_path, tmp_path):
    found = {}
    for loss in ("clip", "soft", "sigmoid"):
        code, out, err = uniqa_train(
            "pretrain", few_path, "--out", tmp_path / loss, "--epochs", 2, "--dim", 8,
            "--loss", loss, "--captions-per-photo", 2, "--caption-weights", "loss", "--json",
        )  # fmt: skip
        assert code == 0, err
        assert "R@1 image→text" in err
        found[loss] = json.loads(out)["kept"]["val_loss"]
        assert (tmp_path / loss / "loss.png").is_file()
    assert len(set(found.values())) == 3
