"""Scores of unsure eyes, brought back to what they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from curation.pocket import targets
from curation.pocket.calibrate import CLEAN_SHARE, CLEANER, calibrated, evidence
from curation.pocket.damage import draw_damage
from curation.pocket.reading import FAULTS
from uniqa.levels import LEVELS, level_of

CLEAN = targets.MAIN.stop - 1


def _true_row(rng: np.random.Generator) -> NDArray[np.float32]:
    row = np.zeros(targets.WIDTH, dtype=np.float32)
    damage = draw_damage(rng)
    seen = {kind: value for kind, value in damage.faults.items() if value >= targets.SEEN}
    row[FAULTS.index(max(seen, key=lambda kind: seen[kind])) if seen else CLEAN] = 1
    for kind, value in damage.faults.items():
        row[targets.SEVERITY.start + FAULTS.index(kind)] = value / 5
    row[targets.NUMBER.start] = damage.quality
    return row


def _pictures(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores of eyes that see half of every fault, and others that are not there, and the truth."""
    rng = np.random.default_rng(seed)
    truth = np.stack([_true_row(rng) for _ in range(count)])
    seen = truth.copy()
    seen[:, targets.MAIN] = 4 * seen[:, targets.MAIN] + rng.normal(0, 1, (count, CLEAN + 1))
    seen[:, CLEAN] -= 5
    noise = rng.normal(0, 0.06, (count, len(FAULTS)))
    seen[:, targets.SEVERITY] = 0.5 * seen[:, targets.SEVERITY] + noise
    ghosts = targets.SEVERITY.start + rng.integers(0, len(FAULTS), count)
    seen[np.arange(count), ghosts] += rng.exponential(0.15, count)
    seen[np.arange(count), ghosts - targets.SEVERITY.start] += 1.5
    seen[:, targets.NUMBER.start] = 0.5 * seen[:, targets.NUMBER.start] + rng.normal(0, 0.1, count)
    return seen, truth


def _called_clean(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.array([not targets.names_fault(row) for row in rows])


def test_other_pictures_are_read_better() -> None:
    found = calibrated(*_pictures(1200, 0))
    seen, truth = _pictures(800, 1)
    clean = truth[:, CLEAN] == 1
    strong = truth[:, targets.SEVERITY].max(axis=1) * 5 >= 3
    before, after = _called_clean(seen), _called_clean(found.corrected(seen))
    assert after[clean].mean() > before[clean].mean() + 0.03
    assert abs(after[clean].mean() - CLEAN_SHARE) < 0.05
    assert after[strong].mean() < 0.1
    # No more than that: whatever is asked above it is taken from the quiet faults.
    own, own_truth = _pictures(1200, 0)
    kept = _called_clean(found.corrected(own))[own_truth[:, CLEAN] == 1].mean()
    assert CLEAN_SHARE <= kept < CLEAN_SHARE + 0.03
    true = np.array([targets.quality_of(row) for row in truth])
    naive = np.array([targets.quality_of(row) for row in seen])
    quality = found.quality(seen)
    assert spearmanr(quality, true).statistic > spearmanr(naive, true).statistic + 0.02
    shares = [
        [level_of(float(v)) for v in values].count("bad") for values in (quality, true, naive)
    ]
    assert abs(shares[0] - shares[1]) < abs(shares[2] - shares[1])


def test_quality_keeps_its_range_and_is_a_function() -> None:
    seen, truth = _pictures(300, 2)
    found = calibrated(seen, truth)
    wild = seen * 40
    for rows in (seen, wild, -wild):
        values = found.quality(rows)
        assert values.min() >= 0
        assert values.max() <= 1
    assert (np.diff(found.seen) > 0).all()
    assert np.array_equal(found.quality(seen), calibrated(seen, truth).quality(seen))
    assert {level_of(float(value)) for value in found.quality(seen)} == set(LEVELS)
    assert evidence(seen).shape[0] == len(seen)


def test_without_clean_pictures_the_odds_decide() -> None:
    seen, truth = _pictures(60, 3)
    spoilt = truth[:, CLEAN] == 0
    found = calibrated(seen[spoilt], truth[spoilt])
    assert found.cleaner == CLEANER
    corrected = found.corrected(seen)
    assert corrected[:, CLEAN] == pytest.approx(seen[:, CLEAN] + CLEANER, abs=1e-5)
    assert np.array_equal(corrected[:, :CLEAN], seen[:, :CLEAN])
