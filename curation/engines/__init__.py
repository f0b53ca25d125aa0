"""Engines run models: `base` is their protocol, `make_engine` finds one by a model's name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curation.engines.base import Engine
from curation.pocket.shipped import (
    POCKET_MAX_SIDE,
    POCKET_OPTIONS,
    POCKETS,
    shipped_models,
)
from uniqa.errors import UsageError, nearest

ENGINES = ("auto", "vllm", "transformers")
"""What a user may choose; ``auto`` is the first of the others that is installed."""


def make_engine(
    model: str,
    *,
    engine: str = "auto",
    engine_options: Mapping[str, Any] | None = None,
    log: Path | None = None,
) -> Engine:
    """The engine for a model's name.

    Args:
        model: ``measured``, which is its own engine; a pocket model's name; or a Hugging Face
            directory or id (optionally ``id@revision``) of a multimodal model.
        engine: one of `ENGINES`.
        engine_options: passed to the engine; they win over what pocket models come with.
        log: where vLLM's child process writes.

    Raises:
        EngineError: the engine is not installed, or the model's files cannot be found.
        InputError, UsageError: the name or an option cannot be meant.
    """
    if model == "measured":
        from curation.engines.measured import MeasuredEngine

        return MeasuredEngine()
    if engine not in ENGINES:
        raise UsageError(f"unknown engine '{engine}'", nearest(engine, ENGINES))
    pocket = model in POCKETS
    sides = {"max_side": POCKET_MAX_SIDE} if pocket else {}
    options = dict(engine_options or {})
    if engine_for(engine) == "transformers":
        from curation.engines.transformers import TransformersEngine

        return TransformersEngine(model, engine_options=options, **sides)
    from curation.engines.vllm import VllmEngine

    options = (POCKET_OPTIONS if pocket else {}) | options
    return VllmEngine(model, engine_options=options, log=log, **sides)


def engine_for(choice: str) -> str:
    """The engine that a choice means here: itself, or for ``auto`` vllm if it is installed."""
    if choice != "auto":
        return choice
    return "transformers" if find_spec("vllm") is None else "vllm"


def default_models(choice: str = "auto") -> tuple[list[str], str]:
    """The models to use when none is named: the shipped ones if they can run, else ``measured``.

    Args:
        choice: one of `ENGINES`. One that was chosen but is not installed is no reason to do
            something else: `make_engine` says that it is missing.

    Returns:
        Their names, and one sentence for people that says which and why.
    """
    shipped = list(shipped_models())
    engine = engine_for(choice)
    if not shipped:
        why = "no multimodal model came with this installation (name one by --model)"
    elif choice == "auto" and find_spec(engine) is None:
        why = "neither vLLM nor transformers is installed to run a multimodal model"
    else:
        names = " and ".join(shipped)
        return shipped, (
            f"no --model named: {names}, which came with UniQA, will describe the photos with "
            f"{engine} (--model measured needs no model)"
        )
    return ["measured"], f"no --model named: 'measured' will say what it measures, as {why}"
