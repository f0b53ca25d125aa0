import json

import numpy as np
import pytest

from tests.training.conftest import manifest_rows, write_manifest
from tests.training.tiny_models import make_clip, make_siglip, make_siglip2
from training.commands import pretrain
from training.config import PretrainConfig
from training.data import read_manifest
from training.model import load_model, save_model
from training.score import Scorer
from uniqa.errors import InputError


@pytest.fixture(scope="module")
def clip_dir(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def siglip_dir(tmp_path_factory):
    return make_siglip(tmp_path_factory.mktemp("siglip"))


@pytest.fixture(scope="module")
def siglip2_dir(tmp_path_factory):
    return make_siglip2(tmp_path_factory.mktemp("siglip2"))


@pytest.fixture(scope="module")
def few(tiny):
    return read_manifest(write_manifest(manifest_rows(tiny)[::2], tiny / "few.parquet"))


@pytest.mark.parametrize("towers", ["tuned", "frozen"])
@pytest.mark.parametrize("kind", ["clip_dir", "siglip_dir", "siglip2_dir"])
def test_a_model_pretrains_saves_and_scores(request, kind, few, cache, tmp_path, towers):
    folder = request.getfixturevalue(kind)
    config = PretrainConfig(model=str(folder), towers=towers, epochs=2, lr=1e-3, batch_size=4)
    model, history = pretrain(few, config, cache)
    assert np.isfinite(history.records[-1]["train_loss"])
    assert np.isfinite(history.records[-1]["val_loss"])
    save_model(model, tmp_path / "m")
    assert load_model(tmp_path / "m").image.name == model.image.name
    assert not list((tmp_path / "m").rglob("*.bin"))
    scores = Scorer.load(tmp_path / "m", cache=cache).score(few.images[:2])
    assert all(0 <= s.score <= 1 for s in scores)


def test_tuning_moves_the_towers_the_same_way_twice(clip_dir, few, cache, tmp_path):
    names = []
    for _ in range(2):
        config = PretrainConfig(model=str(clip_dir), epochs=1, lr=1e-3, batch_size=4)
        names.append(pretrain(few, config, cache)[0].image.name)
    frozen = PretrainConfig(model=str(clip_dir), towers="frozen", epochs=1)
    assert names[0] == names[1] != pretrain(few, frozen, cache)[0].image.name


def test_other_models_are_refused(clip_dir, few, cache, tmp_path):
    with pytest.raises(InputError, match="cannot be loaded"):
        pretrain(few, PretrainConfig(model=str(tmp_path / "none")), cache)
    from transformers import BertConfig, BertModel

    folder = tmp_path / "bert"
    BertModel(
        BertConfig(
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            vocab_size=10,
        )
    ).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        if (clip_dir / name).is_file():
            (folder / name).write_bytes((clip_dir / name).read_bytes())
    with pytest.raises(InputError, match="--model"):
        pretrain(few, PretrainConfig(model=str(folder)), cache)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "bert"
