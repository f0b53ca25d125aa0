"""A small corpus with everything in it, as the commands leave it: for queries and exports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from curation.corpus import Corpus, now
from tests.conftest import caption_row, rating_row
from uniqa.photos import image_id_of

HOSTILE = [
    "</script><script>alert(1)</script>",
    "quotes \" ' ` and, commas; tabs\tand\nlines\r\nof text",
    "emoji 🌅 and עברית beside \u202ereversed",
    "=cmd|' /C calc'!A0",
    "control \x01\x1b[31m characters \x7f",
    "long " * 10_000,
    "<image> <br> &amp; {{braces}} %s \\n",
]


def fill(path: Path, make_photo: Callable[..., Path], photos: Path, texts: list[str]) -> list[str]:
    """A corpus of `len(texts)` rated photos, two models' captions each. Returns image ids."""
    ids = []
    rows: list[dict[str, Any]] = []
    with Corpus(path, write=True) as store, store.transaction():
        for number, text in enumerate(texts):
            photo = make_photo(photos / f"{number}.jpg", seed=number)
            image_id = image_id_of(photo)
            ids.append(image_id)
            facts = {"file_bytes": 1, "format": "JPEG", "mode": "RGB", "width": 48, "height": 32}
            store.put("images", [{"image_id": image_id, "path": str(photo), **facts}])
            file = {"path": str(photo), "size": 1, "mtime_ns": 1, "image_id": image_id}
            store.put("files", [file])
            store.put("ratings", [rating_row(number) | {"image_id": image_id}])
            for model in ("one", "two"):
                rows.append(
                    caption_row(len(rows), number)
                    | {"image_id": image_id, "model": model, "created_at": now()}
                    | {
                        "text": text
                        if model == "one"
                        else f"Photo {number // 2} is sharp, says two."
                    }
                )
        store.put("captions", rows)
    return ids
