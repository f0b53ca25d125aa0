"""Engines run models: `base` is their protocol, `make_engine` finds one by a model's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curation.engines.base import Engine
from curation.engines.changes import told_changes
from curation.engines.secret_options import refuse_secrets
from curation.engines.spec import ModelSpec
from curation.pocket.shipped import (
    POCKET_MAX_SIDE,
    POCKET_OPTIONS,
    POCKETS,
    shipped_models,
)
from uniqa.errors import UsageError, nearest

ENGINES = ("auto", "vllm", "transformers", "server")
"""What a user may choose; ``auto`` is a server where a URL is named, else what is installed."""

MEASURED_LACKS = (
    "revision dtype context tensor_parallel gpus window max_side deadline separate_core url "
    "key_variable options"
).split()
"""What would change nothing of ``measured``."""


def make_engine(
    model: str | ModelSpec,
    *,
    engine: str = "auto",
    engine_options: Mapping[str, Any] | None = None,
    shots: int = 0,
    log: Path | None = None,
) -> Engine:
    """The engine for a model.

    Args:
        model: ``measured``, which is its own engine; a pocket model's name; a Hugging Face
            directory or id (optionally ``id@revision``) of a multimodal model; the name that a
            server gives it; or one of these with all that a run file says of it.
        engine: one of `ENGINES`, where the model's entry names none.
        engine_options: passed to the engine; they win over what pocket models come with.
        shots: exemplars that a request may hold.
        log: where vLLM's child processes write.

    Raises:
        EngineError: the engine is not installed, or the model's files cannot be found.
        InputError, UsageError: the name or an option cannot be meant, or is a secret.
    """
    spec = ModelSpec(id=model) if isinstance(model, str) else model
    options = {**(engine_options or {}), **spec.options}
    refuse_secrets(options)
    if spec.id == "measured":
        _refuse(spec, "measured", MEASURED_LACKS)
        from curation.engines.measured import MeasuredEngine

        return MeasuredEngine()
    chosen = spec.engine or engine
    if chosen not in ENGINES:
        raise UsageError(f"unknown engine '{chosen}'", nearest(chosen, ENGINES))
    chosen = "server" if chosen == "auto" and spec.url else engine_for(chosen)
    if chosen == "server":
        return _server(spec, options, shots)
    if spec.url or spec.key_variable:
        raise UsageError(f"the engine {chosen} has no server", "Leave the URL, or --engine server")
    options |= {} if spec.context is None else {"max_model_len": spec.context}
    options |= {"dtype": spec.dtype} if spec.dtype else {}
    # Before what pocket models come with: that is no change.
    changes = told_changes(spec.max_side, options)
    if chosen == "transformers":
        made = _transformers(spec, options)
    else:
        made = _vllm(spec, options, shots, log)
    made.revision += changes
    return made


def _common(spec: ModelSpec) -> dict[str, Any]:
    sides = {"max_side": POCKET_MAX_SIDE} if spec.id in POCKETS else {}
    told = {"max_side": spec.max_side, "window": spec.window}
    return sides | {name: value for name, value in told.items() if value is not None}


def _named(spec: ModelSpec) -> str:
    return f"{spec.id}@{spec.revision}" if spec.revision else spec.id


def _transformers(spec: ModelSpec, options: dict[str, Any]) -> Engine:
    from curation.engines.transformers import TransformersEngine

    _refuse(spec, "transformers", ("dtype", "tensor_parallel", "gpus", "deadline", "separate_core"))
    return TransformersEngine(_named(spec), engine_options=options, **_common(spec))


def _server(spec: ModelSpec, options: dict[str, Any], shots: int) -> Engine:
    from curation.engines.server import ServerEngine

    _refuse(spec, "server", ("dtype", "tensor_parallel", "gpus", "context", "separate_core"))
    if not spec.url:
        raise UsageError(
            f"no server is named for the model '{spec.id}'", "Name it by --url http://HOST:PORT/v1"
        )
    told: dict[str, Any] = {"timeout": spec.deadline, "key_variable": spec.key_variable or None}
    return ServerEngine(
        spec.id,
        url=spec.url,
        revision=spec.revision,
        shots=shots,
        options=options,
        **{name: value for name, value in told.items() if value is not None},
        **_common(spec),
    )


def _vllm(spec: ModelSpec, options: dict[str, Any], shots: int, log: Path | None) -> Engine:
    from curation.engines.vllm import VllmEngine

    if spec.tensor_parallel is not None:
        options["tensor_parallel_size"] = spec.tensor_parallel
    size = options.get("tensor_parallel_size", 1)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UsageError(
            f"vLLM's option 'tensor_parallel_size' is a whole number above 0, not {size!r}"
        )
    if spec.id in POCKETS:
        options = POCKET_OPTIONS | options
    settings = _common(spec) | {"separate_core": spec.separate_core}
    settings |= {} if spec.deadline is None else {"deadline": spec.deadline}

    def one(gpu: str | None, log: Path | None) -> Engine:
        return VllmEngine(
            _named(spec), engine_options=options, shots=shots, gpu=gpu, log=log, **settings
        )

    if not spec.gpus:
        return one(None, log)
    from curation.engines.gpus import share_out
    from curation.engines.group import EngineGroup

    shares = share_out(spec.gpus, size)
    return EngineGroup(
        [
            one(share, log.with_stem(f"{log.stem}-{number}") if log else None)
            for number, share in enumerate(shares)
        ]
    )


def _refuse(spec: ModelSpec, engine: str, names: Sequence[str]) -> None:
    for name in names:
        if getattr(spec, name):
            raise UsageError(
                f"the engine {engine} has no '{name}' (model '{spec.id}')", "Leave it out"
            )


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
