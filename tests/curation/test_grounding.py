"""Claims against real photos with known faults."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from curation.claims import ASPECTS, claims
from curation.demo.distort import distort
from curation.grounding import CONTRADICTED, SCALES, SUPPORTED, UNDECIDED, ground, judge
from curation.measuring.measure import Measurements, measure
from uniqa.photos import Pixels


@pytest.fixture(scope="module")
def photos() -> dict[str, Pixels]:
    from skimage import data

    return {name: np.asarray(getattr(data, name)()) for name in ("astronaut", "chelsea", "coffee")}


@pytest.fixture(scope="module")
def of(photos: dict[str, Pixels]):
    """Measurements of a photo with a fault; remembered."""
    known: dict[tuple[str, str, int], Measurements] = {}

    def measured(name: str, kind: str = "blur", severity: int = 0) -> Measurements:
        key = (name, kind, severity)
        if key not in known:
            known[key] = measure(distort(photos[name], kind, severity, seed=1))
        return known[key]

    return measured


# Fault at severity 4 → what is true of it, and what is not.
SPOKEN = {
    "blur": ("The picture is blurry.", "Every edge is tack sharp."),
    "noise": ("Strong noise covers everything.", "There is no noise."),
    "jpeg": ("JPEG artefacts are obvious.", "The picture is free of compression artefacts."),
    "underexposure": ("It is badly underexposed.", "The photo is bright and overexposed."),
    "overexposure": ("It is overexposed.", "It is badly underexposed."),
    "contrast": ("The picture is flat and lacks contrast.", "Contrast is strong."),
    "desaturation": ("The colours are washed out.", "The colours are vivid."),
}


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
@pytest.mark.parametrize("kind", SPOKEN)
def test_truth_is_supported_and_the_opposite_contradicted(of, kind: str, name: str) -> None:
    m = of(name, kind, 4)
    true, false = SPOKEN[kind]
    assert ground(true, m).contradictions == ()
    assert ground(true, m).supported == ground(true, m).claims == len(claims(true))
    assert ground(true, m).score == 1.0
    against = ground(false, m)
    assert against.contradictions
    assert against.score == 0.0


def test_a_contradiction_names_words_value_and_threshold(of) -> None:
    text = "I like the mood. The photo is tack sharp."
    m = of("coffee", "blur", 4)
    (finding,) = ground(text, m).contradictions
    row = finding.row()
    assert row["text"] == "tack sharp" == text[row["start"] : row["end"]]
    assert (row["aspect"], row["scale"], row["verdict"]) == ("sharpness", "focus", CONTRADICTED)
    assert row["measured"] == pytest.approx(m.focus, abs=1e-4)
    assert row["threshold"] == pytest.approx((0.85 + 1.05) / 2)
    assert row["measured"] > row["threshold"]


def test_between_the_thresholds_nothing_is_decided(of) -> None:
    scale = SCALES["noise"]
    m = replace(of("coffee"), noise=(scale.absent + scale.present) / 2)
    grounding = ground("The photo is noisy.", m)
    assert [finding.verdict for finding in grounding.findings] == [UNDECIDED]
    assert grounding.score is None
    assert (grounding.claims, grounding.supported, grounding.contradictions) == (1, 0, ())


def test_strong_words_dare_more_than_mild_ones(of) -> None:
    scale = SCALES["noise"]

    def verdict(text: str, noise: float) -> str:
        (finding,) = ground(text, replace(of("coffee"), noise=noise)).findings
        return finding.verdict

    little = (scale.none + scale.absent) / 2
    assert verdict("The photo is noisy.", little) == CONTRADICTED
    assert verdict("The photo is slightly noisy.", little) == UNDECIDED
    middling = scale.absent + 0.4 * (scale.present - scale.absent)
    assert verdict("The photo is noisy.", middling) == UNDECIDED
    assert verdict("The photo is extremely noisy.", middling) == CONTRADICTED
    much = (scale.present + scale.strong) / 2
    assert verdict("There is no noise.", much) == CONTRADICTED
    assert verdict("There is hardly any noise.", much) == UNDECIDED


def test_a_part_may_be_what_the_whole_is_not(of) -> None:
    sharp, blurred = of("astronaut"), of("astronaut", "blur", 4)
    face = "Her face is out of focus."
    assert ground(face, sharp).findings[0].verdict == UNDECIDED
    assert ground("Her face is sharp.", blurred).findings[0].verdict == CONTRADICTED


def test_a_cast_of_the_opposite_colour_contradicts(of) -> None:
    m = replace(of("coffee"), cast=20.0, tint="bluish")
    assert ground("A blue tint lies over the photo.", m).findings[0].verdict == SUPPORTED
    assert ground("An orange tint lies over the photo.", m).findings[0].verdict == CONTRADICTED
    assert ground("The white balance is accurate.", m).findings[0].verdict == CONTRADICTED


def test_a_background_out_of_focus_is_no_contradiction(of) -> None:
    text = "The background is softly blurred, the subject is sharp."
    assert ground(text, of("chelsea")).contradictions == ()


def test_text_without_claims_has_no_score(of) -> None:
    grounding = ground("A cat looks into the camera.", of("chelsea"))
    assert (grounding.claims, grounding.score) == (0, None)


def test_claims_found_once_can_be_judged_again(of) -> None:
    found = claims("The photo is blurry and noisy.")
    for m in (of("coffee"), of("coffee", "blur", 4)):
        assert judge(found, m) == ground("The photo is blurry and noisy.", m)


def test_the_table_of_scales_is_in_order_and_complete() -> None:
    assert set(SCALES) == set(ASPECTS)
    for scale in SCALES.values():
        assert scale.none <= scale.absent < scale.present < scale.strong


def test_every_scale_is_finite_for_any_picture() -> None:
    flat = measure(np.full((4, 4, 3), 128, dtype=np.uint8))
    assert len(fields(flat)) > 10
    assert all(np.isfinite(scale.measure(flat)) for scale in SCALES.values())
