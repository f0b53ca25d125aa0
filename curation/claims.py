"""What a text claims about the look of a photo: sharp or blurred, noisy, dark, pale …

Reads any English by words and short rules; no model, and no knowledge of the photo. A claim says
that a property is there or that it is not. Questions, conditions, comparisons, blur that belongs to
the background, and things that are merely dark or bright themselves claim nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from curation import claim_words as words
from curation.claim_sentence import SENSES, Hit, Sentence
from curation.tokens import sentences, singular, tokens

ASPECTS: dict[str, str] = {
    "blur": "sharpness", "noise": "noise", "compression": "compression",
    "banding": "compression", "underexposed": "exposure", "overexposed": "exposure",
    "dark": "exposure", "bright": "exposure", "highlights": "exposure", "shadows": "exposure",
    "misexposed": "exposure", "flat": "contrast", "pale": "colour", "grey": "colour",
    "toneless": "colour", "vivid": "colour", "cast": "colour", "warm": "colour", "cool": "colour",
    "faulty": "overall",
}  # fmt: skip
"""Property → the aspect that it belongs to.

*misexposed* is under- or overexposed, *highlights* and *shadows* are clipped ones, *flat* is
without contrast, *pale* with little colour, *grey* and *toneless* without any, *vivid* with too
much, *cast* with a tint over it all, *faulty* with any fault at all.
"""

STRENGTHS = ("mild", "plain", "strong")

# What holds of every corner if it holds at all.
_EVERYWHERE = frozenset({"noise", "compression", "banding"})

_NEARLY_NONE = words.NEARLY | {"low", "controlled", "negligible", "minimal"}
_CARRIERS = words.PHOTO_NOUNS | words.FINE_THINGS | words.SURFACES | words.PLACES

# What shows that compression is more than a way to store a photo.
_SEEN = (words.STRONG | words.FAULT_MILD | words.VISIBLE | {"apparent", "high"}) - {"far", "rather"}

_GRADED = words.LOW | words.HIGH | words.MEDIUM | words.EXCESS
_DIM = frozenset("low dim insufficient poor lacking weak limited inadequate".split())
_GLARE = frozenset("high excessive bright overly".split())
_RIGHT = frozenset(
    "right judged balanced good perfect appropriate excellent ideal optimal correct proper".split()
)
_NEUTRAL = frozenset("neutral true accurate balanced".split())
_FAITHFUL = _NEUTRAL | frozenset("natural correct faithful right proper realistic".split())
_ENDS = frozenset("high low bright dark strong weak".split())
_FULL = frozenset("perfectly entirely completely fully totally quite".split())
_BRIGHT_TONES = frozenset("highlight bright white light sky".split())
_DARK_TONES = frozenset("shadow dark black".split())


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing said of a photo; `start` and `end` are characters of the text.

    `what` is a property of `ASPECTS`, `present` whether it is said to be there. `part` marks what
    is said of a part of the photo only, `tint` names the colour of a cast, or is empty.
    """

    what: str
    present: bool
    strength: str
    part: bool
    tint: str
    start: int
    end: int
    text: str

    @property
    def aspect(self) -> str:
        """One of sharpness, noise, compression, exposure, contrast, colour and overall."""
        return ASPECTS[self.what]


def claims(text: str) -> tuple[Claim, ...]:
    """The claims of a text, in the order in which they stand; what is repeated counts once."""
    found: list[Claim] = []
    for some in sentences(tokens(text)):
        sentence = Sentence(text, some)
        if not sentence.question:
            found += _merged(text, _claims_of(sentence))
    return tuple(sorted(found, key=lambda claim: (claim.start, claim.end, claim.what)))


def _merged(text: str, found: Iterator[Claim]) -> list[Claim]:
    """One claim where a sentence says the same twice: *the edges are crisp*."""
    kept: dict[tuple[str, bool, bool, str], Claim] = {}
    for claim in found:
        key = (claim.what, claim.present, claim.part, claim.tint)
        old = kept.get(key)
        if old is not None:
            start, end = min(old.start, claim.start), max(old.end, claim.end)
            strength = max(old.strength, claim.strength, key=STRENGTHS.index)
            claim = replace(  # noqa: PLW2901
                old, start=start, end=end, text=text[start:end], strength=strength
            )
        kept[key] = claim
    return list(kept.values())


def _claims_of(sentence: Sentence) -> Iterator[Claim]:
    for hit in sentence.hits:
        if sentence.supposed(hit):
            continue
        if hit.phrase.kind == "fault":
            yield from _fault(sentence, hit)
        elif hit.phrase.kind == "quality":
            yield from _quality(sentence, hit)
        elif hit.phrase.kind == "more":
            yield from _wish(sentence, hit)
        elif hit.phrase.kind != "other":
            yield from _adjective(sentence, hit)


def _fault(sentence: Sentence, hit: Hit) -> Iterator[Claim]:
    """A noun for a fault: it is there unless that is denied."""
    name = hit.phrase.stands_for
    if _meant_otherwise(sentence, hit):
        return
    denial = sentence.denial(hit)
    denied, nearly = denial.odd, denial.nearly
    before, after = sentence.amount_before(hit), sentence.amount_after(hit, alone=denial.count > 0)
    said = before.words | (after.words if after else frozenset())
    last = after.last if after else before.last
    if after is not None:
        if after.words & words.MEDIUM and not after.words & words.FAULT_ABSENT:
            return
        denied ^= bool(after.words & words.FAULT_ABSENT) ^ after.denied
        nearly = nearly or bool(after.words & _NEARLY_NONE)
    elif before.words & words.FAULT_ABSENT - words.NEGATORS:
        denied, nearly = not denied, True
    elif "none" in sentence.words[hit.last + 1 : hit.last + 4]:
        denied = not denied  # looked for grain and found none
    if "free" in before.words and before.last > hit.last:
        denied = not denied
    if not denied and (name == "faulty" or not _shows(sentence, hit, said)):
        return  # what fault, the text will say
    # No heavy noise may well be some.
    nearly = nearly or not words.HEAVY.isdisjoint(sentence.words[denial.first : hit.first])
    strength = _strength(sentence, hit)
    if denied:
        strength = "mild" if nearly else "plain" if strength == "mild" else strength
    elif said & words.FAULT_MILD and "lot" not in said:
        strength = "mild"
    yield _claim(sentence, name, not denied, strength, hit, min(denial.first, hit.first), last)


def _meant_otherwise(sentence: Sentence, hit: Hit) -> bool:
    """Blur of the background or of what moves, casts of plays, the grain of wood."""
    if hit.phrase.stands_for == "blur":
        return sentence.background(hit, moving=True)
    if hit.phrase.words == ("cast",):
        return not _is_cast(sentence, hit)
    return hit.phrase.words == ("grain",) and sentence.words[hit.last + 1 : hit.last + 2] == ["of"]


def _shows(sentence: Sentence, hit: Hit, said: frozenset[str]) -> bool:
    """Compression alone is no fault: it has to show, or to be the cause of something."""
    if hit.phrase.words != ("compression",) or said & _SEEN:
        return True
    cause = sentence.words[max(0, hit.first - 4) : hit.first]
    return not {"because", "due", "from"}.isdisjoint(cause)


def _is_cast(sentence: Sentence, hit: Hit) -> bool:
    """Casts of plays and of plaster are none of the photo's."""
    return bool(_tint(sentence, hit) or {"colour", "strong", "slight"} & set(
        sentence.before(hit, 1)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Grade:
    """What is said of a quality noun: amounts, whether denied on the whole, from where to where.

    `denials` counts the negations before it, `nearly` marks those like *hardly any*.
    """

    words: frozenset[str]
    denied: bool
    denials: int
    nearly: bool
    first: int
    last: int

    @property
    def low(self) -> bool:
        """Whether there is little of it, or it is bad."""
        return not self.words.isdisjoint(words.LOW)

    @property
    def lacking(self) -> bool | None:
        """Whether the quality is lacking after all; None where that is not said."""
        high = not self.words.isdisjoint(words.HIGH)
        if self.low or high:
            middling = self.words & words.MEDIUM and not (self.low or self.denied)
            return None if middling else self.low ^ self.denied
        return self.denied if self.denials or self.denied else None


def _quality(sentence: Sentence, hit: Hit) -> Iterator[Claim]:
    """A noun for a quality: what is claimed depends on how much there is said to be of it."""
    name = hit.phrase.stands_for
    grade = None if name == "blur" and sentence.background(hit) else _grade_of(sentence, hit)
    if grade is None:
        return
    tones = _tones_of(sentence, hit)
    if tones is not None:
        if tones and (grade.low or grade.denied) and not (grade.low and grade.denied):
            yield _claim(sentence, tones, True, "plain", hit, grade.first, grade.last)
    elif name in ("brightness", "lighting"):
        yield from _light(sentence, hit, grade)
    elif name == "misexposed":
        yield from _exposure(sentence, hit, grade)
    elif name == "pale" and (shown := _colours(grade)) is not None:
        if shown:
            present = shown == "vivid" or grade.denied
            yield _claim(sentence, shown, present, "plain", hit, grade.first, grade.last)
    elif hit.phrase.words[-1] in ("white", "grey") and grade.words.isdisjoint(_NEUTRAL):
        return
    elif grade.lacking is not None:
        strength = "plain" if grade.nearly else _strength(sentence, hit)
        part = sentence.in_part(hit)
        yield _claim(sentence, name, grade.lacking, strength, hit, grade.first, grade.last, part)


def _grade_of(sentence: Sentence, hit: Hit) -> _Grade | None:
    """What is said of a noun, behind it or before it; None where it is about something else."""
    denial = sentence.denial(hit)
    before = sentence.amount_before(hit)
    amount = sentence.amount_after(hit, alone=denial.count > 0) or before
    said, first = amount.words, amount.first
    if said.isdisjoint(_GRADED):
        said, first = said | before.words, min(first, before.first)
    if amount.denied and said.isdisjoint(_GRADED | words.VISIBLE):
        return None  # neither warm nor cool: nothing about how much of it there is
    if {"could", "should"} & said:
        if "better" not in said:
            return None
        said = frozenset({"limited"})
    if denial.count and amount.last == hit.last:
        said -= words.NEGATORS  # *lacks* and *lost* before the noun are negations already
    name = hit.phrase.stands_for
    if name != "flat":
        said -= words.WIDTH
    if name not in ("cast", "misexposed"):
        said -= {"off"}  # cut off, flash off
    return _Grade(
        said,
        denial.odd ^ amount.denied,
        denial.count,
        denial.nearly,
        min(denial.first, first, hit.first),
        amount.last,
    )


def _tones_of(sentence: Sentence, hit: Hit) -> str | None:
    """Detail of bright or dark tones is a matter of clipping; None if it is no such detail."""
    if {"detail", "texture", "structure"}.isdisjoint(hit.phrase.words):
        return None
    near = {singular(word) for word in sentence.around(hit)}
    bright, dark = bool(near & _BRIGHT_TONES), bool(near & _DARK_TONES)
    if not (bright or dark):
        return None
    return "" if bright and dark else "highlights" if bright else "shadows"


def _colours(grade: _Grade) -> str | None:
    """What colours are besides rich or pale: too vivid, or neutral; empty if natural, None else."""
    high = grade.words & words.HIGH
    if high and high <= _FAITHFUL:
        return "cast" if high & _NEUTRAL else ""
    if grade.words & words.EXCESS and not (grade.denied or grade.low):
        return "vivid"
    return None


def _exposure(sentence: Sentence, hit: Hit, grade: _Grade) -> Iterator[Claim]:
    """Exposure that is right, too low, too high, or merely wrong."""
    said, ends = grade.words, (hit, grade.first, grade.last)
    too = "too" in said and bool(said & _ENDS) and not grade.denied
    if said & {"dark", "bright", "high"} and not (too or grade.denied):
        shade = "dark" if "dark" in said else "bright"
        yield _claim(sentence, shade, True, _strength(sentence, hit), *ends)
        return
    if grade.lacking is None and not too:
        return
    name, wrong = "misexposed", bool(grade.lacking) or too
    if wrong and said & {"low", "insufficient", "lacking", "weak"}:
        name = "underexposed"
    elif wrong and too and said & {"high", "bright", "strong"}:
        name = "overexposed"
    yield _claim(sentence, name, wrong, "plain", *ends)


def _light(sentence: Sentence, hit: Hit, grade: _Grade) -> Iterator[Claim]:
    """Brightness and light: low, high, or right."""
    said, ends = grade.words, (hit, grade.first, grade.last)
    if said & _DIM:
        if not grade.denied:
            yield _claim(sentence, "dark", True, _strength(sentence, hit), *ends)
    elif said & _GLARE:
        if not grade.denied:
            yield _claim(sentence, "bright", True, _strength(sentence, hit), *ends)
    elif said & (_RIGHT if hit.phrase.stands_for == "brightness" else {"balanced"}):
        yield _claim(sentence, "misexposed", grade.denied, "plain", *ends)


def _wish(sentence: Sentence, hit: Hit) -> Iterator[Claim]:
    """*Could be sharper* says that it is not so sharp, mildly."""
    around = sentence.around(hit)
    noun = sentence.subject(hit) if len(hit.phrase.words) == 1 else ""
    if noun and noun not in words.PHOTO_NOUNS | words.FINE_THINGS:
        return
    wished = any(word in words.DESIRES or word.endswith("'d") for word in around)
    if wished and not sentence.background(hit):
        name = {"dark": "underexposed", "bright": "overexposed"}.get(
            hit.phrase.stands_for, hit.phrase.stands_for
        )
        if sentence.denial(hit).odd:
            # It could not be sharper.
            yield _claim(sentence, name, False, "strong", hit, hit.first, hit.last)
        else:
            yield _claim(sentence, name, True, "mild", hit, hit.first, hit.last)


def _adjective(sentence: Sentence, hit: Hit) -> Iterator[Claim]:
    """An adjective, of the photo or of a part of it."""
    name, present, part = _said_of(sentence, hit)
    if not name:
        return
    if name in ("blur", "flat") and sentence.background(hit, moving=name == "blur"):
        return
    denial = sentence.denial(hit)
    before = sentence.before(hit, 3)
    too = bool({"too", "overly"} & set(before))
    strength = _strength(sentence, hit)
    if denial.odd:
        present = not present
        hedged = denial.nearly or set(sentence.words[denial.first : hit.first]) & _FULL
        strength = "mild" if hedged else "plain"
    elif "almost" in before:
        strength = "mild"
    if too and name in ("dark", "bright"):
        name = {"dark": "underexposed", "bright": "overexposed"}[name]
    elif too and hit.phrase.kind == "isnt":
        if name != "pale" or denial.odd:
            return  # neither too sharp nor too soft
        name, present = "vivid", True
    first = min(denial.first, hit.first)
    part = part or sentence.in_part(hit)
    yield _claim(sentence, name, present, strength, hit, first, hit.last, part)


def _said_of(sentence: Sentence, hit: Hit) -> tuple[str, bool, bool]:
    """Property, whether it is said to be there, whether of a part; no property is no claim."""
    noun = sentence.subject(hit)
    if hit.phrase.stands_for == "grey" and not _without_colour(sentence, hit, noun):
        return "", False, False
    if hit.phrase.kind != "sense":
        single = len(hit.phrase.words) == 1
        if single and hit.phrase.stands_for in _EVERYWHERE and noun not in _CARRIERS | {""}:
            return "", False, False  # a noisy market
        named = not single and hit.phrase.words[-1] in words.NAMED
        whole = named or not noun or noun in words.PHOTO_NOUNS | words.FINE_THINGS
        return hit.phrase.stands_for, hit.phrase.kind == "is", not whole
    # Too dark. Very soft overall: without a noun it is the photo that is meant.
    photo = noun in words.PHOTO_NOUNS or (not noun and sentence.leads(hit))
    for sense in SENSES[hit.phrase.words[0]]:
        if noun in sense.nouns or (photo and sense.photo):
            return sense.what, sense.present, False
    return "", False, False


def _without_colour(sentence: Sentence, hit: Hit, noun: str) -> bool:
    """Whether black and white are what the photo is in, and not tones or things in it."""
    if hit.phrase.words[0] != "black":
        return True
    before = sentence.before(hit, 1)
    follow = sentence.words[hit.last + 1 : hit.last + 2]
    if follow and follow[0] in words.COPULAS:
        return False
    return noun in words.PHOTO_NOUNS or before in (["in"], ["is"], ["into"])


def _strength(sentence: Sentence, hit: Hit) -> str:
    """Mild, plain or strong, by the words around."""
    first, last = sentence.clause(hit)
    near = sentence.words[max(first, hit.first - 4) : min(last, hit.last + 4) + 1]
    for at, word in enumerate(near):
        before = near[at - 1] if at else ""
        small = word not in ("bit", "little") or before == "a"
        if word in words.MILD and small and before not in ("not", "no"):
            return "mild"
    return "strong" if words.STRONG & set(near) else "plain"


def _tint(sentence: Sentence, hit: Hit) -> str:
    near = sentence.words[max(0, hit.first - 3) : hit.last + 5]
    return next((word for word in near if word in words.TINTS), "")


def _claim(
    sentence: Sentence,
    name: str,
    present: bool,
    strength: str,
    hit: Hit,
    first: int,
    last: int,
    part: bool = False,
) -> Claim:
    start = sentence.tokens[first].start
    end = sentence.tokens[max(last, hit.last)].end
    tint = _tint(sentence, hit) if name == "cast" and present else ""
    local = part and name not in _EVERYWHERE
    return Claim(name, present, strength, local, tint, start, end, sentence.text[start:end])
