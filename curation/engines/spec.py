"""What a run says of one model: `curation.config` reads it, `make_engine` makes an engine of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from curation.engines.base import Sampling


@dataclass(frozen=True)
class ModelSpec:
    """One model of a run. What is None or empty is left to the run, or to the engine."""

    id: str
    engine: str = ""
    revision: str = ""
    dtype: str = ""
    context: int | None = None
    """Tokens of prompt and answer together at most."""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    n: int | None = None
    shots: int | None = None
    tensor_parallel: int | None = None
    gpus: str = ""
    """As `--gpus`."""
    window: int | None = None
    """Requests that the engine is handed at once."""
    max_side: int | None = None
    """Photos are shrunk to this many pixels on the longer side."""
    deadline: float | None = None
    """Seconds without a sign of life of vLLM after which it counts as hung, and ten times as many
    without a finished request; of a server, seconds for one answer."""
    separate_core: bool = False
    """vLLM's engine core in a process of its own: more throughput on a GPU."""
    url: str = ""
    """Of an OpenAI-compatible server, for the engine `server`."""
    key_variable: str = ""
    """Environment variable that holds the server's key."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further options of the engine, by its own names."""

    def sampling(self, base: Sampling) -> Sampling:
        """The run's sampling with this model's own wishes."""
        own = {
            name: value
            for name in ("temperature", "top_p", "max_tokens")
            if (value := getattr(self, name)) is not None
        }
        return replace(base, **own)
