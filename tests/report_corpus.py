"""A small corpus for reports: real photos, some gone, texts that pages fear, and known counts."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from curation.corpus import Corpus, now
from tests.conftest import caption_row, rating_row

OWN = "window.owned=true"
HOSTILE = {
    "script end": f"</script><script>{OWN}</script> after",
    "image": f'"><img src=x onerror="{OWN}"> &lt;b&gt;not bold&lt;/b&gt;',
    "comment": "<!-- <script> --!> ]]> {{ 7*7 }} {% raw %} \\u003c/script>",
    "quotes": '\'"`${1+1}` it\'s "so"',
    "emoji": "👩‍👩‍👧‍👦 is a family, 🏳️‍🌈 a flag, e\u0301 an accent",
    "override": "sharp \u202ekcatta\u202c and \u2067isolated\u2069 \u200f!",
    "control": "bell\x07 null\x00 escape\x1b[31mred\x1b[0m delete\x7f next\x85",
    "lines": "one\r\ntwo\u2028three\u2029four\ttab",
    "long": "An endless caption. " * 2500,
    "longer": "x" * 70_000,
    "arabic": "الصورة واضحة (جدا)",
    "spaces": "   \u200b\ufeff  ",
}
"""Texts of the captions of the first photo, one each, by what is odd about them."""

MODEL = f'evil</script>"><img src=x onerror={OWN}>'
"""The name of one of the models."""

LEVELS = ("bad", "poor", "fair", "good", "perfect")


def plant(folder: Path) -> Path:
    """Photos and a corpus in `folder`, without signals; returns the corpus.

    Seven photos: three files, one in a tar, one that is gone, one whose file is another's by now,
    one without rating. The first has the hostile texts, each other six captions of two models.
    """
    images = folder / "<i>photos"
    images.mkdir(parents=True)
    paths = [images / f"{number}.png" for number in range(7)]
    for number, path in enumerate(paths):
        pixels = np.random.default_rng(number).integers(0, 255, (4, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((96, 64), Image.Resampling.BICUBIC).save(path)
    ids = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    with tarfile.open(images / "shard.tar", "w") as tar:
        tar.add(paths[3], "three.png")
    shown = [str(path) for path in paths]
    shown[3] = f"{images / 'shard.tar'}::three.png"
    for gone in (3, 4):
        paths[gone].unlink()
    paths[5].write_bytes(paths[0].read_bytes())

    captions: list[dict[str, Any]] = [
        caption_row(
            number,
            0,
            image_id=ids[0],
            text=text,
            model=MODEL if number % 2 else "plain-1",
            cue="overall" if number % 3 else "noise",
            tokens=None,
        )
        for number, text in enumerate(HOSTILE.values())
    ]
    for image in range(1, 7):
        for number in range(6):
            task = "quality" if number % 2 else "aesthetic"
            captions.append(
                caption_row(
                    100 * image + number,
                    image,
                    image_id=ids[image],
                    model="plain-1" if number < 4 else "plain-2",
                    task=task,
                    cue="sharpness" if task == "quality" else "colour",
                    text=f"Photo {image} shows a detail that is worth sentence {number}."
                    if number
                    else "The same words for everyone here.",
                    finish_reason="length" if number == 5 else "stop",
                )
            )
    with Corpus(folder / "corpus.duckdb", write=True) as corpus, corpus.transaction():
        facts = {"file_bytes": 100, "format": "PNG", "mode": "RGB", "width": 96, "height": 64}
        corpus.put(
            "images",
            [
                {"image_id": one, "path": path, **facts}
                for one, path in zip(ids, shown, strict=True)
            ],
        )
        files = [
            {"path": path, "size": 100, "mtime_ns": 1, "image_id": one}
            for one, path in zip(ids, shown, strict=True)
        ]
        corpus.put("files", [*files, {**files[0], "path": "/photos/broken.png", "image_id": None}])
        corpus.put(
            "ratings",
            [
                rating_row(
                    0, image_id=ids[image], level=LEVELS[image % 5], score=image % 5 / 5 + 0.1
                )
                for image in range(6)
            ],
        )
        corpus.put(
            "prompts",
            [
                {
                    "prompt_id": "p1",
                    "template": "t",
                    "task": "quality",
                    "cue": "overall",
                    "level": "",
                    "system": f"<script>{OWN}</script>",
                    "text": "How sharp is it?",
                }
            ],
        )
        corpus.put("captions", captions)
        corpus.add_failures(
            [
                {
                    "failure_id": "f1",
                    "stage": "image",
                    "kind": "damaged",
                    "message": f"<img src=x onerror={OWN}>\x1b[2J",
                    "permanent": True,
                    "path": "/photos/\u202ebroken.png",
                    "failed_at": now(),
                }
            ]
        )
    return folder / "corpus.duckdb"
