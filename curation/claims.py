"""What a text claims about the look of a photo: sharp or blurred, noisy, dark, pale …

Reads any English by words and short rules; no model, and no knowledge of the photo. A claim says
that a property is there or that it is not. Questions, conditions, comparisons, blur that belongs to
the background, and things that are merely dark or bright themselves claim nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from curation import claim_words as words
from curation.claim_sentence import SENSES, Amount, Hit, Sentence
from curation.tokens import sentences, singular, tokens

ASPECTS: dict[str, str] = {
    "blur": "sharpness", "noise": "noise", "compression": "compression",
    "banding": "compression", "underexposed": "exposure", "overexposed": "exposure",
    "dark": "exposure", "bright": "exposure", "highlights": "exposure", "shadows": "exposure",
    "misexposed": "exposure", "flat": "contrast", "pale": "colour", "grey": "colour",
    "toneless": "colour", "vivid": "colour", "cast": "colour", "warm": "colour", "cool": "colour",
}  # fmt: skip
"""Property → the aspect that it belongs to.

*misexposed* is under- or overexposed, *highlights* and *shadows* are clipped ones, *flat* is
without contrast, *pale* with little colour, *grey* and *toneless* without any, *vivid* with too
much, *cast* with a tint over it all.
"""

STRENGTHS = ("mild", "plain", "strong")

# What holds of every corner if it holds at all.
_EVERYWHERE = frozenset({"noise", "compression", "banding"})

# Compression alone is no fault: it has to show.
_SEEN = (words.STRONG | words.FAULT_MILD | words.VISIBLE | {"apparent", "high"}) - {"far", "rather"}

_DIM = frozenset("low dim insufficient poor lacking weak limited inadequate".split())
_GLARE = frozenset("high excessive bright overly".split())
_RIGHT = frozenset(
    "right judged balanced good perfect appropriate excellent ideal optimal correct proper".split()
)
_NEUTRAL = frozenset("neutral true accurate balanced".split())
_FAITHFUL = _NEUTRAL | frozenset("natural correct faithful right proper realistic".split())
_FULL = frozenset("perfectly entirely completely fully totally quite".split())
_BRIGHT_TONES = frozenset("highlight bright white light sky".split())
_DARK_TONES = frozenset("shadow dark black".split())


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


def claims(text: str) -> tuple[Claim, ...]:
    """The claims of a text, in the order in which they stand; what is repeated counts once."""
    found: list[Claim] = []
    for some in sentences(tokens(text)):
        sentence = Sentence(text, some)
        if not sentence.question:
            found += _merged(text, _claims_of(sentence))
    return tuple(sorted(found, key=lambda claim: (claim.start, claim.end, claim.property)))


def _merged(text: str, found: Iterator[Claim]) -> list[Claim]:
    """One claim where a sentence says the same twice: *the edges are crisp*."""
    kept: dict[tuple[str, bool, bool, str], Claim] = {}
    for claim in found:
        key = (claim.property, claim.present, claim.part, claim.tint)
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
    name = hit.phrase.property
    if name == "blur" and sentence.background(hit, moving=True):
        return
    if name == "cast" and hit.phrase.words == ("cast",) and not _is_cast(sentence, hit):
        return
    if hit.phrase.words == ("grain",) and sentence.words[hit.last + 1 : hit.last + 2] == ["of"]:
        return
    denial = sentence.denial(hit)
    denied, nearly = denial.odd, denial.nearly
    before, after = sentence.amount_before(hit), sentence.amount_after(hit, alone=denial.count > 0)
    said = before.words | (after.words if after else frozenset())
    last = after.last if after else before.last
    if "free" in before.words and before.last > hit.last:
        denied = not denied
    if after is not None:
        if after.words & words.MEDIUM and not after.words & words.FAULT_ABSENT:
            return
        denied ^= bool(after.words & words.FAULT_ABSENT) ^ after.denied
        nearly = nearly or bool(after.words & (words.NEARLY | {"low", "controlled", "negligible"}))
    elif before.words & words.FAULT_ABSENT - words.NEGATORS:
        denied, nearly = not denied, True
    strength = _strength(sentence, hit)
    if hit.phrase.words == ("compression",) and not (denied or said & _SEEN):
        cause = sentence.words[max(0, hit.first - 4) : hit.first]
        if {"because", "due", "from"}.isdisjoint(cause):
            return
    if denied:
        strength = "mild" if nearly else "plain" if strength == "mild" else strength
    elif said & words.FAULT_MILD and "lot" not in said:
        strength = "mild"
    yield _claim(sentence, name, not denied, strength, hit, min(denial.first, hit.first), last)


def _is_cast(sentence: Sentence, hit: Hit) -> bool:
    """Casts of plays and of plaster are none of the photo's."""
    return bool(_tint(sentence, hit) or {"colour", "strong", "slight"} & set(
        sentence.before(hit, 1)))  # fmt: skip


def _quality(sentence: Sentence, hit: Hit) -> Iterator[Claim]:
    """A noun for a quality: what is claimed depends on how much there is said to be of it."""
    name = hit.phrase.property
    if name == "blur" and sentence.background(hit):
        return
    denial = sentence.denial(hit)
    before = sentence.amount_before(hit)
    amount = sentence.amount_after(hit, alone=denial.count > 0) or before
    graded = words.LOW | words.HIGH | words.MEDIUM | words.EXCESS
    if not amount.words & graded:
        said = amount.words | before.words
        amount = Amount(said, amount.denied, min(amount.first, before.first), amount.last)
    if amount.denied and not amount.words & (graded | words.VISIBLE):
        return  # neither warm nor cool: nothing about how much of it there is
    denied = denial.odd ^ amount.denied
    if denial.count and amount.last == hit.last:
        # *Lacks* and *lost* before the noun are negations already.
        amount = Amount(amount.words - words.NEGATORS, False, amount.first, amount.last)
    if name == "misexposed" and amount.words & {"dark", "bright", "high"} and not (
        denied or "too" in amount.words
    ):
        shade = "dark" if "dark" in amount.words else "bright"
        yield _claim(sentence, shade, True, _strength(sentence, hit), hit, hit.first, hit.last)
        return
    if name != "flat":
        amount = Amount(amount.words - words.WIDTH, amount.denied, amount.first, amount.last)
    low, high = bool(amount.words & words.LOW), bool(amount.words & words.HIGH)
    first = min(denial.first, amount.first, hit.first)
    tones = _tones_of(sentence, hit)
    if tones is not None:
        if tones and (low or denied) and not (low and denied):
            yield _claim(sentence, tones, True, "plain", hit, first, amount.last)
        return
    strength = _strength(sentence, hit)
    if name in ("brightness", "lighting"):
        yield from _light(sentence, hit, amount, denied, strength)
        return
    if hit.phrase.words[-1] in ("white", "grey") and not amount.words & _NEUTRAL:
        return
    if name == "pale" and amount.words & words.HIGH and amount.words & words.HIGH <= _FAITHFUL:
        if amount.words & _NEUTRAL:
            yield _claim(sentence, "cast", denied, "plain", hit, first, amount.last)
        return
    if name == "pale" and amount.words & words.EXCESS and not (denied or low):
        yield _claim(sentence, "vivid", True, "plain", hit, first, amount.last)
        return
    if not (low or high or denied) or (amount.words & words.MEDIUM and not (low or denied)):
        return
    fault = low ^ denied if low or high else denied
    if name == "misexposed" and "too" in amount.words and not denied:
        fault = True
    if name == "misexposed" and fault:
        yield from _exposure(sentence, hit, amount)
        return
    if denial.nearly:
        strength = "plain"
    part = sentence.in_part(hit)
    yield _claim(sentence, name, fault, strength, hit, first, amount.last, part)


def _tones_of(sentence: Sentence, hit: Hit) -> str | None:
    """Detail of bright or dark tones is a matter of clipping; None if it is no such detail."""
    if {"detail", "texture", "structure"}.isdisjoint(hit.phrase.words):
        return None
    near = {singular(word) for word in sentence.around(hit)}
    bright, dark = bool(near & _BRIGHT_TONES), bool(near & _DARK_TONES)
    if not (bright or dark):
        return None
    return "" if bright and dark else "highlights" if bright else "shadows"


def _exposure(sentence: Sentence, hit: Hit, amount: Amount) -> Iterator[Claim]:
    """Exposure that is too low, too high, or merely wrong."""
    said = amount.words
    name = "misexposed"
    if said & {"low", "insufficient", "lacking", "weak"}:
        name = "underexposed"
    elif "too" in said and said & {"high", "bright", "strong", "long"}:
        name = "overexposed"
    yield _claim(sentence, name, True, "plain", hit, amount.first, amount.last)


def _light(
    sentence: Sentence, hit: Hit, amount: Amount, denied: bool, strength: str
) -> Iterator[Claim]:
    """Brightness and light: low, high, or right."""
    said = amount.words
    ends = (hit, amount.first, amount.last)
    if said & _DIM:
        if not denied:
            yield _claim(sentence, "dark", True, strength, *ends)
    elif said & _GLARE:
        if not denied:
            yield _claim(sentence, "bright", True, strength, *ends)
    elif said & (_RIGHT if hit.phrase.property == "brightness" else {"balanced"}):
        yield _claim(sentence, "misexposed", denied, "plain", *ends)


def _wish(sentence: Sentence, hit: Hit) -> Iterator[Claim]:
    """*Could be sharper* says that it is not so sharp, mildly."""
    around = sentence.around(hit)
    noun = sentence.subject(hit) if len(hit.phrase.words) == 1 else ""
    if noun and noun not in words.PHOTO_NOUNS | words.FINE_THINGS:
        return
    wished = any(word in words.DESIRES or word.endswith("'d") for word in around)
    if wished and not sentence.background(hit):
        name = {"dark": "underexposed", "bright": "overexposed"}.get(
            hit.phrase.property, hit.phrase.property
        )
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
    elif too and name == "pale" and not present and not denial.odd:
        name, present = "vivid", True
    first = min(denial.first, hit.first)
    part = part or sentence.in_part(hit)
    yield _claim(sentence, name, present, strength, hit, first, hit.last, part)


def _said_of(sentence: Sentence, hit: Hit) -> tuple[str, bool, bool]:
    """Property, whether it is said to be there, whether of a part; no property is no claim."""
    noun = sentence.subject(hit)
    if hit.phrase.property == "grey" and not _without_colour(sentence, hit, noun):
        return "", False, False
    if hit.phrase.kind != "sense":
        named = len(hit.phrase.words) > 1 and hit.phrase.words[-1] in words.NAMED
        whole = named or not noun or noun in words.PHOTO_NOUNS | words.FINE_THINGS
        return hit.phrase.property, hit.phrase.kind == "is", not whole
    # Too dark. Very soft overall: without a noun it is the photo that is meant.
    photo = noun in words.PHOTO_NOUNS or (not noun and sentence.leads(hit))
    for sense in SENSES[hit.phrase.words[0]]:
        if noun in sense.nouns or (photo and sense.photo):
            return sense.property, sense.present, False
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
        if word in words.MILD and near[max(0, at - 1) : at] not in (["not"], ["no"]):
            if word not in ("bit", "little") or near[max(0, at - 1) : at] == ["a"]:
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
