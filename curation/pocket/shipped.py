"""Which pocket models came with this installation, and how engines run them.

Must not know of engines: it names folders and options.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

POCKETS = ("pocket-a", "pocket-b")
"""Names that mean our own models, whatever folders stand around."""

MODELS = Path(__file__).resolve().parents[1] / "data" / "models"
"""Where the models' folders are, one per name."""

POCKET_MAX_SIDE = 512
"""Photos for them are shrunk to this many pixels on the longer side; they see no more."""

POCKET_OPTIONS: dict[str, Any] = {
    "dtype": "float32",  # vLLM would take float16 as stored: other texts than transformers'
    "max_model_len": 2048,
    "kv_cache_memory_bytes": 256 << 20,  # a full window of so small a model needs no more
}
"""Keyword arguments for ``vllm.LLM``."""


def shipped_models() -> dict[str, Path]:
    """The folders of the pocket models that are there, by name; empty if none was shipped."""
    return {name: MODELS / name for name in POCKETS if (MODELS / name / "config.json").is_file()}
