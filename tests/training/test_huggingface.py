import json

import numpy as np
import pytest
import torch

from tests.training.conftest import manifest_rows, write_manifest
from training.commands import pretrain
from training.config import PretrainConfig
from training.data import read_manifest
from training.model import load_model, save_model
from training.score import Scorer
from uniqa.errors import InputError

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
WORDS = ["<pad>", "<unk>", "<start>", "<end>", *"a photo blurry sharp image picture".split()]


def save_tokenizer(folder, **options):
    """A word tokenizer, as a model directory has it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.WordLevel({w: k for k, w in enumerate(WORDS)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 2), ("<end>", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<start>",
        eos_token="<end>",
        model_max_length=16,
        **options,
    ).save_pretrained(folder)


TEXT = SMALL | {
    "vocab_size": len(WORDS),
    "max_position_embeddings": 16,
    "eos_token_id": 3,
    "bos_token_id": 2,
    "pad_token_id": 0,
}
VISION = SMALL | {"image_size": 32, "patch_size": 16}


@pytest.fixture(scope="module")
def clip_dir(tmp_path_factory):
    """A randomly initialised CLIP of a few thousand weights."""
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder = tmp_path_factory.mktemp("clip")
    save_tokenizer(folder)
    torch.manual_seed(0)
    config = CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=12)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def siglip_dir(tmp_path_factory):
    """The same for SigLIP, whose processor does not crop and whose texts have no mask."""
    from transformers import SiglipConfig, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    folder = tmp_path_factory.mktemp("siglip")
    save_tokenizer(folder, model_input_names=["input_ids"])
    torch.manual_seed(0)
    config = SiglipConfig(text_config=TEXT | {"projection_size": 16}, vision_config=VISION)
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def few(tiny):
    return read_manifest(write_manifest(manifest_rows(tiny)[::2], tiny / "few.parquet"))


@pytest.mark.parametrize("towers", ["tuned", "frozen"])
@pytest.mark.parametrize("kind", ["clip_dir", "siglip_dir"])
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
