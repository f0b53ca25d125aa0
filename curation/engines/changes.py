"""What of a model's settings changes its answers, said in the model's revision.

A caption is known by its model's revision: photos at another size, or weights in another precision,
are another describer, and their captions must not pass for those that are there. What only
changes speed or memory leaves the revision as it is. Must not know engines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

ANSWERS = frozenset(
    (
        "chat_template",
        "dtype",
        "generation_config",
        "hf_overrides",
        "kv_cache_dtype",
        "mm_processor_kwargs",
        "override_generation_config",
        "quantization",
        "rope_scaling",
        "rope_theta",
        "torch_dtype",
    )
)
"""Options of vLLM and transformers that change what is said."""


def told_changes(max_side: int | None, options: Mapping[str, Any]) -> str:
    """What to append to a revision; nothing where nothing was told that changes answers.

    Args:
        max_side: pixels that photos are shrunk to, where a person chose them.
        options: those of the engine that a person gave.
    """
    side = "" if max_side is None else f"+side{max_side}"
    told = {name: value for name, value in options.items() if name in ANSWERS}
    if not told:
        return side
    text = json.dumps(told, sort_keys=True, default=str)
    return f"{side}+{hashlib.sha256(text.encode()).hexdigest()[:8]}"
