"""Which level a text implies: what it calls the photo, else what it praises and blames in it.

`imply` reads any English by words and short rules and knows nothing of the photo; `agreement`
compares what it found with a unified score.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from curation.claims import claims
from curation.tokens import Token, sentences, singular, tokens
from uniqa.levels import level_of

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
        (0.5, "fair average acceptable ok okay adequate ordinary middling"
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

_VERDICT = frozenset(
    """
    quality verdict rating standard impression beauty look looks appeal level technical technically
    aesthetic aesthetically
    """.split()
)
_OVERALL = _VERDICT | frozenset(
    """
    photo photograph picture image shot capture overall result pic rendition work it this visually
    photography technique execution condition i call
    """.split()
)
_ASPECTS = frozenset(
    """
    composition light lighting colour sharpness focus exposure contrast detail texture framing
    balance tone mood atmosphere perspective angle symmetry depth background clarity noise
    arrangement palette harmony rendering file subject composed lit exposed framed idea saturation
    resolution
    """.split()
)
_NOT = frozenset("not no never nothing neither nor hardly lacks lack without isn't".split())
_MORE = frozenset(
    "very extremely really truly so absolutely incredibly too super exceptionally utterly".split()
)
_LESS = frozenset(
    "slightly somewhat little bit rather fairly quite relatively mildly reasonably tad".split()
)
# Of anything but quality they say how much there is, not how good it is.
_AMOUNTS = frozenset("low high well strong top fine fairly".split())
_SENTENCE_BREAKS = frozenset(", but yet although though while whereas however despite".split())
_SUPPOSED = frozenset("if unless would could should were whether".split())

_RANKS = ("verdict", "overall")
_WEIGHTS = {"verdict": 1.0, "overall": 1.0, "aspect": 1.0, "loose": 0.5, "claim": 1.0}
# A great deal of blur is no great photo.
_NO_PRAISE = frozenset("deal amount many lot number part extent view while bit".split())
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

    A verdict on the quality or looks decides if there is one; else what the photo is called; else
    what is said of its aspects and what it is claimed to suffer from, in equal parts.
    """
    cues = list(_evaluations(text))
    for kind in _RANKS:
        if any(cue.kind == kind for cue in cues):
            cues = [cue for cue in cues if cue.kind == kind]
            break
    else:
        cues += _faults(text, cues)
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


def _faults(text: str, cues: list[Cue]) -> Iterator[Cue]:
    """Claims that the evaluations do not cover already."""
    taken = {place for cue in cues for place in range(cue.start, cue.end)}
    for claim in claims(text):
        if claim.what not in _NEUTRAL and taken.isdisjoint(range(claim.start, claim.end)):
            worth = _OF_CLAIM[claim.present, claim.strength]
            yield Cue("claim", worth, _WEIGHTS["claim"], claim.start, claim.end, claim.text)


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
    about = _about(words, place, last)
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


def _about(words: list[str], place: int, last: int) -> str | None:
    """Whether a word judges the photo as a whole or an aspect of it; None if something else."""
    after = [singular(word) for word in words[place + 1 : min(last, place + 3) + 1]]
    if after and after[0] in _NO_PRAISE:
        return None
    if "technical" in words[place : min(last, place + 4) + 1]:
        return "verdict"  # a poor picture in technical terms
    # The noun that it stands before says most: a good photo, poor lighting, low contrast.
    before = [singular(word) for word in words[max(0, place - 8) : place]]
    nouns = [word for word in (*after, *reversed(before)) if word in _ASPECTS | _OVERALL]
    noun = nouns[0] if nouns else ""
    if words[place] in _AMOUNTS:
        return "verdict" if noun == "quality" else None
    if noun in _ASPECTS:
        return "aspect"
    if not noun:
        return "loose"
    return "verdict" if noun in _VERDICT else "overall"
