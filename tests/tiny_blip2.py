"""A small, randomly initialised BLIP-2: a real captioner that takes one photo and a plain prompt.

The opposite of `tiny_idefics3`: no chat template, no second photo. Its tokenizer writes ``poor``
and ``perfect`` as several tokens that begin alike, as tokenizers of real models may.
"""

from __future__ import annotations

from pathlib import Path

from tests.tiny_idefics3 import WORDS, _merges

IMAGE = "<image>"


def build(folder: Path, seed: int = 0) -> Path:
    """Write the model directory and return it."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        BlipImageProcessorPil,
        PreTrainedTokenizerFast,
    )

    folder.mkdir(parents=True, exist_ok=True)
    special = ["<pad>", "<s>", "</s>", IMAGE]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [f"Ġ{word}" for word in WORDS if word not in {"poor", "perfect"}]
    vocab = {token: index for index, token in enumerate([*special, *alphabet, *words])}
    merges = _merges(words, vocab)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    processor = Blip2Processor(
        BlipImageProcessorPil(size={"height": 32, "width": 32}), fast, num_query_tokens=4
    )
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    config = Blip2Config(
        vision_config={
            **tower,
            "num_hidden_layers": 2,
            "image_size": 32,
            "patch_size": 8,
            "initializer_range": 0.2,
        },
        qformer_config={
            **tower,
            "num_hidden_layers": 2,
            "encoder_hidden_size": 32,
            "initializer_range": 0.2,
        },
        text_config={
            "model_type": "opt",
            "hidden_size": 64,
            "word_embed_proj_dim": 64,
            "ffn_dim": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "vocab_size": len(vocab),
            "max_position_embeddings": 1024,
            "init_std": 0.2,
            "pad_token_id": vocab["<pad>"],
            "bos_token_id": vocab["<s>"],
            "eos_token_id": vocab["</s>"],
            "architectures": ["OPTForCausalLM"],
        },
        num_query_tokens=4,
        image_token_index=vocab[IMAGE],
    )
    torch.manual_seed(seed)
    model = Blip2ForConditionalGeneration(config).eval()
    torch.nn.init.normal_(model.query_tokens)
    model.generation_config.eos_token_id = vocab["</s>"]
    model.generation_config.bos_token_id = vocab["<s>"]
    model.generation_config.pad_token_id = vocab["<pad>"]
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
