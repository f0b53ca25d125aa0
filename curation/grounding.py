"""Grounding: whether what a text claims about the look of a photo can be measured in it.

Every claim of `curation.claims` is held against the photo's measurements. Between the values at
which a property is surely absent and surely there lies a band in which people differ; a claim that
falls into it stays undecided. Must not know where texts and measurements come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from curation.claim_words import TINTS
from curation.claims import Claim, claims
from curation.measuring.measure import Measurements, fault_severities, implied_quality

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"


@dataclass(frozen=True, slots=True)
class Scale:
    """How a property is measured, rising the more there is of it, and what the values mean.

    Up to `none` nobody sees it, up to `absent` hardly anybody would say that it is there, from
    `present` on hardly anybody that it is not, from `strong` on it is strong. Where the measurement
    is `sharp`, strong words are held to the middle between `absent` and `present`.
    """

    name: str
    measure: Callable[[Measurements], float]
    none: float
    absent: float
    present: float
    strong: float
    sharp: bool = True


def _misexposure(m: Measurements) -> float:
    severity = fault_severities(m)
    return max(severity["underexposure"] / 0.45, severity["overexposure"] / 0.22)


_NEVER = -math.inf

# Set on 40 photos of BSDS500's first half, as they are and with every fault of
# `curation.pocket.damage` at severities 1 to 5. `absent` lies near the 80th percentile of the
# photos as they are, `present` between their 95th and the 10th of severities 2 and 3, `none` and
# `strong` near the medians of the photos as they are and of severity 4. Where the scene itself
# says as much as the fault (colour, light), the bands are wider.
SCALES: dict[str, Scale] = {
    "blur": Scale("focus", lambda m: m.focus, 0.62, 0.85, 1.05, 1.6),
    "noise": Scale("noise", lambda m: m.noise, 0.9, 1.9, 4.2, 8.0),
    "compression": Scale("blockiness", lambda m: m.blockiness, 0.03, 0.08, 0.25, 0.6),
    # Saving a photo again fills the gaps: their lack proves nothing.
    "banding": Scale("banding", lambda m: m.banding, _NEVER, _NEVER, 0.08, 0.4, sharp=False),
    "underexposed": Scale(
        "underexposure", lambda m: fault_severities(m)["underexposure"], 0.05, 0.2, 0.42, 0.7
    ),
    # Of a dark scene much can be too bright before the mean shows it.
    "overexposed": Scale(
        "overexposure", lambda m: fault_severities(m)["overexposure"],
        _NEVER, 0.0, 0.2, 0.5, sharp=False,
    ),
    # Merely dark or bright is a matter of the mean alone, and of taste.
    "dark": Scale("darkness", lambda m: 1 - m.brightness, 0.4, 0.5, 0.72, 0.84, sharp=False),
    "bright": Scale("brightness", lambda m: m.brightness, 0.25, 0.33, 0.58, 0.7, sharp=False),
    "misexposed": Scale("misexposure", _misexposure, 0.3, 0.5, 1.0, 1.8),
    "highlights": Scale("highlights", lambda m: m.highlights, 0.0, 0.0005, 0.03, 0.12, sharp=False),
    # Detail is lost in shadows long before they are clipped.
    "shadows": Scale("shadows", lambda m: m.shadows, _NEVER, _NEVER, 0.04, 0.15, sharp=False),
    "flat": Scale(
        "low contrast", lambda m: fault_severities(m)["low contrast"], 0.02, 0.15, 0.38, 0.65
    ),
    # Chroma counts down: the less of it, the paler. Scenes without colour are pale by themselves.
    "pale": Scale("−saturation", lambda m: -m.saturation, -24.0, -15.0, -7.0, -3.5, sharp=False),
    "grey": Scale("−saturation", lambda m: -m.saturation, -6.0, -4.0, -1.5, -1.0, sharp=False),
    # A single colour may be a strong one.
    "toneless": Scale("−saturation", lambda m: -m.saturation, -16.0, -12.0, -3.0, -1.5, False),
    "vivid": Scale("saturation", lambda m: m.saturation, 9.0, 15.0, 42.0, 55.0, sharp=False),
    # Scenes without grey have casts of their own (nine in ten photos as they are stay below 13),
    # and these hide others.
    "cast": Scale("cast", lambda m: m.cast, 0.5, 2.0, 13.0, 20.0, sharp=False),
    "warm": Scale("warmth", lambda m: m.warmth, -10.0, -5.0, 8.0, 20.0, sharp=False),
    "cool": Scale("−warmth", lambda m: -m.warmth, -18.0, -10.0, 3.0, 12.0, sharp=False),
    "faulty": Scale(
        "quality lost", lambda m: 1 - implied_quality(m), 0.02, 0.08, 0.33, 0.6, sharp=False
    ),
}  # fmt: skip
"""Property → its scale."""

PART_BLUR = Scale("sharpest edges", lambda m: m.sharpest_blur, 0.5, 0.65, 0.95, 1.4)
"""Something in the photo is sharp, or nothing is: all that can be held against a part of it."""

# Degrees of hue between the tint that is named and the one that is measured.
_NEAR_TINT, _FAR_TINT = 50.0, 100.0
_TINTED = 4.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim and what the measurements say of it.

    `measured` is the value on the scale called `scale`, `threshold` the value that decided: from
    which (or up to which) the claim is contradicted or supported; None where undecided.
    """

    claim: Claim
    verdict: str
    scale: str
    measured: float
    threshold: float | None

    def row(self) -> dict[str, Any]:
        """Plain values, for tables and JSON."""
        return {
            "aspect": self.claim.aspect,
            "property": self.claim.what,
            "present": self.claim.present,
            "strength": self.claim.strength,
            "start": self.claim.start,
            "end": self.claim.end,
            "text": self.claim.text,
            "verdict": self.verdict,
            "scale": self.scale,
            "measured": round(self.measured, 4),
            "threshold": self.threshold,
        }


@dataclass(frozen=True, slots=True)
class Grounding:
    """What became of a text's claims, in the order in which they stand."""

    findings: tuple[Finding, ...]

    @property
    def claims(self) -> int:
        """Number of claims."""
        return len(self.findings)

    @property
    def supported(self) -> int:
        """Number of claims that the measurements bear out."""
        return sum(finding.verdict == SUPPORTED for finding in self.findings)

    @property
    def contradictions(self) -> tuple[Finding, ...]:
        """Claims that the measurements speak against."""
        return tuple(finding for finding in self.findings if finding.verdict == CONTRADICTED)

    @property
    def score(self) -> float | None:
        """Share of the decided claims that are supported, 0 to 1; None where none is decided."""
        decided = self.supported + len(self.contradictions)
        return self.supported / decided if decided else None


def ground(text: str, m: Measurements) -> Grounding:
    """Hold a text's claims against a photo's measurements."""
    return judge(claims(text), m)


def judge(found: tuple[Claim, ...], m: Measurements) -> Grounding:
    """The same for claims that are found already: they depend on the text alone."""
    return Grounding(tuple(_judged(claim, m) for claim in found))


def _judged(claim: Claim, m: Measurements) -> Finding:
    scale = SCALES[claim.what]
    if claim.part:
        if claim.what != "blur" or claim.present:
            # A part may well be what the whole is not.
            return Finding(claim, UNDECIDED, scale.name, scale.measure(m), None)
        scale = PART_BLUR
    value = scale.measure(m)
    against, speaks_for = _bounds(claim, scale)
    verdict: str = UNDECIDED
    threshold: float | None = None
    if claim.present:
        if value <= against:
            verdict, threshold = CONTRADICTED, against
        elif value >= speaks_for:
            verdict, threshold = SUPPORTED, speaks_for
    elif value >= against:
        verdict, threshold = CONTRADICTED, against
    elif value <= speaks_for:
        verdict, threshold = SUPPORTED, speaks_for
    if claim.tint:
        verdict, threshold = _tinted(claim.tint, m, verdict, threshold)
    return Finding(claim, verdict, scale.name, value, threshold)


def _bounds(claim: Claim, scale: Scale) -> tuple[float, float]:
    """The values that contradict and support a claim: strong words dare more, mild ones less."""
    middle = (scale.absent + scale.present) / 2
    if claim.present:
        return {
            "mild": (scale.none, scale.absent),
            "plain": (scale.absent, scale.present),
            "strong": (middle if scale.sharp else scale.absent, scale.present),
        }[claim.strength]
    return {
        "mild": (scale.strong, scale.present),
        "plain": (scale.present, scale.absent),
        "strong": (middle if scale.sharp else scale.present, scale.absent),
    }[claim.strength]


def _tinted(
    tint: str, m: Measurements, verdict: str, threshold: float | None
) -> tuple[str, float | None]:
    """A cast of another colour than the one that is measured contradicts as well."""
    measured = TINTS.get(m.tint)
    if verdict == CONTRADICTED or measured is None or m.cast < _TINTED:
        return (CONTRADICTED, threshold) if verdict == CONTRADICTED else (UNDECIDED, None)
    apart = abs((TINTS[tint] - measured + 180) % 360 - 180)
    if apart <= _NEAR_TINT:
        return SUPPORTED, _TINTED
    # A weak cast of another colour may be the scene's own.
    plain = SCALES["cast"].present
    return (CONTRADICTED, plain) if apart >= _FAR_TINT and m.cast >= plain else (UNDECIDED, None)
