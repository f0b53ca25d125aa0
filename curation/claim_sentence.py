"""One sentence as `curation.claims` reads it: known phrases, negations, amounts, what is meant.

Finds and answers questions about words; what a phrase claims is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from curation import claim_words as words
from curation.tokens import STOPS, Token, singular


@dataclass(frozen=True, slots=True)
class Phrase:
    """A known phrase and what it stands for.

    `kind` is *fault* or *quality* for nouns, *is* or *isnt* for adjectives that say that the
    property is there or not, *sense* for everyday adjectives (see `senses`), *more* for what is
    wished for, *other* for what means something else.
    """

    words: tuple[str, ...]
    kind: str
    stands_for: str

    @property
    def noun(self) -> bool:
        """Whether amounts and negations are said of it as of a noun."""
        return self.kind in ("fault", "quality")


@dataclass(frozen=True, slots=True)
class Sense:
    """What an everyday adjective says of certain nouns, or of the photo itself (`photo`)."""

    what: str
    present: bool
    nouns: frozenset[str]
    photo: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """A phrase in a sentence: its first and last word."""

    phrase: Phrase
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Denial:
    """How often something is denied (odd: it is), only nearly (*hardly any*), and from where."""

    count: int
    nearly: bool
    first: int

    @property
    def odd(self) -> bool:
        """Whether the negations leave a denial: two cancel each other."""
        return self.count % 2 == 1


@dataclass(frozen=True, slots=True)
class Amount:
    """Words that say how much there is of a noun, whether negated, and how far they reach."""

    words: frozenset[str]
    denied: bool
    first: int
    last: int


_BREAKS = frozenset(
    """
    ; : ( ) — – but yet although though while whereas however because since which who that where
    when whose therefore giving making leaving thus hence despite except due
    """.split()
)
_PREPOSITIONS = frozenset("in on by with into for under".split())
_ARTICLES = frozenset("the a an its their his her my our some any".split())
_ADVERBS = frozenset(
    """
    very so too quite rather really truly fairly pretty somewhat slightly mildly extremely highly
    bit little much way far overall also just simply still even only not more most less least
    perfectly entirely completely totally absolutely particularly especially overly all at
    almost nearly mostly generally technically visibly noticeably heavily strongly severely badly
    terribly incredibly clearly plainly remarkably exceptionally wonderfully beautifully kind
    lot again here there now as must has have had been could would should can may might do does
    """.split()
)
_AFTER = frozenset(
    """
    and or nor with in at on for from to of throughout overall everywhere than as by due because
    across all over enough here again too but yet when while if is are was the a an this that its
    anywhere without which who where making giving although though so it i you along around near
    under between against like inside outside after before during towards toward upon even
    """.split()
)
_IF = frozenset("if unless whether".split())
_UNREAL = frozenset(
    "avoid avoids avoiding prevent prevents preventing may might risk reduce reducing".split()
)
_SINGULAR = frozenset("is was looks seems appears remains stays has feels becomes".split())
_HARDLY = frozenset("hardly barely scarcely".split())
_GRADES = words.LOW | words.HIGH | words.STRONG | words.FAULT_MILD | words.MEDIUM


class Sentence:
    """The words of one sentence and the phrases found in it."""

    def __init__(self, text: str, found: list[Token]) -> None:
        self.text = text
        self.tokens = found
        self.words = [token.word for token in found]
        self.hits = list(_hits(self.words))
        self.at = {place: hit for hit in self.hits for place in range(hit.first, hit.last + 1)}

    @property
    def question(self) -> bool:
        """Whether it asks."""
        return bool(self.words) and self.words[-1] == "?"

    def clause(self, hit: Hit) -> tuple[int, int]:
        """First and last word of the clause around a phrase."""
        breaks = _BREAKS | STOPS | {","}
        first, last = hit.first, hit.last
        while first > 0 and self.words[first - 1] not in breaks:
            first -= 1
        while last + 1 < len(self.words) and self.words[last + 1] not in breaks:
            last += 1
        return first, last

    def around(self, hit: Hit) -> list[str]:
        """The words of its clause."""
        first, last = self.clause(hit)
        return self.words[first : last + 1]

    def supposed(self, hit: Hit) -> bool:
        """Whether the phrase stands in a condition, a purpose or a guess."""
        first, _ = self.clause(hit)
        before = self.words[first : hit.first]
        if _UNREAL & set(before[-4:]) or _IF & set(self.words[: hit.first]):
            return True
        if self.words[:1] == ["had"]:
            return True  # had it been sharper
        said = {"call", "say", "describe"}.isdisjoint(before)
        return hit.phrase.kind != "more" and "would" in before and said

    def background(self, hit: Hit, *, moving: bool = False) -> bool:
        """Whether its clause speaks of what is meant to be out of focus, or of what moves."""
        out = words.BACKGROUND | (words.MOVING if moving else frozenset())
        return not out.isdisjoint(self.around(hit))

    def in_part(self, hit: Hit) -> bool:
        """Whether its clause is about a place in the photo: *the subject*, *in the corners*."""
        first, last = self.clause(hit)
        places = [i for i in range(first, last + 1) if self.words[i] in words.PLACES]
        where = {"in", "on", "at", "of", "around", "near", "towards", "to"}
        return any(i < hit.first or where & set(self.words[max(first, i - 3) : i]) for i in places)

    def before(self, hit: Hit, count: int) -> list[str]:
        """Up to so many words of its clause before a phrase."""
        first, _ = self.clause(hit)
        return self.words[max(first, hit.first - count) : hit.first]

    # Negation ----------------------------------------------------------------------------------

    def denial(self, hit: Hit) -> Denial:
        """Negations that reach a phrase from before it."""
        count, nearly, first = 0, False, hit.first
        budget, at = 5, hit.first - 1
        joined = False
        while at >= 0 and budget:
            word, other = self.words[at], self.at.get(at)
            if word in STOPS or (word in _BREAKS and not self._negates(at)):
                break
            if word in _PREPOSITIONS or (word in ("and", ",") and not self._chained(at, hit)):
                break
            # An adjective stands between a negation and its noun, but not another adjective.
            apart = other is not None and not (other.phrase.noun or hit.phrase.noun or joined)
            if apart and word not in words.NEGATORS:
                break
            joined = joined or word in ("or", "nor", "and")
            if self._negates(at):
                # Neither … nor is one negation, and so is no … nor.
                pair = word == "nor" and bool({"neither", "no", "not"} & set(self.words[:at]))
                count, first = count + (not pair), at
                next_to = self.words[max(0, at - 2) : at] == ["next", "to"]
                nearly = nearly or next_to or word in words.NEARLY
            elif other is None and word not in _ARTICLES | {"or", "nor", "and", ","}:
                budget -= 1
            at -= 1
        start, _ = self.clause(hit)
        if self._of_nothing(hit) and not (count and first <= start):
            count, first = count + 1, start
        return Denial(count, nearly, first)

    def _of_nothing(self, hit: Hit) -> bool:
        """*Nothing in this frame is really sharp*: the subject denies, however far away."""
        start, _ = self.clause(hit)
        head = self.words[start : hit.first]
        head = head[1:] if head[:1] == ["and"] else head
        return (
            bool(head) and head[0] in ("nothing", "none", "nobody", "nowhere") and "and" not in head
        )

    def _negates(self, at: int) -> bool:
        word = self.words[at]
        before, after = self.words[max(0, at - 1) : at], self.words[at + 1 : at + 3]
        only_with = {
            "free": after[:1] in (["of"], ["from"]),
            "far": after[:1] == ["from"],
            "but": before == ["anything"],
            "little": before not in (["a"], ["some"], ["the"], ["very"]),
            "few": before not in (["a"], ["some"], ["the"], ["very"]),
        }
        if word in only_with:
            return only_with[word]
        return word in words.NEGATORS | _HARDLY or word.endswith("n't")

    def _chained(self, at: int, hit: Hit) -> bool:
        """Whether a comma or *and* joins the phrase to another of its kind right before it."""
        before = at - 1
        while before >= 0 and self.words[before] in (",", "and"):
            before -= 1
        other = self.at.get(before)
        if other is None or other.phrase.kind != hit.phrase.kind:
            return False
        if hit.phrase.noun and self._predicate(hit.last) is not None:
            return False  # no noise, and colours are lively
        # No blur and crisp edges: an adjective of its own makes it stand alone.
        joining = {"and", "or", ",", "any", "visible"}
        return all(
            self.words[i] in joining or (i in self.at and self.at[i].phrase.kind == hit.phrase.kind)
            for i in range(at + 1, hit.first)
        )

    # Amounts -----------------------------------------------------------------------------------

    def amount_before(self, hit: Hit) -> Amount:
        """What goes with a noun before it: adjectives, *a lot of*; and *free* right behind it."""
        found: list[int] = []
        stops = STOPS | _BREAKS | words.COPULAS | {",", "with", "in", "on", "has", "shows"}
        at = hit.first - 1
        while at >= 0 and hit.first - at <= 5:
            other = self.at.get(at)
            if self.words[at] in stops:
                break
            if other is not None and (other.phrase.noun or other.last > other.first):
                break
            if self.words[at] == "and" and not {self.words[at - 1], self.words[at + 1]} <= _GRADES:
                break
            found.append(at)
            at -= 1
        said = {self.words[place] for place in found}
        last = hit.last
        if self.words[last + 1 : last + 2] in (["free"], ["lost"], ["lacking"], ["missing"]):
            last += 1
            said.add(self.words[last])
        told = [place for place in found if self.words[place] in _GRADES | words.EXCESS]
        return Amount(frozenset(said), False, min(told, default=hit.first), last)

    def amount_after(self, hit: Hit, *, alone: bool = False) -> Amount | None:
        """What is said of a noun behind it: *is low*, *: none*; None where nothing is.

        Unless it stands `alone`, what is said at the end of a list is said of all of it.
        """
        end = hit.last if alone else self._end_of_list(hit)
        start = self._predicate(end)
        if start is None or (end > hit.last and self.words[start] in _SINGULAR):
            return None
        said: set[str] = set()
        denied = False
        last = start
        for place in range(start, min(start + 8, len(self.words))):
            word = self.words[place]
            if word in STOPS or (word in _BREAKS and word != ":"):
                break
            if word in (",", ":", "and", "with") and said - words.COPULAS - _ADVERBS - {":"}:
                break
            negates = word in words.NEGATORS and word not in words.LOW and word != "none"
            denied = denied or negates or word.endswith("n't") or word in _HARDLY
            if not negates:
                said.add(word)
            if word in _GRADES | words.FAULT_ABSENT | words.EXCESS or negates:
                last = place
        content = said - words.COPULAS - _ADVERBS - {":"}
        if not content and not denied:
            return None
        return Amount(frozenset(said), denied, hit.first, max(last, hit.last))

    def _predicate(self, last: int) -> int | None:
        """Where the verb or colon stands that joins a noun to what is said of it."""
        at, others = last + 1, 0
        joins = words.COPULAS | {":", "has", "have", "cannot", "can", "could", "must"}
        while at < len(self.words) and others < 6:
            word, other = self.words[at], self.at.get(at)
            wishing = word in ("leaves", "leave") and "desired" in self.words[at : at + 7]
            if (
                wishing
                or word in joins
                or (word in words.LOW - words.HIGH - words.HIDING and not others)
            ):
                return at
            if word in STOPS | _BREAKS | {",", "and", "or", "hides", "covers", "with", "to"}:
                return None
            others += not (other is not None and other.phrase.noun) and word not in _ARTICLES
            at += 1
        return None

    def _end_of_list(self, hit: Hit) -> int:
        """The last word of the list that a noun opens: *noise, grain and artefacts* are low."""
        last, joined = hit.last, False
        at = last + 1
        while at < len(self.words):
            word, other = self.words[at], self.at.get(at)
            if other is not None and other.phrase.kind == hit.phrase.kind:
                at = other.last
                last = at if joined else last
            elif word in ("and", "or"):
                joined = True
            elif word != "," and word not in _ARTICLES:
                break
            at += 1
        return last

    # What is meant -----------------------------------------------------------------------------

    def subject(self, hit: Hit) -> str:
        """The noun that an adjective is said of, in the singular; empty where none is named."""
        return self._noun_after(hit) or self._noun_before(hit)

    def leads(self, hit: Hit) -> bool:
        """Whether nothing but degrees and adjectives stands before it in its clause."""
        first, _ = self.clause(hit)
        degrees = _ADVERBS | words.MILD | words.STRONG | words.NEGATORS | {"and", "a", "an"}
        return all(self.words[i] in degrees or i in self.at for i in range(first, hit.first))

    def _noun_after(self, hit: Hit) -> str:
        """The noun that an attributive adjective stands before."""
        at = hit.last + 1
        if self.words[max(0, hit.first - 1)] == "how" and self.words[at : at + 1] in (
            ["the"], ["this"],
        ):  # fmt: skip
            at += 1  # how blurred the picture is
        while at < len(self.words):
            word, other = self.words[at], self.at.get(at)
            if word in ("and", ",", "or"):
                # A dark and gloomy picture: past the next adjective.
                other = self.at.get(at + 1)
                if other is not None and other.phrase.noun:
                    return ""
                if other is None:
                    # A clear and moderate palette; not: dull and lacks vibrancy.
                    noun = singular("".join(self.words[at + 2 : at + 3]))
                    known = word == "and" and noun in words.PHOTO_NOUNS | words.FINE_THINGS
                    return noun if known and self.words[at + 1] not in _ADVERBS | _AFTER else ""
                at = other.last + 1
            elif self._functional(at):
                return ""
            elif other is not None and not other.phrase.noun:
                at = other.last + 1
            elif word in words.BETWEEN and self.words[at + 1 : at + 2]:
                at += 1
            else:
                return singular(word)
        return ""

    def _functional(self, at: int) -> bool:
        """Whether no noun can stand here."""
        word = self.words[at] if at < len(self.words) else "."
        return word in _AFTER | STOPS | _BREAKS | words.COPULAS or word.endswith("ly")

    def _noun_before(self, hit: Hit) -> str:
        """The noun before the verb that joins it to an adjective; of *edges of it*, the edges."""
        at = hit.first - 1
        # Restrained but clear: the subject may stand in the clause before.
        while at >= 0 and not self._joins(at):
            at -= 1
        group: list[str] = []
        for place in range(at - 1, -1, -1):
            word = self.words[place]
            if word in _BREAKS | STOPS | {","}:
                break
            if word in ("of", "in", "on") and group:
                group.clear()
            elif word not in _ADVERBS | words.COPULAS | _ARTICLES | {"and"}:
                group.append(singular(word))
        return group[0] if group else ""

    def _joins(self, at: int) -> bool:
        """Whether a verb joins an adjective to a subject; *and looks* has its subject before."""
        return self.words[at] in words.COPULAS and self.words[max(0, at - 1) : at] != ["and"]


def _hits(sentence: list[str]) -> Iterator[Hit]:
    """Known phrases from left to right, the longest first, none overlapping."""
    forms = [singular(word) for word in sentence]
    place = 0
    while place < len(sentence):
        starts = _BY_FIRST.get(sentence[place], [])
        if forms[place] != sentence[place]:
            more = _BY_FIRST.get(forms[place], [])
            starts = sorted([*starts, *more], key=_order)
        for phrase in starts:
            end = place + len(phrase.words)
            window = zip(phrase.words, sentence[place:end], forms[place:end], strict=False)
            if end <= len(sentence) and all(one in pair for one, *pair in window):
                yield Hit(phrase, place, end - 1)
                place = end
                break
        else:
            place += 1


def _order(phrase: Phrase) -> tuple[int, bool]:
    return -len(phrase.words), phrase.kind != "other"


def _listed() -> Iterator[Phrase]:
    for kind, table in (
        ("fault", words.FAULT_NOUNS), ("quality", words.QUALITY_NOUNS),
        ("is", words.FAULT_WORDS), ("isnt", words.SOUND_WORDS), ("more", words.MORE),
    ):  # fmt: skip
        for name, listed in table.items():
            for phrase in listed:
                yield Phrase(tuple(phrase.split()), kind, name)
    for phrase in words.OTHER_SENSES:
        yield Phrase(tuple(phrase.split()), "other", "")
    for word in SENSES:
        yield Phrase((word,), "sense", word)


SENSES: dict[str, list[Sense]] = {}
"""Everyday adjective → what it may say, in the order of preference."""
for _named, _property, _present, _nouns in words.OF_A_PHOTO:
    _sense = Sense(
        _property, _present > 0, frozenset(_nouns.removeprefix("=").split()), _nouns[:1] != "="
    )
    for _word in _named.split():
        SENSES.setdefault(_word, []).append(_sense)

_BY_FIRST: dict[str, list[Phrase]] = {}
for _one in sorted(_listed(), key=_order):
    _BY_FIRST.setdefault(_one.words[0], []).append(_one)
