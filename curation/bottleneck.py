"""Where a run's time went, and what to turn: the image step, the engine or the store.

Pure arithmetic over measured seconds. Must not know how they were measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BUSY = 0.75
"""An engine that works this share of the time is the bottleneck, whatever else waits meanwhile."""


@dataclass
class Seconds:
    """Seconds of a run: in all, the engine at work, waiting for photos, and writing."""

    wall: float = 0.0
    loading: float = 0.0
    """Until the engine was ready; part of `wall`, not of `engine`."""
    engine: float = 0.0
    images: float = 0.0
    store: float = 0.0


@dataclass(frozen=True)
class Bottleneck:
    """What limited a run: its name, the share of the time that speaks for it, and a remedy."""

    part: str
    share: float
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"part": self.part, "share": round(self.share, 3), "remedy": self.remedy}

    def __str__(self) -> str:
        return f"the {self.part} was the bottleneck ({self.share:.0%} of the time): {self.remedy}"


def bottleneck(seconds: Seconds, *, engine: str) -> Bottleneck:
    """Name what limited a run.

    Args:
        seconds: as measured.
        engine: the engine's name, for the remedy.

    Returns:
        Loading if it took longer than all the rest; the engine if it was busy most of the time;
        else what it waited for longest.
    """
    if seconds.loading > seconds.wall / 2:
        share = min(1.0, seconds.loading / seconds.wall)
        return Bottleneck("loading of the model", share, "more photos per run make up for it")
    working = max(1e-9, seconds.wall - seconds.loading)
    busy = seconds.engine / working
    waited = {"image step": seconds.images / working, "store": seconds.store / working}
    part = max(waited, key=lambda name: waited[name])
    if busy >= BUSY or waited[part] <= busy:
        return Bottleneck("engine", min(1.0, busy), _ENGINE.get(engine, _ENGINE["vllm"]))
    return Bottleneck(part, min(1.0, waited[part]), _REMEDY[part])


_ENGINE = {
    "vllm": "more GPUs (--gpus), a smaller model, fewer cues or a larger window",
    "server": "more servers or replicas behind the URL, or a larger window",
    "transformers": "install vLLM, which is faster with models of the usual size",
    "measured": "more --workers, up to the number of cores",
}
_REMEDY = {
    "image step": "more --workers, a faster disk, or smaller photos",
    "store": "put the corpus on a faster disk",
}
