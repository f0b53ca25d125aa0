"""The shapes of the pocket models: Idefics3 configurations, tokenizer files, processors.

Both have the same eyes (a vision transformer on tiles of 256 pixels); they differ in the size of
what speaks. Both stay below four million weights, which is eight megabytes at half precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PATCH = 16
TILE = 256
CANVAS = 512
"""The models see a photo at this many pixels square: four tiles, and a thumbnail."""
SHUFFLE = 8
"""Patches per side that become one image token: a tile is four tokens."""
TILE_TOKENS = (TILE // PATCH // SHUFFLE) ** 2

VISION: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "image_size": TILE,
    "patch_size": PATCH,
}

CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'] is string %}: {{message['content']}}{% else %}:"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %} {{part['text']}}"
    "{% elif part['type'] == 'image' %}<image>{% endif %}{% endfor %}{% endif %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)

SPECIAL = (
    "<pad>",
    "<|im_start|>",
    "<end_of_utterance>",
    "<image>",
    "<fake_token_around_image>",
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)


@dataclass(frozen=True, slots=True)
class Size:
    """How large the speaking part of a model is."""

    hidden: int
    layers: int
    heads: int
    inner: int


SIZES = {"pocket-a": Size(160, 4, 5, 432), "pocket-b": Size(128, 3, 4, 384)}


def config_of(name: str, vocabulary: int) -> Any:
    """The ``Idefics3Config`` of a pocket model."""
    from transformers import Idefics3Config

    size = SIZES[name]
    return Idefics3Config(
        text_config={
            "model_type": "llama",
            "hidden_size": size.hidden,
            "intermediate_size": size.inner,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.heads,
            "head_dim": size.hidden // size.heads,
            "vocab_size": vocabulary,
            "max_position_embeddings": 2048,
            "pad_token_id": SPECIAL.index("<pad>"),
            "bos_token_id": SPECIAL.index("<|im_start|>"),
            "eos_token_id": SPECIAL.index("<end_of_utterance>"),
            "tie_word_embeddings": True,
        },
        vision_config=VISION,
        scale_factor=SHUFFLE,
        image_token_id=SPECIAL.index("<image>"),
        pad_token_id=SPECIAL.index("<pad>"),
        tie_word_embeddings=True,
    )


def processor_of(tokenizer: Any) -> Any:
    """The ``Idefics3Processor``: a photo becomes four tiles and a thumbnail."""
    from transformers import Idefics3ImageProcessorPil, Idefics3Processor

    return Idefics3Processor(
        image_processor=Idefics3ImageProcessorPil(
            size={"longest_edge": CANVAS},
            max_image_size={"longest_edge": TILE},
            do_image_splitting=True,
        ),
        tokenizer=tokenizer,
        image_seq_len=TILE_TOKENS,
        chat_template=CHAT_TEMPLATE,
    )
