"""Why a photo scored as it did, in the words of its cues.

A cue's reading is compared with the labelled photos': how many of their deviations it lies above or
below, which level prompt is nearest, and what that moves the score by. The last comes from a linear
stand-in for the head, with weights that are not negative, fitted on the labelled photos' readings
and out-of-fold scores; its R² is kept beside it, because a head may see much that no cue names.
Must not know files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from training.cues import CUES, cue_scores
from training.views import Views
from uniqa.errors import InputError

Values = NDArray[np.float64]

FAIR = 0.6
"""What the middle level is worth: what readings are compared with where nothing was labelled."""

_RIDGE = 1.0
"""Spreads the stand-in's weights over cues that go together; one alone would else take them all."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One cue of one photo."""

    cue: str
    value: float
    """0.2–1, zero-shot."""
    typical: float
    """Mean of the labelled photos; the middle level where there are none."""
    deviations: float
    """(value − typical) in standard deviations of the labelled photos; NaN where unknown."""
    push: float
    """What the deviation moves the unified score by; NaN where unknown."""
    nearest: str
    """The likeliest of the five level prompts."""
    shares: tuple[float, ...]
    """Probability of each level prompt, worst first."""


def typical_of(cues: Values, names: Sequence[str], scores: Values | None) -> dict[str, Any]:
    """What a head's file must hold, so that photos can be explained later.

    Args:
        cues: (n, cues) readings of the labelled photos.
        names: of the cues.
        scores: (n,) out-of-fold scores of the same photos; None where there are none.
    """
    mean, sd = cues.mean(0), cues.std(0)
    facts: dict[str, Any] = {
        "mean": dict(zip(names, map(float, mean), strict=True)),
        "sd": dict(zip(names, map(float, sd), strict=True)),
    }
    if scores is None or len(scores) <= 2 * len(names) or np.ptp(scores) == 0:
        return facts
    from scipy.optimize import nnls

    z = (cues - mean) / np.where(sd > 1e-9, sd, np.inf)
    centred = scores - scores.mean()
    # Never below 0: readings go together, and a better one must not count against a photo.
    shrinking = np.sqrt(_RIDGE * len(z)) * np.eye(len(names))
    weights, _ = nnls(np.vstack([z, shrinking]), np.concatenate([centred, np.zeros(len(names))]))
    told = z @ weights
    # What spreading shrank is given back.
    rescale = float(told @ centred / (told @ told)) if told.any() else 1.0
    weights, told = weights * rescale, told * rescale
    left = centred - told
    facts["push"] = dict(zip(names, map(float, weights), strict=True))
    facts["r2"] = float(1 - (left**2).sum() / (centred**2).sum())
    return facts


def level_shares(views: Views) -> Values:
    """(n, cues, 5) probabilities of the level prompts, worst first."""
    unit = normalize(views.embeddings, dim=-1)
    with torch.inference_mode():
        per_level = [
            cue_scores(unit, views.prompts, views.scale, torch.eye(5)[level]) for level in range(5)
        ]
    shares: Values = torch.stack(per_level, dim=-1).double().numpy()
    return shares


def read_cues(
    views: Views, names: Sequence[str], task: str, facts: Mapping[str, Any] | None
) -> list[list[Reading]]:
    """Per photo its cues, the strongest push (else the farthest reading) first.

    Args:
        views: of the photos.
        names, task: of the cues in `views`.
        facts: what `typical_of` gave; None where nothing was labelled.

    Raises:
        InputError: facts that are something else.
    """
    means, sds, pushes = _numbers(facts or {})
    shares = level_shares(views)
    found = []
    for row in range(len(views.cues)):
        readings = []
        for at, name in enumerate(names):
            value, typical = float(views.cues[row, at]), means.get(name, FAIR)
            sd = sds.get(name, 0.0)
            deviations = (value - typical) / sd if sd > 1e-9 else float("nan")
            own = tuple(float(share) for share in shares[row, at])
            readings.append(
                Reading(
                    cue=name,
                    value=value,
                    typical=typical,
                    deviations=deviations,
                    push=pushes[name] * deviations if name in pushes else float("nan"),
                    nearest=CUES[task][name][int(np.argmax(own))],
                    shares=own,
                )
            )
        found.append(sorted(readings, key=_strength, reverse=True))
    return found


def _numbers(facts: Mapping[str, Any]) -> list[dict[str, float]]:
    try:
        return [
            {str(name): float(value) for name, value in facts.get(key, {}).items()}
            for key in ("mean", "sd", "push")
        ]
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"the head's cue readings are damaged ({error})", "Adapt again") from error


def _strength(reading: Reading) -> tuple[float, float]:
    told = (reading.push, reading.deviations, reading.value - reading.typical)
    known = [abs(value) for value in told if np.isfinite(value)]
    return known[0], known[-1]
