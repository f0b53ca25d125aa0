"""The exam of a pocket model: do its words follow from the pixels and the question?

Everything is judged by the rules of `listen` on texts that came out of an engine, as a user gets
them. Photos are others than those learned from. A control asks the same of permuted photos: what
a model scores there, it scores without looking.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from curation.demo.distort import distort
from curation.diversity import vendi
from curation.embed import Encoder
from curation.engines.base import Answer, Engine, Request, Sampling
from curation.pocket.damage import Damage, apply_damage
from curation.pocket.listen import (
    clean_said,
    cues_said,
    faults_said,
    level_said,
    levels_said,
    task_said,
)
from curation.pocket.reading import FAULTS
from curation.prompts import PromptLibrary, Question
from uniqa import console
from uniqa.levels import LEVELS, TASKS
from uniqa.photos import Photo, Pixels

GREEDY = Sampling(temperature=0.0, max_tokens=120)
WARM = Sampling(temperature=1.0, top_p=1.0, max_tokens=120)

_AS_DISTORTED = {"compression": "jpeg", "low_contrast": "contrast"}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A picture of the exam: its pixels and what was done to it (``clean``, 0 if nothing)."""

    pixels: Pixels
    kind: str
    severity: int


def damaged(photos: Sequence[Pixels], per_photo: int, seed: int = 0) -> list[Sheet]:
    """Clean photos, and each with `per_photo` faults so that kinds and severities come equally.

    Kinds that `curation.demo.distort` knows are made by it, at its five steps, the others by
    `damage`. Photos without colour get no faults of colour.
    """
    sheets = []
    turn = 0
    for number, pixels in enumerate(photos):
        grey = int(np.ptp(pixels.astype(np.int16), axis=2).max()) < 8
        sheets.append(Sheet(pixels, "clean", 0))
        for _ in range(per_photo):
            kind, severity = FAULTS[turn % len(FAULTS)], 1 + turn // len(FAULTS) % 5
            turn += 1
            if grey and kind in ("desaturation", "oversaturation", "colour_cast"):
                continue
            sheets.append(Sheet(_spoilt(pixels, kind, severity, seed + number), kind, severity))
    return sheets


def _spoilt(pixels: Pixels, kind: str, severity: int, seed: int) -> Pixels:
    if kind in ("banding", "oversaturation"):
        return apply_damage(pixels, Damage({kind: float(severity)}, seed))
    return distort(pixels, _AS_DISTORTED.get(kind, kind), severity, seed)


TOLD = ("JPEG compression", "Gaussian blur", "white noise", "a colour cast", "low contrast")
"""What is told as known of a picture, true or not."""


class Examiner:
    """Asks an engine about pictures and reads the texts."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.prompts = PromptLibrary()

    def ask(
        self,
        pictures: Sequence[Pixels],
        questions: Sequence[Question],
        sampling: Sampling = GREEDY,
        seed: int = 0,
    ) -> list[str]:
        """A text per picture and question, "" where the engine refused."""
        answers = self.answers(pictures, questions, sampling, seed)
        return [answer.text if answer else "" for answer in answers]

    def answers(
        self,
        pictures: Sequence[Pixels],
        questions: Sequence[Question],
        sampling: Sampling = GREEDY,
        seed: int = 0,
    ) -> list[Answer | None]:
        """An answer per picture and question, None where the engine refused."""
        requests = []
        for number, (pixels, question) in enumerate(zip(pictures, questions, strict=True)):
            image_id = hashlib.sha256(pixels.tobytes()).hexdigest()
            payload = self.engine.prepare(_photo(pixels, image_id))
            requests.append(
                Request(str(number), image_id, payload, question, sampling, seed + number)
            )
        answers: list[Answer | None] = [None] * len(requests)
        with console.progress() as bar:
            task = bar.add_task(f"asking {self.engine.model}", total=len(requests), note="")
            for start in range(0, len(requests), 256):
                window = requests[start : start + 256]
                for reply in self.engine.generate(window):
                    if isinstance(reply, Answer):
                        answers[int(reply.caption_id)] = reply
                bar.advance(task, len(window))
        return answers

    def question(self, task: str, cue: str, level: str, number: int, known: str = "") -> Question:
        """One of the shipped wordings."""
        return self.prompts.question(
            task, cue, image_id=str(number), level=level, seed=0, known=known
        )

    def faults(self, sheets: Sequence[Sheet]) -> dict[str, Any]:
        """How often faults are named as what they are.

        Returns:
            As `_naming`, and under ``permuted`` the same for texts dealt out to other pictures.
        """
        asked = [self.question("quality", "overall", "", n) for n in range(len(sheets))]
        texts = self.ask([sheet.pixels for sheet in sheets], asked)
        order = np.random.default_rng(0).permutation(len(texts)).tolist()
        blind = _naming(sheets, [texts[place] for place in order])
        return _naming(sheets, texts) | {"permuted": blind}

    def opinion(self, pictures: Sequence[Pixels], mos: Sequence[float]) -> dict[str, Any]:
        """SRCC of unguided level words with people's ratings, with its 95 % interval (bootstrap).

        ``greedy`` is of one text each, ``sampled`` of the mean level of eight at temperature 1,
        ``permuted`` of the one text of another picture, and ``score`` of the expected level where
        the cue ``score`` asks for nothing else.
        """
        asked = [self.question("quality", "overall", "", n) for n in range(len(pictures))]
        one = [_level(text) for text in self.ask(pictures, asked)]
        eight = np.mean(
            [
                [_level(text) for text in self.ask(pictures, asked, WARM, seed=1000 * k)]
                for k in range(1, 9)
            ],
            axis=0,
        )
        scored = [self.question("quality", "score", "", n) for n in range(len(pictures))]
        answers = self.answers(pictures, scored)
        steps = np.arange(len(LEVELS))
        expected = np.array(
            [steps @ one.levels if one and one.levels else np.nan for one in answers], np.float64
        )
        return {
            "greedy": _srcc(one, mos),
            "score": _srcc(expected, mos),
            "interval_score": _interval(expected, np.array(mos)),
            "sampled": _srcc(eight, mos),
            "interval": _interval(np.array(one), np.array(mos)),
            "interval_sampled": _interval(eight, np.array(mos)),
            "permuted": _srcc(np.random.default_rng(0).permutation(one), mos),
        }

    def obedience(self, pictures: Sequence[Pixels]) -> dict[str, float]:
        """Shares of answers that keep to the task, the level and the cue that were asked for.

        ``cue_told`` is the last one where a fault is told besides, whether the picture has it or
        not.
        """
        asked, shown = [], []
        told = []
        rng = random.Random(0)
        for number, pixels in enumerate(pictures):
            for task in TASKS:
                for cue in self.prompts.tasks[task].cues:
                    level = rng.choice(("", *LEVELS))
                    asked.append(self.question(task, cue, level, number))
                    told.append(self.question(task, cue, level, number, known=rng.choice(TOLD)))
                    shown.append(pixels)
        texts = self.ask(shown, asked, WARM)
        both = list(zip(asked, texts, strict=True))
        knowing = list(zip(told, self.ask(shown, told, WARM), strict=True))
        return {
            "task": _share(task_said(text) == question.task for question, text in both),
            "level": _share(
                levels_said(text) == [question.level] for question, text in both if question.level
            ),
            "cue": _cue_kept(both),
            "cue_told": _cue_kept(knowing),
        }

    def samples(self, pictures: Sequence[Pixels], count: int = 4) -> list[list[str]]:
        """`count` texts per picture and task at temperature 1, unguided ``overall`` questions."""
        texts: list[list[str]] = [[] for _ in range(len(pictures) * len(TASKS))]
        shown = [pixels for pixels in pictures for _ in TASKS]
        asked = [
            self.question(task, "overall", "", n) for n in range(len(pictures)) for task in TASKS
        ]
        for k in range(count):
            for place, text in enumerate(self.ask(shown, asked, WARM, seed=7919 * (k + 1))):
                texts[place].append(text)
        return texts


def _cue_kept(asked: Sequence[tuple[Question, str]]) -> float:
    return _share(
        question.cue in cues_said(question.task, text)
        for question, text in asked
        if question.cue != "overall"
    )


def _photo(pixels: Pixels, image_id: str) -> Photo:
    height, width = pixels.shape[:2]
    return Photo(Path("exam"), image_id, pixels.nbytes, "PNG", "RGB", width, height, pixels)


def distinct(samples: Sequence[Sequence[str]]) -> float:
    """Distinct texts over texts, all pictures together."""
    texts = [text for several in samples for text in several]
    return len(set(texts)) / len(texts)


def variety(samples: Mapping[str, Sequence[Sequence[str]]], encoder: Encoder) -> dict[str, float]:
    """Vendi score of each model's texts and of the pair's, at an equal number of texts.

    The pair's texts are half of each, so that more texts are not what makes them differ.
    """
    flat = {name: [text for several in s for text in several] for name, s in samples.items()}
    scores = {name: vendi(encoder.encode(texts)) for name, texts in flat.items()}
    both = [text for texts in zip(*flat.values(), strict=True) for text in texts]
    count = len(both) // len(flat)
    mixed = random.Random(0).sample(both, count)
    return scores | {"pair": vendi(encoder.encode(mixed))}


def _naming(sheets: Sequence[Sheet], texts: Sequence[str]) -> dict[str, Any]:
    """``macro_f1`` over the kinds at severities 3 to 5 with the clean photos among them, ``f1`` of
    each, ``clean`` (share of clean photos called so), ``named`` (kind → share named right at
    severities 1 to 5), ``instead`` (kind → what was said in its place) and ``severity_srcc`` of
    the level words.
    """
    said = [_main_fault(text) for text in texts]
    both = list(zip(sheets, said, strict=True))
    strong = [(s.kind, word) for s, word in both if s.severity >= 3 or s.kind == "clean"]
    f1 = {kind: _f1(strong, kind) for kind in FAULTS}
    named = {
        kind: [
            _share(word == kind for s, word in both if s.kind == kind and s.severity == severity)
            for severity in range(1, 6)
        ]
        for kind in FAULTS
    }
    instead = {
        kind: Counter(word for s, word in both if s.kind == kind and word != kind)
        for kind in FAULTS
    }
    levels = [_level(text) for text in texts]
    return {
        "macro_f1": float(np.mean(list(f1.values()))),
        "f1": f1,
        "clean": _share(word == "clean" for kind, word in strong if kind == "clean"),
        "named": named,
        "instead": {kind: dict(counts.most_common(3)) for kind, counts in instead.items()},
        "severity_srcc": _srcc(levels, [-s.severity for s in sheets]),
    }


def _main_fault(text: str) -> str:
    kinds = faults_said(text)
    if kinds:
        return kinds[0]
    return "clean" if clean_said(text) else "nothing"


def _level(text: str) -> int:
    level = level_said(text)
    return LEVELS.index(level) if level else 2


def _f1(pairs: Sequence[tuple[str, str]], kind: str) -> float:
    right = sum(true == said == kind for true, said in pairs)
    wrong = sum((true == kind) != (said == kind) for true, said in pairs)
    return 2 * right / (2 * right + wrong) if right + wrong else 0.0


def percent(share: float) -> str:
    """A share for tables; a dash where nothing was asked."""
    return "–" if math.isnan(share) else f"{share:.0%}"


def _share(values: Any) -> float:
    found = [bool(value) for value in values]
    return sum(found) / len(found) if found else float("nan")


def _srcc(one: Any, two: Any) -> float:
    if len(set(map(float, one))) < 2:
        return 0.0
    return float(spearmanr(one, two).statistic)


def _interval(one: NDArray[Any], two: NDArray[Any]) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    draws = [_srcc(one[i], two[i]) for i in rng.integers(0, len(one), (1000, len(one)))]
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)
