"""Patterns with choices in them: how a few lines of words become thousands of phrasings.

``[edges|outlines] are crisp / every edge is clean`` is a pattern: `` / `` parts whole wordings,
brackets hold alternatives and may be nested. Must not know what the words mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

Words = tuple[int, str, str]
"""Tone (+1, 0, −1), a pattern of main clauses, a pattern of noun phrases that can follow *with*."""

Table = Mapping[str, Mapping[str, Words]]
"""Aspect → value → its words."""

_CHOICE = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is so in the photo: as a clause, as a noun phrase; and whether it pleases.

    `tone` is +1, 0 or −1. `clause` has neither capital nor full stop; `noun` may be empty, where
    only a clause will do.
    """

    clause: str
    noun: str
    tone: int


def vary(pattern: str, rng: Random) -> str:
    """One phrasing of a pattern."""
    text = rng.choice(pattern.split(" / "))
    while "[" in text:
        text = _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), text)
    return " ".join(text.split())


def fact(words: Words, rng: Random, **slots: str) -> Fact:
    """A `Fact` in words drawn from its patterns; ``{name}`` in them takes a slot."""
    tone, clause, noun = words
    return Fact(vary(clause, rng).format_map(slots), vary(noun, rng).format_map(slots), tone)


def with_article(phrase: str) -> str:
    """The phrase with *a* or *an* before it, by its first letter."""
    return f"{'an' if phrase[:1].lower() in 'aeiou' else 'a'} {phrase}"


def listed(phrases: Sequence[str]) -> str:
    """One or more phrases as a list: ``a, b and c``; ``a, plus b and c`` where one holds *and*."""
    if len(phrases) < 2:
        return "".join(phrases)
    if any(" and " in phrase for phrase in phrases):
        return f"{', '.join(phrases[:-1])}, plus {phrases[-1]}"
    return f"{', '.join(phrases[:-1])} and {phrases[-1]}"
