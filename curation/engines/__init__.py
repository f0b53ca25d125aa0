"""Engines run models: `base` is their protocol, `make_engine` finds one by a model's name."""

from __future__ import annotations

from typing import Any

from curation.engines.base import Engine


def make_engine(model: str, **options: Any) -> Engine:
    """The engine for a model's name.

    Args:
        model: ``measured``, or a Hugging Face directory or id (optionally ``id@revision``) of a
            multimodal model, which vLLM runs.
        options: passed to the vLLM engine.
    """
    if model == "measured":
        from curation.engines.measured import MeasuredEngine

        return MeasuredEngine()
    from curation.engines.vllm import VllmEngine

    return VllmEngine(model, **options)
