import csv
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from training import Scorer
from training.adapt import LEARNED
from training.data import read_manifest


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_whole_path(uniqa_train, tiny, tmp_path):
    base, head = tmp_path / "base", tmp_path / "head"
    code, out, err = uniqa_train(
        "pretrain", tiny / "tiny.parquet", "--out", base, "--epochs", 2, "--dim", 16
    )
    assert (code, out) == (0, "")
    assert "R@1" in err
    code, out, err = uniqa_train("adapt", base, "--ratings", tiny / "tiny.parquet", "--out", head)
    assert code == 0
    assert "auto picked" in err
    code, out, err = uniqa_train(
        "evaluate", base, "--ratings", tiny / "tiny.parquet", "--labels", "6,500", "--draws", 2,
        "--bootstrap", 50, "--json",
    )  # fmt: skip
    told = json.loads(out)
    assert code == 0
    assert told["seen_in_pretraining"] == 0
    assert told["train"] == 18
    assert told["test"] == 6
    assert set(told["all_labels"]) == {"zero-shot", *LEARNED, "auto"}
    assert set(told["labels"]) == {"6", "all (18)"}
    assert told["labels"]["6"]["ridge"]["draws"] == 2
    assert told["all_labels"]["ridge"]["srcc"]["value"] > 0.5
    table = tmp_path / "scores.csv"
    (tmp_path / "in").mkdir()
    shutil.copy(tiny / "camera 0.png", tmp_path / "in")
    shutil.copy(tiny / "camera 4.png", tmp_path / "in")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"nothing")
    code, out, err = uniqa_train(
        "score", head, tmp_path / "in", "-o", table, "--scale", "1:5", "--show", 1,
        "--manifest", tiny / "tiny.parquet",
    )  # fmt: skip
    assert code == 0
    assert err.count("broken.jpg") == 1
    rows = rows_of(table)
    assert list(rows[0]) == [
        "image", "image_id", "score", "low", "high", "level", "overall", "quality", "sharpness",
        "noise", "error",
    ]  # fmt: skip
    broken, sharp, soft = rows
    assert broken["error"]
    assert not broken["score"]
    assert 1 <= float(soft["score"]) < float(sharp["score"]) <= 5
    assert "camera 0.png" in out
    assert "picture" in out
    before = table.read_bytes()
    uniqa_train("score", head, tmp_path / "in", "-o", table, "--scale", "1:5")
    assert table.read_bytes() == before


@pytest.mark.parametrize(("tested", "count"), [("astronaut", 6), ("camera", 0)])
def test_leakage_is_said(uniqa_train, model_dir, tiny, tested, count):
    table = tiny / f"leak {tested}.csv"
    lines = [
        f"{name} {k}.png,{3 - k / 3},{'test' if name == tested else 'train'}"
        for name in ("astronaut", "camera")
        for k in range(6)
    ]
    table.write_text("image,mos,split\n" + "\n".join(lines))
    code, out, err = uniqa_train(
        "evaluate", model_dir, "--ratings", table, "--json", "--bootstrap", 10, "--scale", "1:5"
    )
    assert code == 0
    assert json.loads(out)["seen_in_pretraining"] == count
    assert err.count("learned from in pre-training") == (1 if count else 0)


@pytest.mark.parametrize("method", [*LEARNED, "auto"])
def test_every_method_is_saved_and_scores_the_same(
    uniqa_train, model_dir, tiny, tmp_path, cache, method
):
    head = tmp_path / method
    code, out, _ = uniqa_train(
        "adapt", model_dir, "--ratings", tiny / "tiny.parquet", "--out", head, "--method", method,
        "--labels", 11, "--json",
    )  # fmt: skip
    assert code == 0
    assert json.loads(out)["labels"] == 11
    photos = sorted(tiny.glob("*.png"))
    one = [s.score for s in Scorer.load(head, cache=cache).score(photos)]
    two = [s.score for s in Scorer.load(head, cache=cache).score(photos[::-1])][::-1]
    assert one == two
    assert len(set(one)) > 10


def test_zero_shot_scores_from_a_bare_model(model_dir, tiny, cache):
    scorer = Scorer.load(model_dir, cache=cache)
    assert scorer.method == "zero-shot"
    result = scorer.score([tiny / "camera 0.png"])[0]
    assert result.score == pytest.approx(np.mean(list(result.cues.values())))
    assert len(result.image_id) == 64


def test_exit_code_is_one_when_nothing_could_be_scored(uniqa_train, model_dir, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"x")
    code, _, err = uniqa_train(
        "score", model_dir, tmp_path / "broken.jpg", "-o", tmp_path / "s.csv"
    )
    assert code == 1
    assert "scored 0 of 1" in err
    assert rows_of(tmp_path / "s.csv")[0]["error"]


def test_messy_labels(uniqa_train, model_dir, tiny, tmp_path):
    table = tiny / "messy.csv"
    lines = [f"astronaut {k}.png,{5 - k if k < 4 else 'nan'}" for k in range(6)]
    table.write_text("image,mos\n" + "\n".join(lines) + "\ncoffee 0.png,\n")
    code, out, err = uniqa_train(
        "adapt", model_dir, "--ratings", table, "--out", tmp_path / "a", "--json"
    )
    assert code == 0
    assert "no score" in err
    assert json.loads(out)["labels"] == 4
    table.write_text("image,mos\n" + "\n".join(f"astronaut {k}.png,3" for k in range(5)))
    code, _, err = uniqa_train(
        "adapt", model_dir, "--ratings", table, "--out", tmp_path / "b", "--scale", "1:5"
    )
    assert code == 3
    assert "the same" in err
    table.write_text("image,mos\nastronaut 0.png,4\nastronaut 4.png,2\n")
    code, _, err = uniqa_train(
        "adapt", model_dir, "--ratings", table, "--out", tmp_path / "c", "--scale", "1:5"
    )
    assert code == 0, err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["pretrain", "none.parquet", "--out", "x"], 3, "no manifest at"),
        (["pretrain", "none.parquet", "--out", "x", "--loss", "clap"], 2, "Did you mean 'clip'"),
        (["pretrain", "none.parquet", "--out", "x", "--epochs", "-3"], 2, "--epochs"),
        (["score", "none", "photo.jpg"], 3, "nothing at"),
        (["evaluate", "none", "--ratings", "none.csv"], 3, "no table at"),
        (["evaluate", "none", "--ratings", "none.csv", "--labels", "a"], 2, "--labels"),
        (["evaluate", "none", "--ratings", "none.csv", "--labels", "1"], 2, "2 or more"),
        (["adapt", "m", "--ratings", "r", "--out", "x", "--method", "rigde"], 2, "'ridge'"),
        (["adapt", "m", "--ratings", "r", "--out", "x", "--labels", "1"], 2, "2 or more"),
    ],
)
def test_mistakes_are_one_line(uniqa_train, words, code, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    got, out, err = uniqa_train(*words)
    assert got == code
    assert says in err
    assert out == ""
    assert len([line for line in err.splitlines() if line.startswith("error")]) == 1
    assert "Traceback" not in err


def test_nothing_is_overwritten_unasked(uniqa_train, model_dir, tiny):
    code, _, err = uniqa_train("pretrain", tiny / "tiny.parquet", "--out", model_dir)
    assert code == 2
    assert "already has something in it" in err
    code, _, err = uniqa_train("pretrain", tiny / "tiny.parquet", "--out", tiny, "--overwrite")
    assert code == 2
    assert "not a model directory" in err


def test_help_is_quick_and_loads_nothing_heavy():
    begun = time.monotonic()
    code = (
        "import sys, training.cli\n"
        "sys.argv = ['uniqa-train', '--help']\n"
        "try:\n    training.cli.main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "heavy = {'torch', 'transformers', 'datasets', 'curation', 'duckdb'}\n"
        "assert not heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "pretrain" in done.stdout
    assert time.monotonic() - begun < 30


def test_training_never_imports_curation():
    from pathlib import Path

    import training

    for file in Path(training.__file__).parent.glob("*.py"):
        text = file.read_text()
        for module in ("curation", "duckdb", "vllm"):
            assert f"import {module}" not in text
            assert f"from {module}" not in text


def test_two_datasets_are_learned_from_on_one_scale(uniqa_train, model_dir, tiny, tmp_path):
    """The same photos' flipped copies, rated on a kinder scale by other people."""
    from PIL import Image, ImageOps

    own = read_manifest(tiny / "tiny.parquet")
    lines = ["image,mos,group"]
    for path, score in zip(own.images, own.scores, strict=True):
        flipped = tmp_path / f"other {path.name}"
        ImageOps.mirror(Image.open(path)).save(flipped)
        lines.append(f"{flipped.name},{40 + 50 * score:.3f},{path.stem.split()[0]}")
    (tmp_path / "other.csv").write_text("\n".join(lines))
    code, out, err = uniqa_train(
        "adapt", model_dir, "--ratings", tiny / "tiny.parquet", "--also", tmp_path / "other.csv",
        "--also-scale", "0:100", "--method", "ridge", "--out", tmp_path / "head", "--json",
    )  # fmt: skip
    assert code == 0, err
    told = json.loads(out)["datasets"]
    assert told["tiny"]["gain"] == 1
    assert 0.3 < told["other"]["gain"] < 0.8
    assert 0.2 < told["other"]["offset"] < 0.6
    assert "shared" in err
    code, _, err = uniqa_train(
        "adapt", model_dir, "--ratings", tiny / "tiny.parquet", "--also", tmp_path / "other.csv",
        "--also-scale", "0:100", "--also-scale", "1:5", "--out", tmp_path / "none",
    )  # fmt: skip
    assert code == 2
    assert "2 --also-scale for 1 --also" in err


def test_tables_of_one_name_are_told_apart_by_their_folders(uniqa_train, model_dir, tiny, tmp_path):
    rows = read_manifest(tiny / "tiny.parquet")
    for name, part in (("ours", slice(0, 12)), ("theirs", slice(12, 24))):
        (tmp_path / name).mkdir()
        lines = [
            f"{path},{score:.3f}"
            for path, score in zip(rows.images[part], rows.scores[part], strict=True)
        ]
        (tmp_path / name / "ratings.csv").write_text("\n".join(["image,mos", *lines]))
    ours, theirs = (tmp_path / name / "ratings.csv" for name in ("ours", "theirs"))
    words = ("adapt", model_dir, "--ratings", ours, "--scale", "0:1", "--method", "ridge", "--json")
    code, out, err = uniqa_train(
        *words, "--also", theirs, "--also-scale", "0:1", "--out", tmp_path / "head"
    )
    assert code == 0, err
    assert set(json.loads(out)["datasets"]) == {"ours", "theirs"}
    code, _, err = uniqa_train(
        *words, "--also", ours, "--also-scale", "0:1", "--out", tmp_path / "none"
    )
    assert code == 3
    assert "is given twice" in err
