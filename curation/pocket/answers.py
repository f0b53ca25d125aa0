"""Teacher texts: what a `Reading` says about a photo, in two manners.

Manner *a* is an observant critic in flowing prose, manner *b* a plain-spoken inspector in short
first-person statements; both state the same facts. A level, where one is given, is the verdict,
and facts that speak against it are set off by *although* or *even though*. Must not know pixels
or models.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from curation.pocket.facts import cue_names, facts_of
from curation.pocket.listen import cues_said
from curation.pocket.reading import Reading
from curation.pocket.wording import Fact, listed, vary, with_article
from uniqa.levels import LEVELS, TASKS

MANNERS = ("a", "b")
"""The critic, the inspector."""

STYLES = {"brief": (6, 14, 1, 1), "plain": (15, 28, 1, 2), "rich": (30, 45, 2, 3)}
"""Fewest and most words, fewest and most sentences."""

_FACTS = {"brief": (1, 1, 2), "plain": (2, 2, 3), "rich": (3, 4, 5, 6)}

# {x} is the level, {a x} the level with its article.
_VERDICTS = {
    "a": {
        "quality": "the [technical|] quality [is|remains] {x} / the [photograph|picture] is"
                   " technically"
                   " {x} / this is {a x} [photograph|picture] in technical terms / the technical"
                   " standard [is|remains] {x} / the [photograph|picture] [reaches|shows] {a x}"
                   " technical standard",
        "aesthetic": "the [aesthetic|visual] impression [is|remains] {x} / the"
                     " [photograph|picture] is"
                     " aesthetically {x} / this is {a x} [photograph|picture] in aesthetic terms"
                     " / the [photograph|picture] leaves {a x} aesthetic impression",
    },
    "b": {
        "quality": "I [call|rate] the quality {x} / my [quality verdict|quality rating] is {x} / I"
                   " would"
                   " call the quality {x} / I put the quality at {x} / {x} is my [quality verdict|"
                   "quality rating]",
        "aesthetic": "I [call|find] its looks {x} / my [beauty verdict|beauty rating] is {x} / I"
                     " would"
                     " call its looks {x} / I put its beauty at {x} / {x} is my [beauty verdict|"
                     "beauty rating]",
    },
}  # fmt: skip

_SIDE = {"bad": -1, "poor": -1, "fair": 0, "good": 1, "perfect": 1}
_TRIES = 400

# What brings in more that speaks against the verdict.
_HOLDS = {
    "a": "this [judgement|assessment] holds although",
    "b": "my verdict stands even though",
}

_OPENINGS = {
    "a": "as it stands / at first [sight|glance] / on closer inspection"
         " / seen as a whole",
    "b": "as I see it / in short / to be plain / as far as I can tell",
}  # fmt: skip
# Sentences that open with an adverbial already, or with a list.
_OPENED = (
    "although",
    "even though",
    "with ",
    "given",
    "on ",
    "in ",
    "altogether",
    "this j",
    "this a",
    "my verdict stands",
    "I note",
    "I list",
)


def answer(
    reading: Reading, task: str, cue: str, level: str, manner: str, style: str, rng: Random
) -> str:
    """One to three sentences about a photo.

    Args:
        reading: what is in the photo.
        task: ``quality`` or ``aesthetic``.
        cue: ``overall`` or one of the task's cues.
        level: the verdict to state, or empty. Without one, an overall answer states the reading's
            own, and so does about a third of the others.
        manner: one of `MANNERS`.
        style: one of `STYLES`.
        rng: decides selection, order and wording; the same state gives the same text.

    Raises:
        ValueError: an unknown task, cue, level, manner or style.
    """
    _check(task, cue, level, manner, style)
    own = reading.quality if task == "quality" else reading.beauty
    verdict = level or (own if cue == "overall" or rng.random() < 0.3 else "")
    fewest, most, _, _ = STYLES[style]
    best, gap = "", 10**6
    for _ in range(_TRIES):
        sentences = _draft(reading, task, cue, verdict, manner, style, rng)
        if style == "rich" and rng.random() < 0.4:
            sentences = _opened(sentences, manner, rng)
        text = " ".join(map(_sentence, sentences))
        count = len(text.split())
        missed = max(fewest - count, count - most, 0)
        if not _fits(sentences, task, cue, style):
            missed += 100
        if missed < gap:
            best, gap = text, missed
        if not missed:
            break
    return best


def _check(task: str, cue: str, level: str, manner: str, style: str) -> None:
    if task not in TASKS:
        raise ValueError(f"a task is one of {', '.join(TASKS)}, not {task!r}")
    for name, value, allowed in (
        ("cue", cue, cue_names(task)),
        ("level", level, ("", *LEVELS)),
        ("manner", manner, MANNERS),
        ("style", style, tuple(STYLES)),
    ):
        if value not in allowed:
            raise ValueError(f"a {name} is one of {', '.join(allowed)}, not {value!r}")


def _fits(sentences: list[str], task: str, cue: str, style: str) -> bool:
    """Whether the number of sentences is right and the first one is about the cue."""
    _, _, fewest, most = STYLES[style]
    about = cue == "overall" or cue in cues_said(task, sentences[0])
    return fewest <= len(sentences) <= most and about


def _draft(
    reading: Reading, task: str, cue: str, level: str, manner: str, style: str, rng: Random
) -> list[str]:
    """Sentences, without capitals and full stops, of any length."""
    first, others = facts_of(reading, task, cue, manner, rng)
    if style == "brief" and len(first) > 1 and rng.random() < 0.3:
        first = first[:1]
    count = max(len(first), rng.choice(_FACTS[style]))
    side = _SIDE.get(level, 0)
    if cue == "overall" and rng.random() < 0.7:
        # A verdict mostly finds its reasons, if there are any; faults keep their place.
        others.sort(key=lambda fact: -fact.tone * side)
        if task == "aesthetic":
            others = sorted([*first, *others], key=lambda fact: -fact.tone * side)
            first, others = others[:1], others[1:]
    facts = [*first, *others][:count]
    if not level:
        return _TELL[manner](facts, rng)
    verdict = vary(_VERDICTS[manner][task], rng)
    verdict = verdict.replace("{a x}", with_article(level)).replace("{x}", level)
    against = [fact for fact in facts if fact.tone * side < 0]
    for_it = [fact for fact in facts if fact.tone * side >= 0]
    # Only what points the same way is a reason; anything else just goes with the verdict.
    explains = bool(for_it) and for_it[0].tone == (side or min(for_it[0].tone, 0))
    # What the question is about comes first, whether it speaks for the verdict or against it.
    leads = facts[0].tone * side >= 0
    sentences = _JUDGE[manner](verdict, for_it, against[:2], leads, explains, rng)
    if style == "rich" and against[2:] and rng.random() < (0.3 if for_it else 0.9):
        sentences.append(f"{vary(_HOLDS[manner], rng)} {_both([a.clause for a in against[2:4]])}")
    return sentences


def _tell_a(facts: list[Fact], rng: Random) -> list[str]:
    """Flowing sentences of facts alone."""
    if len(facts) < 2 or not facts[0].noun:
        return [fact.clause for fact in facts]
    shows = vary("[the photograph|the picture|the frame] [shows|has]", rng)
    nouns = _nouns(facts, rng.choice((1, 3)))
    forms = [
        (f"{shows} {listed(nouns)}", len(nouns)),
        *[(_joined(facts[0], facts[1], rng), 2)] * 2,
    ]
    if len(facts) > 2:
        one, two, three = (fact.clause for fact in facts[:3])
        forms.append((f"{one}, {two}, and {three}", 3))
    sentence, told = rng.choice(forms)
    return [sentence, *_tell_a(facts[told:], rng)]


def _nouns(facts: list[Fact], most: int) -> list[str]:
    """The noun phrases of the first facts, up to one that has none."""
    named = facts[:most]
    while named and not all(fact.noun for fact in named):
        named = named[:-1]
    return [fact.noun for fact in named]


def _joined(one: Fact, two: Fact, rng: Random) -> str:
    opposed = one.tone * two.tone < 0
    shared = _predicate(one.clause, two.clause)
    if shared:
        return f"{one.clause} {'but' if opposed else 'and'} {shared}"
    if opposed:
        return f"{one.clause}, {rng.choice(('but', 'yet'))} {two.clause}"
    if two.noun and rng.random() < 0.4:
        return f"{one.clause}, with {two.noun}"
    return f"{one.clause}, {rng.choice(('and', 'while'))} {two.clause}"


def _predicate(one: str, two: str) -> str:
    """What the second clause says of the subject that it shares with the first, if it does."""
    subject = re.match(r"(the|its) \w+ ", one)
    if subject and " and " not in one and two.startswith(subject[0]):
        return two.removeprefix(subject[0])
    return ""


def _judge_a(
    verdict: str, for_it: list[Fact], against: list[Fact], leads: bool, explains: bool, rng: Random
) -> list[str]:
    """Flowing sentences that lead to a verdict, or away from it."""
    # A sentence, and how many of the facts for the verdict it tells; all others come after it,
    # or, where the number is None, before.
    forms: list[tuple[str, int | None]]
    if against:
        shown = _both([fact.clause for fact in against])
        forms = [(f"although {shown}, {verdict}", 0), (f"{verdict}, although {shown}", 0)]
        if leads:
            forms = [
                (f"{verdict}, although {shown}", None),
                (f"with {for_it[0].noun}, {verdict}, although {shown}", 1),
            ]
    else:
        named = _nouns(for_it, rng.choice((1, 2)))
        nouns, told = listed(named), len(named)
        whole = rng.choice(("on the whole", "altogether", "in sum"))
        forms = [
            (f"{verdict}, with {nouns}", told),
            (f"with {nouns}, {verdict}", told),
            (f"{whole}, {verdict}", None),
        ]
        if explains:
            lead = for_it[0].clause
            forms += [
                (f"given {nouns}, {verdict}", told),
                (f"{lead}, so {verdict}", 1),
                (f"{verdict}, {rng.choice(('for', 'as'))} {lead}", 1),
            ]
    return _around(*rng.choice(forms), for_it, _tell_a, rng)


def _both(clauses: list[str]) -> str:
    """One or two clauses as one; a clause that holds an *and* itself takes another link."""
    shared = _predicate(*clauses) if len(clauses) == 2 else ""
    if shared:
        return f"{clauses[0]} and {shared}"
    return (" while " if any(" and " in clause for clause in clauses) else " and ").join(clauses)


def _around(
    sentence: str,
    told: int | None,
    facts: list[Fact],
    tell: Callable[[list[Fact], Random], list[str]],
    rng: Random,
) -> list[str]:
    """A sentence after all facts, or before those that it has not told."""
    if told is None:
        return [*tell(facts, rng), sentence]
    return [sentence, *tell(facts[told:], rng)]


def _tell_b(facts: list[Fact], rng: Random) -> list[str]:
    """Short statements of facts alone."""
    if len(facts) < 2 or not facts[0].noun:
        return [fact.clause for fact in facts]
    one, two = facts[:2]
    lead = vary("I [note|list] / on my list", rng)
    turn = rng.choice(("then again, ", "at least ")) if one.tone < 0 < two.tone else ""
    named = _nouns(facts, 3)
    forms = [
        (f"{lead}: {listed(named)}", len(named)),
        (one.clause, 1),
        (f"{one.clause}; {turn}{two.clause}", 2),
    ]
    if two.noun:
        forms.append((f"{one.clause}, plus {two.noun}", 2))
    if len(facts) > 2:
        forms.append(("; ".join(fact.clause for fact in facts[:3]), 3))
    sentence, told = rng.choice(forms)
    return [sentence, *_tell_b(facts[told:], rng)]


def _judge_b(
    verdict: str, for_it: list[Fact], against: list[Fact], leads: bool, explains: bool, rng: Random
) -> list[str]:
    """Short statements around a verdict."""
    forms: list[tuple[str, int | None]]
    if against:
        shown = _both([fact.clause for fact in against])
        forms = [(f"even though {shown}, {verdict}", 0), (f"{verdict}, even though {shown}", 0)]
        if leads:
            forms = [
                (f"{verdict}, even though {shown}", None),
                (f"{for_it[0].clause}; {verdict}, even though {shown}", 1),
            ]
    else:
        lead = for_it[0].clause
        named = _nouns(for_it, rng.choice((1, 2, 2)))
        forms = [
            (f"{verdict}: {lead}", 1),
            (verdict, None),
            (f"{verdict}: {listed(named)}", len(named)),
        ]
        if explains:
            forms += [
                (f"{verdict} because {lead}", 1),
                (f"{lead}; hence {verdict}", 1),
                (f"{lead}; that is why {verdict}", 1),
            ]
    return _around(*rng.choice(forms), for_it, _tell_b, rng)


def _opened(sentences: list[str], manner: str, rng: Random) -> list[str]:
    """The same, with an adverbial before one of the sentences that can take it."""
    plain = [i for i, text in enumerate(sentences) if not text.startswith(_OPENED)]
    if not plain:
        return sentences
    chosen = rng.choice(plain)
    opening = vary(_OPENINGS[manner], rng)
    return [f"{opening}, {text}" if i == chosen else text for i, text in enumerate(sentences)]


_TELL: dict[str, Callable[[list[Fact], Random], list[str]]] = {"a": _tell_a, "b": _tell_b}
_JUDGE: dict[str, Callable[[str, list[Fact], list[Fact], bool, bool, Random], list[str]]] = {
    "a": _judge_a,
    "b": _judge_b,
}


def _sentence(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return f"{text[:1].upper()}{text[1:]}."
