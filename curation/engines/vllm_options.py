"""Checking options meant for vLLM before it is loaded: their names, and plain values.

Read off the source of vLLM's ``EngineArgs``, as importing vLLM takes seconds. What is not plain (a
mapping, a word of a list) is for vLLM to check. Must not import vllm.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from uniqa.errors import UsageError, nearest

_PLAIN = {"int": int, "float": float, "bool": bool, "str": str, "None": type(None)}
_SAID = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}


def check_options(options: Mapping[str, Any]) -> None:
    """Raise UsageError for an option that the installed vLLM does not have, or a wrong value."""
    known = option_types()
    for name, value in options.items():
        if known and name not in known:
            raise UsageError(f"vLLM has no option '{name}'", nearest(name, known))
        wanted = known.get(name, "")
        if not _fits(value, wanted):
            kinds = [_SAID[kind] for kind in _kinds(wanted) if kind in _SAID]
            raise UsageError(f"vLLM's option '{name}' is {' or '.join(kinds)}, not {value!r}")


@cache
def option_types() -> dict[str, str]:
    """The fields of ``EngineArgs`` with the types written there.

    Empty if they are not where they used to be; vLLM then tells what it does not know.
    """
    spec = find_spec("vllm")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        source = Path(folder) / "engine" / "arg_utils.py"
        with suppress(OSError, SyntaxError):
            for node in ast.parse(source.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef) and node.name == "EngineArgs":
                    return {
                        field.target.id: ast.unparse(field.annotation)
                        for field in node.body
                        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
                    }
    return {}


def _kinds(annotation: str) -> list[str]:
    return [kind.strip() for kind in annotation.split("|")]


def _fits(value: Any, annotation: str) -> bool:
    kinds = _kinds(annotation)
    if not all(kind in _PLAIN for kind in kinds):
        return True
    if isinstance(value, bool):
        return "bool" in kinds
    if isinstance(value, int) and "float" in kinds:
        return True
    return isinstance(value, tuple(_PLAIN[kind] for kind in kinds))
