"""From trained parts to a model directory that transformers and vLLM load like any other."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation.pocket.answers import answer
from curation.pocket.eyes import Eyes
from curation.pocket.questions import question
from curation.pocket.reading import Reading
from curation.pocket.shape import CHAT_TEMPLATE, SPECIAL, processor_of
from curation.pocket.sources import CREDITS, photographs, write_photographs
from curation.prompts import PromptLibrary
from uniqa.levels import LEVELS, TASKS

VOCABULARY = 1600


def make_tokenizer(readings: list[Reading], seed: int = 0, texts: int = 12_000) -> Any:
    """A byte-level BPE tokenizer for what is asked and said; any other text is spelled in bytes.

    Args:
        readings: what the texts it is trained on shall be about.
        seed: decides those texts.
        texts: how many answers.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(readings, seed, texts), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<pad>",
        additional_special_tokens=list(SPECIAL[3:]),
        chat_template=CHAT_TEMPLATE,
        model_max_length=2048,
    )


def _texts(readings: list[Reading], seed: int, count: int) -> Iterator[str]:
    rng = random.Random(f"{seed}/tokenizer")
    library = PromptLibrary()
    yield "System: \nUser: \nAssistant:"
    for _ in range(count):
        task = rng.choice(TASKS)
        cue = rng.choice(list(library.tasks[task].cues))
        level = rng.choice(("", *LEVELS))
        style = rng.choice(("brief", "plain", "rich"))
        system, asked = question(task, cue, level, rng)
        said = answer(rng.choice(readings), task, cue, level, rng.choice("ab"), style, rng)
        yield from (f"System: {system}", f" {asked}", f" {said}", f" {said}")


def save_model(name: str, model: Any, eyes: Eyes, tokenizer: Any, folder: Path) -> None:
    """Put eyes and speech together and write the model directory, at half precision.

    Args:
        name: of the pocket model.
        model: from `talk.train_talk`; its vision half is replaced by the eyes.
        eyes: with the connector of that name.
        tokenizer: from `make_tokenizer`.
        folder: replaced as a whole.
    """
    import torch

    model.model.vision_model.load_state_dict(eyes.vision.state_dict())
    model.model.connector.load_state_dict(eyes.connectors[name].state_dict())
    stop = tokenizer.convert_tokens_to_ids("<end_of_utterance>")
    model.generation_config.eos_token_id = stop
    model.generation_config.bos_token_id = tokenizer.convert_tokens_to_ids("<|im_start|>")
    model.generation_config.pad_token_id = tokenizer.convert_tokens_to_ids("<pad>")
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    model.to(torch.float16).save_pretrained(part)
    model.to(torch.float32)
    processor_of(tokenizer).save_pretrained(part)
    write_photographs(photographs(), part / CREDITS)
    # Half precision is for the disk: these models are small enough to run at full precision, and
    # then say the same with every program.
    config = json.loads((part / "config.json").read_text("utf-8"))
    config["dtype"] = "float32"
    for section in ("text_config", "vision_config"):
        if "dtype" in config.get(section, {}):
            config[section]["dtype"] = "float32"
    config["architectures"] = ["Idefics3ForConditionalGeneration"]
    (part / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    if folder.exists():
        for kept in ("README.md",):
            if (folder / kept).exists():
                shutil.copy(folder / kept, part / kept)
        shutil.rmtree(folder)
    part.replace(folder)
