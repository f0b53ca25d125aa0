"""The image tower learns from ratings through low-rank matrices."""

import importlib.util
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch.nn.functional import normalize

from tests.training.conftest import degrade, photo
from training.adapt import predict
from training.commands import adapt, pretrain
from training.commands.rate import learn_tower
from training.config import AdaptConfig, PretrainConfig
from training.cue_adapter import fit_cue_adapter
from training.data import read_rated
from training.features import photo_features
from training.model import load_model, save_model
from training.panels import Panel
from training.score import Scorer
from training.tuning.augment import View
from training.tuning.lora import LAYERS
from training.tuning.photo_side import low_rank_copy, with_learned_tower
from training.tuning.photos import PixelCache
from training.tuning.rate import CueLine, Labelled, learn_ratings, still
from training.views import views_of
from uniqa.errors import InputError, UsageError
from uniqa.levels import Scale

SHORT = AdaptConfig(method="lora", epochs=1, labels=4, lr=3e-3)


@pytest.fixture(scope="module")
def rated(tiny):
    return read_rated(tiny / "tiny.parquet")


@pytest.fixture(scope="module")
def base(model_dir):
    return load_model(model_dir)


@pytest.fixture(scope="module")
def clip(clip_dir, few, cache):
    """A CLIP whose own projections were learned: the mean of views is not what it scores by."""
    config = PretrainConfig(model=str(clip_dir), towers="frozen", epochs=3, lr=3e-2, batch_size=4)
    return pretrain(few, config, cache)[0]


@pytest.fixture(scope="module")
def learned(base, rated, cache):
    """A compact model that learned from all train photos."""
    return adapt(base, rated, AdaptConfig(method="lora", epochs=5, lr=2e-3), cache)


def labelled_of(model, rated, cache):
    """The train photos as the model sees them, and with their ratings."""
    rows = [row for row, split in enumerate(rated.splits) if split == "train"]
    some = rated.take(rows)
    found = photo_features(some.images, model.image, cache)
    views = views_of(model, found.values, "quality", cache)
    panel = Panel(["tiny"] * len(rows), some.stds)
    return views, Labelled(some.images, found.ids, some.scores, panel, "quality")


def state_of(model):
    """Weights of the image tower (of both, where they are one model), and of projections."""
    net = model.image.net if model.kind == "compact" else model.image.towers.model
    return {n: t.clone() for n, t in net.state_dict().items()}


@pytest.mark.parametrize("kind", ["base", "clip"])
def test_learning_begins_at_calibrated_zero_shot(request, kind, rated, cache):
    model = request.getfixturevalue(kind)
    views, labelled = labelled_of(model, rated, cache)
    start = fit_cue_adapter(views.embeddings, labelled.scores, [], views.prompts, views.scale)[0]
    zero = views.zero_shot
    # One line through all zero-shot scores, rising.
    gain, offset = np.polyfit(zero, start.predict(views.embeddings, views.prompts, views.scale), 1)
    assert gain > 0
    expected = np.clip(gain * zero + offset, 0, 1)
    before = state_of(model)
    learner = low_rank_copy(model, 4, seed=0)
    line = CueLine(still(start), views.prompts, views.scale, learner.device, mean=0.6)
    np.testing.assert_allclose(predict(line.learned(), views), expected, atol=1e-5)
    merged = with_learned_tower(model, learner)
    after = state_of(merged)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert merged.head is None


@pytest.mark.parametrize("kind", ["base", "clip"])
def test_a_step_sees_what_scoring_sees(request, kind):
    """Where whole and crops are one picture, a step's embedding is the score's."""
    model = request.getfixturevalue(kind)
    side = 224 if kind == "base" else 32
    learner = low_rank_copy(model, 4, seed=0)
    pixels = [np.asarray(degrade(photo(n, side), 1)) for n in ("astronaut", "chelsea")]
    view = View(whole=False, crop=4, flip=False)
    with torch.no_grad():
        seen = learner.embed_images(learner.collate([learner.prepare(p, view) for p in pixels]))
        features = np.stack([model.image.encode(model.image.prepare(p)) for p in pixels])
        scored = normalize(model.projections.embed_images(torch.from_numpy(features)), dim=-1)
    torch.testing.assert_close(seen.cpu(), scored, atol=2e-4, rtol=0)
    assert (scored[0] - scored[1]).abs().max() > 0.01


def test_ratings_are_learned(learned, base):
    model, head = learned
    told = head.facts["label_rmse"]
    assert told["learned"] < 0.7 * told["start"]
    records = [record for record in model.metrics if record.get("phase") == "lora"]
    assert [record["epoch"] for record in records] == [1, 2, 3, 4, 5]
    assert records[-1]["loss"] < records[0]["loss"]
    assert model.metrics[: len(base.metrics)] == base.metrics
    assert "residuals" not in head.facts
    assert set(head.facts["typical"]) == {"mean", "sd"}


def test_only_targeted_weights_of_the_image_tower_move(learned, base, cache):
    before, after = state_of(base), state_of(learned[0])
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    targets = {n for n in before if n.endswith(tuple(f"{layer}.weight" for layer in LAYERS))}
    assert moved == targets
    for name, tensor in base.projections.state_dict().items():
        assert torch.equal(tensor, learned[0].projections.state_dict()[name])
    assert learned[0].text is base.text
    assert learned[0].image.name != base.image.name
    # What was measured on the old tower is gone, and its photos count as learned from.
    assert base.crossfit
    assert learned[0].crossfit == {}
    assert learned[0].trained_on >= base.trained_on


def test_it_is_saved_and_scores_alike(learned, rated, cache, tmp_path):
    model, head = learned
    save_model(model, tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again.image.name == model.image.name
    assert again.text.name == model.text.name
    scorer = Scorer.load(tmp_path / "m", cache=cache)
    assert scorer.method == "lora"
    assert "once for each fold" in scorer.no_interval
    told = [one.score for one in scorer.score(rated.images)]
    assert told == [one.score for one in Scorer(model, cache=cache).score(rated.images)]
    found = photo_features(rated.images, model.image, cache)
    straight = predict(head.learned, views_of(model, found.values, "quality", cache))
    np.testing.assert_allclose(told, straight, atol=1e-5)
    lines = (tmp_path / "m" / "metrics.jsonl").read_text().splitlines()
    assert sum(json.loads(line).get("phase") == "lora" for line in lines) == 5


@pytest.mark.parametrize("kind", ["base", "clip"])
def test_the_same_seed_gives_the_same_bytes(request, kind, rated, cache, tmp_path):
    model = request.getfixturevalue(kind)
    before = state_of(model)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        save_model(adapt(model, rated, replace(SHORT, seed=seed), cache)[0], tmp_path / name)
    weights = "towers/image.safetensors" if kind == "base" else "towers/model.safetensors"
    for file in (weights, "model.safetensors", "metrics.jsonl"):
        told = [(tmp_path / name / file).read_bytes() for name in "abc"]
        assert told[0] == told[1]
        assert told[0] != told[2]
    assert all(torch.equal(before[n], t) for n, t in state_of(model).items())


def test_a_clip_learns_too(clip, cache, tmp_path):
    """How dark photos are, which even a random CLIP can see."""
    lines = ["image,mos"]
    for name in ("astronaut", "coffee", "chelsea"):
        for level in range(4):
            file = tmp_path / f"{name} {level}.png"
            ImageEnhance.Brightness(photo(name)).enhance(0.25 * (1 + level)).save(file)
            lines.append(f"{file.name},{1 + level}")
    (tmp_path / "dark.csv").write_text("\n".join(lines))
    dark = read_rated(tmp_path / "dark.csv", scale=Scale(1, 5))
    config = AdaptConfig(method="lora", epochs=20, lr=1e-2, lora_rank=8)
    model, head = adapt(clip, dark, config, cache)
    assert head.facts["label_rmse"]["learned"] < 0.5 * head.facts["label_rmse"]["start"]
    before, after = state_of(clip), state_of(model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    targets = {n for n in before if n.endswith("_proj.weight") and n.startswith("vision_model.")}
    assert moved == targets
    assert model.image.name != clip.image.name
    save_model(model, tmp_path / "m")
    told = [one.score for one in Scorer.load(tmp_path / "m", cache=cache).score(dark.images)]
    assert told == [one.score for one in Scorer(model, cache=cache).score(dark.images)]
    assert np.corrcoef(told, dark.scores)[0, 1] > 0.9


def test_pairs_of_two_datasets_are_not_compared(clip, rated, cache):
    views, labelled = labelled_of(clip, rated, cache)
    start = fit_cue_adapter(views.embeddings, labelled.scores, [], views.prompts, views.scale)[0]
    told = []
    for names in (["one"] * 12, [f"own {k}" for k in range(12)]):
        learner = low_rank_copy(clip, 4, seed=0)
        line = CueLine(still(start), views.prompts, views.scale, learner.device, mean=0.6)
        config = AdaptConfig(method="lora", epochs=1)
        apart = replace(labelled, panel=replace(labelled.panel, datasets=names))
        told += learn_ratings(learner, line, apart, config, PixelCache(cache, 2**28))
    assert told[0]["fidelity"] > 0
    assert told[1]["fidelity"] == 0


def test_a_loss_that_runs_away_is_said(clip, rated, cache):
    views, labelled = labelled_of(clip, rated, cache)
    config = AdaptConfig(method="lora", epochs=3, lr=1e20)
    with pytest.raises(InputError, match="the loss is not a number at step") as told:
        learn_tower(clip, views, labelled, config, cache)
    assert told.value.remedy == "Lower --lr"


def test_a_tower_that_learned_nothing_is_said(clip, rated, cache, capsys):
    views, labelled = labelled_of(clip, rated, cache)
    config = AdaptConfig(method="lora", epochs=1, lr=0.5)
    tower = learn_tower(clip, views, labelled, config, cache)
    assert tower.rmse["learned"] >= tower.rmse["start"]
    assert "nothing was learned; try another --lr" in capsys.readouterr().err


def test_mistakes_are_one_line(uniqa_train, model_dir, tiny, tmp_path, monkeypatch):
    words = ("adapt", model_dir, "--ratings", tiny / "tiny.parquet", "--out", tmp_path / "x")
    for more, says in (
        (["--method", "ridge", "--lora-rank", "4"], "Add --method lora"),
        (["--method", "lora", "--lora-rank", "-1"], "--lora-rank is -1"),
        (["--method", "lorra"], "'lora'"),
    ):
        code, out, err = uniqa_train(*words, *more)
        assert code == 2
        assert says in err
        assert out == ""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "peft" else found(name, *a)
    )
    code, _, err = uniqa_train(*words, "--method", "lora")
    assert code == 2
    assert "--method lora needs the package peft" in err
    assert "pip install peft" in err
    assert not (tmp_path / "x").exists()


def test_auto_leaves_it_out():
    from training.adapt import LEARNED

    assert "lora" not in LEARNED
    with pytest.raises(UsageError, match="lora"):
        AdaptConfig(method="auto", lora_rank=2)


def test_the_console_adapts_by_it(uniqa_train, clip, tiny, tmp_path):
    """And a head that is learned on such a tower later knows what its folds are worth."""
    save_model(clip, tmp_path / "clip")
    code, out, err = uniqa_train(
        "adapt", tmp_path / "clip", "--ratings", tiny / "tiny.parquet", "--method", "lora",
        "--epochs", "2", "--out", tmp_path / "m", "--json",
    )  # fmt: skip
    assert code == 0, err
    told = json.loads(out)
    assert told["method"] == "lora"
    assert told["labels"] == 12
    assert "epoch 2 of 2" in err
    assert "once for each fold" in err
    code, _, err = uniqa_train(
        "adapt", tmp_path / "m", "--ratings", tiny / "tiny.parquet", "--method", "ridge",
        "--out", tmp_path / "n",
    )  # fmt: skip
    assert code == 0, err
    assert "has learned from ratings" in err


def test_two_datasets_are_learned_from(base, rated, cache, tmp_path):
    """The same photos mirrored, rated on a kinder scale."""
    lines = ["image,mos,group"]
    some = rated.take(range(1, 24, 2))
    for path, score, group in zip(some.images, some.scores, some.groups, strict=True):
        ImageOps.mirror(Image.open(path)).save(tmp_path / f"other {path.name}")
        lines.append(f"other {path.name},{40 + 50 * score:.3f},{group}")
    (tmp_path / "other.csv").write_text("\n".join(lines))
    other = read_rated(tmp_path / "other.csv", scale=Scale(0, 100))
    config = AdaptConfig(method="lora", epochs=1)
    model, head = adapt(base, rated, config, cache, [other])
    told = head.facts["datasets"]
    assert told["tiny"]["labels"] == 12
    assert 0.3 < told["other"]["gain"] < 0.8
    assert told["tiny"]["labels"] + told["other"]["labels"] == head.facts["labels"]
    assert head.facts["labels"] > 20
    assert head.facts["label_rmse"]["learned"] < head.facts["label_rmse"]["start"]
    records = [record for record in model.metrics if record.get("phase") == "lora"]
    assert [record["step"] for record in records] == [math.ceil(head.facts["labels"] / 8)]
