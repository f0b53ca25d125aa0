"""What limited a run, from its seconds alone."""

from __future__ import annotations

import pytest

from curation.bottleneck import Seconds, bottleneck


@pytest.mark.parametrize(
    ("seconds", "part"),
    [
        (Seconds(wall=110, loading=10, engine=95, images=2, store=1), "engine"),
        (Seconds(wall=100, engine=20, images=70, store=5), "image step"),
        (Seconds(wall=100, engine=20, images=10, store=60), "store"),
        # Busy most of the time, whatever waits meanwhile.
        (Seconds(wall=100, engine=80, images=80), "engine"),
        (Seconds(), "engine"),
        (Seconds(wall=100, loading=60, engine=5, images=30), "loading of the model"),
    ],
)
def test_the_bottleneck_is_named(seconds: Seconds, part: str) -> None:
    found = bottleneck(seconds, engine="vllm")
    assert found.part == part
    assert 0 <= found.share <= 1
    assert found.remedy


def test_the_remedy_fits_the_engine() -> None:
    busy = Seconds(wall=10, engine=10)
    assert "--gpus" in bottleneck(busy, engine="vllm").remedy
    assert "replicas" in bottleneck(busy, engine="server").remedy
    assert str(bottleneck(busy, engine="measured")).startswith(
        "the engine was the bottleneck (100%"
    )
