"""Intervals around scores, from how far out-of-fold scores lay from the labels.

With n labels and absolute residuals of heads that had not seen them, the interval at confidence
1 − α is the score ± the ⌈(1 − α)(n + 1)⌉-th smallest residual: the cross-validation form of split
conformal prediction (Vovk 2015; Barber et al., Annals of Statistics 2021). That paper proves
1 − 2α for its CV+, which keeps every fold's head; this form keeps one head, and reaches about
1 − α where a fold's heads are much like the whole one.

Photos of one content are not independent: their residuals share the weight of one draw, 1/(K + 1)
for each of K groups (Lee, Barber & Willett 2023, hierarchical conformal prediction). With one
photo per group this is the rule above. Must not know models or files.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uniqa.errors import InputError

Values = NDArray[np.float64]

CONFIDENCE = 0.9
"""Share of photos whose own mean rating an interval is meant to hold."""


@dataclass(frozen=True)
class Residuals:
    """Ascending absolute residuals (unified scale), the weight of each, and how many groups."""

    values: Values
    weights: Values
    groups: int

    @classmethod
    def of(cls, scores: Values, truth: Values, groups: Sequence[str]) -> Residuals:
        """From out-of-fold scores, ratings and groups, (n,) each; NaN scores are left out."""
        known = np.flatnonzero(np.isfinite(scores) & np.isfinite(truth))
        sizes = Counter(groups[row] for row in known)
        missed = np.abs(scores[known] - truth[known])
        order = np.argsort(missed, kind="stable")
        weights = np.array([1 / sizes[groups[row]] for row in known], dtype=np.float64)
        return cls(missed[order], weights[order], len(sizes))

    def half_width(self, confidence: float) -> float | None:
        """How far an interval reaches on either side, or None: too few groups for this confidence.

        Raises:
            ValueError: a confidence outside 0–1.
        """
        if not 0 < confidence < 1:
            raise ValueError(f"a confidence lies between 0 and 1, not {confidence}")
        if not len(self.values):
            return None
        wanted = confidence * (self.groups + 1)
        # Where every weight is 1 this is the ⌈(1 − α)(n + 1)⌉-th residual.
        reached = np.cumsum(self.weights)
        at = int(np.searchsorted(reached, wanted - 1e-9))
        return float(self.values[at]) if at < len(self.values) else None

    def as_facts(self) -> dict[str, Any]:
        """For a head's file."""
        facts: dict[str, Any] = {
            "values": [round(float(v), 6) for v in self.values],
            "groups": self.groups,
        }
        if self.groups < len(self.values):
            facts["weights"] = [float(w) for w in self.weights]
        return facts

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Residuals:
        """What `as_facts` wrote.

        Raises:
            KeyError, TypeError, ValueError: something else.
        """
        values = np.array(facts["values"], dtype=np.float64)
        weights = np.array(facts.get("weights", [1.0] * len(values)), dtype=np.float64)
        if len(weights) != len(values):
            raise ValueError(f"{len(values)} residuals with {len(weights)} weights")
        return cls(values, weights, int(facts["groups"]))


def residuals_of(facts: Mapping[str, Any]) -> Residuals | None:
    """Of a head's facts; None where its labels allowed no folds, or an older version made it.

    Raises:
        InputError: they are there, but damaged.
    """
    if "residuals" not in facts:
        return None
    try:
        return Residuals.from_facts(facts["residuals"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the head's residuals are damaged ({type(error).__name__}: {error})", "Adapt again"
        ) from error


def needed(confidence: float) -> int:
    """The fewest labels (groups, where photos share one) that give an interval of a confidence."""
    return math.ceil(confidence / (1 - confidence) - 1e-9)


def why_none(residuals: Residuals | None, confidence: float, method: str = "") -> str:
    """One line on why there is no interval at a confidence; empty where there is one."""
    if residuals is not None and residuals.half_width(confidence) is not None:
        return ""
    if residuals is None and method == "lora":
        return f"no {confidence:.0%} intervals: the tower would have to learn once for each fold"
    has = "no folds of the labels" if residuals is None else f"{residuals.groups} groups of labels"
    return f"no {confidence:.0%} intervals: they need {needed(confidence)} groups, there are {has}"


@dataclass(frozen=True, slots=True)
class Decided:
    """What intervals decide at a pass mark."""

    automated: float
    """Share of photos whose interval lies wholly on one side of the mark."""
    wrong: float
    """Share of these whose rating lies on the other side; NaN where none is decided."""
    passed: int
    failed: int
    left: int


def decide(scores: Values, half_width: float, truth: Values, mark: float) -> Decided:
    """Pass, fail or leave to a person, photo by photo; all on one scale, a higher score better.

    Args:
        scores, truth: (n,), n ≥ 1.
        half_width: of the intervals.
        mark: the lowest score that passes.
    """
    passed, failed = scores - half_width >= mark, scores + half_width < mark
    decided = passed | failed
    wrong = (passed & (truth < mark)) | (failed & (truth >= mark))
    count = int(decided.sum())
    return Decided(
        automated=count / len(scores),
        wrong=float(wrong.sum()) / count if count else float("nan"),
        passed=int(passed.sum()),
        failed=int(failed.sum()),
        left=len(scores) - count,
    )
