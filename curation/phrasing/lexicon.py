"""Measurements in words: facts that a sentence can be built from.

A `Fact` says one measured thing twice, as a clause and as a noun phrase, with a magnitude that
follows from the number. Wordings are drawn at random, what they state is not. The words
themselves stand in `curation.phrasing.lexicon_quality` and `curation.phrasing.lexicon_aesthetic`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from curation.measuring.measure import Measurements


@dataclass(frozen=True, slots=True)
class Fact:
    """One measured thing in words.

    `clause` is a main clause without capital or full stop (``edges are crisp``), `noun` a noun
    phrase that can follow *with* (``crisp edges``). `tone` is +1, 0 or −1: whether it speaks for
    the photo; `weight` (0–1) how remarkable it is.
    """

    clause: str
    noun: str
    tone: int
    weight: float


Draw = Callable[[Measurements, Random], list[Fact]]

_NUMBERS = (
    "no one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
).split()

_SHARES = (
    (0.03, ("a trace", "a sliver")),
    (0.075, ("about a twentieth", "around five percent")),
    (0.14, ("about a tenth", "roughly ten percent")),
    (0.22, ("about a fifth", "roughly twenty percent")),
    (0.29, ("about a quarter", "roughly a quarter")),
    (0.41, ("about a third", "roughly a third")),
    (0.6, ("about half", "roughly half")),
    (0.71, ("about two thirds", "roughly two thirds")),
    (0.86, ("about three quarters", "well over two thirds")),
    (0.97, ("about nine tenths", "most")),
    (9.0, ("practically all", "nearly all")),
)


def number_word(value: float) -> str:
    """A rounded number in words; ``more than twenty`` above that."""
    whole = round(value)
    return _NUMBERS[whole] if whole < len(_NUMBERS) else "more than twenty"


def share_words(share: float, rng: Random) -> str:
    """A share from 0 to 1 in words that can stand before *of the frame*."""
    return rng.choice(next(words for limit, words in _SHARES if share < limit))


def article(phrase: str) -> str:
    """A phrase that starts with a consonant or vowel letter, with *a* or *an* before it."""
    return f"{'an' if phrase[:1].lower() in 'aeiou' else 'a'} {phrase}"


def listed(words: Sequence[str]) -> str:
    """One, two or more phrases as a list: ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def pick(
    rng: Random, value: float, *bands: tuple[float, int, float, Sequence[tuple[str, str]]]
) -> Fact:
    """A fact from the first band whose limit lies above the value.

    Bands are (limit, tone, weight, wordings); a wording is (clause, noun phrase). Clause and noun
    phrase are drawn apart from each other: all wordings of a band mean the same.
    """
    band = next((band for band in bands if value < band[0]), bands[-1])
    return Fact(rng.choice(band[3])[0], rng.choice(band[3])[1], band[1], band[2])


EVER = float("inf")
"""The limit of a last band."""
