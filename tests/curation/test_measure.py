"""Measurements react to known distortions, and survive any image."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from scipy.stats import spearmanr

from curation.demo.distort import KINDS, distort, rating
from curation.measuring.measure import (
    FAULT_KINDS,
    Measurements,
    fault_severities,
    faults,
    implied_aesthetic,
    implied_quality,
    measure,
)

FAULT_OF = {
    "blur": "blur",
    "motion_blur": "blur",
    "noise": "noise",
    "jpeg": "compression",
    "underexposure": "underexposure",
    "overexposure": "overexposure",
    "contrast": "low contrast",
    "desaturation": "undersaturation",
    "colour_cast": "colour cast",
    "downscale": "low resolution",
}


def scene(seed: int = 0, height: int = 300, width: int = 400) -> np.ndarray:
    """A photo-like picture: dead leaves (Lee, Mumford & Huang 2001), many sizes and colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = np.full((height, width, 3), 128.0)
    for radius in np.sort(80 / rng.uniform(1, 20, 400))[::-1]:
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        disc = (y - row) ** 2 + (x - column) ** 2 < radius**2
        picture[disc] = np.clip(rng.normal(120, 55) + rng.normal(0, 18, 3), 0, 255)
    return picture.round().astype(np.uint8)


def odd_images() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "one pixel": np.full((1, 1, 3), 7, np.uint8),
        "one row": rng.integers(0, 256, (1, 50, 3), dtype=np.uint8),
        "one column": rng.integers(0, 256, (50, 1, 3), dtype=np.uint8),
        "tiny": rng.integers(0, 256, (2, 3, 3), dtype=np.uint8),
        "nine": rng.integers(0, 256, (9, 9, 3), dtype=np.uint8),
        "strip": rng.integers(0, 256, (10, 3000, 3), dtype=np.uint8),
        "tall strip": rng.integers(0, 256, (3000, 10, 3), dtype=np.uint8),
        "long strip": rng.integers(0, 256, (3, 200_000, 3), dtype=np.uint8),
        "black": np.zeros((64, 64, 3), np.uint8),
        "white": np.full((700, 700, 3), 255, np.uint8),
        "grey": np.repeat(scene()[..., :1], 3, axis=2),
        "random": rng.integers(0, 256, (600, 700, 3), dtype=np.uint8),
        "two tones": np.where(np.arange(128)[:, None, None] < 64, 0, 255)
        .repeat(90, 1)
        .repeat(3, 2)
        .astype(np.uint8),
        "not contiguous": scene()[::2, ::-1],
    }


@pytest.mark.parametrize("name", odd_images())
def test_any_image_gives_finite_numbers(name):
    measured = measure(odd_images()[name])
    for field in fields(Measurements):
        value = getattr(measured, field.name)
        if isinstance(value, float):
            assert math.isfinite(value), field.name
    assert 0 <= implied_quality(measured) <= 1
    assert 0 <= implied_aesthetic(measured) <= 1
    severities = fault_severities(measured)
    assert set(severities) == set(FAULT_KINDS)
    assert all(0 <= value <= 1 for value in severities.values())
    assert measured.light_side
    assert measured.subject_place


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)])
def test_other_arrays_are_refused(wrong):
    with pytest.raises(ValueError, match="expected uint8"):
        measure(wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_faults_and_quality_follow_the_severity(kind):
    rhos, drops = [], []
    for seed in range(3):
        photo = scene(seed)
        measured = [measure(distort(photo, kind, severity, seed)) for severity in range(6)]
        values = [fault_severities(m)[FAULT_OF[kind]] for m in measured]
        rhos.append(spearmanr(range(6), values).statistic)
        drops.append(implied_quality(measured[0]) - implied_quality(measured[5]))
    assert np.mean(rhos) > 0.9
    assert np.mean(drops) > 0.01


def test_clean_scene_has_no_technical_fault():
    kinds = {fault.kind for fault in faults(measure(scene()))}
    assert not kinds & {"blur", "compression", "low resolution", "overexposure", "colour cast"}


def test_faults_are_sorted_and_named():
    bad = distort(distort(scene(), "blur", 4), "underexposure", 3)
    found = faults(measure(bad))
    severities = [fault.severity for fault in found]
    assert severities == sorted(severities, reverse=True)
    assert {"blur", "underexposure"} <= {fault.kind for fault in found}


def test_noise_is_measured_in_grey_levels():
    flat = np.full((256, 256, 3), 120, np.uint8)
    rng = np.random.default_rng(0)
    for sigma in (3, 8, 15):
        grain = rng.normal(0, sigma, (256, 256, 1))
        noisy = np.clip(np.rint(flat + grain), 0, 255).astype(np.uint8)
        assert measure(noisy).noise == pytest.approx(sigma, rel=0.15)


def test_edge_blur_is_measured_in_pixels():
    y, x = np.mgrid[:256, :256]
    board = np.where((x // 32 + y // 32) % 2, 200, 50)[..., None].repeat(3, 2).astype(np.uint8)
    for kind_severity, sigma in ((1, 0.8), (2, 1.3), (3, 2.0)):
        blurred = measure(distort(board, "blur", kind_severity))
        assert blurred.edge_blur == pytest.approx(sigma, rel=0.15)


def test_block_grid_is_found_at_any_phase():
    coded = distort(scene(), "jpeg", 4)
    values = [measure(coded[shift:, 2 * shift :]).blockiness for shift in range(4)]
    assert min(values) > 0.4
    assert measure(scene()).blockiness < 0.1


def test_light_side_and_symmetry():
    ramp = np.linspace(40, 220, 200)
    lit = np.broadcast_to(ramp[None, ::-1, None], (150, 200, 3)).astype(np.uint8)
    assert measure(lit).light_side == "left"
    assert measure(lit[:, ::-1]).light_side == "right"
    assert measure(np.rot90(lit)).light_side == "bottom"
    assert measure(lit).symmetry < -0.9
    mirrored = np.concatenate([lit, lit[:, ::-1]], axis=1)
    assert measure(mirrored).symmetry > 0.95


def test_subject_place_and_orientation():
    canvas = np.full((300, 450, 3), 30, np.uint8)
    canvas[30:90, 330:430] = (230, 60, 40)
    measured = measure(canvas)
    assert measured.subject_place == "upper right"
    assert measured.orientation == "landscape"
    assert measure(np.rot90(canvas)).orientation == "portrait"
    assert measured.colours[:1] == ("red",)


def test_tint_is_named():
    grey = np.repeat(scene()[..., :1], 3, axis=2)
    assert measure(grey).tint == "neutral"
    blue = np.clip(grey * np.array([0.8, 1.0, 1.25]), 0, 255).astype(np.uint8)
    assert measure(blue).tint == "bluish"
    assert measure(blue).warmth < 0


def test_same_pixels_same_measurements():
    assert measure(scene()) == measure(scene().copy())


@pytest.mark.parametrize("kind", KINDS)
def test_distortions_are_seeded_and_leave_the_source_alone(kind):
    photo = scene()
    before = photo.copy()
    first = distort(photo, kind, 3, seed=5)
    assert np.array_equal(photo, before)
    assert first.dtype == np.uint8
    assert first.shape == photo.shape
    assert np.array_equal(first, distort(photo, kind, 3, seed=5))
    assert not np.array_equal(first, photo)
    assert np.array_equal(distort(photo, kind, 0), photo)


@pytest.mark.parametrize("kind", KINDS)
def test_distortions_grow(kind):
    photo = scene()
    errors = [
        float(np.mean((distort(photo, kind, severity, 2).astype(float) - photo) ** 2))
        for severity in range(6)
    ]
    assert errors == sorted(errors)
    ratings = [rating(kind, severity) for severity in range(6)]
    assert ratings[0] == 5
    assert ratings == sorted(ratings, reverse=True)
    assert min(ratings) >= 1


def test_unknown_distortions_are_refused():
    photo = scene()
    with pytest.raises(ValueError, match="no distortion"):
        distort(photo, "sparkle", 1)
    with pytest.raises(ValueError, match="severity"):
        distort(photo, "blur", 6)
    with pytest.raises(ValueError, match="no distortion"):
        rating("sparkle", 0)


def test_distortions_survive_small_images():
    for kind in KINDS:
        for shape in ((1, 1, 3), (2, 9, 3)):
            assert distort(np.full(shape, 90, np.uint8), kind, 5).shape == shape
