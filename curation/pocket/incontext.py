"""Whether exemplars change how a pocket model speaks, and leave what it says alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from curation.pocket.answers import answer
from curation.pocket.listen import faults_said
from curation.pocket.reading import random_reading
from curation.prompts import PromptLibrary
from uniqa.photos import Pixels

MANNERS = {"pocket-a": "a", "pocket-b": "b"}


def exemplars_change(
    folder: Path, name: str, photos: Sequence[Pixels], shots: int = 2
) -> dict[str, float]:
    """Ask about photos after exemplars of one short sentence, and after exemplars of three long.

    The exemplars are other photos with texts of the grammar. Greedy answers, plain transformers.

    Returns:
        ``brief_words`` and ``rich_words``, the mean length of the answers; ``same_fault``, the
        share of photos whose main fault both answers agree on.
    """
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    model = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    ).eval()
    prompts = PromptLibrary()
    texts: dict[str, list[str]] = {"brief": [], "rich": []}
    for number, pixels in enumerate(photos):
        for style, said in texts.items():
            rng = random.Random(number)
            question = prompts.question("quality", "overall", image_id="", level="", seed=0)
            messages: list[dict[str, Any]] = [
                {"role": "system", "content": [{"type": "text", "text": question.system}]}
            ]
            pictures = []
            for shot in range(shots):
                told = answer(
                    random_reading(rng), "quality", "overall", "", MANNERS[name], style, rng
                )
                pictures.append(Image.fromarray(photos[(number + shot + 1) % len(photos)]))
                messages += [
                    _asked(question.text),
                    {"role": "assistant", "content": [{"type": "text", "text": told}]},
                ]
            pictures.append(Image.fromarray(pixels))
            messages.append(_asked(question.text))
            prompt = processor.apply_chat_template(messages, add_generation_prompt=True)
            inputs = processor(text=prompt, images=[pictures], return_tensors="pt")
            with torch.inference_mode():
                ids = model.generate(**inputs, max_new_tokens=120, do_sample=False)
            new = ids[0, inputs["input_ids"].shape[1] :]
            said.append(processor.decode(new, skip_special_tokens=True).strip())
    agreed = [
        faults_said(brief)[:1] == faults_said(rich)[:1]
        for brief, rich in zip(texts["brief"], texts["rich"], strict=True)
    ]
    return {
        "brief_words": mean(len(text.split()) for text in texts["brief"]),
        "rich_words": mean(len(text.split()) for text in texts["rich"]),
        "same_fault": mean(agreed),
    }


def _asked(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}
