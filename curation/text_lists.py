"""Texts in a JSON list: UniQA's own format, and conversations for fine-tuning, as a table.

``[{"image_path": …, "prompt": …}, …]``, where a prompt may be a list of several, or
``[{"image": …, "conversations": [{"from": "gpt", "value": …}, …]}, …]``, where every answer is a
text. Must not know what a text is worth.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from uniqa.errors import InputError

_SPEAKERS = {"gpt", "assistant"}


def read_lists(path: Path) -> pd.DataFrame:
    """One row per text, with the entries' other plain values as columns.

    Raises:
        InputError: no such file, no JSON, or no list of objects.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"no table at {path} ({error.strerror})", "Check the path") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({str(error).splitlines()[0]})") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError(
            f"{path} is not a JSON list of objects",
            'Expected is [{"image_path": …, "prompt": …}, …]',
        )
    return pd.DataFrame([row for entry in found for row in _rows(entry)])


def _rows(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    plain = {name: value for name, value in entry.items() if not isinstance(value, list | dict)}
    turns = entry.get("conversations")
    if isinstance(turns, list):
        for turn in turns:
            if isinstance(turn, dict) and turn.get("from") in _SPEAKERS:
                yield {**plain, "text": turn.get("value")}
        return
    several = [
        (name, value)
        for name, value in entry.items()
        if isinstance(value, list) and all(isinstance(one, str) for one in value)
    ]
    if not several:
        yield plain
    for name, texts in several:
        for text in texts:
            yield {**plain, name: text}
