from __future__ import annotations

import pickle

import pytest

from curation.hygiene import Context, Prompts, find_openers, hygiene
from curation.problems import problems_of

ASKED = "Describe the light of this photo and say whether it suits the subject."
ENDS = ("left side", "right side", "sky", "water", "face", "hands", "road", "grass", "wall", "hat")
SAME = [f"In this lovely picture we see the {end}." for end in ENDS]
OTHERS = [
    "Soft light from the left.",
    "I'm sorry, but I can't assist with that.",
    "Das Bild ist sehr schön und die Farben sind auch gut, aber es ist etwas dunkel.",
    "Describe the light of this photo and say whether it suits the subject. Soft light.",
    "",
    "The sky is",
]


def context() -> Context:
    return Context(prompts=Prompts([ASKED]), openers=find_openers(SAME + OTHERS))


def test_names_are_those_of_hygiene_whatever_repeats() -> None:
    texts = OTHERS + SAME + OTHERS
    reasons = ["stop"] * (len(texts) - 1) + ["length"]
    found = problems_of(texts, context(), reasons)
    for text, reason, problems in zip(texts, reasons, found, strict=True):
        assert list(problems.names) == [one.name for one in hygiene(text, context(), reason)]
    assert [problems.listed for problems in found[:6]] == [
        "", "refusal", "language", "prompt_leak", "empty", "",
    ]  # fmt: skip
    assert found[-1].names == ("cut_off",)
    assert [problems.language for problems in found[:3]] == ["", "en", "de"]


def test_an_opener_is_told_by_its_share_and_not_counted() -> None:
    problems = problems_of([SAME[0]], context())[0]
    assert problems.names == ("opener",)
    assert problems.count == 0
    assert problems.opener == pytest.approx(10 / 16)
    refusal = problems_of([OTHERS[1]], context())[0]
    assert (refusal.count, refusal.opener) == (1, 0)


def test_it_can_be_shared_out_to_processes() -> None:
    again = pickle.loads(pickle.dumps(context()))
    assert problems_of(OTHERS, again) == problems_of(OTHERS, context())
    found = problems_of(OTHERS, context())
    assert pickle.loads(pickle.dumps(found)) == found


def test_reasons_are_one_per_text() -> None:
    with pytest.raises(ValueError, match="1 finish reasons for 2 texts"):
        problems_of(["a", "b"], context(), ["stop"])
