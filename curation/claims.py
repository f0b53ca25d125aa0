"""What a text claims about the look of a photo: sharp or blurred, noisy, dark, pale …

Reads any English by words and short rules; no model, and no knowledge of the photo. A claim says
that a property is there or that it is not. Questions, conditions, comparisons, blur that belongs to
the background, and things that are merely dark or bright themselves claim nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from curation import claim_words as words
from curation.tokens import STOPS as _STOPS
from curation.tokens import Token, sentences, tokens
from curation.tokens import singular as _singular

ASPECTS: dict[str, str] = {
    "blur": "sharpness", "noise": "noise", "compression": "compression",
    "banding": "compression", "underexposed": "exposure", "overexposed": "exposure",
    "dark": "exposure", "bright": "exposure", "highlights": "exposure", "shadows": "exposure",
    "misexposed": "exposure", "flat": "contrast", "pale": "colour", "grey": "colour",
    "toneless": "colour", "vivid": "colour", "cast": "colour", "warm": "colour", "cool": "colour",
}  # fmt: skip
"""Property → the aspect that it belongs to.

*misexposed* is under- or overexposed, *flat* without contrast, *pale* with little colour, *grey*
and *toneless* without any, *vivid* with too much, *cast* with a tint over it all.
"""

STRENGTHS = ("mild", "plain", "strong")


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing said of a photo; `start` and `end` are characters of the text.

    `present` says whether the property is said to be there. `part` marks what is said of a part of
    the photo only, `tint` names the colour of a cast, or is empty.
    """

    property: str
    present: bool
    strength: str
    part: bool
    tint: str
    start: int
    end: int
    text: str

    @property
    def aspect(self) -> str:
        """One of sharpness, noise, compression, exposure, contrast and colour."""
        return ASPECTS[self.property]


@dataclass(frozen=True, slots=True)
class _Phrase:
    """`kind`: fault or quality (nouns), is or isnt (adjectives), of (see `_SENSES`), more, other."""

    words: tuple[str, ...]
    kind: str
    property: str


@dataclass(frozen=True, slots=True)
class _Sense:
    """What an everyday adjective says when it is said of these nouns, or of the photo itself."""

    property: str
    present: bool
    nouns: frozenset[str]
    photo: bool


@dataclass(frozen=True, slots=True)
class _Hit:
    phrase: _Phrase
    first: int
    last: int


_BREAKS = frozenset(
    """
    ; : ( ) — – but yet although though while whereas however because since which who that where
    when whose therefore giving making leaving thus hence despite except due
    """.split()
)
_ADVERBS = frozenset(
    """
    very so too quite rather really truly fairly pretty somewhat slightly mildly extremely highly
    bit little a much way far overall also just simply still even only not more most less least
    perfectly entirely completely totally absolutely particularly especially overly all at in the
    almost nearly mostly generally technically visibly noticeably heavily strongly severely badly
    terribly incredibly clearly plainly remarkably exceptionally wonderfully beautifully kind of
    lot again here there now as an its
    """.split()
)
_AFTER = frozenset(
    """
    and or nor with in at on for from to of throughout overall everywhere than as by due because
    across all over enough here again too but yet when while if is are was the a an this that its
    anywhere without which who where making giving , . ! ? ; : ( ) — – although though so
    """.split()
) | {"\n"}
_IF = frozenset("if unless whether as though".split()) - {"as", "though"}
_UNREAL = frozenset("avoid avoids avoiding prevent prevents preventing may might risk reduce".split())
_ARTICLES = frozenset("the a an its their his her my our some".split())


def claims(text: str) -> tuple[Claim, ...]:
    """The claims of a text, in the order in which they stand."""
    found: list[Claim] = []
    for sentence in sentences(tokens(text)):
        found += _Sentence(text, sentence).claims()
    return tuple(_distinct(found))


def _distinct(found: list[Claim]) -> Iterator[Claim]:
    seen: set[tuple[str, bool, int]] = set()
    for claim in sorted(found, key=lambda c: (c.start, c.end, c.property)):
        key = (claim.property, claim.present, claim.end)
        if key not in seen:
            seen.add(key)
            yield claim


class _Sentence:
    """One sentence's words, the phrases in it, and what they claim."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.words = [token.word for token in tokens]
        self.hits = list(_hits(self.words))
        self.at = {place: hit for hit in self.hits for place in range(hit.first, hit.last + 1)}

    def claims(self) -> Iterator[Claim]:
        """All that is claimed; nothing by a question."""
        if self.words and self.words[-1] == "?":
            return
        for hit in self.hits:
            if self._supposed(hit):
                continue
            read = {
                "fault": self._fault, "quality": self._quality, "is": self._is, "isnt": self._is,
                "of": self._is, "more": self._wish, "other": self._nothing,
            }[hit.phrase.kind]  # fmt: skip
            yield from read(hit)

    # Context -----------------------------------------------------------------------------------

    def _clause(self, hit: _Hit, *, commas: bool = True) -> tuple[int, int]:
        """First and last word of the clause around a phrase."""
        breaks = _BREAKS | ({","} if commas else set())
        first = hit.first
        while first > 0 and self.words[first - 1] not in breaks:
            first -= 1
        last = hit.last
        while last + 1 < len(self.words) and self.words[last + 1] not in breaks | _STOPS:
            last += 1
        return first, last

    def _supposed(self, hit: _Hit) -> bool:
        """Whether the phrase stands in a condition, a purpose or a guess."""
        first, last = self._clause(hit)
        around = self.words[first : last + 1]
        if any(word in _IF for word in self.words[: hit.first]) and hit.phrase.kind != "more":
            return True
        if any(word in _UNREAL for word in self.words[max(first, hit.first - 4) : hit.first]):
            return True
        return "would" in around[: hit.first - first] and hit.phrase.kind in ("is", "isnt", "of")

    def _negations(self, hit: _Hit) -> tuple[int, bool, int]:
        """Number of negations, whether they are only near ones, where the first one stands."""
        count, near, place = 0, False, hit.first
        budget = 5
        at = hit.first - 1
        while at >= 0 and budget > 0:
            word = self.words[at]
            other = self.at.get(at)
            if word in _STOPS or word in _BREAKS:
                break
            if word in {"and", ","} and not self._chained(at, hit):
                break
            if other is not None:
                if other.phrase.kind == "other" and word not in words.NEGATORS:
                    budget -= 1
                if other.phrase.kind in ("is", "isnt", "of") and other is not hit:
                    if word not in words.NEGATORS and not self._coordinated(at, hit):
                        break
            if self._negates(at):
                count, place = count + 1, at
                near = near or word in words.NEARLY
            elif other is None and word not in _ARTICLES | {"or", "nor", "and", ",", "any"}:
                budget -= 1
            at -= 1
        return count, near, place

    def _negates(self, at: int) -> bool:
        word = self.words[at]
        if word == "free":
            return at + 1 < len(self.words) and self.words[at + 1] in ("of", "from")
        if word == "far":
            return self.words[at + 1 : at + 2] == ["from"]
        if word == "but":
            return self.words[max(0, at - 1) : at] == ["anything"]
        if word in ("little", "few"):
            return self.words[max(0, at - 1)] not in ("a", "some", "the") or at == 0
        if word in ("almost", "minimal", "next"):
            return False
        return word in words.NEGATORS or word in words.NEARLY or word.endswith("n't")

    def _chained(self, at: int, hit: _Hit) -> bool:
        """Whether a comma or *and* joins the phrase to another one of its kind before it."""
        before = at - 1
        while before >= 0 and self.words[before] in {",", "and"}:
            before -= 1
        other = self.at.get(before)
        between = self.words[at + 1 : hit.first]
        plain = all(w in {"and", ",", "or", "any", "visible"} or self.at.get(at + 1 + i)
                    for i, w in enumerate(between))  # fmt: skip
        return other is not None and plain and _noun(other) == _noun(hit)

    def _coordinated(self, at: int, hit: _Hit) -> bool:
        return any(word in {"or", "nor", "and"} for word in self.words[at + 1 : hit.first])

    def _strength(self, hit: _Hit, first: int, last: int) -> str:
        near = self.words[max(first, hit.first - 4) : hit.first]
        near += self.words[hit.first : hit.last + 1]
        near += self.words[hit.last + 1 : min(last, hit.last + 4) + 1]
        return _strength_of(near)

    # What the kinds of phrases claim -----------------------------------------------------------

    def _nothing(self, _hit: _Hit) -> Iterator[Claim]:
        return iter(())

    def _wish(self, hit: _Hit) -> Iterator[Claim]:
        """*Could be sharper* says that it is not so sharp, mildly."""
        first, last = self._clause(hit)
        around = self.words[first : last + 1]
        wished = any(w in words.DESIRES or w.endswith("'d") for w in around)
        place = hit.phrase.property
        if wished and not self._background(first, last):
            if place == "dark":
                place = "underexposed"
            if place == "bright":
                place = "overexposed"
            yield self._claim(place, True, "mild", hit, hit.first)

    def _fault(self, hit: _Hit) -> Iterator[Claim]:
        """A noun for a fault: it is there unless it is denied."""
        first, last = self._clause(hit)
        if hit.phrase.property == "blur" and self._background(first, last, moving=True):
            return
        if hit.phrase.property == "cast" and not self._is_cast(hit):
            return
        if hit.phrase.words == ("grain",) and self.words[hit.last + 1 : hit.last + 2] == ["of"]:
            return
        negations, near, place = self._negations(hit)
        after = self._said_after(hit)
        strength = self._strength(hit, first, last)
        before = self._before(hit)
        if self.words[hit.last + 1 : hit.last + 2] == ["free"]:
            negations += 1
        if after is not None:
            said, denied = after
            if said & words.FAULT_ABSENT:
                negations += 1
                near = near or bool(said & {"minimal", "low", "controlled", "negligible"})
            elif said & words.MEDIUM:
                return
            if denied and said - words.FAULT_ABSENT:
                negations += 1
            near = near or bool(said & words.NEARLY)
        elif before & words.FAULT_ABSENT - {"no", "none", "zero", "missing"}:
            negations += 1
            near = True
        present = negations % 2 == 0
        if not present and near:
            strength = "mild"
        elif present and (before | (after[0] if after else set())) & words.FAULT_MILD:
            strength = "mild" if not before & {"lot", "very"} else strength
        elif not present and strength == "mild":
            strength = "plain"
        yield self._claim(hit.phrase.property, present, strength, hit, min(place, hit.first))

    def _is_cast(self, hit: _Hit) -> bool:
        """Casts and tints of things (a cast of actors, tinted glass) are none of the photo's."""
        return bool(hit.phrase.words != ("cast",) or self._tint(hit)
                    or self.words[max(0, hit.first - 1)] in ("colour", "strong", "slight"))  # fmt: skip

    def _quality(self, hit: _Hit) -> Iterator[Claim]:
        """A noun for a quality: what is claimed depends on how much there is said to be of it."""
        first, last = self._clause(hit)
        name = hit.phrase.property
        blurs = name == "blur"
        if blurs and (self._background(first, last) or self._about_tones(hit)):
            return
        negations, near, place = self._negations(hit)
        after = self._said_after(hit)
        amount = after[0] if after is not None else self._before(hit)
        if after is not None and not amount & (words.LOW | words.HIGH | words.MEDIUM | words.EXCESS):
            amount = amount | self._before(hit)
        if after is not None and after[1]:
            negations += 1
        amount = {word for word in amount if word not in words.NEGATORS or word in words.LOW}
        low, high = bool(amount & words.LOW), bool(amount & words.HIGH)
        lowered = bool(amount & words.LOW & words.NEGATORS)
        if lowered and negations and place < hit.first and after is None:
            low = False  # the same word was counted as a negation already
        strength = self._strength(hit, first, last)
        if name in ("brightness", "lighting"):
            yield from self._light(hit, amount, negations, strength)
            return
        if amount & words.MEDIUM and not (low or negations):
            return
        if name == "pale" and amount & words.EXCESS and not negations:
            if amount & {"intense", "saturated", "high", "strong", "vivid", "far", "pushed", "too",
                         "excessive", "unnatural", "artificial", "overdone", "cranked"} and not low:
                yield self._claim("vivid", True, "plain", hit, hit.first)
                return
        if low or high:
            fault = low ^ (negations % 2 == 1)
        elif negations and (hit.phrase.words[-1] not in ("white", "grey")):
            fault = negations % 2 == 1
        else:
            return
        if name == "misexposed" and fault:
            yield from self._exposed(hit, amount)
            return
        if name == "pale" and hit.phrase.words[-1] in ("hue", "tone") and not (low or high):
            return
        if near:
            strength = "plain"
        if not fault and strength == "mild" and not amount & {"fairly", "reasonably", "quite"}:
            strength = "plain"
        part = self._part(hit, first, last)
        yield self._claim(name, fault, strength, hit, min(place, hit.first), part)

    def _exposed(self, hit: _Hit, amount: set[str]) -> Iterator[Claim]:
        """Exposure that is too low or too high, or merely wrong."""
        if amount & {"low", "insufficient", "dark", "poor", "lacking", "weak"} - {"poor"}:
            yield self._claim("underexposed", True, "plain", hit, hit.first)
        else:
            yield self._claim("misexposed", True, "plain", hit, hit.first)

    def _light(
        self, hit: _Hit, amount: set[str], negations: int, strength: str
    ) -> Iterator[Claim]:
        """Brightness and light: low, high, or right."""
        odd = negations % 2 == 1
        if amount & {"low", "dim", "insufficient", "poor", "lacking", "weak", "limited", "dark"}:
            if not odd:
                yield self._claim("dark", True, strength, hit, hit.first)
        elif amount & {"high", "excessive", "bright", "overly"} and not odd:
            yield self._claim("bright", True, strength, hit, hit.first)
        elif hit.phrase.property == "brightness" and amount & {
            "right", "judged", "balanced", "good", "perfect", "appropriate", "excellent", "ideal",
            "optimal", "correct", "proper",
        }:
            yield self._claim("misexposed", odd, "plain", hit, hit.first)
        elif hit.phrase.property == "lighting" and amount & {"balanced"}:
            yield self._claim("misexposed", odd, "plain", hit, hit.first)

    def _is(self, hit: _Hit) -> Iterator[Claim]:
        """An adjective, of the photo or of a part of it."""
        first, last = self._clause(hit)
        name, present, scope = self._sense(hit, first)
        if not name:
            return
        if name in ("blur", "flat") and self._background(first, last, moving=name == "blur"):
            return
        negations, near, place = self._negations(hit)
        if self._nothing_is(hit, first):
            negations, place = negations + 1, first
        strength = self._strength(hit, first, last)
        if "almost" in self.words[max(first, hit.first - 2) : hit.first]:
            strength = "mild"
        denied = negations % 2 == 1
        present = present ^ denied
        if denied:
            between = set(self.words[place : hit.first])
            full = between & {"perfectly", "entirely", "completely", "fully", "totally", "quite"}
            strength = "mild" if full or near else "plain"
            if denied and between & {"too", "overly"} and hit.phrase.kind == "isnt":
                strength = "mild"
        too = "too" in self.words[max(first, hit.first - 2) : hit.first]
        if name == "dark" and too:
            name = "underexposed"
        if name == "bright" and (too or "overly" in self.words[max(first, hit.first - 2) : hit.first]):
            name = "overexposed"
        if name == "pale" and too and not present and not denied:
            name, present = "vivid", True
        part = scope or self._part(hit, first, last)
        yield self._claim(name, present, strength, hit, min(place, self._led(hit)), part)

    def _nothing_is(self, hit: _Hit, first: int) -> bool:
        """*Nothing in this frame is really sharp*: the negation is the subject, far off."""
        head = self.words[first : hit.first]
        return bool(head) and head[0] in ("nothing", "none", "nobody", "no") and (
            hit.first - first > 5 and bool(words.COPULAS & set(head)))  # fmt: skip

    # Nearby words ------------------------------------------------------------------------------

    def _led(self, hit: _Hit) -> int:
        at = hit.first
        while at > 0 and self.words[at - 1] in words.STRONG | words.MILD:
            at -= 1
        return at

    def _before(self, hit: _Hit) -> set[str]:
        """Words that go with a noun before it: adjectives, and *a lot of*."""
        found: set[str] = set()
        at, left = hit.first - 1, 5
        while at >= 0 and left:
            word = self.words[at]
            other = self.at.get(at)
            if word in _STOPS | _BREAKS | words.COPULAS | {",", "with", "in", "on", "has", "shows"}:
                break
            if word == "and" and not (self.words[at - 1] in words.LOW | words.HIGH | words.STRONG):
                break
            if other is not None and _noun(other):
                break
            found.add(word)
            if other is not None:
                found.update(other.phrase.words)
            at, left = at - 1, left - 1
        follow = self.words[hit.last + 1 : hit.last + 2]
        if follow and follow[0] in words.LOW | {"free"}:
            found.add(follow[0])
        return found

    def _said_after(self, hit: _Hit) -> tuple[set[str], bool] | None:
        """What is said of a noun behind it, and whether that is negated; None if nothing is."""
        at = hit.last + 1
        gap = 0
        # Over a short addition: noise in the shadows is low.
        while at < len(self.words) and gap < 7:
            word = self.words[at]
            if word in words.COPULAS or word in (":", "has", "have", "cannot", "can", "could"):
                break
            if word in words.LOW and word not in words.HIGH and gap == 0:
                break
            if word in {"hides", "covers", "with"} | _STOPS | _BREAKS or (word == "," and gap):
                return None
            other = self.at.get(at)
            if word == "and" and other is None and gap == 0:
                # Sharpness and contrast are low.
                at += 1
                continue
            if word not in _ARTICLES | {"in", "of", "and", ",", "s"} and not (
                other is not None and _noun(other)
            ):
                gap += 1
            at += 1
        if at >= len(self.words) or self.words[at] in _STOPS:
            return None
        said: set[str] = set()
        denied = False
        for place in range(at, min(at + 8, len(self.words))):
            word = self.words[place]
            if word in _STOPS or (word in _BREAKS and word != ":"):
                break
            if word == "," and place > at + 1:
                break
            if word in ("and", "with") and said & (words.LOW | words.HIGH | words.FAULT_ABSENT):
                break
            if (word in words.NEGATORS and word not in words.LOW and word != "none") or (
                word.endswith("n't")
            ):
                denied = True
                continue
            if word in ("hardly", "barely", "scarcely"):
                denied = True
            said.add(word)
        content = said - words.COPULAS - _ADVERBS - {":", "has", "have"}
        return (said, denied) if content or denied else None

    def _background(self, first: int, last: int, *, moving: bool = False) -> bool:
        said = set(self.words[first : last + 1])
        return bool(said & (words.BACKGROUND | (words.MOVING if moving else frozenset())))

    def _about_tones(self, hit: _Hit) -> bool:
        """Detail of shadows and highlights is a matter of exposure."""
        if not {"detail", "texture", "structure"} & set(hit.phrase.words):
            return False
        tones = {"shadow", "highlight", "bright", "dark", "white", "black", "light", "tone"}
        near = self.words[max(0, hit.first - 5) : hit.last + 6]
        return bool(tones & {_singular(word) for word in near})

    def _part(self, hit: _Hit, first: int, last: int) -> bool:
        around = self.words[first : last + 1]
        return bool(words.PLACES & set(around)) and "and" not in around[:1]

    def _tint(self, hit: _Hit) -> str:
        near = self.words[max(0, hit.first - 3) : hit.last + 4]
        return next((word for word in near if word in words.TINTS), "")

    def _sense(self, hit: _Hit, first: int) -> tuple[str, bool, bool]:
        """Property, whether it is said to be there, and whether of a part; no property: no claim."""
        noun = self._noun_after(hit)
        if not noun:
            noun = self._head(hit, first)
        if hit.phrase.kind != "of":
            whole = not noun or noun in words.PHOTO_NOUNS | words.FINE_THINGS
            return hit.phrase.property, hit.phrase.kind == "is", not whole
        for sense in _SENSES[hit.phrase.words[0]]:
            # Too dark. Very soft overall: without a noun it is the photo that is meant.
            photo = noun in words.PHOTO_NOUNS or (not noun and self._leads(hit, first))
            if noun in sense.nouns or (photo and sense.photo):
                return sense.property, sense.present, False
        return "", False, False

    def _leads(self, hit: _Hit, first: int) -> bool:
        """Whether nothing but degrees and other adjectives stands before it in its clause."""
        return all(
            word in _ADVERBS | words.MILD | words.STRONG | {"and"} or place in self.at
            for place, word in enumerate(self.words[first : hit.first], start=first)
        )

    def _noun_after(self, hit: _Hit) -> str:
        """The noun that an adjective stands before, or nothing."""
        at = hit.last + 1
        while at < len(self.words):
            word = self.words[at]
            if word in ("and", ",", "or") and at + 1 < len(self.words):
                # Dark and gloomy picture: the noun comes after the next adjective.
                other = self.at.get(at + 1)
                if other is None or _noun(other):
                    return ""
                at = other.last + 1
                continue
            if word in _AFTER or word in words.COPULAS or word.endswith("ly"):
                return ""
            other = self.at.get(at)
            if other is not None and not _noun(other) and other is not hit:
                at = other.last + 1
                continue
            return _singular(word)
        return ""

    def _head(self, hit: _Hit, first: int) -> str:
        """The noun before the verb that joins it to an adjective; empty where there is no verb."""
        at = hit.first - 1
        while at >= first and self.words[at] not in words.COPULAS:
            at -= 1
        if at < first:
            return ""
        nouns: list[str] = []
        at -= 1
        while at >= max(0, first - 1):
            word = self.words[at]
            if word in {"of", "in", "on"} and nouns:
                nouns.append(word)
            elif word in _ADVERBS | words.COPULAS or word in ("has", "have", "had", "been"):
                pass
            elif word in _ARTICLES | {"and", ","}:
                pass
            else:
                nouns.append(_singular(word))
            at -= 1
        if not nouns:
            return ""
        # Edges of the building: the edges. The whole of the first noun group counts.
        if any(word in {"of", "in", "on"} for word in nouns):
            cut = max(i for i, word in enumerate(nouns) if word in {"of", "in", "on"})
            return nouns[cut + 1] if cut + 1 < len(nouns) else nouns[0]
        return nouns[0]

    def _claim(
        self, name: str, present: bool, strength: str, hit: _Hit, first: int, part: bool = False
    ) -> Claim:
        start, end = self.tokens[first].start, self.tokens[hit.last].end
        tint = self._tint(hit) if name == "cast" and present else ""
        local = part and name not in ("noise", "compression", "banding")
        return Claim(name, present, strength, local, tint, start, end, self.text[start:end])


def _noun(hit: _Hit) -> bool:
    return hit.phrase.kind in ("fault", "quality")


def _strength_of(near: list[str]) -> str:
    for at, word in enumerate(near):
        mild = word in words.MILD or (word in ("bit", "little") and near[at - 1 : at] == ["a"])
        if mild and not (at and near[at - 1] in ("not", "no")):
            return "mild"
    return "strong" if words.STRONG & set(near) else "plain"


def _hits(sentence: list[str]) -> Iterator[_Hit]:
    """Known phrases from left to right, the longest first, none overlapping."""
    forms = [_singular(word) for word in sentence]
    place = 0
    while place < len(sentence):
        for phrase in _BY_FIRST.get(sentence[place], ()) or _BY_FIRST.get(forms[place], ()):
            end = place + len(phrase.words)
            window = zip(phrase.words, sentence[place:end], forms[place:end], strict=False)
            if end <= len(sentence) and all(w in (a, b) for w, a, b in window):
                yield _Hit(phrase, place, end - 1)
                place = end
                break
        else:
            place += 1


def _listed() -> Iterator[_Phrase]:
    for kind, table in (
        ("fault", words.FAULT_NOUNS), ("quality", words.QUALITY_NOUNS),
        ("is", words.FAULT_WORDS), ("isnt", words.SOUND_WORDS), ("more", words.MORE),
    ):  # fmt: skip
        for name, listed in table.items():
            for phrase in listed:
                yield _Phrase(tuple(phrase.split()), kind, name)
    for phrase in words.OTHER_SENSES:
        yield _Phrase(tuple(phrase.split()), "other", "")
    for word in _SENSES:
        yield _Phrase((word,), "of", word)


_SENSES: dict[str, list[_Sense]] = {}
for _named, _property, _present, _nouns in words.OF_A_PHOTO:
    _sense = _Sense(
        _property, _present > 0, frozenset(_nouns.removeprefix("=").split()), _nouns[:1] != "="
    )
    for _word in _named.split():
        _SENSES.setdefault(_word, []).append(_sense)
_BY_FIRST: dict[str, list[_Phrase]] = {}
for _one in sorted(_listed(), key=lambda phrase: (-len(phrase.words), phrase.kind != "other")):
    _BY_FIRST.setdefault(_one.words[0], []).append(_one)
