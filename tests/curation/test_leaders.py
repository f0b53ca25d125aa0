from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import leaders as module
from curation.leaders import leaders, settle
from curation.sketch import sketch
from tests.curation.test_dedup import clustered, unit


def plainly(vectors: np.ndarray, threshold: float, pairs: np.ndarray) -> list[int]:
    """One after another, with everything."""
    similar = vectors.astype(np.float64) @ vectors.T.astype(np.float64) >= threshold
    similar[pairs[:, 1], pairs[:, 0]] = True
    kept: list[int] = []
    found = []
    for index in range(len(vectors)):
        leader = next((one for one in kept if similar[index, one]), index)
        found.append(leader)
        if leader == index:
            kept.append(index)
    return found


@pytest.mark.parametrize("bfloat16", [True, False])
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 200),
    threshold=st.sampled_from([-0.2, 0.0, 0.01, 0.5, 0.8, 0.9, 0.99]),
    dimensions=st.sampled_from([4, 12, 24]),
)
@settings(max_examples=40, deadline=None)
def test_leaders_are_those_of_comparing_everything(
    bfloat16: bool, seed: int, count: int, threshold: float, dimensions: int
) -> None:
    generator = np.random.default_rng(seed)
    vectors = clustered(seed, count)
    pairs = np.sort(generator.integers(count, size=(count // 5, 2)), axis=1)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    sketched = sketch(vectors, dimensions=dimensions, bfloat16=bfloat16)
    assert leaders(sketched, threshold, pairs).tolist() == plainly(vectors, threshold, pairs)


@pytest.mark.parametrize("cap", [10, 10_000_000])
def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch, cap: int) -> None:
    vectors = clustered(5, 700, spread=0.2)
    whole = leaders(sketch(vectors), 0.9).tolist()
    for name, value in {"_FIRST": 16, "_LARGEST": 128, "_ROWS": 20, "_COLUMNS": 50}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "_MOST_PAIRS", cap)
    decided: list[int] = []
    found = leaders(sketch(vectors, dimensions=8), 0.9, on_progress=decided.append).tolist()
    assert found == whole == plainly(vectors, 0.9, np.empty((0, 2), int))
    assert sum(decided) == 700


def test_a_corpus_that_says_one_thing_only() -> None:
    vectors = unit(np.ones((3000, 32)) + 0.01 * np.random.default_rng(0).normal(size=(3000, 32)))
    assert (leaders(sketch(vectors), 0.9) == 0).all()


@pytest.mark.parametrize("bfloat16", [True, False])
def test_nothing_similar_escapes_the_bound(bfloat16: bool) -> None:
    generator = np.random.default_rng(2)
    first = unit(generator.normal(size=(400, 384)) * np.linspace(2, 0.2, 384))
    noise = unit(generator.normal(size=(400, 384)))
    share = np.linspace(0.0, 0.6, 400)[:, None]
    both = np.concatenate([first, unit(first * (1 - share) + noise * share)])
    sketched = sketch(both, bfloat16=bfloat16)
    near, far = np.arange(400), np.arange(400, 800)
    true = first.astype(np.float64) @ both[400:].T.astype(np.float64)
    bound = sketched.short[:400].double() @ sketched.short[400:].double().T
    assert (bound.numpy() + sketched.error >= true).all()
    for threshold in (0.7, 0.9, 0.99):
        rows, columns = sketched.similar(near, far, threshold)
        expected = np.nonzero(true >= threshold)
        assert rows.tolist() == expected[0].tolist()
        assert columns.tolist() == expected[1].tolist()


def test_dense_and_sparse_blocks_agree() -> None:
    vectors = clustered(9, 600, spread=0.1)
    sketched = sketch(vectors, dimensions=8)
    everything = np.arange(600)
    rows, columns = sketched.similar(everything, everything, 0.9)
    true = vectors.astype(np.float64) @ vectors.T.astype(np.float64) >= 0.9
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == set(
        zip(*(part.tolist() for part in np.nonzero(true)), strict=True)
    )
    sparse = sketched.at_least(np.repeat(everything, 600), np.tile(everything, 600), 0.9)
    assert (sparse.reshape(600, 600) == true).all()


def test_vectors_may_lie_on_disk_in_half_precision(tmp_path: Path) -> None:
    vectors = clustered(4, 500, spread=0.15).astype(np.float16)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    rows = np.random.default_rng(0).permutation(500)
    wide = vectors[rows].astype(np.float32)
    none = np.empty((0, 2), int)
    assert leaders(sketch(mapped, rows), 0.9).tolist() == plainly(wide, 0.9, none)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_settle_takes_the_best_first(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    pairs = np.sort(generator.integers(count, size=(count, 2)), axis=1)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    kept, leader = settle(count, pairs)
    expected = plainly(np.zeros((count, 2), np.float32), 0.5, pairs)
    assert leader.tolist() == expected
    assert kept.tolist() == [leader == index for index, leader in enumerate(expected)]
