import json
import shutil

import numpy as np
import pytest
import torch

from tests.training.conftest import manifest_rows, write_manifest
from training.commands import pretrain
from training.config import PretrainConfig, RunConfig
from training.data import read_manifest
from training.encoders import Lite0Tower, MiniLMTower, bounded_root
from training.model import load_model, save_model
from training.projections import Projections
from training.score import Scorer
from training.tuning.augment import View
from training.tuning.checkpoint import metrics_file
from training.tuning.learners import CompactLearner, choose_what_learns, learning_mode
from uniqa.errors import InputError


@pytest.fixture(scope="module")
def eight(tiny):
    """Four train and two val photos."""
    rows = [row for row in manifest_rows(tiny) if row["split"] != "test"]
    train = [row for row in rows if row["split"] == "train"][::3]
    val = [row for row in rows if row["split"] == "val"][:2]
    return read_manifest(write_manifest(train + val, tiny / "eight.parquet"))


def tuned(eight, cache, **options):
    config = PretrainConfig(towers="tuned", epochs=2, batch_size=4, dim=8, lr=1e-4)
    return pretrain(eight, config.__class__(**(_plain(config) | options)), cache)[0]


def _plain(config):
    from dataclasses import asdict

    return asdict(config)


@pytest.fixture(scope="module")
def model(eight, cache):
    return tuned(eight, cache)


def test_tuned_towers_are_saved_and_restored(model, eight, cache, tmp_path):
    packaged = Lite0Tower()
    assert model.image.name.startswith("efficientnet-lite0-tuned@")
    assert model.text.name.startswith("all-MiniLM-L6-v2-tuned@")
    save_model(model, tmp_path / "m")
    files = {file.name for file in (tmp_path / "m" / "towers").iterdir()}
    assert files == {"image.safetensors", "text.safetensors"}
    again = load_model(tmp_path / "m")
    assert (again.image.name, again.text.name) == (model.image.name, model.text.name)
    pixels = np.random.default_rng(0).integers(0, 256, (224, 260, 3), dtype=np.uint8)
    one, other, before = (
        tower.encode(tower.prepare(pixels)) for tower in (model.image, again.image, packaged)
    )
    assert np.array_equal(one, other)
    assert not np.array_equal(one, before)
    assert np.array_equal(again.text.encode(["sharp"]), model.text.encode(["sharp"]))
    assert not np.array_equal(MiniLMTower().encode(["sharp"]), model.text.encode(["sharp"]))
    scores = Scorer.load(tmp_path / "m", cache=cache).score(eight.images[:2])
    assert all(0 <= score.score <= 1 for score in scores)
    records = [r for r in model.metrics if "epoch" in r]
    assert len(records) == 2
    assert all(np.isfinite(record["val_loss"]) for record in records)


def test_other_towers_under_the_same_name_are_refused(model, tmp_path):
    save_model(model, tmp_path / "m")
    (tmp_path / "m" / "towers" / "image.safetensors").unlink()
    with pytest.raises(InputError, match="was made with the encoder efficientnet-lite0-tuned"):
        load_model(tmp_path / "m")


def test_same_seed_same_bytes_and_the_packaged_towers_are_untouched(model, eight, cache):
    before = {n: t.clone() for n, t in Lite0Tower().net.state_dict().items()}
    assert tuned(eight, cache).image.name == model.image.name
    after = Lite0Tower().net.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("towers", ["frozen-image", "frozen-text"])
def test_a_frozen_tower_stays_the_packaged_one(eight, cache, tmp_path, towers):
    model = tuned(eight, cache, towers=towers, epochs=1, loss="sigmoid", chunk=2)
    save_model(model, tmp_path / "m")
    names = (model.image.name, model.text.name)
    frozen = towers == "frozen-text"
    assert names[frozen] == (MiniLMTower() if frozen else Lite0Tower()).name
    assert "-tuned@" in names[not frozen]
    assert len(list((tmp_path / "m" / "towers").iterdir())) == 1
    assert load_model(tmp_path / "m").projections.logit_bias is not None


def test_lora_leaves_plain_towers(eight, cache, tmp_path):
    model = tuned(eight, cache, lora=2, epochs=1, lr=1e-2)
    names = model.image.net.state_dict().keys()
    assert names == Lite0Tower().net.state_dict().keys()
    save_model(model, tmp_path / "m")
    assert load_model(tmp_path / "m").image.name == model.image.name


def learner():
    torch.manual_seed(0)
    made = CompactLearner(Projections(2 * 4048, 384, 8), tuned=(True, True), biased=False)
    choose_what_learns(made, image=True, text=True, lora=0, seed=0)
    return made


def test_a_photo_is_embedded_alike_whatever_stands_beside_it():
    made = learner()
    learning_mode(made)
    rng = np.random.default_rng(0)
    shapes = [(300, 200), (200, 300), (260, 260), (310, 205)]
    view = View(True, 2, True)
    photos = [made.prepare(rng.integers(0, 256, (*s, 3), dtype=np.uint8), view) for s in shapes]
    assert {one["whole"].shape[:2] for one in photos} == {(320, 224), (224, 320), (224, 224)}
    with torch.no_grad():
        together = made.embed_images(made.collate(photos))
        for place, one in enumerate(photos):
            alone = made.embed_images(made.collate([one]))
            torch.testing.assert_close(together[place : place + 1], alone, rtol=1e-4, atol=1e-5)


def test_learning_sees_what_scoring_sees():
    """Mean and deviation per stage, roots included: one photo, its whole, one crop."""
    made = learner().eval()
    pixels = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    for number in range(5):
        seen = made.collate([made.prepare(pixels, View(True, number, False))])
        with torch.no_grad():
            learned = made.embed_images(seen)
        with torch.no_grad():
            tower = made.towers()[0]
            scored = made.projections.embed_images(
                torch.from_numpy(tower.encode(tower.prepare(pixels)))[None]
            )
        scored = torch.nn.functional.normalize(scored, dim=1)
        torch.testing.assert_close(learned, scored, rtol=1e-3, atol=1e-4)


def test_flat_photos_give_finite_gradients():
    made = learner()
    flat = made.prepare(np.zeros((224, 224, 3), dtype=np.uint8), View(True, 0, False))
    made.embed_images(made.collate([flat, flat])).sum().backward()
    gradients = [p.grad for p in made.net.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_the_bounded_root_is_the_root_with_its_slope_away_from_zero():
    x = torch.tensor([-4.0, -0.25, 0.0, 1e-12, 0.01, 9.0], requires_grad=True)
    root = bounded_root()(x)
    assert torch.equal(root, x.sign() * x.abs().sqrt())
    root.sum().backward()
    assert torch.allclose(x.grad[[0, 1, 4, 5]], torch.tensor([0.25, 1.0, 5.0, 1 / 6]))
    assert x.grad.isfinite().all()


def test_a_run_goes_on_from_its_checkpoint(eight, cache, tmp_path, uniqa_train, monkeypatch):
    """The closed-form start is in the checkpoint: no feature is computed again."""
    from training.commands import tune
    from training.tuning.loop import Loop

    config = PretrainConfig(towers="tuned", epochs=1, batch_size=2, dim=8, lr=1e-4, ema=0.9)
    whole = pretrain(eight, config, cache)[0]
    real, count = Loop.step, []

    def step(self):
        if len(count) == 1:
            raise RuntimeError("killed")
        count.append(1)
        return real(self)

    monkeypatch.setattr(Loop, "step", step)
    run = RunConfig(out=tmp_path / "m", checkpoint_steps=1)
    with pytest.raises(RuntimeError, match="killed"):
        pretrain(eight, config, cache, run)
    monkeypatch.setattr(Loop, "step", real)
    monkeypatch.setattr(tune, "features_of", None)
    model = pretrain(eight, config, cache, run)[0]
    assert model.image.name == whole.image.name
    assert model.text.name == whole.text.name
    for name, value in whole.projections.state_dict().items():
        assert torch.equal(model.projections.state_dict()[name], value), name
    lines = metrics_file(tmp_path / "m").read_text().splitlines()
    assert [json.loads(line).get("epoch") for line in lines if "epoch" in line] == [1.0]
    shutil.rmtree(tmp_path / "m")
