"""A seeded grammar that turns measurements into one to three sentences.

The facts are the measured ones (`lexicon`); the seed decides which of them are told, in
which order, in which words and in which kind of sentence. A level, where one is given, is
respected: the sentence says that the photo is of that level, and facts that speak against it are
set off by *although*. Must not know pixels, engines or prompts.
"""

from __future__ import annotations

import re
from random import Random

from curation.measuring.measure import Measurements, implied_aesthetic, implied_quality
from curation.phrasing.lexicon import Fact, article, listed
from curation.phrasing.lexicon_aesthetic import AESTHETIC
from curation.phrasing.lexicon_quality import QUALITY
from uniqa.levels import LEVELS, TASKS, level_of

_CUES = {"quality": QUALITY, "aesthetic": AESTHETIC}

_PHOTO = ("photo", "picture", "image", "photograph", "shot")

# How a level is said of a photo; {x} is the level, {a x} the same with its article.
_VERDICTS = {
    "quality": (
        "the technical quality of this {photo} is {x}",
        "this is {a x} {photo} in technical terms",
        "this {photo} is of {x} quality",
        "overall quality is {x}",
        "technically, this {photo} is {x}",
        "the {photo} makes {a x} technical impression",
        "quality-wise this is {a x} {photo}",
        "from a technical point of view this is {a x} {photo}",
        "judged by its quality, the {photo} is {x}",
        "the {photo} is technically {x}",
    ),
    "aesthetic": (
        "the aesthetic quality of this {photo} is {x}",
        "this is {a x} {photo} to look at",
        "aesthetically, this {photo} is {x}",
        "the {photo} is {x} in aesthetic terms",
        "as a piece of photography this is {x}",
        "the visual appeal of this {photo} is {x}",
        "the {photo} makes {a x} visual impression",
        "from an aesthetic point of view this is {a x} {photo}",
        "judged by its looks, the {photo} is {x}",
        "in terms of beauty the {photo} is {x}",
    ),
}

_SHOWS = ("shows", "has", "comes with", "displays", "offers")
_ALSO = ("also, ", "in addition, ", "besides, ", "moreover, ", "", "", "")
_YET = ("on the other hand, ", "still, ", "even so, ", "that said, ")
_AGAINST = ("although", "though", "even though")


def cues(task: str) -> tuple[str, ...]:
    """The cues of a task, ``overall`` first."""
    return ("overall", *_CUES[task])


def phrase(m: Measurements, task: str, cue: str, level: str, rng: Random) -> str:
    """One to three sentences about a photo.

    Args:
        m: what was measured in it.
        task: ``quality`` or ``aesthetic``.
        cue: one of `cues`. Any other, as a user's own prompts may bring, is answered like
            ``overall``, for nothing else is known.
        level: one of the five levels, or empty. Without one, an overall text may name the level
            that the measurements imply.
        rng: decides the selection, order and wording; the same state gives the same text.

    Raises:
        ValueError: an unknown task or level.
    """
    if task not in TASKS:
        raise ValueError(f"a task is one of {', '.join(TASKS)}, not {task!r}")
    if level and level not in LEVELS:
        raise ValueError(f"a level is one of {', '.join(LEVELS)}, not {level!r}")
    overall = cue not in _CUES[task]
    if overall and not level and rng.random() < (0.6 if task == "quality" else 0.35):
        implied = implied_quality(m) if task == "quality" else implied_aesthetic(m)
        level = level_of(max(0.0, min(1.0, implied)))
    facts = _overall(m, task, rng) if overall else _about(m, task, cue, rng)
    photo = rng.choice(_PHOTO)
    sentences = (
        _with_level(facts, task, level, photo, rng) if level else _facts_only(facts, photo, rng)
    )
    return " ".join(map(_sentence, sentences))


def _about(m: Measurements, task: str, cue: str, rng: Random) -> list[Fact]:
    """Two to four facts of one cue; the first is always among them."""
    head, *others = _CUES[task][cue](m, rng)
    count = rng.choice((1, 2, 2, 3))
    facts = [head, *_draw(others, count, rng)]
    if rng.random() < 0.4:
        rng.shuffle(facts)
    return facts


def _overall(m: Measurements, task: str, rng: Random) -> list[Fact]:
    """Three to five facts of different cues, remarkable ones more often."""
    pools = [draw(m, rng) for draw in _CUES[task].values()]
    chosen = []
    for pool in pools:
        # Mostly what a cue is about, now and then one of its details.
        chosen += pool[:1] if rng.random() < 0.65 else _draw(pool, 1, rng)
    facts = _draw(chosen, rng.choice((3, 3, 4, 4, 5)), rng)
    return sorted(facts, key=lambda fact: -fact.weight) if rng.random() < 0.4 else facts


def _draw(facts: list[Fact], count: int, rng: Random) -> list[Fact]:
    """`count` facts without repetition, drawn in proportion to weight squared, in drawn order."""
    left = list(facts)
    drawn: list[Fact] = []
    while left and len(drawn) < count:
        fact = rng.choices(left, weights=[(0.1 + fact.weight) ** 2 for fact in left])[0]
        left.remove(fact)
        drawn.append(fact)
    return drawn


def _with_level(facts: list[Fact], task: str, level: str, photo: str, rng: Random) -> list[str]:
    """Sentences that say the level, supported or qualified by the facts."""
    verdict = rng.choice(_VERDICTS[task])
    verdict = verdict.replace("{a x}", article(level)).replace("{x}", level)
    verdict = verdict.replace("{photo}", photo)
    side = {"bad": -1, "poor": -1, "fair": 0, "good": 1, "perfect": 1}[level]
    # A merely fair photo has both; nothing speaks against it.
    for_it = [fact for fact in facts if fact.tone * side >= 0]
    against = [fact for fact in facts if fact.tone * side < 0]
    if against:
        return _despite(verdict, for_it, against, rng)
    support, rest = for_it[:2], for_it[2:]
    form = rng.randrange(5)
    if form == 0:
        first = [_explained(verdict, support, rng)]
    elif form == 1:
        first = [f"{verdict}, with {listed([fact.noun for fact in support])}"]
    elif form == 2:
        first = [_clauses(support, rng), verdict]
    elif form == 3 and verdict.startswith(("the ", "this ")):
        first = [f"with {listed([fact.noun for fact in support])}, {verdict}"]
    else:
        first = [verdict, _clauses(support, rng)]
    return [*first, *_tell(rest, rng)]


def _despite(verdict: str, for_it: list[Fact], against: list[Fact], rng: Random) -> list[str]:
    """Two or three sentences where some facts speak against the verdict."""
    shown = " and ".join(fact.clause for fact in against[:2])
    although = rng.choice(_AGAINST)
    support = [_clauses(for_it[:3], rng)] if for_it else []
    form = rng.randrange(5)
    if form == 0:
        return [f"{verdict}, {although} {shown}", *support]
    if form == 1:
        return [*support, f"{verdict}, {although} {shown}"]
    if form == 2 and for_it and verdict.startswith(("the ", "this ")):
        nouns = listed([fact.noun for fact in for_it[:2]])
        return [f"with {nouns}, {verdict}, {although} {shown}", *_tell(for_it[2:], rng)]
    if form == 3 or not for_it:
        return [f"{although} {shown}, {verdict}", *support]
    return [_explained(verdict, for_it[:2], rng), rng.choice(_YET) + shown]


def _explained(verdict: str, facts: list[Fact], rng: Random) -> str:
    return f"{verdict}: {_clauses(facts, rng)}".replace("; ", ", and ")


def _facts_only(facts: list[Fact], photo: str, rng: Random) -> list[str]:
    """Sentences of facts alone."""
    first, rest = facts[:2], facts[2:]
    form = rng.randrange(5)
    if form == 0 or len(facts) == 1:
        return [_clauses(first, rng), *_tell(rest, rng)]
    if form == 1:
        nouns = listed([fact.noun for fact in facts[:3]])
        opening = f"{rng.choice(('this', 'the'))} {photo} {rng.choice(_SHOWS)} {nouns}"
        return [opening, *_tell(facts[3:], rng)]
    if form == 2:
        return [f"{first[0].clause}, with {first[1].noun}", *_tell(rest, rng)]
    if form == 3:
        opening = f"{rng.choice(('this is', 'here is'))} {article(photo)} with {first[0].noun}"
        return [opening, *_tell(facts[1:], rng)]
    opening = f"in this {photo}, {_clauses(first, rng)}"
    return [opening, *_tell(rest, rng)]


def _tell(facts: list[Fact], rng: Random) -> list[str]:
    """No or one sentence that tells up to three more facts."""
    if not facts:
        return []
    if len(facts) == 1:
        return [rng.choice(_ALSO) + facts[0].clause]
    if len(facts) == 2 and rng.random() < 0.4:
        return [f"{facts[0].clause}, with {facts[1].noun}"]
    return [_clauses(facts[:3], rng)]


def _clauses(facts: list[Fact], rng: Random) -> str:
    """One to three clauses as one; facts of opposite tone are joined by *but*."""
    if len(facts) == 1:
        return facts[0].clause
    one, two = facts[0].clause, facts[1].clause
    if len(facts) > 2:
        return f"{one}, {two}, and {facts[2].clause}"
    opposed = facts[0].tone * facts[1].tone < 0
    subject = re.match(r"(.+? )(?:is|are) ", one)
    if subject and two.startswith(subject[0]):
        return f"{one} {'but' if opposed else 'and'} {two.removeprefix(subject[1])}"
    if opposed:
        return one + rng.choice((", but ", ", yet ")) + two
    # A clause that holds an *and* itself needs a stronger pause.
    plain = " and " not in one and " and " not in two
    return one + rng.choice((", and ", "; ", ", while ", " and " if plain else "; ")) + two


def _sentence(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return f"{text[:1].upper()}{text[1:]}."
