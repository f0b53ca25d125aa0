from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curation.distinct
from curation.dedup import normalise
from curation.distinct import Words, corpus_distinct, distinct
from curation.grouped import Captions

TEXTS = ["a a b", "", "b a", "c, C c!", "A b", "d"]


def captions_of(images: list[list[int]]) -> Captions:
    starts = np.concatenate(([0], np.cumsum([len(image) for image in images])))
    rows = np.array([row for image in images for row in image], np.int64)
    return Captions(np.zeros((len(TEXTS), 2), np.float32), rows, starts.astype(np.int64))


def counted(rows: list[int]) -> tuple[int, int, int]:
    split = [normalise(TEXTS[row]).split() for row in rows]
    words = [word for text in split for word in text]
    pairs = {pair for text in split for pair in pairwise(text)}
    return len(set(words)), len(pairs), len(words)


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=5), min_size=1, max_size=6),
    st.integers(1, 12),
    st.data(),
)
def test_words_and_pairs_are_counted_as_by_hand(
    images: list[list[int]], chunk: int, data: st.DataObject
) -> None:
    captions, words = captions_of(images), Words.of(TEXTS)
    count = len(captions.rows)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curation.distinct, "_CHUNK", chunk)
        found, some = distinct(words, captions), distinct(words, captions, kept)
    for image, rows in enumerate(images):
        assert (found.words[image], found.pairs[image], found.total[image]) == counted(rows)
        mask = kept[captions.starts[image] : captions.starts[image + 1]]
        left = [row for row, stays in zip(rows, mask, strict=True) if stays]
        assert (some.words[image], some.pairs[image], some.total[image]) == counted(left)
    everything = corpus_distinct(words, captions)
    assert (everything.words[0], everything.pairs[0], everything.total[0]) == counted(
        captions.rows.tolist()
    )
    rest = corpus_distinct(words, captions, kept)
    assert (rest.words[0], rest.pairs[0], rest.total[0]) == counted(captions.rows[kept].tolist())


def test_both_are_scaled_by_all_words_as_in_the_paper() -> None:
    found = distinct(Words.of(TEXTS), captions_of([[0, 2], [3], [1]]))
    # "a a b" and "b a": words a, b; pairs aa, ab, ba; five words in all.
    assert found.distinct_1.tolist()[:2] == [2 / 5, 1 / 3]
    assert found.distinct_2.tolist()[:2] == [3 / 5, 1 / 3]
    assert np.isnan(found.distinct_1[2])
    assert np.isnan(found.distinct_2[2])


def test_no_captions_have_no_words() -> None:
    found = corpus_distinct(Words.of([]), captions_of([]))
    assert np.isnan(found.distinct_1[0])
    assert distinct(Words.of([]), captions_of([])).total.tolist() == []
