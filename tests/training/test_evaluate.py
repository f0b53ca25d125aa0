import csv
import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from training.adapt import LEARNED, fit_head
from training.adapter import fit_adapters
from training.best_on_test import NAME, best_on_test
from training.config import AdaptConfig, EvaluateConfig
from training.evaluate import METHODS, OWN, Task, compare, judge_at, steps_of
from training.metrics import srcc
from uniqa.errors import InputError

ADAPT = AdaptConfig(epochs=4)


@pytest.fixture
def task(toy_views):
    views, scores, groups = toy_views(70)
    return Task(views, scores, groups, [f"{k:064d}" for k in range(70)], list(range(40)),
                list(range(40, 70)))  # fmt: skip


def test_a_report_holds_every_method_and_ticks_as_told(task):
    config = EvaluateConfig(labels=(12, 40), draws=2, bootstrap=20)
    heard = []
    report = compare(task, config, ADAPT, heard.append)
    assert len(heard) == steps_of(task, config)
    assert set(report.full) == set(METHODS)
    assert set(report.budgets) == {"12", "all (40)"}
    assert report.budgets["12"]["ridge"]["draws"] == 2
    assert report.budgets["all (40)"]["ridge"]["draws"] == 1
    full = report.full["ridge"]["srcc"].value
    assert report.budgets["all (40)"]["ridge"]["srcc"] == pytest.approx(full)
    assert full > 0.6
    for method in ("zero-shot", *LEARNED, "auto"):
        assert method in report.curves
    told = json.loads(json.dumps(report.as_json()))
    assert told["train"] == 40
    assert "best_on_test" not in told


def test_the_models_own_head_is_a_row_that_labels_do_not_change(task):
    here, scores = task.views.take(task.pool), task.scores[task.pool]
    own = fit_head("ridge", here, scores, [task.groups[row] for row in task.pool], ADAPT)
    config, heard = EvaluateConfig(labels=(12,), draws=2, bootstrap=20), []
    given = dataclasses.replace(task, own=own)
    report = compare(given, config, ADAPT, heard.append)
    assert len(heard) == steps_of(given, config)
    full = report.full["ridge"]["srcc"].value
    assert report.full[OWN]["srcc"].value == full
    assert report.budgets["12"][OWN]["srcc"] == pytest.approx(full)
    assert report.budgets["12"][OWN]["sd"] == pytest.approx(0)
    assert report.budgets["12"]["ridge"]["srcc"] != pytest.approx(full)
    assert OWN not in report.coverage, "what it learned from is not at hand"


def test_an_adapted_model_is_evaluated_as_it_stands(uniqa_train, model_dir, tiny, tmp_path):
    table, adapted = tiny / "tiny.parquet", tmp_path / "adapted"
    assert uniqa_train("adapt", model_dir, "--ratings", table, "--out", adapted)[0] == 0
    words = ["--bootstrap", 20, "--labels", 10, "--draws", 2, "--pictures", tmp_path / "p"]
    code, out, err = uniqa_train("evaluate", adapted, "--ratings", table, *words)
    assert code == 0, err
    assert out.count(OWN) >= 2, "with all labels and by their number"
    assert "own head has learned" not in err
    scores = tmp_path / "held-back.csv"
    frame = pd.read_parquet(table, columns=["image", "mos", "group", "split"])
    held = frame[frame["split"] == "test"].drop(columns="split")
    held.assign(image=[str(tiny / name) for name in held["image"]]).to_csv(scores, index=False)
    taught = tmp_path / "taught"
    words = ["--scale", "1:5", "--task", "quality", "--method", "ridge"]
    code, _, err = uniqa_train("adapt", model_dir, "--ratings", scores, "--out", taught, *words)
    assert code == 0, err
    code, _, err = uniqa_train("evaluate", taught, "--ratings", table, "--bootstrap", 20)
    assert code == 0, err
    assert "the model's own head has learned from the ratings of 6 of 6 test photos" in " ".join(
        err.split()
    )


def test_curves_and_intervals_never_see_the_test(task):
    config = EvaluateConfig(bootstrap=20)
    one = compare(task, config, ADAPT)
    changed = task.scores.copy()
    changed[task.test] = 1 - changed[task.test]
    two = compare(dataclasses.replace(task, scores=changed), config, ADAPT)
    assert one.curves == two.curves
    assert one.full["ridge"]["srcc"].value == pytest.approx(-two.full["ridge"]["srcc"].value)
    for method in LEARNED:
        assert one.coverage[method].half_width == two.coverage[method].half_width
        assert (one.scored[method] == two.scored[method]).all()


def test_the_same_seed_gives_the_same_report(task):
    config = EvaluateConfig(labels=(12,), draws=2, bootstrap=30, seed=3)
    assert compare(task, config, ADAPT).as_json() == compare(task, config, ADAPT).as_json()


def test_best_on_test_keeps_the_best_epoch_and_is_marked(task):
    config = EvaluateConfig(labels=(12,), draws=2, bootstrap=20, protocol="best-on-test")
    heard = []
    report = compare(task, config, AdaptConfig(epochs=6, lr=5e-3), heard.append)
    assert len(heard) == steps_of(task, config)
    assert 1 <= report.best_epoch <= 6
    assert report.full[NAME]["srcc"].value >= report.full["adapter"]["srcc"].value
    best, last = (report.budgets["12"][name]["srcc"] for name in (NAME, "adapter"))
    assert best >= last
    assert "optimistic" in report.as_json()["best_on_test"]["warning"]
    assert NAME not in report.curves


def test_best_on_test_is_the_maximum_over_epochs(task):
    here, there = task.views.take(task.pool), task.views.take(task.test)
    labels, truth = task.scores[task.pool], task.scores[task.test]
    # Steps so large that the last epoch is not the best.
    config = AdaptConfig(epochs=8, lr=3e-2)
    best = best_on_test(here, labels, there, truth, config)
    seen = {}

    def look(epoch, adapters):
        raw = adapters[0].predict(there.embeddings, there.prompts, there.scale)
        seen[epoch] = srcc(np.clip(raw, 0, 1), truth)

    rows = [list(range(len(labels)))]
    last = fit_adapters(
        here.embeddings, labels, rows, here.prompts, here.scale, config, every_epoch=look
    )
    assert list(seen) == list(range(1, 9))
    assert srcc(best.scores, truth) == max(seen.values())
    assert seen[best.epoch] == max(seen.values())
    raw = last[0].predict(there.embeddings, there.prompts, there.scale)
    assert seen[8] == srcc(np.clip(raw, 0, 1), truth)


def test_looking_at_epochs_changes_nothing(task):
    here = task.views.take(task.pool)
    rows = [list(range(20)), list(range(20, 40)), list(range(30))]
    given = (here.embeddings, task.scores[:40], rows, here.prompts, here.scale, ADAPT)
    kept = []
    quiet = fit_adapters(*given)
    heard = fit_adapters(*given, every_epoch=lambda epoch, found: kept.append((epoch, found)))
    for one, other in zip(quiet, heard, strict=True):
        for name, tensor in vars(one).items():
            assert (tensor == vars(other)[name]).all()
    # Two replicas of one size learn together, the third alone: four epochs each.
    assert [(epoch, len(found)) for epoch, found in kept] == [
        *((e, 2) for e in range(1, 5)), *((e, 1) for e in range(1, 5))
    ]  # fmt: skip
    assert not (kept[0][1][0].first == kept[3][1][0].first).all()


def test_a_pass_mark_decides_by_intervals(task):
    report = compare(task, EvaluateConfig(bootstrap=20), ADAPT)
    judge_at(report, task.scores[task.test], 0.5)
    assert set(report.decided) == set(report.coverage)
    half = report.coverage["ridge"].half_width
    expected = np.abs(report.scored["ridge"] - 0.5)
    decided = report.decided["ridge"]
    assert decided.automated == pytest.approx(np.mean(expected >= half), abs=0.04)
    assert decided.passed + decided.failed + decided.left == 30
    assert json.dumps(report.as_json()["pass_mark"])


def test_constant_labels_are_refused(task):
    flat = task.scores.copy()
    flat[task.pool] = 0.5
    with pytest.raises(InputError, match="the same"):
        compare(dataclasses.replace(task, scores=flat), EvaluateConfig(bootstrap=20), ADAPT)


@pytest.fixture
def votes(tiny):
    """Six raters of every photo of the tiny manifest."""
    rng = np.random.default_rng(0)
    lines = ["image,rater,rating"]
    for photo in sorted(tiny.glob("*.png")):
        strength = int(photo.stem.split()[-1]) % 5
        lines += [
            f"{photo.name},r{k},{5 - strength + round(rng.normal() * 0.4, 2)}" for k in range(6)
        ]
    path = tiny / "votes.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_command_with_everything(uniqa_train, model_dir, tiny, tmp_path, votes):
    words = [
        "evaluate", model_dir, "--ratings", tiny / "tiny.parquet", "--labels", "10,14",
        "--draws", 2, "--bootstrap", 30, "--votes", votes, "--protocol", "best-on-test",
        "--pass-mark", 3, "--confidence", 0.5, "--pictures", tmp_path / "pictures",
        "--predictions", tmp_path / "p.csv",
    ]  # fmt: skip
    code, out, err = uniqa_train(*words)
    assert code == 0, err
    for words_of in (
        "of human ceiling", "PLCC, logistic", "pairs right", "SRCC by number of labels",
        "At the pass mark 3", "People among themselves: 36 votes of 6 raters on 6 test photos",
        NAME,
    ):  # fmt: skip
        assert words_of in " ".join(out.split())
    assert "optimistic" in err
    for name in ("scatter.png", "labels.png"):
        with Image.open(tmp_path / "pictures" / name) as picture:
            assert min(picture.size) > 700
            picture.load()
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 50
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert {row["group"] for row in rows} == {"camera"}
    assert set(METHODS) < set(rows[0])
    assert all(1 <= float(row["ridge"]) <= 5 and 1 <= float(row["mos"]) <= 5 for row in rows)
    before = [(tmp_path / "pictures" / n).read_bytes() for n in ("scatter.png", "labels.png")]
    code, out, err = uniqa_train(*words, "--json")
    told = json.loads(out)
    assert told["human"]["ceiling"]["value"] > 0.8
    assert set(told["human"]["share_of_ceiling"]) == {*METHODS, NAME}
    assert told["config"]["protocol"] == "best-on-test"
    assert told["all_labels"]["ridge"]["plcc_logistic"]["value"] is not None
    after = [(tmp_path / "pictures" / n).read_bytes() for n in ("scatter.png", "labels.png")]
    assert before == after
