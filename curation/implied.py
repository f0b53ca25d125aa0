"""Which level a text implies: what it calls the photo, else what it praises and blames in it.

`imply` reads any English by words and short rules and knows nothing of the photo; `agreement`
compares what it found with a unified score.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from curation.claims import claims
from curation.tokens import Token, sentences, singular, tokens
from uniqa.levels import LEVELS, level_of

# Where a word stands on the unified scale when it is said of a photo. The five levels stand in the
# middle of their bands.
_WORTH: dict[str, float] = {
    word: worth
    for worth, words in (
        (0.04, "terrible awful horrible horrendous atrocious abysmal unusable worst disaster"
               " disastrous dreadful appalling ruined worthless pathetic mess catastrophic"),
        (0.1, "bad badly lousy"),
        (0.2, "low inferior crappy sloppy substandard unacceptable ugly disappointing failure"
              " failed unpleasant"),
        (0.3, "poor poorly weak subpar lacking unsatisfactory flawed amateurish boring dull"
              " uninteresting bland unappealing unattractive inadequate"),
        (0.45, "mediocre unremarkable passable lacklustre uninspiring"),
        (0.5, "fair average acceptable ok okay moderate medium adequate ordinary middling"
              " reasonable satisfactory tolerable fairly usable so-so"),
        (0.6, "decent alright respectable competent"),
        (0.7, "good nice nicely well fine solid pleasing pleasant lovely attractive appealing"
              " interesting sound cool likeable neat"),
        (0.8, "great high strong beautiful beautifully impressive striking wonderful remarkable"
              " superior professional delightful gorgeous captivating compelling effective"),
        (0.92, "excellent superb outstanding stunning amazing fantastic exceptional brilliant"
               " magnificent awesome incredible spectacular marvelous marvellous fabulous"
               " breathtaking exquisite masterful terrific best top"),
        (0.9, "perfect perfectly flawless flawlessly impeccable immaculate faultless pristine"
              " unblemished"),
    )
    for word in words.split()
}  # fmt: skip

_OVERALL = frozenset(
    """
    quality photo photograph picture image shot capture overall technically aesthetically standard
    verdict rating impression looks beauty look result appeal pic rendition work it this visually
    photography technique level execution aesthetic technical condition i call
    """.split()
)
_ASPECTS = frozenset(
    """
    composition light lighting colour sharpness focus exposure contrast detail texture framing
    balance tone mood atmosphere perspective angle symmetry depth background clarity noise
    arrangement palette harmony subject composed lit exposed framed idea saturation resolution
    """.split()
)
_NOT = frozenset("not no never nothing neither nor hardly lacks lack without isn't".split())
_MORE = frozenset(
    "very extremely really truly so absolutely incredibly too super exceptionally utterly".split()
)
_LESS = frozenset(
    "slightly somewhat little bit rather fairly quite relatively mildly reasonably tad".split()
)
_SENTENCE_BREAKS = frozenset(", but yet although though while whereas however despite".split())
_SUPPOSED = frozenset("if unless would could should were whether".split())

_WEIGHTS = {"overall": 4.0, "aspect": 1.0, "loose": 0.5, "claim": 1.0}
_OF_CLAIM = {
    (True, "mild"): 0.45, (True, "plain"): 0.25, (True, "strong"): 0.1,
    (False, "mild"): 0.6, (False, "plain"): 0.75, (False, "strong"): 0.9,
}  # fmt: skip
# Dark, bright, warm or without colour can be as good as anything.
_NEUTRAL = frozenset("dark bright grey toneless warm cool".split())


@dataclass(frozen=True, slots=True)
class Cue:
    """A part of the text that speaks for a level: its worth from 0 (worst) to 1 and its weight."""

    kind: str
    worth: float
    weight: float
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Implied:
    """What a text implies: a score on the unified scale, None where it implies nothing."""

    score: float | None
    cues: tuple[Cue, ...]

    @property
    def level(self) -> str | None:
        """One of the five levels."""
        return None if self.score is None else level_of(self.score)


def imply(text: str) -> Implied:
    """The level that a text implies, with the parts that decided.

    What is said of the photo as a whole decides if there is anything of the kind; else what is
    said of its aspects and what it is claimed to suffer from, in equal parts.
    """
    cues = list(_evaluations(text))
    if not any(cue.kind == "overall" for cue in cues):
        taken = {place for cue in cues for place in range(cue.start, cue.end)}
        for claim in claims(text):
            if claim.property in _NEUTRAL or not taken.isdisjoint(range(claim.start, claim.end)):
                continue
            worth = _OF_CLAIM[claim.present, claim.strength]
            weight = _WEIGHTS["claim"]
            cues.append(Cue("claim", worth, weight, claim.start, claim.end, claim.text))
    else:
        cues = [cue for cue in cues if cue.kind == "overall"]
    if not cues:
        return Implied(None, ())
    total = sum(cue.weight for cue in cues)
    score = sum(cue.worth * cue.weight for cue in cues) / total
    return Implied(round(score, 4), tuple(sorted(cues, key=lambda cue: cue.start)))


def agreement(implied: float | None, score: float | None) -> float | None:
    """How well an implied score and a unified score agree: 1 − their distance, 0 to 1.

    None where the text implies nothing or the photo has no rating.
    """
    if implied is None or score is None:
        return None
    return round(1.0 - abs(implied - score), 4)


def _evaluations(text: str) -> Iterator[Cue]:
    for sentence in sentences(tokens(text)):
        if sentence[-1].word == "?":
            continue
        for place, token in enumerate(sentence):
            worth = _WORTH.get(token.word)
            if worth is not None:
                cue = _evaluation(text, sentence, place, worth)
                if cue is not None:
                    yield cue


def _evaluation(text: str, sentence: list[Token], place: int, worth: float) -> Cue | None:
    words = [token.word for token in sentence]
    first = place
    while first > 0 and words[first - 1] not in _SENTENCE_BREAKS:
        first -= 1
    last = place
    while last + 1 < len(words) and words[last + 1] not in _SENTENCE_BREAKS:
        last += 1
    clause = words[first : last + 1]
    if _SUPPOSED & set(clause) and "call" not in clause and "rate" not in clause:
        return None
    about = _about(words, place, first, last)
    if about is None:
        return None
    before = words[max(first, place - 4) : place]
    start = place
    if any(word in _NOT or word.endswith("n't") for word in before):
        # Not bad is a little better than the middle, not good a little worse, not perfect good.
        worth = 0.62 if worth < 0.4 or worth > 0.85 else 0.35
        start = next(i for i in range(max(first, place - 4), place)
                     if words[i] in _NOT or words[i].endswith("n't"))  # fmt: skip
    elif _MORE & set(before[-2:]):
        worth = 0.5 + (worth - 0.5) * 1.25
    elif _LESS & set(before[-2:]):
        worth = 0.5 + (worth - 0.5) * 0.6
    worth = min(1.0, max(0.0, worth))
    begin, end = sentence[start].start, sentence[place].end
    return Cue(about, round(worth, 4), _WEIGHTS[about], begin, end, text[begin:end])


def _about(words: list[str], place: int, first: int, last: int) -> str | None:
    """Whether a word judges the photo as a whole or an aspect of it; None if something else."""
    after = [singular(word) for word in words[place + 1 : min(last, place + 3) + 1]]
    before = [singular(word) for word in words[max(first, place - 6) : place]]
    # The noun that it stands before says most: a good photo, poor lighting, low contrast.
    for word in after:
        if word in _ASPECTS:
            return None if words[place] in ("low", "high", "well", "strong", "top") else "aspect"
        if word in _OVERALL:
            return "overall"
    aspect = next((word for word in reversed(before) if word in _ASPECTS | _OVERALL), "")
    if aspect in _ASPECTS:
        return None if words[place] in ("low", "high", "strong", "top") else "aspect"
    if words[place] in ("low", "high", "well", "strong", "top", "fine", "fairly"):
        return None if aspect != "quality" else "overall"
    if aspect:
        return "overall"
    return "loose"


__all__ = ["LEVELS", "Cue", "Implied", "agreement", "imply"]
