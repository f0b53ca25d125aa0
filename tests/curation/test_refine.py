from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.corpus import Corpus
from curation.refine import Refined, refine
from tests.conftest import caption_row, image_rows
from uniqa.errors import InputError

TEXTS = {
    1: [
        "The photo is blurry and lacks detail.",
        "This photo is blurry and is lacking detail.",
        "THE PHOTO IS BLURRY, and lacks detail!",
        "Its colours are warm, saturated and harmonise well with one another.",
    ],
    2: ["Strong noise covers the dark areas of the sky."],
}


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus(tmp_path / "corpus.duckdb", write=True) as store:
        number = 0
        for image, texts in TEXTS.items():
            photo, file = image_rows(image)
            store.add("images", [photo])
            store.put("files", [file])
            for text in texts:
                number += 1
                store.add("captions", [caption_row(number, image, text=text)])
        yield store


class Counting:
    """The real encoder, and how often it was asked for and what it was given."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder
        self.loads = 0
        self.texts: list[str] = []
        self.name = encoder.name

    def load(self) -> Counting:
        self.loads += 1
        return self

    def encode(self, texts: Any) -> Any:
        self.texts += texts
        return self.encoder.encode(texts)


def refined(corpus: Corpus, counting: Counting, threshold: float = 0.9) -> Refined:
    return refine(corpus, counting.load, counting.name, threshold=threshold, run_id="r")


def test_every_caption_gets_every_signal(corpus: Corpus, encoder: Any) -> None:
    counting = Counting(encoder)
    result = refined(corpus, counting)
    assert (result.captions, result.images, result.embedded) == (5, 2, 5)
    assert (result.exact, result.semantic) == (1, 1)
    assert result.encoder == "all-MiniLM-L6-v2"
    rows = corpus.table("SELECT * FROM signals ORDER BY caption_id").to_pylist()
    assert [row["caption_id"] for row in rows] == [f"caption{i:03}" for i in range(1, 6)]
    for row in rows:
        lonely = row["caption_id"] == "caption005"
        unknown = {name for name, value in row.items() if value is None}
        expected = set() if row["duplicate_kind"] else {"duplicate_of"}
        assert unknown == expected | ({"mean_similarity"} if lonely else set())
        assert -1 <= row["similarity"] <= 1
        assert row["threshold"] == 0.9
    assert sorted(row["rank"] for row in rows[:4]) == [1, 2, 3, 4]
    assert [row["words"] for row in rows] == [7, 8, 7, 11, 9]
    images = corpus.table("SELECT * FROM image_signals ORDER BY image_id").to_pylist()
    assert 1 < images[0]["vendi"] < 4
    assert images[1]["vendi"] == pytest.approx(1)
    assert images[1]["mean_similarity"] is None


def test_duplicates_point_at_what_they_repeat(corpus: Corpus, encoder: Any) -> None:
    refined(corpus, Counting(encoder))
    rows = corpus.table(
        "SELECT caption_id, rank, duplicate_kind, duplicate_of FROM signals ORDER BY rank"
    ).to_pylist()
    by_id = {row["caption_id"]: row for row in rows}
    for row in rows:
        if row["duplicate_kind"]:
            original = by_id[row["duplicate_of"]]
            assert original["duplicate_kind"] == ""
            assert original["rank"] < row["rank"]
    exact = {"caption001", "caption003"}
    (twin,) = [row["caption_id"] for row in rows if row["duplicate_kind"] == "exact"]
    assert twin in exact
    assert by_id["caption004"]["duplicate_kind"] == ""


def test_a_second_run_embeds_nothing_and_finds_the_same(corpus: Corpus, encoder: Any) -> None:
    counting = Counting(encoder)
    first = refined(corpus, counting)
    before = corpus.rows("SELECT * EXCLUDE run_id FROM signals ORDER BY caption_id")
    again = refined(corpus, counting)
    assert (counting.loads, again.embedded) == (1, 0)
    assert corpus.rows("SELECT * EXCLUDE run_id FROM signals ORDER BY caption_id") == before
    assert (again.semantic, again.vendi) == (first.semantic, first.vendi)


def test_only_new_texts_are_embedded_and_repeats_once(corpus: Corpus, encoder: Any) -> None:
    counting = Counting(encoder)
    refined(corpus, counting)
    counting.texts.clear()
    for number, text in ((6, "Entirely new words."), (7, "Entirely new words."), (8, TEXTS[2][0])):
        corpus.add("captions", [caption_row(number, 2, text=text)])
    assert refined(corpus, counting).embedded == 1
    assert counting.texts == ["Entirely new words."]


def test_another_threshold_needs_no_embedding_and_replaces_the_signals(
    corpus: Corpus, encoder: Any
) -> None:
    counting = Counting(encoder)
    refined(corpus, counting)
    result = refined(corpus, counting, threshold=1.0)
    assert (result.embedded, result.semantic, result.exact) == (0, 0, 1)
    assert corpus.rows("SELECT DISTINCT threshold FROM signals") == [(1.0,)]


def test_a_text_that_was_cut_off_ranks_last(corpus: Corpus, encoder: Any) -> None:
    long = "A very long and rich text that names noise, blur, haze, glare and banding, then"
    corpus.add("captions", [caption_row(9, 1, text=long, finish_reason="length")])
    refined(corpus, Counting(encoder))
    rank = corpus.value("SELECT rank FROM signals WHERE caption_id = 'caption009'")
    assert rank == 5


def test_one_caption_per_image_has_no_mean(tmp_path: Path, encoder: Any) -> None:
    with Corpus(tmp_path / "single.duckdb", write=True) as store:
        store.add("images", [image_rows(1)[0]])
        store.add("captions", [caption_row(1, 1)])
        result = refined(store, Counting(encoder))
        assert np.isnan(result.mean_similarity)
        assert store.value("SELECT count(*) FROM signals") == 1


def test_vectors_are_stored_at_unit_length(corpus: Corpus, encoder: Any) -> None:
    refined(corpus, Counting(encoder))
    lengths = corpus.rows("SELECT list_inner_product(vector, vector) FROM embeddings")
    np.testing.assert_allclose(lengths, 1.0, atol=1e-5)
    assert corpus.rows("SELECT DISTINCT encoder, len(vector) FROM embeddings") == [
        ("all-MiniLM-L6-v2", 384)
    ]


def test_an_encoder_that_is_nowhere_is_refused() -> None:
    from curation.embed import SentenceEncoder

    with pytest.raises(InputError, match="no sentence encoder"):
        SentenceEncoder("/no/such/encoder")
