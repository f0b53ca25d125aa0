"""Words of English texts with their places, for rules that read them one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

STOPS = frozenset(".!?;\n")
"""What ends a sentence."""

_TOKEN = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|'d\b|[.!?;:,()\n—–]")
_SPELLINGS = (("color", "colour"), ("gray", "grey"), ("artifact", "artefact"), ("center", "centre"))


@dataclass(frozen=True, slots=True)
class Token:
    """A word in lower case and British spelling, or a mark; `start` and `end` in characters."""

    word: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """Words and marks of a text; hyphens part words, points within numbers do not count."""
    lower = text.lower().replace("’", "'")
    if len(lower) != len(text):  # a few letters change their length; places must stay true
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    found = []
    for match in _TOKEN.finditer(lower):
        start, end = match.span()
        if match[0] != "." or not lower[end : end + 1].isdigit():
            found.append(Token(_spelled(match[0]), start, end))
    return found


def sentences(found: Sequence[Token]) -> Iterator[list[Token]]:
    """Sentences, each with the mark that ends it."""
    first = 0
    for place, token in enumerate(found):
        if token.word in STOPS:
            yield list(found[first : place + 1])
            first = place + 1
    if first < len(found):
        yield list(found[first:])


@lru_cache(maxsize=50_000)
def singular(word: str) -> str:
    """The word without a plural's -s."""
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@lru_cache(maxsize=50_000)
def _spelled(word: str) -> str:
    for american, british in _SPELLINGS:
        if british not in word:
            word = word.replace(american, british)
    return word
