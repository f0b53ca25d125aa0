import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.conftest import manifest_rows, write_manifest
from training.commands import pretrain
from training.config import PretrainConfig
from training.data import read_manifest
from training.model import load_model, save_model
from training.pretrain import (
    Pairs,
    batches,
    draw_captions,
    fit_projections,
    start_projections,
    validate,
)
from training.projections import Projections
from uniqa.errors import InputError, UsageError

SHORT = PretrainConfig(epochs=2, dim=16)


def toy_pairs(n=40, p=12, q=10, seed=0):
    """Photos and texts that share two hidden causes."""
    rng = np.random.default_rng(seed)
    cause = rng.normal(size=(n, 2))
    images = cause @ rng.normal(size=(2, p)) + 0.1 * rng.normal(size=(n, p))
    texts = cause @ rng.normal(size=(2, q)) + 0.1 * rng.normal(size=(n, q))
    return Pairs(
        torch.tensor(images, dtype=torch.float32),
        torch.tensor(texts, dtype=torch.float32),
        [[k] for k in range(n)],
        [np.ones(1)] * n,
        [[True]] * n,
        list(range(n)),
        [0] * n,
        torch.tensor(rng.uniform(size=n), dtype=torch.float32),
    )


def test_captions_are_drawn_by_weight():
    pairs = toy_pairs(1)
    pairs = replace(pairs, owned=[[0, 0, 0]], weights=[np.array([0.7, 0.2, 0.1])])
    rng = np.random.default_rng(0)
    picks = [draw_captions(pairs, [0], rng)[0] for _ in range(4000)]
    assert np.bincount(picks) / 4000 == pytest.approx([0.7, 0.2, 0.1], abs=0.03)


def test_batches_hold_everyone_and_never_one_alone():
    cut = batches(33, 16, np.random.default_rng(0))
    assert sorted(row for batch in cut for row in batch) == list(range(33))
    assert min(map(len, cut)) > 1


def test_learning_lowers_the_loss_and_keeps_the_best_epoch():
    both = toy_pairs(80)
    train, val = both.take(range(60)), both.take(range(60, 80))
    config = PretrainConfig(epochs=20, lr=3e-3, beta=0.0, dim=8)
    model = start_projections(train, (), 8, 0)
    heard = []
    history = fit_projections(model, train, val, config, heard.append)
    assert len(heard) == 21
    losses = [record["val_loss"] for record in heard]
    assert history.kept == int(np.argmin(losses))
    assert heard[-1]["train_loss"] < heard[1]["train_loss"]


def test_the_temperature_is_clamped():
    model = start_projections(toy_pairs(), (), 8, 0)
    with torch.no_grad():
        model.logit_scale.fill_(50.0)
        assert float(model.scale) == 100.0
        model.logit_scale.fill_(-50.0)
        assert float(model.scale) == 1.0


def test_same_seed_same_bytes(tiny, cache, tmp_path):
    manifest = read_manifest(tiny / "tiny.parquet")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        model, _ = pretrain(manifest, replace(SHORT, seed=seed), cache)
        save_model(model, tmp_path / name)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


def test_a_cold_cache_gives_the_same_bytes(tiny, cache, tmp_path):
    rows = manifest_rows(tiny)[::3]
    manifest = read_manifest(write_manifest(rows, tiny / "third.parquet"))
    for name, where in (("warm", cache), ("cold", tmp_path / "cold")):
        save_model(pretrain(manifest, SHORT, where)[0], tmp_path / name)
    one, other = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("warm", "cold"))
    assert one == other


def test_test_rows_are_not_even_opened(tiny, cache, tmp_path):
    folder = tmp_path / "photos"
    rows = manifest_rows(tiny)
    folder.mkdir()
    for row in rows:
        if row["split"] != "test":
            shutil.copy(tiny / row["image"], folder)
    manifest = read_manifest(write_manifest(rows, folder / "m.parquet"))
    model, _ = pretrain(manifest, SHORT, cache)
    ids = {
        split: {r["image_id"] for r in rows if r["split"] == split} for split in ("train", "val")
    }
    assert model.trained_on == ids["train"]


def test_unreadable_photos_are_left_out_with_a_warning(tiny, tmp_path, capsys):
    rows = manifest_rows(tiny)
    rows[0]["image"] = "gone.png"
    manifest = read_manifest(write_manifest(rows, tiny / "gone.parquet"))
    model, _ = pretrain(manifest, SHORT, tmp_path / "cold")
    assert "gone.png" in capsys.readouterr().err
    assert len(model.trained_on) == 11


def test_too_few_captions(tiny, cache):
    rows = manifest_rows(tiny)
    for row in rows[1:]:
        row["captions"] = row["captions"] if row["split"] != "train" else []
    manifest = read_manifest(write_manifest([*rows, rows[0]][:-1], tiny / "bare.parquet"))
    with pytest.raises(InputError, match="1 train rows"):
        pretrain(manifest, SHORT, cache)


def test_the_directory_tells_where_it_came_from(model_dir, tiny):
    provenance = json.loads((model_dir / "provenance.json").read_text())
    assert provenance["manifest"]["sha256"] == read_manifest(tiny / "tiny.parquet").sha256
    assert provenance["config"]["seed"] == 0
    assert "efficientnet-lite0" in provenance["encoders"]["image"]
    assert provenance["versions"]["torch"]
    lines = (model_dir / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 2, 3]
    assert {p.suffix for p in model_dir.iterdir()} == {".json", ".jsonl", ".safetensors"}


def test_a_saved_model_is_the_same_model(model_dir, tmp_path):
    model = load_model(model_dir)
    save_model(model, tmp_path / "again")
    for name in ("model.safetensors", "seen.safetensors", "model.json"):
        assert (tmp_path / "again" / name).read_bytes() == (model_dir / name).read_bytes()


def test_a_model_is_moved_in_last_of_all(model_dir, tmp_path, monkeypatch):
    """Killed while it is put in place, a run has its checkpoint still, and no half a model."""
    from pathlib import Path

    model, out = load_model(model_dir), tmp_path / "out"
    (out / "checkpoint" / "step-1").mkdir(parents=True)
    (out / "tensorboard").mkdir()
    real = Path.replace

    def replace(self, target):
        if self.name == "model.json":
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, out)
    assert (out / "checkpoint" / "step-1").is_dir()
    assert not (out / "model.json").exists()
    monkeypatch.setattr(Path, "replace", real)
    save_model(model, out)
    assert load_model(out).image.name == model.image.name
    assert not (out / "checkpoint").exists()
    assert (out / "tensorboard").is_dir()


def test_retrieval_is_measured_in_both_directions():
    """Two photos near one caption: both find a caption that is right for one of them only."""
    pairs = toy_pairs(3, p=3, q=3)
    angles = torch.tensor([0.0, 0.1, 1.5])
    circle = torch.stack([angles.cos(), angles.sin(), torch.zeros(3)], 1)
    texts = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.9, 0.1], [0.0, 1.0, 0.0]])
    pairs = replace(pairs, images=circle, texts=texts)
    model = Projections(3, 3, 3)
    with torch.no_grad():
        model.image.weight.copy_(torch.eye(3))
        model.text.weight.copy_(torch.eye(3))
    told = validate(model, pairs, PretrainConfig(batch_size=8))
    assert told["val_r1"] == pytest.approx(2 / 3), "the second photo finds the first's caption"
    assert told["val_r1_text"] == pytest.approx(2 / 3), "the second caption finds the third photo"


def test_pickled_weights_are_refused(model_dir, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(model_dir, copy)
    torch.save({"a": torch.zeros(1)}, copy / "pytorch_model.bin")
    with pytest.raises(InputError, match="pickle"):
        load_model(copy)


def test_damaged_directories_are_one_line(model_dir, tmp_path):
    with pytest.raises(InputError, match="not a model directory"):
        load_model(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(model_dir, copy)
    (copy / "model.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match="cannot be read"):
        load_model(copy)
    tensors = load_file(model_dir / "model.safetensors")
    tensors.pop("projections.image.weight")
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(InputError, match="damaged"):
        load_model(copy)
    about = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps(about | {"image_encoder": "other"}))
    with pytest.raises(InputError, match="encoder other"):
        load_model(copy)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": -1},
        {"lr": -1.0},
        {"batch_size": 1},
        {"sigma": 0.0},
        {"beta": -1.0},
        {"towers": "froze"},
        {"loss": "clap"},
        {"weigh": "lose"},
        {"precision": "fp16", "towers": "tuned"},
        {"captions_per_photo": 0},
        {"layer_decay": 0.0, "towers": "tuned"},
        {"warmup": 1.0, "towers": "tuned"},
        {"ema": 1.0, "towers": "tuned"},
        {"lora": -1, "towers": "tuned"},
        {"chunk": 8},
        {"lora": 4, "towers": "frozen"},
    ],
)
def test_settings_are_checked(wrong):
    with pytest.raises(UsageError):
        PretrainConfig(**wrong)
