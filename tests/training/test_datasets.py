"""Several datasets in one table: each has a scale of its own, and none is taken for another's."""

import hashlib
import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps

from tests.training.conftest import manifest_rows, write_manifest
from training.batching import batch_of
from training.data import read_manifest, read_rated, read_rated_datasets
from training.losses import Objective
from training.losses.multipositive import positives
from training.pretrain import _align, make_pairs
from training.tuning.data import Examples
from uniqa.errors import InputError, UsageError
from uniqa.levels import Scale


def kinder(rows, folder):
    """The same photos upside down, rated by others on a flatter and kinder scale, 0 to 100."""
    turned = []
    for row in rows:
        path = folder / f"other {row['image']}"
        ImageOps.flip(Image.open(folder / row["image"])).save(path)
        score = 0.4 + 0.5 * row["score"]
        turned.append(
            row
            | {
                "image": path.name,
                "image_id": hashlib.sha256(path.read_bytes()).hexdigest(),
                "dataset": "other",
                "mos": 100 * score,
                "mos_std": 10.0,
                "score": score,
                "scale": "linear[0,100]",
            }
        )
    return turned


@pytest.fixture
def mixed(tmp_path):
    """A manifest of two datasets: 24 photos of `tiny`, 18 of `other`."""
    rows = manifest_rows(tmp_path)
    return write_manifest([*kinder(rows[:18], tmp_path), *rows], tmp_path / "mixed.parquet")


def test_every_dataset_is_read_with_its_own_scale(mixed):
    first, second = read_rated_datasets(mixed)
    assert [(one.dataset, len(one.names)) for one in (first, second)] == [
        ("tiny", 24),
        ("other", 18),
    ]
    assert (first.scale, second.scale) == (Scale(1, 5), Scale(0, 100))
    assert second.scores.max() == pytest.approx(0.4 + 0.5 * first.scores.max(), abs=1e-6)
    (alone,) = read_rated_datasets(mixed, only="other")
    assert (alone.dataset, alone.scale, len(alone.names)) == ("other", Scale(0, 100), 18)


def table_of(rows, path, datasets, **columns):
    """A CSV of the rows, each with its dataset's name, and further columns."""
    lines = [",".join(["image", "mos", "dataset", *columns])]
    for at, (row, dataset) in enumerate(zip(rows, datasets, strict=True)):
        more = [str(cells[at]) for cells in columns.values()]
        lines.append(",".join([row["image"], str(row["mos"]), dataset, *more]))
    path.write_text("\n".join(lines))
    return path


def test_a_told_scale_is_of_those_that_tell_none(tmp_path):
    rows = manifest_rows(tmp_path)
    names = ["a"] * 14 + ["b"] * 10
    path = table_of(rows, tmp_path / "t.csv", names, scale=[""] * 14 + ["0:10"] * 10)
    a, b = read_rated_datasets(path, scale=Scale(0, 5))
    assert (a.scale, b.scale) == (Scale(0, 5), Scale(0, 10))
    (alone,) = read_rated_datasets(path, only="b", scale=Scale(0, 20))
    assert alone.scale == Scale(0, 20), "what is said of one dataset holds"


def test_what_is_guessed_of_one_dataset_names_it(tmp_path, capsys):
    rows = manifest_rows(tmp_path)
    for row in rows[14:]:
        row["mos"] *= 20
    names = ["a"] * 14 + ["b"] * 10
    votes = {name: [3] * 14 + [""] * 10 for name in ("n1", "n2", "n3")}
    path = table_of(rows, tmp_path / "t.csv", names, **votes)
    a, b = read_rated_datasets(path)
    assert (a.scale, b.scale) == (Scale(1, 3), Scale(0, 100)), "b has no counts of votes"
    said = " ".join(capsys.readouterr().err.split())
    assert "guessed: b: scale 0–100" in said
    assert "or a column scale" in said


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_without_a_dataset_are_of_the_files(tmp_path, kind):
    rows = manifest_rows(tmp_path)
    names = [""] * 14 + ["b"] * 10
    path = table_of(rows, tmp_path / "mine.csv", names)
    if kind == "parquet":
        frame = pd.read_csv(path)
        path = tmp_path / "mine.parquet"
        frame.to_parquet(path)
        assert frame["dataset"].isna().sum() == 14
    assert [(one.dataset, len(one.names)) for one in read_rated_datasets(path)] == [
        ("mine", 14),
        ("b", 10),
    ]
    assert read_rated(path, only="mine").dataset == "mine"


def test_numbers_are_names_too(tmp_path):
    rows = manifest_rows(tmp_path)
    path = table_of(rows, tmp_path / "t.csv", ["1"] * 12 + [""] * 3 + ["2"] * 9)
    frame = pd.read_csv(path)
    assert frame["dataset"].dtype == float
    frame.to_parquet(tmp_path / "t.parquet")
    assert [one.dataset for one in read_rated_datasets(tmp_path / "t.parquet")] == ["1", "2", "t"]


def test_one_dataset_must_be_chosen_where_one_is_wanted(mixed):
    with pytest.raises(InputError, match=r"several datasets.*tiny \(24\), other \(18\)") as caught:
        read_rated(mixed)
    assert "--dataset" in str(caught.value.remedy)
    assert read_rated(mixed, only="other").scale == Scale(0, 100)
    with pytest.raises(UsageError, match="no dataset 'othr'") as wrong:
        read_rated(mixed, only="othr")
    assert "other" in str(wrong.value.remedy)


def test_nothing_of_the_others_is_looked_at_where_one_is_chosen(tmp_path):
    rows = manifest_rows(tmp_path)
    names = ["a"] * 14 + ["b"] * 10
    path = table_of(rows, tmp_path / "t.csv", names, split=[""] * 14 + ["what"] * 10)
    with pytest.raises(InputError, match="unknown split 'what'"):
        read_rated_datasets(path)
    assert len(read_rated(path, only="a").names) == 14


def test_rows_that_name_no_photo_or_have_no_score_make_no_dataset(tmp_path, capsys):
    rows = manifest_rows(tmp_path)
    path = table_of(rows, tmp_path / "t.csv", ["a"] * 12 + ["b"] * 12)
    with path.open("a") as file:
        file.write("\n,3.2,\nastronaut 0.png,n/a,c\n")
    assert [one.dataset for one in read_rated_datasets(path)] == ["a", "b"]
    assert "2 rows left out: no score, no photo or no task named" in capsys.readouterr().err


def test_a_table_without_such_a_column_is_one_dataset(tmp_path):
    rows = manifest_rows(tmp_path)
    path = tmp_path / "mine.csv"
    path.write_text("image,mos\n" + "\n".join(f"{r['image']},{r['mos']}" for r in rows))
    assert [one.dataset for one in read_rated_datasets(path)] == ["mine"]
    assert read_rated(path, only="mine").dataset == "mine"
    with pytest.raises(UsageError, match="no dataset 'yours'"):
        read_rated(path, only="yours")


def test_datasets_of_two_tasks_are_no_one_score(tmp_path):
    rows = manifest_rows(tmp_path)
    others = [row | {"task": "aesthetic"} for row in kinder(rows, tmp_path)]
    path = write_manifest([*rows, *others], tmp_path / "two tasks.parquet")
    with pytest.raises(InputError, match="quality and aesthetic"):
        read_rated_datasets(path)
    assert [one.dataset for one in read_rated_datasets(path, task="aesthetic")] == ["other"]
    assert read_rated(path, only="other").task == "aesthetic", "it has one"


def test_adapt_gives_each_dataset_of_a_manifest_a_line(uniqa_train, model_dir, mixed, tmp_path):
    words = ("adapt", model_dir, "--ratings", mixed, "--method", "ridge", "--json", "--out")
    code, out, err = uniqa_train(*words, tmp_path / "head")
    assert code == 0, err
    told = json.loads(out)["datasets"]
    assert told["tiny"] == {"labels": 12, "gain": 1.0, "offset": 0.0}
    assert told["other"]["labels"] == 12
    assert 0.3 < told["other"]["gain"] < 0.8
    assert "the scale of tiny in" in " ".join(err.split())
    # On the other's scale, from the other's point of view: the same table whole, beside it.
    code, out, err = uniqa_train(*words, tmp_path / "two", "--dataset", "other", "--also", mixed)
    assert code == 0, err
    turned = json.loads(out)["datasets"]
    assert turned["other"] == {"labels": 12, "gain": 1.0, "offset": 0.0}
    assert turned["tiny"]["gain"] == pytest.approx(1 / told["other"]["gain"], rel=0.3)
    # One alone, and few of it beside all of the other.
    code, out, _ = uniqa_train(*words, tmp_path / "alone", "--dataset", "other")
    assert (code, json.loads(out)["labels"], "datasets" in json.loads(out)) == (0, 12, False)
    code, out, _ = uniqa_train(*words, tmp_path / "few", "--labels", "11")
    assert code == 0
    assert {n: d["labels"] for n, d in json.loads(out)["datasets"].items()} == {
        "tiny": 11,
        "other": 12,
    }
    code, _, err = uniqa_train("evaluate", model_dir, "--ratings", mixed)
    assert code == 3
    assert "Choose one by --dataset" in " ".join(err.split())


def test_a_dataset_that_cannot_be_learned_from_is_left_out(uniqa_train, model_dir, tmp_path):
    rows = manifest_rows(tmp_path)
    others = [row | {"split": "test"} for row in kinder(rows[:6], tmp_path)]
    path = write_manifest([*rows, *others], tmp_path / "tested.parquet")
    words = ("adapt", model_dir, "--method", "ridge", "--json", "--out", tmp_path / "head")
    code, out, err = uniqa_train(*words, "--ratings", path)
    assert code == 0, err
    assert "datasets" not in json.loads(out)
    assert "other is left out" in " ".join(err.split())
    # Who names a table wants it learned from.
    own = write_manifest(others, tmp_path / "theirs.parquet")
    code, _, err = uniqa_train(*words, "--overwrite", "--ratings", path, "--also", own)
    assert code == 3
    assert "no row of split 'train'" in " ".join(err.split())


def test_what_one_dataset_tests_the_others_do_not_teach(uniqa_train, model_dir, tmp_path):
    rows = manifest_rows(tmp_path)
    others = [row | {"split": ""} for row in kinder(rows, tmp_path)]
    lines = [
        f"{row['image']},{row['mos']},{row['dataset']},{row['group']},{row['split']}"
        for row in [*rows, *others]
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["image,mos,dataset,group,split", *lines]))
    code, out, err = uniqa_train(
        "adapt", model_dir, "--ratings", path, "--method", "ridge", "--json",
        "--out", tmp_path / "head",
    )  # fmt: skip
    assert code == 0, err
    # `chelsea` is in val, `camera` in test.
    labels = {name: told["labels"] for name, told in json.loads(out)["datasets"].items()}
    assert labels == {"tiny": 12, "other": 12}
    assert "12 photos left out: their group is in val or test" in " ".join(err.split())


def test_pandas_own_index_is_no_harm(tmp_path):
    rows = manifest_rows(tmp_path)
    parts = [
        pd.DataFrame({"image": [r["image"] for r in some], "mos": [r["mos"] for r in some]})
        for some in (rows[:14], rows[14:])
    ]
    frame = pd.concat([part.assign(dataset=name) for part, name in zip(parts, "ab", strict=True)])
    assert frame.index.duplicated().any()
    frame.to_parquet(tmp_path / "t.parquet")
    assert [len(one.names) for one in read_rated_datasets(tmp_path / "t.parquet")] == [14, 10]
    frame.set_index("image").to_parquet(tmp_path / "named.parquet")
    assert [len(one.names) for one in read_rated_datasets(tmp_path / "named.parquet")] == [14, 10]


def test_a_missing_name_in_parquet_is_left_out(tmp_path, capsys):
    rows = manifest_rows(tmp_path)
    frame = pd.DataFrame({"image": [r["image"] for r in rows], "mos": [r["mos"] for r in rows]})
    frame.loc[3, "image"] = None
    frame.to_parquet(tmp_path / "t.parquet")
    assert len(read_rated(tmp_path / "t.parquet").names) == 23
    assert "1 rows left out: no image name" in capsys.readouterr().err


def test_a_told_scale_stands_where_the_column_means_something_else(tmp_path, capsys):
    rows = manifest_rows(tmp_path)
    names = ["a"] * 14 + ["b"] * 10
    path = table_of(rows, tmp_path / "t.csv", names, scale=[2, 4] * 12)
    with pytest.raises(InputError, match="mixes the scales 2, 4"):
        read_rated_datasets(path)
    assert {one.scale for one in read_rated_datasets(path, scale=Scale(1, 5))} == {Scale(1, 5)}
    assert "as told; its column is none" in " ".join(capsys.readouterr().err.split())


def test_rows_of_one_photo_are_left_out_together_when_the_start_is_chosen(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 40)), rng.normal(size=(30, 4))
    once = _align(x, y, range(30))
    twice = _align(np.repeat(x, 2, 0), np.repeat(y, 2, 0), np.repeat(range(30), 2).tolist())
    fooled = _align(np.repeat(x, 2, 0), np.repeat(y, 2, 0), range(60))
    # Noise teaches nothing (the strongest penalty is chosen, of which every row has its share): a
    # row's own copy must not say otherwise.
    assert np.abs(twice).sum() == pytest.approx(2 * np.abs(once).sum(), rel=0.01)
    assert np.abs(fooled).sum() > 100 * np.abs(twice).sum()


def test_groups_of_one_table_are_kept_whole_whoever_rated(mixed, model_dir, tmp_path, monkeypatch):
    from training.commands import adapt
    from training.config import AdaptConfig
    from training.model import load_model

    # The package's name `adapt` is the function.
    command = sys.modules["training.commands.adapt"]
    seen = []
    real = command.learn

    def learn(views, targets, groups, *more):
        seen.append(groups)
        return real(views, targets, groups, *more)

    monkeypatch.setattr(command, "learn", learn)
    rated, other = read_rated_datasets(mixed)
    config = AdaptConfig(method="ridge")
    adapt(load_model(model_dir), rated, config, tmp_path / "cache", [other])
    assert sorted(set(seen[0])) == ["astronaut", "coffee"]


def test_scores_of_two_datasets_are_not_compared(mixed):
    manifest = read_manifest(mixed)
    kinds = manifest.kinds()
    assert len(set(kinds)) == 2
    assert [kinds[row] for row in range(18)] == [kinds[0]] * 18
    assert kinds[0] != kinds[18]
    # Two photos of one dataset, then two that were rated just so by others.
    scores = torch.full((4,), 0.5)
    on_task = [[True]] * 4

    def loss(kinds, beta):
        batch = batch_of(range(4), [[0]] * 4, range(4), scores, kinds, on_task, None)
        image = torch.eye(4)
        text = torch.eye(4).roll(1, 0)
        return Objective("soft", beta, 0.1)(image, text, torch.tensor(5.0), None, batch)

    apart, together = loss([0, 1, 2, 3], 0.5), loss([0, 0, 0, 0], 0.5)
    assert apart == loss([-1, -1, -1, -1], 0.5) == loss([0, 0, 0, 0], 0.0)
    assert together < apart
    assert together < loss([0, 0, 1, 1], 0.5) < apart


def test_rows_of_a_manifest_bring_their_kind_and_photo(tmp_path):
    rows = manifest_rows(tmp_path)
    # A photo that two datasets rated has two rows, each with all its captions.
    again = [row | {"dataset": "other", "score": row["score"] / 2} for row in rows[:4]]
    manifest = read_manifest(write_manifest([*again, *rows], tmp_path / "twice.parquet"))
    chosen = [5, 2, 9, 6, 20]
    examples = Examples.of(manifest, chosen)
    assert examples.photos == [1, 2, 9, 2, 20]
    kinds = manifest.kinds()
    assert examples.kinds == [kinds[row] for row in chosen]
    assert kinds[2] != kinds[6]
    texts = {c.text: k for k, c in enumerate(c for cs in manifest.captions for c in cs)}
    pairs = make_pairs(
        manifest, chosen, np.zeros((5, 3), np.float32), np.zeros((len(texts), 3), np.float32), texts
    )
    assert (pairs.photos, pairs.kinds) == (examples.photos, examples.kinds)
    assert pairs.take([4, 1]).photos == [20, 2]
    picks = [[0]] * 5
    for batch in (
        examples.batch(range(5), picks, False),
        pairs.batch(range(5), picks, weigh=False),
    ):
        assert batch.photos.owners.tolist() == examples.photos == batch.captions.owners.tolist()
        assert batch.photos.kinds.tolist() == examples.kinds
    # Its captions are its own in both rows.
    assert positives(batch.photos.owners, batch.captions.owners)[1, 3]


def test_nobody_rated_is_no_kind(tmp_path):
    rows = manifest_rows(tmp_path)
    for row in rows[:3]:
        row.update(mos=None, mos_std=None, score=None, level="", task="", dataset="")
    kinds = read_manifest(write_manifest(rows, tmp_path / "some.parquet")).kinds()
    assert kinds == [-1, -1, -1, *[0] * 21]
