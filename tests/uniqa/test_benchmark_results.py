"""What a section of benchmarks/RESULTS.md says it was measured on."""

import pytest
import torch

from benchmarks.results import machine


@pytest.mark.parametrize(
    ("cards", "told"),
    [
        ([], "no GPU used"),
        (["NVIDIA H100"], "NVIDIA H100"),
        (["NVIDIA H100", "NVIDIA L4", "NVIDIA H100"], "2 × NVIDIA H100, NVIDIA L4"),
    ],
)
def test_the_machine_names_its_gpus(monkeypatch, cards, told):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cards))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
    monkeypatch.setattr(torch.cuda, "get_device_name", cards.__getitem__)
    assert f" GiB, {told}; python " in machine()
