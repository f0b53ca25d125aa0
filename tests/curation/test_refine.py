from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.corpus import Corpus
from curation.refine import Refined, Settings, refine
from tests.conftest import caption_row, image_rows, rating_row
from uniqa.errors import InputError, UsageError
from uniqa.photos import image_id_of

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


def refined(corpus: Corpus, counting: Counting, threshold: float = 0.9, **chosen: Any) -> Refined:
    settings = Settings(counting.name, similarity=threshold, **chosen)
    return refine(corpus, counting.load, settings, run_id="r")


def test_every_caption_gets_every_signal(corpus: Corpus, encoder: Any) -> None:
    counting = Counting(encoder)
    result = refined(corpus, counting)
    assert (result.captions, result.images, result.embedded, result.read) == (5, 2, 5, 5)
    assert result.duplicates == {"exact": 1, "near": 0, "semantic": 1}
    assert result.encoder == "all-MiniLM-L6-v2"
    rows = corpus.table("SELECT * FROM signals ORDER BY caption_id").to_pylist()
    assert [row["caption_id"] for row in rows] == [f"caption{i:03}" for i in range(1, 6)]
    comments_only = {"ar", "ir", "air", "air_rank"}
    no_photo = {"contradictions", "contradicted", "grounding", "relevance", "relevance_model"}
    for row in rows:
        lonely = row["caption_id"] == "caption005"
        unknown = {name for name, value in row.items() if value is None}
        expected = comments_only | no_photo | {"level_agreement", "repeats"}
        expected |= set() if row["duplicate_kind"] else {"duplicate_of"}
        expected |= {"mean_similarity"} if lonely else set()
        assert unknown - {"implied_score"} == expected - ({"repeats"} if row["repeats"] else set())
        assert -1 <= row["similarity"] <= 1
        assert row["threshold"] == 0.9
        assert row["informativeness"] > 0
        assert row["claims"] >= 1
    assert sorted(row["rank"] for row in rows[:4]) == [1, 2, 3, 4]
    assert sorted(row["gain_rank"] for row in rows[:4]) == [1, 2, 3, 4]
    assert sum(row["gain"] for row in rows[:4]) == pytest.approx(4, abs=1e-3)
    assert [row["words"] for row in rows] == [7, 8, 7, 11, 9]
    images = corpus.table("SELECT * FROM image_signals ORDER BY image_id").to_pylist()
    assert 1 < images[0]["vendi"] < 4
    assert images[1]["vendi"] == pytest.approx(1)
    assert images[1]["mean_similarity"] is None
    assert images[0]["meanings"] == 2
    whole = dict(corpus.rows("SELECT name, value FROM corpus_signals"))
    assert 1 < whole["vendi"] < 5
    assert 0 < whole["distinct_1"] < whole["distinct_2"] < 1


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
    assert (again.read, again.measured) == (0, 0)
    assert (again.duplicates, again.vendi) == (first.duplicates, first.vendi)


def test_only_new_texts_are_embedded_and_repeats_once(corpus: Corpus, encoder: Any) -> None:
    counting = Counting(encoder)
    refined(corpus, counting)
    counting.texts.clear()
    for number, text in ((6, "Entirely new words."), (7, "Entirely new words."), (8, TEXTS[2][0])):
        corpus.add("captions", [caption_row(number, 2, text=text)])
    result = refined(corpus, counting)
    assert (result.embedded, result.read) == (1, 3)
    assert counting.texts == ["Entirely new words."]


def test_another_threshold_needs_no_embedding_and_replaces_the_signals(
    corpus: Corpus, encoder: Any
) -> None:
    counting = Counting(encoder)
    refined(corpus, counting)
    result = refined(corpus, counting, threshold=1.0)
    assert (result.embedded, result.read) == (0, 0)
    assert result.duplicates == {"exact": 1, "near": 0, "semantic": 0}
    assert corpus.rows("SELECT DISTINCT threshold FROM signals") == [(1.0,)]


def test_a_text_that_was_cut_off_ranks_last(corpus: Corpus, encoder: Any) -> None:
    long = "A very long and rich text that names noise, blur, haze, glare and banding, then"
    corpus.add("captions", [caption_row(9, 1, text=long, finish_reason="length")])
    refined(corpus, Counting(encoder))
    rank = corpus.value("SELECT rank FROM signals WHERE caption_id = 'caption009'")
    assert rank == 5


def test_who_survives_is_for_the_user_to_say(corpus: Corpus, encoder: Any) -> None:
    query = "SELECT caption_id FROM signals WHERE rank = 1 AND caption_id <> 'caption005'"
    refined(corpus, Counting(encoder))
    assert corpus.value(query) == "caption004"
    refined(corpus, Counting(encoder), rank_by="words")
    assert corpus.value(query) == "caption004"
    corpus.add("captions", [caption_row(9, 1, text=" ".join(["blurry"] * 7 + ["photo"] * 6))])
    refined(corpus, Counting(encoder), rank_by="words")
    assert corpus.value(query) == "caption009"
    assert corpus.rows("SELECT DISTINCT ranked_by FROM signals") == [("words",)]
    with pytest.raises(UsageError, match="Did you mean 'words'"):
        refined(corpus, Counting(encoder), rank_by="wrods")


def test_the_same_sentence_on_many_images_is_told(corpus: Corpus, encoder: Any) -> None:
    for image in (3, 4, 5):
        corpus.add("images", [image_rows(image)[0]])
        corpus.add("captions", [caption_row(10 + image, image, text=TEXTS[2][0].upper())])
    result = refined(corpus, Counting(encoder))
    assert result.repeats["exact"] == 3
    rows = corpus.rows(
        "SELECT caption_id, repeats_kind, repeats, images_alike, duplicate_kind FROM signals "
        "WHERE images_alike > 1 ORDER BY caption_id"
    )
    assert {row[0] for row in rows} == {"caption005", "caption013", "caption014", "caption015"}
    assert {row[3] for row in rows} == {4}
    assert {row[4] for row in rows} == {""}
    (first,) = [row[0] for row in rows if not row[1]]
    assert {row[2] for row in rows if row[1]} == {first}


def test_problems_count_and_put_a_caption_behind(corpus: Corpus, encoder: Any) -> None:
    bad = "As an AI language model I cannot view the image, but the light is soft and warm."
    corpus.add("captions", [caption_row(9, 1, text=bad)])
    result = refined(corpus, Counting(encoder))
    assert result.problems == {"refusal": 1}
    row = corpus.rows(
        "SELECT problems, problem_list, rank FROM signals WHERE caption_id = 'caption009'"
    )
    assert row == [(1, ["refusal"], 5)]


def test_a_model_that_begins_all_texts_alike_has_openers(corpus: Corpus, encoder: Any) -> None:
    nouns = "sky sea wall tree face hand road lamp roof bird".split()
    for number, noun in enumerate(nouns, start=20):
        text = f"This captivating image showcases the {noun} in gentle light."
        corpus.add("captions", [caption_row(number, 2, text=text, model="chatty")])
    result = refined(corpus, Counting(encoder))
    assert (result.problems, result.openers) == ({}, 10)
    query = "SELECT DISTINCT model, opener FROM corpus WHERE opener > 0"
    assert corpus.rows(query) == [("chatty", 1.0)]


def test_comments_are_ranked_by_air_as_in_the_paper(corpus: Corpus, encoder: Any) -> None:
    corpus.add(
        "captions",
        [
            caption_row(30, 1, task="aesthetic", text="Soft light and a balanced composition."),
            *(
                caption_row(31 + place, 1, source="person", task="aesthetic", cue="comment",
                            model="club", text=text)
                for place, text in enumerate(
                    ["wow", "The soft light and the composition are lovely in this one.", "nice"]
                )
            ),
        ],
    )  # fmt: skip
    refined(corpus, Counting(encoder))
    rows = corpus.rows(
        "SELECT caption_id, ir, air, air_rank FROM signals WHERE air IS NOT NULL ORDER BY air_rank"
    )
    assert rows[0] == ("caption032", 11.0, 6.0, 1)
    assert {row[0] for row in rows} == {"caption031", "caption032", "caption033"}
    others = "SELECT count(*) FROM signals WHERE ar IS NOT NULL AND caption_id < 'caption031'"
    assert corpus.value(others) == 0


def test_groups_are_worth_what_is_lost_without_them(corpus: Corpus, encoder: Any) -> None:
    for image in (1, 2):
        texts = (
            ("The colours glow.", "A tight crop.") if image == 1 else ("Grain.", "Deep shadows.")
        )
        for place, text in enumerate(texts):
            row = caption_row(40 + 2 * image + place, image, text=text, model="other")
            corpus.add("captions", [row])
    result = refined(corpus, Counting(encoder))
    assert {one.value for one in result.losses["model"]} == {"fake-1", "other"}
    rows = corpus.rows("SELECT DISTINCT dimension, value, encoder FROM group_losses ORDER BY ALL")
    assert rows == [("model", name, "all-MiniLM-L6-v2") for name in ("fake-1", "other")]
    corpus.empty("captions", model="other")
    refined(corpus, Counting(encoder))
    assert corpus.value("SELECT count(*) FROM group_losses") == 0


def test_claims_are_held_against_the_photo(tmp_path: Path, encoder: Any) -> None:
    from PIL import Image, ImageFilter
    from skimage import data

    sharp = Image.fromarray(data.astronaut())
    for number, photo in ((1, sharp), (2, sharp.filter(ImageFilter.GaussianBlur(6)))):
        photo.save(tmp_path / f"{number}.png")
    with Corpus(tmp_path / "c.duckdb", write=True) as store:
        for number in (1, 2):
            path = tmp_path / f"{number}.png"
            image_id = image_id_of(path)
            photo, file = image_rows(number, str(path))
            store.add("images", [photo | {"image_id": image_id}])
            store.add("files", [file | {"image_id": image_id}])
            store.add("ratings", [rating_row(number, image_id=image_id, score=0.9 / number)])
            texts = ("The photo is crisp and in focus.", "The whole picture is badly blurred.")
            for place, text in enumerate(texts):
                row = caption_row(10 * number + place, number, text=text, image_id=image_id)
                store.add("captions", [row])
        result = refined(store, Counting(encoder))
        assert (result.measured, result.contradicted, result.unmeasured) == (2, 2, [])
        rows = store.rows(
            "SELECT caption_id, contradicted, grounding, level_agreement > 0.5 FROM signals "
            "ORDER BY caption_id"
        )
        assert rows == [
            ("caption010", "", 1.0, True),
            ("caption011", "sharpness", 0.0, False),
            ("caption020", "sharpness", 0.0, True),
            ("caption021", "", 1.0, True),
        ]
        again = refined(store, Counting(encoder))
        assert (again.measured, again.contradicted) == (0, 2)


def test_a_photo_that_vanished_is_told_and_leaves_its_claims_open(
    tmp_path: Path, encoder: Any
) -> None:
    with Corpus(tmp_path / "c.duckdb", write=True) as store:
        photo, file = image_rows(1, str(tmp_path / "gone.jpg"))
        store.add("images", [photo])
        store.add("files", [file])
        store.add("captions", [caption_row(1, 1)])
        result = refined(store, Counting(encoder))
        assert len(result.unmeasured) == 1
        assert "gone.jpg" in result.unmeasured[0]
        assert store.rows("SELECT claims, grounding FROM signals") == [(1, None)]


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
