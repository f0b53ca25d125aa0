from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uniqa.errors import UsageError
from uniqa.levels import LEVELS, Scale, level_of

ends = st.floats(-1e6, 1e6, allow_nan=False)


def test_levels_are_five_equal_bands_whose_lower_end_belongs_to_them() -> None:
    edges = {0.0: "bad", 0.2: "poor", 0.4: "fair", 0.6: "good", 0.8: "perfect", 1.0: "perfect"}
    assert {score: level_of(score) for score in edges} == edges
    for score, level in edges.items():
        if 0 < score < 1:
            below = LEVELS[LEVELS.index(level) - 1]
            assert level_of(float(np.nextafter(score, 0))) == below


@pytest.mark.parametrize("score", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_score_beyond_the_unified_scale_has_no_level(score: float) -> None:
    with pytest.raises(ValueError, match=r"lies in \[0, 1\]"):
        level_of(score)


def test_dmos_runs_backwards() -> None:
    scale = Scale(100, 0)
    np.testing.assert_allclose(scale.unify([0, 25, 100]), [1.0, 0.75, 0.0])
    assert scale.width == 100


def test_ratings_beyond_the_ends_are_clipped_and_shapes_kept() -> None:
    scores = Scale(1, 5).unify([[0.5, 1, 3], [5, 5.5, 2]])
    np.testing.assert_allclose(scores, [[0, 0, 0.5], [1, 1, 0.25]])


@given(worst=ends, best=ends, share=st.floats(0, 1))
def test_restore_is_the_inverse_of_unify(worst: float, best: float, share: float) -> None:
    if abs(worst - best) < 1e-3:
        return
    scale = Scale(worst, best)
    assert scale.unify(scale.restore(share)) == pytest.approx(share, abs=1e-6)


@given(worst=ends, best=ends)
def test_the_stored_name_reads_back_as_the_same_scale(worst: float, best: float) -> None:
    if worst == best:
        return
    scale = Scale(worst, best)
    assert Scale.parse(scale.name) == scale


def test_scales_are_read_as_people_write_them() -> None:
    assert Scale.parse("1:5") == Scale.parse(" 1 : 5 ") == Scale.parse("linear[1,5]") == Scale(1, 5)
    assert Scale.parse("100:0") == Scale(100, 0)
    assert Scale.parse("-2.5:2.5").width == 5
    assert Scale(1, 5).name == "linear[1,5]"


@pytest.mark.parametrize("text", ["", "5", "1:2:3", "one:five", "3:3", "nan:5", "0:inf", "1-5"])
def test_what_is_no_scale_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="scale"):
        Scale.parse(text)
