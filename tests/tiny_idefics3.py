"""A small, randomly initialised Idefics3: a real multimodal model directory in a second.

It answers gibberish, yet everything around it is real: tokenizer, chat template, processor,
image tokens, weights in safetensors. vLLM and transformers load it like any other.
"""

from __future__ import annotations

import json
import string
from pathlib import Path

from curation.pocket.shape import CHAT_TEMPLATE, SPECIAL

WORDS = """a the photo is image of looks sharp blurry noisy clean bright dark colour colours
contrast light good bad poor fair perfect quality composition sky soft with and very slightly
balanced in on detail focus exposure well framed depth""".split()


def build(folder: Path, seed: int = 0) -> Path:
    """Write the model directory and return it."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessorPil,
        Idefics3Processor,
        PreTrainedTokenizerFast,
    )

    folder.mkdir(parents=True, exist_ok=True)
    special = list(SPECIAL)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [f"Ġ{word}" for word in WORDS]
    vocab = {token: index for index, token in enumerate([*special, *alphabet, *words])}
    merges = _merges(words, vocab)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<pad>",
        additional_special_tokens=special[3:],
        chat_template=CHAT_TEMPLATE,
    )
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessorPil(
            size={"longest_edge": 64},
            max_image_size={"longest_edge": 64},
            do_image_splitting=False,
        ),
        tokenizer=fast,
        image_seq_len=4,
        chat_template=CHAT_TEMPLATE,
    )
    config = Idefics3Config(
        text_config={
            "model_type": "llama",
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "vocab_size": len(vocab),
            "max_position_embeddings": 2048,
            "pad_token_id": vocab["<pad>"],
            "bos_token_id": vocab["<|im_start|>"],
            "eos_token_id": vocab["<end_of_utterance>"],
        },
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
        },
        scale_factor=2,
        image_token_id=vocab["<image>"],
        pad_token_id=vocab["<pad>"],
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    model = Idefics3ForConditionalGeneration(config).eval()
    model.generation_config.eos_token_id = vocab["<end_of_utterance>"]
    model.generation_config.bos_token_id = vocab["<|im_start|>"]
    model.generation_config.pad_token_id = vocab["<pad>"]
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "idefics3"
    return folder


def _merges(words: list[str], vocab: dict[str, int]) -> list[tuple[str, str]]:
    """Merges that build each word letter by letter; every prefix becomes a token of its own."""
    merges: list[tuple[str, str]] = []
    for word in words:
        left = word[0]
        for letter in word[1:]:
            assert letter in string.ascii_lowercase
            pair = (left, letter)
            left += letter
            if left not in vocab:
                vocab[left] = len(vocab)
            if pair not in merges:
                merges.append(pair)
    return merges


if __name__ == "__main__":
    import sys

    print(build(Path(sys.argv[1])))
