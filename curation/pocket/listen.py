"""What a text about a photo says: its level, faults, task and cues, read back by rules.

The rules look for fragments, not for whole sentences, so that a small slip of grammar does not
make them deaf. They know the words of `curation.pocket.answers`, and the plainest other ones. Must
not know what the photo shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from curation.pocket.reading import FAULTS, VALUES
from curation.pocket.wording_faults import ADJECTIVES, AFFECTS, AMOUNTS, NAMES, VISIBLE
from uniqa.levels import LEVELS

CUE_FAULTS: dict[str, tuple[str, ...]] = {
    "sharpness": ("blur", "motion_blur", "downscale"),
    "noise": ("noise",),
    "exposure": ("underexposure", "overexposure"),
    "contrast": ("low_contrast",),
    "colour": ("desaturation", "oversaturation", "colour_cast"),
    "compression": ("compression", "banding"),
}
"""The faults that belong to each cue of quality."""

# Plain words for a fault beside the names that the teachers use.
_MORE = {
    "blur": ("blurred", "blurry", "blurring"),
    "motion_blur": ("movement blur", "shaken"),
    "downscale": ("upscaled", "enlarged from a small original"),
    "noise": ("noisy", "speckles"),
    "compression": ("jpeg artefacts", "artefacts", "compression damage", "blocking"),
    "banding": ("posterised", "posterisation"),
    "underexposure": ("underexposed",),
    "overexposure": ("overexposed",),
    "desaturation": ("desaturated",),
    "oversaturation": ("oversaturated",),
    "colour_cast": ("colour tint", "{tint} cast", "{tint} tint"),
}


def _fragment(name: str) -> str:
    tints = "|".join(VALUES["tint"][1:])
    words = name.removeprefix("a *").replace("-", " ").split()
    return r"[\s-]+".join(f"(?:{tints})" if word == "{tint}" else word for word in words)


_KIND_OF = {
    _fragment(name): kind
    for kind in FAULTS
    for name in (*NAMES["a"][kind], *NAMES["b"][kind], *_MORE.get(kind, ()))
}
# The longest first: "lens blur" is not a "blur" that happens to follow a "lens".
_NAMED = sorted(_KIND_OF, key=len, reverse=True)
_FAULT = re.compile(rf"\b(?:{'|'.join(f'({name})' for name in _NAMED)})\b", re.IGNORECASE)
_DENIED = re.compile(
    r"\b(?:no|not|without|free of|free from|nor)(?: any| visible)* $", re.IGNORECASE
)
_LEVEL = re.compile(rf"\b({'|'.join(LEVELS)})\b", re.IGNORECASE)
_CLEAN = re.compile(
    r"\b(?:clean|flawless|undisturbed|faultless|unblemished|distortion-free) rendering\b"
    r"|\b(?:clean|sound|flawless|healthy|unharmed|damage-free) file\b"
    r"|\b(?:no|without|free of|free from)(?: any| visible)*"
    r" (?:distortions?|damage|faults?|flaws?)\b",
    re.IGNORECASE,
)


def _grades(*tables: tuple[tuple[str, ...], ...]) -> dict[str, int]:
    return {
        word: grade
        for table in tables
        for grade, words in enumerate(table, start=1)
        for word in words
    }


_BEFORE = _grades(ADJECTIVES, AMOUNTS)
_AFTER = _grades(AFFECTS, tuple((word,) for word in VISIBLE))
_STRENGTH_BEFORE = re.compile(rf"\b({'|'.join(_BEFORE)}) $", re.IGNORECASE)
_STRENGTH_AFTER = re.compile(rf" (?:is |are )?({'|'.join(_AFTER)})\b", re.IGNORECASE)


def _words(*parts: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(parts)})\b", re.IGNORECASE)


def _names(cue: str) -> list[str]:
    return [name for name, kind in _KIND_OF.items() if kind in CUE_FAULTS[cue]]


_SHARPNESS = (
    "sharp(?:ness)?", "crisp", "outlines?", "contours?", "edges?", "lines?", "texture", "details?",
    "focus", "razor-sharp",
)  # fmt: skip
_NOISE = ("(?:calm|smooth|flat|plain) (?:surfaces?|areas?|spots?|parts?)",
          "(?:darker|deeper) tones", "dark corners")  # fmt: skip
_EXPOSURE = ("exposure", "exposed", "highlights?", "shadows?", "clip(?:ped|ping)",
             "bright(?: and dark)? (?:parts|ends)", "dark (?:parts|ends)")  # fmt: skip
_CONTRAST = ("contrast", "tonal range", "black", "light and dark", "punch")
_COLOUR = (
    "colours?",
    "saturat(?:ion|ed)",
    "greys?",
    "white balance",
    "white (?:looks|comes|on|that)",
)
_COMPRESSION = ("compress(?:ion|ed)", "saving", "saved", "jpeg", "gradients?")

_CUES: dict[str, dict[str, re.Pattern[str]]] = {
    "quality": {
        "sharpness": _words(*_SHARPNESS, *_names("sharpness")),
        "noise": _words(*_NOISE, *_names("noise")),
        "exposure": _words(*_EXPOSURE, *_names("exposure")),
        "contrast": _words(*_CONTRAST, *_names("contrast")),
        "colour": _words(*_COLOUR, *_names("colour")),
        "compression": _words(*_COMPRESSION, *_names("compression")),
    },
    "aesthetic": {
        "composition": _words("compos(?:ition|ed)", "gaze", "eye", "eye-catcher", "thirds",
                              "framing", "starting point", "symmetry", "halves", "placed"),
        "light": _words("light(?! and dark)", "lighting", "shade", "key", "dusk"),
        "colour": _words("palette", "hues?", "colours?", "colourless"),
        "depth": _words("depth", "deep", "foreground", "background", "planes?", "front", "back",
                        "space"),
        "simplicity": _words("simpl(?:e|icity)", "(?:un)?clutter(?:ed)?", "crowd(?:ed|s)", "busy",
                             "junk", "distract(?:s|ions?)?", "filled", "packed", "half[- ]full",
                             "restraint", "restrained", "abundance"),
        "harmony": _words("harmon(?:y|ious)", "fits? together", "symmetry", "match", "tension",
                          "(?:all|the) parts", "parts (?:that|in|without)", "mirror"),
    },
}  # fmt: skip

_TASKS = {
    "quality": _words(
        "technical(?:ly)?", "quality", *_SHARPNESS, *_NOISE, *_EXPOSURE, *_CONTRAST,
        *_COLOUR[3:], "grey", "white", "black", "(?<!its )colours (?:look|are (?!one|the ))",
        "saturat(?:ion|ed)", "greys", "white balance", *_COMPRESSION, "rendering", "distortion",
        "structures", "complaint", "file", "damage", *_KIND_OF,
    ),
    "aesthetic": _words(
        "aesthetic(?:ally|s)?", "beauty", "beautiful", "appeal", "charm", "mood", "scene", "taste",
        "impression", "palette", "hues?", "colour (?:mix|scheme)", "main colours?",
        "its (?:main )?colours?", "colours (?:feel|bite|fight)", "light(?! and dark)", "lighting",
        "shade", "key", "subject", "main thing", "attention", "motifs?", "accents?",
        "its looks", "i get", "things?", "left and right", "background", "foreground",
        *(
            _CUES["aesthetic"][cue].pattern
            for cue in ("composition", "depth", "simplicity", "harmony")
        ),
    ),
}  # fmt: skip


def level_said(text: str) -> str:
    """The first level word of a text, or nothing."""
    return next(iter(levels_said(text)), "")


def levels_said(text: str) -> list[str]:
    """All level words in order of appearance."""
    return [word.lower() for word in _LEVEL.findall(text)]


def faults_said(text: str) -> list[str]:
    """Kinds of faults that a text says are there, in order of appearance, each once."""
    return list(dict.fromkeys(kind for kind, _, _ in _mentions(text)))


def severities_said(text: str) -> dict[str, int]:
    """Severity 1–5 by kind, for the faults whose strength the text says."""
    said: dict[str, int] = {}
    for kind, start, end in _mentions(text):
        before = _STRENGTH_BEFORE.search(text[:start])
        after = _STRENGTH_AFTER.match(text[end:])
        if before:
            said.setdefault(kind, _BEFORE[before[1].lower()])
        elif after:
            said.setdefault(kind, _AFTER[after[1].lower()])
    return said


def severity_said(text: str) -> int | None:
    """The severity of the fault that is said to be strongest; None without any."""
    return max(severities_said(text).values(), default=None)


def clean_said(text: str) -> bool:
    """Whether a text says that the photo shows no distortion."""
    return _CLEAN.search(text) is not None and not faults_said(text)


def task_said(text: str) -> str:
    """`quality` or `aesthetic`, whichever's vocabulary prevails; nothing if neither does."""
    counts = {task: len(words.findall(text)) for task, words in _TASKS.items()}
    if counts["quality"] == counts["aesthetic"]:
        return ""
    return max(counts, key=lambda task: counts[task])


def cues_said(task: str, text: str) -> list[str]:
    """The cues of a task whose vocabulary occurs in a text."""
    return [cue for cue, words in _CUES[task].items() if words.search(text)]


def _mentions(text: str) -> Iterator[tuple[str, int, int]]:
    """Kind, start and end of every fault that is named and not denied."""
    for found in _FAULT.finditer(text):
        if _DENIED.search(text[: found.start()]):
            continue
        # Groups are numbered in the order of the names.
        yield _KIND_OF[_NAMED[(found.lastindex or 1) - 1]], found.start(), found.end()
