from __future__ import annotations

import pytest

from uniqa import errors
from uniqa.errors import UniqaError, nearest


def test_the_nearest_word_is_offered_else_all_of_them() -> None:
    assert nearest("qualty", ["quality", "aesthetic"]) == "Did you mean 'quality'?"
    assert nearest("zzz", ["quality", "aesthetic"]) == "Known: aesthetic, quality"


def test_an_error_is_one_sentence_and_its_remedy() -> None:
    assert str(UniqaError("no corpus at x", "Make one")) == "no corpus at x. Make one"
    assert str(UniqaError("no corpus at x")) == "no corpus at x"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("TooManyFailuresError", 1),
        ("UsageError", 2),
        ("InputError", 3),
        ("CorpusBusyError", 4),
        ("EngineError", 5),
    ],
)
def test_exit_codes_are_a_contract(name: str, code: int) -> None:
    error = getattr(errors, name)("what is wrong")
    assert isinstance(error, UniqaError)
    assert error.exit_code == code
