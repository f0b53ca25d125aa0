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
    ],
)
def test_gpus_that_are_not_there(asked: str, each: int, there: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        share_out(asked, each, there)
