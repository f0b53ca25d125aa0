"""Randomly initialised models of a few thousand weights, as folders that training can name."""

from __future__ import annotations

import torch

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


def make_clip(folder, *, dropout=0.0, layers=1):
    """A CLIP; its tokens past the 16th are cut."""
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    save_tokenizer(folder)
    torch.manual_seed(0)
    more = {"attention_dropout": dropout, "num_hidden_layers": layers}
    config = CLIPConfig(text_config=TEXT | more, vision_config=VISION | more, projection_dim=12)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder


def make_siglip(folder):
    """A SigLIP, whose processor does not crop and whose texts have no mask."""
    from transformers import SiglipConfig, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    save_tokenizer(folder, model_input_names=["input_ids"])
    torch.manual_seed(0)
    config = SiglipConfig(text_config=TEXT | {"projection_size": 16}, vision_config=VISION)
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def make_siglip2(folder):
    """A SigLIP 2 of free aspect ratio: photos are lists of patches with a mask."""
    from transformers import Siglip2Config, Siglip2Model
    from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

    save_tokenizer(folder, model_input_names=["input_ids"])
    torch.manual_seed(0)
    vision = SMALL | {"patch_size": 16, "num_patches": 4}
    config = Siglip2Config(text_config=TEXT | {"projection_size": 16}, vision_config=vision)
    Siglip2Model(config).save_pretrained(folder)
    Siglip2ImageProcessorPil(patch_size=16, max_num_patches=4).save_pretrained(folder)
    return folder
