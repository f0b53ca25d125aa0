from __future__ import annotations

import numpy as np
import pytest

from curation import neighbours as module
from curation.neighbours import neighbours
from tests.curation.test_dedup import clustered


def test_neighbours_are_the_most_similar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 7)
    vectors = clustered(1, 50)
    found, similarity = neighbours(vectors, 3, 5)
    every = vectors.astype(np.float64) @ vectors[3].astype(np.float64)
    every[3] = -2
    assert found.tolist() == np.argsort(-every)[:5].tolist()
    np.testing.assert_allclose(similarity, every[found], atol=1e-6)


def test_similarity_is_symmetric() -> None:
    vectors = clustered(2, 30)
    table = np.zeros((30, 30))
    for index in range(30):
        found, similarity = neighbours(vectors, index, 29)
        table[index, found] = similarity
    np.testing.assert_allclose(table, table.T, atol=1e-7)


def test_only_those_among_and_by_their_rows() -> None:
    vectors = clustered(2, 10)
    rows = np.array([0, 1, 0, 5])
    found, similarity = neighbours(
        vectors, 0, 9, rows=rows, among=np.array([True, False, True, True])
    )
    assert found.tolist() == [2, 3]
    assert similarity[0] == pytest.approx(1)


def test_equal_ones_come_by_index() -> None:
    vectors = np.tile(np.array([[1, 0]], np.float32), (6, 1))
    assert neighbours(vectors, 2, 3)[0].tolist() == [0, 1, 3]


@pytest.mark.parametrize(("index", "k", "message"), [(0, 0, "k must"), (5, 1, "no item")])
def test_what_does_not_fit_is_refused(index: int, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        neighbours(np.eye(3, dtype=np.float32), index, k)
