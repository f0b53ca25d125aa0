"""Several datasets in one table: each has a scale of its own, and none is taken for another's."""

import hashlib
import json

import pytest
import torch
from PIL import Image, ImageOps

from tests.training.conftest import manifest_rows, write_manifest
from training.batching import batch_of
from training.data import read_manifest, read_rated, read_rated_datasets
from training.losses import Objective
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


def test_every_dataset_is_read_with_its_own_scale(mixed, capsys):
    first, second = read_rated_datasets(mixed)
    assert [(one.dataset, len(one.names)) for one in (first, second)] == [
        ("tiny", 24),
        ("other", 18),
    ]
    assert (first.scale, second.scale) == (Scale(1, 5), Scale(0, 100))
    # Which is the first is no matter of the rows' order.
    second, first = read_rated_datasets(mixed, dataset="other")
    assert (second.dataset, second.scale) == ("other", Scale(0, 100))
    assert first.scale == Scale(1, 5)
    assert second.scores.max() == pytest.approx(0.4 + 0.5 * first.scores.max(), abs=1e-6)


def test_a_told_scale_is_that_of_the_first(tmp_path, capsys):
    rows = manifest_rows(tmp_path)
    lines = ["image,mos,dataset"]
    lines += [f"{row['image']},{row['mos']},a" for row in rows[:14]]
    lines += [f"{row['image']},{20 * row['mos']},b" for row in rows[14:]]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    a, b = read_rated_datasets(tmp_path / "t.csv", scale=Scale(0, 5))
    assert (a.dataset, a.scale) == ("a", Scale(0, 5))
    assert (b.dataset, b.scale) == ("b", Scale(0, 100))
    said = " ".join(capsys.readouterr().err.split())
    assert "b: scale 0–100" in said
    assert "guessed: b: scale" in said


def test_one_dataset_must_be_chosen_where_one_is_wanted(mixed):
    with pytest.raises(InputError, match=r"several datasets.*tiny \(24\), other \(18\)") as caught:
        read_rated(mixed)
    assert "--dataset" in str(caught.value.remedy)
    assert read_rated(mixed, dataset="other").scale == Scale(0, 100)
    with pytest.raises(UsageError, match="rates no photos of 'othr'") as wrong:
        read_rated(mixed, dataset="othr")
    assert "other" in str(wrong.value.remedy)


def test_a_table_without_such_a_column_is_one_dataset(tmp_path, capsys):
    rows = manifest_rows(tmp_path)
    path = tmp_path / "mine.csv"
    path.write_text("image,mos\n" + "\n".join(f"{r['image']},{r['mos']}" for r in rows))
    assert [one.dataset for one in read_rated_datasets(path)] == ["mine"]
    assert read_rated(path, dataset="mine").dataset == "mine"
    with pytest.raises(UsageError, match="no photos of 'yours'"):
        read_rated(path, dataset="yours")


def test_datasets_of_two_tasks_are_no_one_score(tmp_path):
    rows = manifest_rows(tmp_path)
    others = [row | {"task": "aesthetic"} for row in kinder(rows, tmp_path)]
    path = write_manifest([*rows, *others], tmp_path / "two tasks.parquet")
    with pytest.raises(InputError, match="quality and aesthetic"):
        read_rated_datasets(path)
    assert [one.dataset for one in read_rated_datasets(path, task="aesthetic")] == ["other"]


def test_adapt_gives_each_dataset_of_a_manifest_a_line(uniqa_train, model_dir, mixed, tmp_path):
    words = ("adapt", model_dir, "--ratings", mixed, "--method", "ridge", "--json", "--out")
    code, out, err = uniqa_train(*words, tmp_path / "head")
    assert code == 0, err
    told = json.loads(out)["datasets"]
    assert told["tiny"] == {"labels": 12, "gain": 1.0, "offset": 0.0}
    assert told["other"]["labels"] == 12
    assert 0.3 < told["other"]["gain"] < 0.8
    assert "2 datasets" in err
    assert "scale of tiny" in " ".join(err.split())
    code, _, err = uniqa_train("evaluate", model_dir, "--ratings", mixed)
    assert code == 3
    assert "Choose one by --dataset" in " ".join(err.split())


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
        batch = batch_of(range(4), [[0]] * 4, scores, kinds, on_task, None)
        image = torch.eye(4)
        text = torch.eye(4).roll(1, 0)
        return Objective("soft", beta, 0.1)(image, text, torch.tensor(5.0), None, batch)

    apart, together = loss([0, 1, 2, 3], 0.5), loss([0, 0, 0, 0], 0.5)
    assert apart == loss([-1, -1, -1, -1], 0.5) == loss([0, 0, 0, 0], 0.0)
    assert together < apart
    assert together < loss([0, 0, 1, 1], 0.5) < apart


def test_nobody_rated_is_no_kind(tmp_path):
    rows = manifest_rows(tmp_path)
    for row in rows[:3]:
        row.update(mos=None, mos_std=None, score=None, level="", task="", dataset="")
    kinds = read_manifest(write_manifest(rows, tmp_path / "some.parquet")).kinds()
    assert kinds == [-1, -1, -1, *[0] * 21]
