from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import curation.grouped
from curation.grouped import Captions, batches
from tests.curation.test_diversity import units


def made(sizes: list[int], dimensions: int = 12, seed: int = 0) -> Captions:
    """Images of these sizes, every caption with a text of its own."""
    starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    count = int(starts[-1])
    rows = np.random.default_rng(seed).permutation(count)
    return Captions(units(count, dimensions, seed), rows, starts)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 3000))
def test_batches_hold_every_caption_once_with_its_images_similarities(
    sizes: list[int], budget: int
) -> None:
    captions = made(sizes)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curation.grouped, "_BUDGET", budget)
        for batch in batches(captions):
            for image, members, square in zip(
                batch.images, batch.members, batch.similarity, strict=True
            ):
                own = np.arange(captions.starts[image], captions.starts[image + 1])
                assert members.tolist() == own.tolist()
                vectors = captions.vectors[captions.rows[own]].astype(np.float64)
                np.testing.assert_allclose(square, vectors @ vectors.T, atol=1e-12)
                seen.append(int(image))
    assert sorted(seen) == list(range(len(sizes)))


def test_images_told_one_by_one_are_grouped() -> None:
    captions = Captions.grouped(units(3, 4), [2, 0, 1, 1], ["b", "b", "a", "c"])
    assert captions.starts.tolist() == [0, 2, 3, 4]
    assert captions.sizes.tolist() == [2, 1, 1]
    assert captions.image_of.tolist() == [0, 0, 1, 2]


def test_no_captions_are_no_images() -> None:
    captions = Captions.grouped(units(0, 4), [], [])
    assert captions.sizes.tolist() == []
    assert list(batches(captions)) == []


@pytest.mark.parametrize(
    ("rows", "images", "what"),
    [([0, 1, 2], ["a", "b", "a"], "side by side"), ([0, 3, 1], ["a", "a", "b"], "places")],
)
def test_what_cannot_be_grouped_is_refused(rows: list[int], images: list[str], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Captions.grouped(units(3, 4), rows, images)


def test_images_without_kept_captions_go() -> None:
    captions = made([2, 1, 3])
    kept: NDArray[np.bool_] = np.array([0, 1, 0, 1, 0, 1], bool)
    left = captions.where(kept)
    assert left.sizes.tolist() == [1, 2]
    assert left.rows.tolist() == captions.rows[kept].tolist()
