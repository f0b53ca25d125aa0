"""Which facts of a `Reading` belong to a question, in the order they may be told.

Must not know how sentences are built.
"""

from __future__ import annotations

from random import Random

from curation.pocket.listen import CUE_FAULTS
from curation.pocket.reading import Reading
from curation.pocket.wording import Fact, fact, listed, with_article
from curation.pocket.wording_aesthetic import AESTHETIC, place_words, side_words
from curation.pocket.wording_faults import clean_fact, fault_fact
from curation.pocket.wording_quality import QUALITY

_AESTHETIC_ASPECTS: dict[str, tuple[str, ...]] = {
    "composition": ("place", "thirds", "focal", "symmetry"),
    "light": ("light", "brightness", "mood", "forms"),
    "colour": ("colours", "warmth", "richness", "scheme"),
    "depth": ("depth", "layers", "subject"),
    "simplicity": ("clutter", "quiet", "focal", "room"),
    "harmony": ("unity", "symmetry", "scheme", "clutter"),
}

# What a closing remark about the cue calls it.
_TOPICS = {
    "composition": ("composition", "framing"),
    "light": ("lighting", "light"),
    "colour": ("palette", "colour scheme"),
    "depth": ("rendering of depth", "depth"),
    "simplicity": ("arrangement", "set-up"),
    "harmony": ("interplay", "mix"),
}


def cue_names(task: str) -> tuple[str, ...]:
    """The cues of a task, ``overall`` first."""
    return ("overall", *(CUE_FAULTS if task == "quality" else _AESTHETIC_ASPECTS))


def facts_of(
    reading: Reading, task: str, cue: str, manner: str, rng: Random
) -> tuple[list[Fact], list[Fact]]:
    """The facts that an answer must tell, and those it may add, both in order."""
    if task == "quality":
        return (
            _quality_overall(reading, manner, rng)
            if cue == "overall"
            else _quality_cue(reading, cue, manner, rng)
        )
    if cue == "overall":
        return _aesthetic_overall(reading, manner, rng)
    return _aesthetic_cue(reading, cue, manner, rng)


def _quality_overall(
    reading: Reading, manner: str, rng: Random
) -> tuple[list[Fact], list[Fact]]:  # fmt: skip
    told = [fault_fact(kind, grade, reading.tint, manner, rng) for kind, grade in reading.faults]
    if len(told) > 1 and rng.random() < 0.12:
        told = told[:1]
    return told or [clean_fact(manner, rng)], _elsewhere(reading, "", manner, rng)


def _elsewhere(reading: Reading, cue: str, manner: str, rng: Random) -> list[Fact]:
    """What stands out, or what is sound, in the cues that have no fault of their own."""
    kinds = {kind for kind, _ in reading.faults}
    others = [
        _aspects(reading, name, manner, rng)[0]
        for name, own in CUE_FAULTS.items()
        if name != cue and not kinds.intersection(own)
    ]
    rng.shuffle(others)
    return others


def _quality_cue(
    reading: Reading, cue: str, manner: str, rng: Random
) -> tuple[list[Fact], list[Fact]]:
    own = [(kind, grade) for kind, grade in reading.faults if kind in CUE_FAULTS[cue]]
    aspects = _aspects(reading, cue, manner, rng)
    elsewhere = _elsewhere(reading, cue, manner, rng)
    if own:
        told = [fault_fact(kind, grade, reading.tint, manner, rng) for kind, grade in own]
        grade = own[0][1]
        more = [aspect for aspect in aspects if aspect.tone < 0]
        effect = "small" if grade < 3 else "medium" if grade == 3 else "large"
    else:
        if rng.random() < 0.3:
            rng.shuffle(aspects)
        told, more = aspects[:1], aspects[1:]
        effect = "none" if all(aspect.tone >= 0 for aspect in aspects) else ""
    if effect:
        more.append(fact(QUALITY[manner]["effect"][effect], rng))
    return told, [*more, *elsewhere]


def _aspects(reading: Reading, cue: str, manner: str, rng: Random) -> list[Fact]:
    """The facts of one cue of quality apart from its faults, the main one first."""
    grades = dict(reading.faults)
    soft = max(grades.get(kind, 0) for kind in CUE_FAULTS["sharpness"])
    coded, banded = grades.get("compression", 0), grades.get("banding", 0)
    noisy = reading.noise in ("grainy", "very noisy") or grades.get("noise", 0) > 2
    blurry = reading.sharpness
    values = {
        "sharpness": {
            "edges": blurry,
            "texture": "lost" if blurry == "very soft" or soft > 3
            else "thin" if blurry == "soft" or soft > 1 else "kept",
        },
        "noise": {"surfaces": reading.noise, "darker": "restless" if noisy else "calm"},
        "exposure": {"brightness": reading.brightness, "clipping": reading.clipping},
        "contrast": {
            "contrast": reading.contrast,
            "range": {"very low": "narrow", "low": "narrow", "moderate": "medium"}.get(
                reading.contrast, "wide"
            ),
        },
        "colour": {
            "saturation": reading.colourfulness,
            "greys": "neutral" if reading.tint == "neutral" else "tinted",
            "temperature": reading.temperature,
        },
        "compression": {
            "file": "crushing" if coded > 2 else "tight" if coded else "intact",
            "gradients": "broken" if banded else "smooth",
            "structures": "broken" if coded > 2 else "whole",
        },
    }[cue]  # fmt: skip
    if reading.tint != "neutral" and cue == "colour":
        del values["temperature"]  # one word about the white is enough
    return [
        fact(QUALITY[manner][aspect][value], rng, tint=reading.tint)
        for aspect, value in values.items()
    ]


def _aesthetic_overall(
    reading: Reading, manner: str, rng: Random
) -> tuple[list[Fact], list[Fact]]:  # fmt: skip
    drawn = [
        _aesthetic_fact(reading, rng.choice(aspects[:2]), manner, rng)
        for aspects in _AESTHETIC_ASPECTS.values()
    ]
    rng.shuffle(drawn)
    return drawn[:1], drawn[1:]


def _aesthetic_cue(
    reading: Reading, cue: str, manner: str, rng: Random
) -> tuple[list[Fact], list[Fact]]:
    aspects = _AESTHETIC_ASPECTS[cue]
    told = [_aesthetic_fact(reading, aspect, manner, rng) for aspect in aspects]
    lead = told[0]
    more = told[1:]
    rng.shuffle(more)
    topic = _TOPICS[cue]["ab".index(manner)]
    effect = fact(
        AESTHETIC[manner]["effect"][str(lead.tone)], rng, topic=topic, a_topic=with_article(topic)
    )
    return [lead], [*more, effect]


def _aesthetic_fact(reading: Reading, aspect: str, manner: str, rng: Random) -> Fact:
    side = "even" if reading.light == "even" else "side"
    values = {
        "place": "spread" if reading.focus_point == "spread"
        else "centre" if reading.place == "centre" else "one",
        "thirds": "yes" if reading.thirds else "no",
        "symmetry": reading.symmetry,
        "focal": reading.focus_point,
        "light": side,
        "forms": side,
        "brightness": reading.brightness,
        "mood": reading.contrast,
        "colours": str(min(len(reading.colours), 2)),
        "warmth": reading.temperature,
        "richness": reading.colourfulness,
        "scheme": reading.harmony,
        "depth": reading.depth,
        "layers": reading.depth,
        "subject": "clear" if reading.sharpness in ("crisp", "fairly sharp") else "soft",
        "clutter": reading.clutter,
        "quiet": reading.clutter,
        "room": reading.clutter,
        "unity": reading.harmony,
    }  # fmt: skip
    return fact(
        AESTHETIC[manner][aspect][values[aspect]],
        rng,
        place=place_words(reading.place, manner),
        side=side_words(reading.light),
        colours=listed(reading.colours[:2]),
    )
