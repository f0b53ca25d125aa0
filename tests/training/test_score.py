import csv
import fcntl
import json
import math
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from training import Scorer
from training import score as score_module
from training.explain import FAIR, read_cues, typical_of
from training.score import Scored
from training.score_table import ScoreTable
from uniqa.errors import InputError, UsageError
from uniqa.levels import Scale


@pytest.fixture(scope="session")
def head_dir(model_dir, tiny, cache, tmp_path_factory):
    """The tiny model with a ridge head on all of its train photos."""
    from training.commands import adapt
    from training.config import AdaptConfig
    from training.data import read_rated
    from training.model import load_model, save_model

    out = tmp_path_factory.mktemp("heads") / "ridge"
    rated = read_rated(tiny / "tiny.parquet")
    # Each photo a group of its own, so that a dozen labels are enough for intervals.
    for row, name in enumerate(rated.names):
        rated.groups[row] = name
    model, _ = adapt(load_model(model_dir), rated, AdaptConfig(method="ridge"), cache)
    save_model(model, out)
    return out


@pytest.fixture
def photos(tiny):
    return sorted(tiny.glob("*.png"))


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def told(result):
    return (result.score, result.low, result.high, tuple(result.cues.items()))


@pytest.mark.parametrize("which", ["head_dir", "model_dir"])
def test_a_score_does_not_depend_on_its_neighbours(request, photos, cache, which):
    scorer = Scorer.load(request.getfixturevalue(which), cache=cache)
    together = [told(result) for result in scorer.score(photos)]
    alone = [told(scorer.score([photo])[0]) for photo in photos[:6]]
    assert alone == together[:6]
    backwards = [told(result) for result in scorer.score(photos[::-1])][::-1]
    assert backwards == together
    pairs = [told(result) for k in range(0, 12, 2) for result in scorer.score(photos[k : k + 2])]
    assert pairs == together[:12]


def test_blocks_do_not_change_scores_beyond_rounding(head_dir, photos, cache, monkeypatch):
    scorer = Scorer.load(head_dir, cache=cache)
    whole = [result.score for result in scorer.score(photos)]
    monkeypatch.setattr(score_module, "BLOCK", 5)
    assert [result.score for result in scorer.stream(iter(photos))] == pytest.approx(whole)


def test_intervals_surround_scores_and_stay_on_the_scale(head_dir, photos, cache):
    scorer = Scorer.load(head_dir, cache=cache)
    assert scorer.half_width > 0
    assert scorer.no_interval == ""
    for result in scorer.score(photos):
        assert 0 <= result.low <= result.score <= result.high <= 1
        assert result.high - result.low <= 2 * scorer.half_width + 1e-12
    surer = Scorer.load(head_dir, cache=cache, confidence=0.5)
    assert surer.half_width < scorer.half_width
    never = Scorer.load(head_dir, cache=cache, confidence=0.99)
    assert never.score(photos[:1])[0].low is None
    assert "need 99 groups" in never.no_interval
    with pytest.raises(UsageError, match="confidence"):
        Scorer.load(head_dir, confidence=1.0)


def test_zero_shot_scores_have_no_interval(model_dir, photos, cache):
    scorer = Scorer.load(model_dir, cache=cache)
    assert scorer.score(photos[:1])[0].low is None
    assert "no ratings" in scorer.no_interval
    assert scorer.rated_scale is None


def test_features_need_not_be_kept(head_dir, photos, cache, tmp_path):
    kept = [told(result) for result in Scorer.load(head_dir, cache=cache).score(photos[:4])]
    scorer = Scorer.load(head_dir, cache=tmp_path, keep_features=False)
    assert [told(result) for result in scorer.score(photos[:4])] == kept
    about = sorted(path.read_text().split()[0] for path in tmp_path.glob("*/about.txt"))
    assert not [name for name in about if name.startswith("efficientnet")]


def test_a_damaged_head_is_refused(head_dir, tiny, cache):
    from training.model import load_model

    model = load_model(head_dir)
    model.head.method = "guess"
    with pytest.raises(InputError, match="of the method 'guess'"):
        Scorer(model, cache=cache)
    model = load_model(head_dir)
    model.head.learned.weights[:] = np.nan
    with pytest.raises(InputError, match="no numbers"):
        Scorer(model, cache=cache).score([tiny / "camera 0.png"])


def test_cues_explain_a_score(head_dir, photos, cache):
    scorer = Scorer.load(head_dir, cache=cache)
    first, none = scorer.explain([photos[0], head_dir / "model.json"])
    assert none == []
    assert {reading.cue for reading in first} == set(scorer.cue_names)
    scored = scorer.score(photos[:1])[0]
    for reading in first:
        assert reading.value == scored.cues[reading.cue]
        assert sum(reading.shares) == pytest.approx(1.0, abs=1e-5)
        expected = np.dot(reading.shares, (0.2, 0.4, 0.6, 0.8, 1.0))
        assert reading.value == pytest.approx(expected, abs=1e-5)
        assert np.sign(reading.deviations) == np.sign(reading.value - reading.typical)
    strengths = [abs(reading.push) for reading in first]
    assert strengths == sorted(strengths, reverse=True)


def test_the_stand_in_finds_the_cue_that_matters(toy_views):
    views, _, _ = toy_views(80)
    names = [f"c{k}" for k in range(views.cues.shape[1])]
    scores = 0.5 + 0.8 * (views.cues[:, 2] - views.cues[:, 2].mean())
    facts = typical_of(views.cues, names, scores)
    sd = views.cues[:, 2].std()
    assert facts["push"]["c2"] == pytest.approx(0.8 * sd, rel=0.1)
    assert max(facts["push"], key=facts["push"].get) == "c2"
    assert min(facts["push"].values()) >= 0
    assert facts["r2"] > 0.95
    unexplained = typical_of(views.cues, names, None)
    assert "push" not in unexplained


def test_without_labels_cues_stand_against_a_fair_photo(model_dir, photos, cache):
    readings = Scorer.load(model_dir, cache=cache).explain(photos[:1])[0]
    assert {reading.typical for reading in readings} == {FAIR}
    assert all(math.isnan(reading.push) for reading in readings)


def test_damaged_readings_are_refused(toy_views):
    views, _, _ = toy_views(4)
    with pytest.raises(InputError, match="cue readings are damaged"):
        read_cues(views, ["overall", "quality", "sharpness", "noise"], "quality", {"mean": 3})


def made(count=6):
    return [
        Scored(
            f"p{k}.jpg", f"{k:064d}", 0.1 * k, "fair", {"noise": 0.5}, "", 0.1 * k, 0.1 * k + 0.1
        )
        for k in range(count)
    ]


def test_a_backwards_scale_keeps_low_below_high(tmp_path):
    with ScoreTable(tmp_path / "s.csv", ["noise"], Scale(100, 0), {}) as table:
        table.resume(["p0.jpg"])
        table.append(made(1))
        table.finish()
    row = rows_of(tmp_path / "s.csv")[0]
    assert (float(row["score"]), float(row["low"]), float(row["high"])) == (100, 90, 100)


def test_a_killed_run_goes_on_after_the_last_whole_block(tmp_path):
    images, results = [f"p{k}.jpg" for k in range(6)], made()

    def run(path, start, stop, about, names=images):
        with ScoreTable(path, ["noise"], Scale(0, 1), about) as table:
            done = table.resume(names)
            assert done == start
            table.append(results[start:stop])
            if stop == 6:
                table.finish()

    run(tmp_path / "whole.csv", 0, 6, {"model": 1})
    path = tmp_path / "s.csv"
    run(path, 0, 4, {"model": 1})
    assert not path.exists()
    with (tmp_path / ".s.csv.part").open("a") as file:
        file.write("p4.jpg,half a li")
    run(path, 4, 6, {"model": 1})
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.csv", "whole.csv"]
    # Another model, or other photos: from the start.
    run(path, 0, 4, {"model": 1})
    run(path, 0, 4, {"model": 2})
    run(path, 0, 6, {"model": 2}, ["other.jpg", *images[1:]])
    assert len(rows_of(path)) == 6


def test_two_runs_cannot_write_one_table(tmp_path):
    first = ScoreTable(tmp_path / "s.csv", [], Scale(0, 1), {})
    with first, pytest.raises(UsageError, match="another run is writing"):
        ScoreTable(tmp_path / "s.csv", [], Scale(0, 1), {})
    with ScoreTable(tmp_path / "s.csv", [], Scale(0, 1), {}) as table:
        assert table.resume([]) == 0


def test_a_run_that_ends_meanwhile_keeps_its_table(tmp_path, monkeypatch):
    """Opened before the other's last rename, locked after it: the file opened is its result."""
    path = tmp_path / "s.csv"
    first = ScoreTable(path, [], Scale(0, 1), {})
    first.resume([])
    lock = fcntl.flock

    def late(file, how):
        monkeypatch.setattr(fcntl, "flock", lock)
        first.finish()
        first.__exit__()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with ScoreTable(path, [], Scale(0, 1), {}) as second:
        second.resume([])
        assert path.read_text().startswith("image,image_id,score")
        assert second.part.exists()
        assert not second.part.samefile(path)


@pytest.mark.parametrize("name", ["s.txt", "s", "s.csv.gz"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"neither \.csv nor \.parquet"):
        ScoreTable(tmp_path / name, [], Scale(0, 1), {})


def test_parquet_and_csv_hold_the_same(uniqa_train, head_dir, tiny, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("camera 0.png", "camera 4.png"):
        (tmp_path / "in" / name).write_bytes((tiny / name).read_bytes())
    odd = tmp_path / "in" / 'line\nend, "quoted" é.png'
    odd.write_bytes((tiny / "coffee 2.png").read_bytes())
    (tmp_path / "in" / "broken.jpg").write_bytes(b"nothing")
    for kind in ("csv", "parquet"):
        code, _, err = uniqa_train("score", head_dir, tmp_path / "in", "-o", tmp_path / f"s.{kind}")
        assert code == 0, err
    rows = rows_of(tmp_path / "s.csv")
    columns = pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert list(rows[0]) == [
        "image", "image_id", "score", "low", "high", "level",
        "overall", "quality", "sharpness", "noise", "error",
    ]  # fmt: skip
    assert [row["image"] for row in rows] == [row["image"] for row in columns]
    assert str(odd) in [row["image"] for row in columns]
    for row, column in zip(rows, columns, strict=True):
        assert (float(row["score"]) if row["score"] else None) == column["score"]
        assert row["level"] == column["level"]
    broken = next(row for row in columns if row["error"])
    assert broken["score"] is None
    assert broken["level"] == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "s.csv", "s.parquet"]


def test_the_scale_is_as_asked(uniqa_train, head_dir, model_dir, tiny, tmp_path):
    def scores(*more, directory=head_dir):
        code, out, err = uniqa_train(
            "score", directory, tiny / "camera 0.png", "-o", tmp_path / "s.csv", "--json", *more
        )
        return (code, json.loads(out)[0]) if not code else (code, err)

    _, plain = scores()
    assert 0 <= plain["low"] <= plain["score"] <= plain["high"] <= 1
    _, rated = scores("--scale", "rated")
    assert rated["score"] == pytest.approx(1 + 4 * plain["score"], abs=1e-5)
    _, backwards = scores("--scale", "100:0")
    assert backwards["score"] == pytest.approx(100 - 100 * plain["score"], abs=1e-4)
    assert backwards["low"] < backwards["high"]
    code, err = scores("--scale", "rated", directory=model_dir)
    assert code == 2
    assert "knows no ratings" in err


def test_best_and_worst_with_reasons(uniqa_train, head_dir, tiny, tmp_path):
    words = ["score", head_dir, tiny, "-o", tmp_path / "s.csv", "--show", 2, "--explain"]
    code, out, err = uniqa_train(*words, "--scale", "5:1")
    assert code == 0, err
    best, worst = (
        [line for line in out.splitlines() if line.startswith(f"│ {which}")]
        for which in ("best", "worst")
    )
    assert (len(best), len(worst)) == (2, 2)
    numbers = [float(line.split("│")[3]) for line in (*best, *worst)]
    assert numbers == sorted(numbers)
    assert out.count("its cues against those of the labelled photos") == 4
    assert "image (" in out
    assert "account for" in err
    code, out, _ = uniqa_train(*words, "--json")
    told_of = [row for row in json.loads(out) if "explanation" in row]
    assert len(told_of) == 4
    assert set(told_of[0]["explanation"][0]) == {
        "cue", "value", "typical", "deviations", "moves_score", "nearest", "shares"
    }  # fmt: skip


def test_few_photos_are_shown_once(uniqa_train, head_dir, tiny, tmp_path):
    _, out, _ = uniqa_train(
        "score", head_dir, tiny / "camera 0.png", "-o", tmp_path / "s.csv", "--show", 3, "--explain"
    )
    assert out.count("│ best ") == 1
    assert "│ worst" not in out
    assert out.count("its cues against") == 1


def test_an_interrupted_run_is_gone_on_with(
    uniqa_train, head_dir, tiny, tmp_path, monkeypatch, cache
):
    monkeypatch.setattr(score_module, "BLOCK", 8)
    table = tmp_path / "s.csv"
    real = ScoreTable.append

    def stop(self, results):
        real(self, results)
        if self.done >= 16:
            raise KeyboardInterrupt

    monkeypatch.setattr(ScoreTable, "append", stop)
    code, _, err = uniqa_train("score", head_dir, tiny, "-o", table)
    assert code == 130
    assert not table.exists()
    monkeypatch.setattr(ScoreTable, "append", real)
    seen = []
    looked = Scorer._features

    def features(self, paths, tick):
        seen.extend(paths)
        return looked(self, paths, tick)

    monkeypatch.setattr(Scorer, "_features", features)
    code, _, err = uniqa_train("score", head_dir, tiny, "-o", table)
    assert code == 0
    assert "16 photos were scored by a run before" in err
    count = len(sorted(tiny.glob("*.png")))
    assert len(seen) == count - 16
    first = table.read_bytes()
    uniqa_train("score", head_dir, tiny, "-o", table)
    assert table.read_bytes() == first
    assert len(rows_of(table)) == count


def test_memory_does_not_grow_with_the_photos(head_dir, tmp_path, cache, tiny):
    """Twenty times as many results, hardly more memory."""
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from training.score import Scored\n"
        "from training.score_table import ScoreTable\n"
        "from uniqa.levels import Scale\n"
        "count = int(sys.argv[2])\n"
        "row = Scored('p.jpg', 'f' * 64, 0.5, 'fair', {'noise': 0.5})\n"
        "with ScoreTable(Path(sys.argv[1]), ['noise'], Scale(0, 1), {}) as t:\n"
        "    t.resume([])\n"
        "    for _ in range(count // 500):\n"
        "        t.append([row] * 500)\n"
        "    assert sum(1 for _ in t.rows()) == count\n"
        "    t.finish()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )

    def peak(count):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{count}.csv"), str(count)],
            check=True, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return int(done.stdout)

    small, large = peak(2_000), peak(40_000)
    assert large < small + 8_000  # KiB
