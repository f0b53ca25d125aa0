"""Which GPUs engines get, and what cannot be asked for."""

from __future__ import annotations

import pytest

from curation.engines.gpus import share_out
from uniqa.errors import UsageError


@pytest.mark.parametrize(
    ("asked", "each", "there", "shares"),
    [
        ("all", 1, 3, ["0", "1", "2"]),
        ("all", 2, 4, ["0,1", "2,3"]),
        ("2", 1, 8, ["0", "1"]),
        ("5,2", 1, 8, ["5", "2"]),
        ("3,", 1, 4, ["3"]),
        (" 1, 0 ,", 2, 4, ["1,0"]),
        ("3", 1, 0, [None, None, None]),
    ],
)
def test_gpus_are_shared_out(asked: str, each: int, there: int, shares: list[str | None]) -> None:
    assert share_out(asked, each, there) == shares


@pytest.mark.parametrize(
    ("asked", "each", "there", "words"),
    [
        ("all", 1, 0, "no GPU"),
        ("0,1", 1, 0, "no GPU"),
        ("0", 1, 4, "this machine has 4 GPUs"),
        ("9", 1, 4, "this machine has 4 GPUs"),
        ("1,7", 1, 4, "no GPU 7"),
        ("1,1", 1, 4, "twice"),
        ("two", 1, 4, "cannot be 'two'"),
        ("3", 2, 4, "cannot be shared out by 2"),
        (",", 1, 4, "cannot be ','"),
        ("3,", 1, 0, "no GPU"),
        ("4,", 1, 4, "no GPU 4"),
        ("1,01", 1, 4, "twice"),
        ("0", 1, 4, "--gpus 0,"),
    ],
)
def test_gpus_that_are_not_there(asked: str, each: int, there: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        share_out(asked, each, there)


@pytest.mark.parametrize(
    ("asked", "each", "there", "visible", "shares"),
    [
        ("all", 1, 2, "4,6", ["4", "6"]),
        ("1", 1, 2, "4,6", ["4"]),
        ("1,", 1, 2, " 4, 6", ["6"]),
        ("3,0", 2, 4, "GPU-a1,GPU-b2,GPU-c3,MIG-d4", ["MIG-d4,GPU-a1"]),
        ("all", 1, 1, "2,-1,3", ["2"]),
        ("all", 1, 2, None, ["0", "1"]),
        ("2", 1, 0, "", [None, None]),
    ],
)
def test_a_mask_that_is_there_is_kept(
    asked: str, each: int, there: int, visible: str | None, shares: list[str | None]
) -> None:
    """Among others on one machine: engines stay on the GPUs that this process was given."""
    assert share_out(asked, each, there, visible) == shares


def test_the_mask_is_that_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-a1")
    assert share_out("all") == ["5", "GPU-a1"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert share_out("all") == ["0", "1"]
