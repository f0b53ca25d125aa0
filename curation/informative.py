"""Informativeness: what a text says about the visible quality or aesthetics of a photo.

Finds named aspects (sharpness, light, composition …) and whether something is said of each. Every
aspect counts once, so that neither length nor repetition earns anything: "great dof and interesting
angle" is worth more than a paragraph of congratulations. Rules and words alone; no labels, no
model, and no knowledge of the photo, of its other texts or of who wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from curation.informative_words import (
    CONTEST,
    DEGREES,
    JUDGING,
    MODEST,
    NOT_THE_LOOK,
    ORDINARY,
    PAIRS,
    QUALITIES,
    TECHNICAL,
    TELLING,
    WEAK,
)

_TELLING, _JUDGED, _JUDGED_WEAKLY, _QUALITY, _PAIR = 0.8, 0.7, 0.3, 0.65, 0.7
_NAMED = {"technical": 0.3, "ordinary": 0.05}
_WINDOW = 4
_TOKEN = re.compile(r"\bb ?(?:&|n|/|\+|and)? ?w\b|[a-z]+(?:'[a-z]+)?|[.!?;:\n]+")
_SPELLINGS = (("colour", "color"), ("centre", "center"), ("grey", "gray"), ("favour", "favor"))
_PASSED = frozenset("and the of in this is are a that here s".split())
_BLACK_AND_WHITE = re.compile(r"b ?(?:&|n|/|\+|and)? ?w")
_SLIPS_FROM = 8
_SHORT_WITH_SLIPS = ("texture", "pattern", "clarity", "palette")
# Real words one letter away from a term.
_CONFUSABLE = frozenset(
    "lightning sticking stalking snacking chopping chopper contract contracts clustered destract"
    " patter patterned prospective".split()
)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing said: the aspect, its words, where they stand (in characters), what it counts."""

    aspect: str
    words: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Informativeness:
    """A score in [0, 1] and the parts that decided it, one per aspect, strongest first."""

    score: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class _Phrase:
    words: tuple[str, ...]
    kind: str
    aspect: str
    weak: bool = False


def informativeness(text: str) -> float:
    """How much a text says about the look of a photo, in [0, 1]; 0 if nothing."""
    return inform(text).score


def inform(text: str) -> Informativeness:
    """Informativeness with its reasons.

    The score is 1 − ∏ (1 − weight) over the aspects that are spoken of, each with its
    strongest part.
    """
    words, spans = _tokens(text)
    best: dict[str, tuple[str, int, int, float]] = {}
    for aspect, first, last, weight in _said(words):
        if aspect not in best or weight > best[aspect][3]:
            best[aspect] = (aspect, spans[first][0], spans[last][1], weight)
    parts = tuple(
        Part(aspect, text[start:end], start, end, weight)
        for aspect, start, end, weight in sorted(best.values(), key=lambda p: (-p[3], p[1]))
    )
    missing = 1.0
    for part in parts:
        missing *= 1.0 - part.weight
    return Informativeness(round(1.0 - missing, 4), parts)


def _said(words: list[str]) -> Iterator[tuple[str, int, int, float]]:
    """Aspect, first and last word, and weight of everything that is said."""
    found = list(_phrases(words))
    taken = {place for _, first, last in found for place in range(first, last + 1)}
    deaf: set[int] = set()
    for phrase, first, last in found:
        if phrase.kind == "other" or (last + 1 < len(words) and words[last + 1] in CONTEST):
            deaf.update(range(first, last + 1))
        elif phrase.kind == "telling":
            yield phrase.aspect, first, last, _TELLING
        elif _judged(words, first, last, taken):
            yield phrase.aspect, first, last, _JUDGED_WEAKLY if phrase.weak else _JUDGED
        else:
            yield phrase.aspect, first, last, _NAMED[phrase.kind]
    for place, word in enumerate(words):
        if place in deaf:
            continue
        if word in _QUALITY_OF and _graded(word, words[max(0, place - 2) : place]):
            yield _QUALITY_OF[word], place - 1, place, _QUALITY
        for aspect, seconds, reach in _PAIRS_OF.get(word, ()):
            if (further := _follows(words, place, seconds, reach)) is not None:
                yield aspect, place, further, _PAIR


def _follows(words: list[str], place: int, seconds: frozenset[str], reach: int) -> int | None:
    """Where one of the second words stands behind a place, in reach and in the same sentence."""
    for further in range(place + 1, min(place + reach + 1, len(words))):
        if _ends(words[further]):
            return None
        if words[further] in seconds:
            return further
    return None


def _graded(word: str, before: list[str]) -> bool:
    degrees = [other for other in before if other in DEGREES]
    if word in MODEST:
        return any(degree in _STRONG_DEGREES for degree in degrees)
    return bool(degrees)


def _judged(words: list[str], first: int, last: int, taken: set[int]) -> bool:
    """Whether a judgement stands near; other aspects in between do not widen the distance."""
    for step, place in ((-1, first - 1), (1, last + 1)):
        distance = 0
        while 0 <= place < len(words) and distance < _WINDOW and not _ends(words[place]):
            if words[place] in JUDGING:
                return True
            distance += place not in taken and words[place] not in _PASSED
            place += step  # noqa: PLW2901
    return False


def _ends(word: str) -> bool:
    return not word[0].isalpha()


def _phrases(words: list[str]) -> Iterator[tuple[_Phrase, int, int]]:
    """Known phrases from left to right, the longest first, none overlapping."""
    place = 0
    while place < len(words):
        for phrase in _BY_FIRST.get(words[place], ()):
            end = place + len(phrase.words)
            if tuple(words[place:end]) == phrase.words:
                yield phrase, place, end - 1
                place = end
                break
        else:
            place += 1


def _tokens(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """Words and sentence ends in the form in which they are listed, and where they stand."""
    lower = text.lower().replace("’", "'")
    if len(lower) != len(text):  # a few letters change their length; places must stay true
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    found = [match.span() for match in _TOKEN.finditer(lower)]
    return [_known(lower[start:end]) for start, end in found], found


@lru_cache(maxsize=100_000)
def _known(word: str) -> str:
    """A word in the form in which it is listed: spelling, plural and small slips mended."""
    if _BLACK_AND_WHITE.fullmatch(word):
        return "bw"
    for british, american in _SPELLINGS:
        word = word.replace(british, american)
    if word in _VOCABULARY:
        return word
    for ending in ("'s", "s", "s'"):
        if word.endswith(ending) and word[: -len(ending)] in _VOCABULARY:
            return word[: -len(ending)]
    if len(word) >= len(min(_SHORT_WITH_SLIPS, key=len)) - 1 and word not in _CONFUSABLE:
        for shape in _shapes(word):
            if (term := _SLIPS.get(shape)) is not None and term[0] == word[0]:
                return term
    return word


def _shapes(word: str) -> list[str]:
    """The word itself and the word without each one of its letters."""
    return [word, *(word[:i] + word[i + 1 :] for i in range(len(word)))]


def _listed() -> list[_Phrase]:
    tables = (("telling", TELLING), ("technical", TECHNICAL), ("ordinary", ORDINARY))
    phrases = [
        _Phrase(tuple(words.split()), kind, aspect, words in WEAK)
        for kind, table in tables
        for aspect, listed in table.items()
        for words in listed
    ]
    return phrases + [_Phrase(tuple(words.split()), "other", "") for words in NOT_THE_LOOK]


_PHRASES = _listed()
_BY_FIRST: dict[str, list[_Phrase]] = {}
for _phrase in sorted(_PHRASES, key=lambda phrase: -len(phrase.words)):
    _BY_FIRST.setdefault(_phrase.words[0], []).append(_phrase)
_QUALITY_OF = {word: aspect for aspect, words in QUALITIES.items() for word in words}
_PAIRS_OF: dict[str, list[tuple[str, frozenset[str], int]]] = {}
for _aspect, _firsts, _seconds, _reach in PAIRS:
    for _first in _firsts:
        _PAIRS_OF.setdefault(_first, []).append((_aspect, _seconds, _reach))
_STRONG_DEGREES = DEGREES - frozenset("is are was be seems seem looks look really".split())
_VOCABULARY = (
    {word for phrase in _PHRASES for word in phrase.words}
    | JUDGING | DEGREES | CONTEST | set(_QUALITY_OF)
    | {word for _, firsts, seconds, _ in PAIRS for word in firsts | seconds}
)  # fmt: skip
_SLIPS: dict[str, str] = {}
for _phrase in _PHRASES:
    _term = _phrase.words[0]
    if len(_phrase.words) == 1 and (
        (len(_term) >= _SLIPS_FROM and _phrase.kind in {"telling", "technical"})
        or _term in _SHORT_WITH_SLIPS
    ):
        for _shape in _shapes(_term):
            _SLIPS.setdefault(_shape, _term)
