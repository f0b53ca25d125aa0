"""Groups and splits: what belongs together never straddles, and nothing told leaves train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from curation.alike import hash_photos
from curation.corpus import Corpus
from curation.filter import apply_policy, store_verdicts
from curation.groups import Places, place_photos
from curation.manifest import write_manifest
from curation.policy import read_policy
from curation.rules import Policy, Splits
from tests.conftest import caption_row, image_rows, rating_row
from tests.curation.test_alike import cropped, half_size, real, recompressed
from uniqa.levels import level_of
from uniqa.photos import image_id_of

PLAIN = Policy("plain")


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus(tmp_path / "corpus.duckdb", write=True) as store:
        yield store


def add_image(corpus: Corpus, number: int, **rating: object) -> None:
    photo, file = image_rows(number)
    corpus.add("images", [photo])
    corpus.put("files", [file])
    if rating:
        corpus.put("ratings", [rating_row(number, **rating)])


def placed(places: Places) -> dict[str, tuple[str, str]]:
    """Last figures of the image id → group and split."""
    return {
        row["image_id"][-4:].lstrip("0"): (row["group_id"], row["split"])
        for row in places.table.to_pylist()
    }


def test_groups_of_the_tables_stand(corpus: Corpus) -> None:
    add_image(corpus, 1, group_id="lake", split="val")
    add_image(corpus, 2, group_id="lake", split="val")
    add_image(corpus, 3, group_id="hill", split="test")
    add_image(corpus, 4)
    assert placed(place_photos(corpus, PLAIN)) == {
        "1": ("lake", "val"),
        "2": ("lake", "val"),
        "3": ("hill", "test"),
        "4": (f"{4:064x}", "train"),
    }


def test_groups_of_one_name_in_two_datasets_are_told_apart(corpus: Corpus) -> None:
    add_image(corpus, 1, dataset="koniq", group_id="1", split="train")
    add_image(corpus, 2, dataset="tad", group_id="1", split="test")
    found = placed(place_photos(corpus, PLAIN))
    assert found == {"1": ("koniq/1", "train"), "2": ("tad/1", "test")}


def test_a_photo_rated_twice_ties_its_groups_together(corpus: Corpus) -> None:
    add_image(corpus, 1, dataset="koniq", group_id="a", split="train")
    add_image(corpus, 2, dataset="koniq", group_id="a", split="train")
    corpus.put("ratings", [rating_row(2, dataset="tad", group_id="b", split="test")])
    add_image(corpus, 3, dataset="tad", group_id="b", split="test")
    places = place_photos(corpus, PLAIN)
    assert set(placed(places).values()) == {("a", "test")}
    assert places.moved == 1


def plant(corpus: Corpus, folder: Path) -> dict[str, str]:
    """Real photos: name → image id. Variants of one photo stand in different splits."""
    photos = {
        "astronaut": (real("astronaut"), {"split": "train", "group_id": "a"}),
        "astronaut-half": (half_size(real("astronaut")), {"split": "test", "group_id": "b"}),
        "coffee": (real("coffee"), {"split": "train", "group_id": "c"}),
        "coffee-jpeg": (recompressed(real("coffee")), None),
        "rocket": (real("rocket"), {"split": "val", "group_id": "d"}),
        "rocket-cropped": (cropped(real("rocket")), {"split": "train", "group_id": "e"}),
        "chelsea": (real("chelsea"), {"split": "train", "group_id": "f"}),
        "coins": (real("coins"), {"split": "test", "group_id": "g"}),
    }
    ids = {}
    for number, (name, (image, rating)) in enumerate(photos.items()):
        path = folder / f"{name}.png"
        image.save(path)
        ids[name] = image_id_of(path)
        row = {"path": str(path), "image_id": ids[name]}
        corpus.put("images", [row])
        corpus.put("files", [{**row, "size": 1, "mtime_ns": 1}])
        if rating:
            corpus.put("ratings", [rating_row(0) | {"image_id": ids[name]} | rating])
        told = "fair" if rating and rating["split"] == "train" else ""
        captions = [
            caption_row(10 * number, 0, level=told, text=f"Told of {name}."),
            caption_row(10 * number + 1, 0, text=f"Not told of {name}."),
        ]
        corpus.add("captions", [one | {"image_id": ids[name]} for one in captions])
    hash_photos(corpus, workers=1)
    return ids


def test_near_identical_photos_never_straddle_and_leak_nothing(
    corpus: Corpus, tmp_path: Path
) -> None:
    ids = plant(corpus, tmp_path)
    policy = read_policy("everything")
    filtered, verdicts = apply_policy(corpus, policy, shown_as="everything")
    store_verdicts(corpus, policy, filtered, verdicts, run_id="r", to="m")
    table, provenance = write_manifest(corpus, policy, filtered, tmp_path / "m.parquet")
    rows = {row["image_id"]: row for row in table.to_pylist()}
    place = {name: (rows[one]["group"], rows[one]["split"]) for name, one in ids.items()}
    assert place["astronaut"] == place["astronaut-half"] == ("a", "test")
    assert place["coffee"] == place["coffee-jpeg"] == ("c", "train")
    assert place["rocket"] == place["rocket-cropped"] == ("d", "val")
    assert (place["chelsea"], place["coins"]) == (("f", "train"), ("g", "test"))
    texts = {name: {one["text"] for one in rows[ids[name]]["captions"]} for name in ids}
    assert texts["astronaut"] == {"Not told of astronaut."}
    assert texts["rocket-cropped"] == {"Not told of rocket-cropped."}
    assert texts["coffee"] == {"Told of coffee.", "Not told of coffee."}
    assert filtered.by_rule["rating_leak"] == 2
    told = provenance.read_text()
    for line in (
        '"near_identical_pairs": 3',
        '"groups_joined": 3',
        '"splits_changed": 2',
        '"photos_not_looked_at": 0',
        '"told_a_rating_outside_train": 0',
    ):
        assert line in told


def test_photos_that_are_not_there_are_told(corpus: Corpus) -> None:
    add_image(corpus, 1, split="test")
    places = place_photos(corpus, PLAIN)
    assert (places.near_identical, places.not_looked_at) == (0, 1)


def drawn(corpus: Corpus, seed: int = 0, **splits: object) -> Places:
    fractions = {"train": 0.6, "val": 0.2, "test": 0.2}
    return place_photos(corpus, Policy("p", seed, splits=Splits(fractions, **splits)))  # type: ignore[arg-type]


def many(corpus: Corpus) -> None:
    """400 photos in groups of two; a tenth of them in the lowest level."""
    photos, files = zip(*(image_rows(number) for number in range(1, 401)), strict=True)
    ratings = []
    for number in range(1, 401):
        group = number // 2
        score = 0.05 if group % 10 == 0 else 0.5 + 0.1 * (group % 5) - 0.05
        dataset = "koniq" if group % 2 else "tad"
        place = {"dataset": dataset, "group_id": f"scene{group}"}
        ratings.append(rating_row(number, score=score, level=level_of(score), **place))
    with corpus.transaction():
        corpus.add("images", photos)
        corpus.put("files", files)
        corpus.put("ratings", ratings)


def test_splits_are_drawn_by_group_and_spread_over_levels_and_datasets(corpus: Corpus) -> None:
    many(corpus)
    places = drawn(corpus)
    found = placed(places)
    groups: dict[str, set[str]] = {}
    for group, split in found.values():
        groups.setdefault(group, set()).add(split)
    assert all(len(splits) == 1 for splits in groups.values())
    shares = Counter(split for _, split in found.values())
    assert [shares[name] for name in ("train", "val", "test")] == pytest.approx(
        [240, 80, 80], abs=4
    )
    for condition in ("level = 'bad'", "dataset = 'tad'"):
        members = {row[0] for row in corpus.rows(f"SELECT image_id FROM ratings WHERE {condition}")}
        part = Counter(
            row["split"] for row in places.table.to_pylist() if row["image_id"] in members
        )
        assert part["test"] / len(members) == pytest.approx(0.2, abs=0.06), condition
    assert placed(drawn(corpus)) == found
    assert placed(drawn(corpus, seed=1)) != found


def test_who_was_told_stays_in_train_when_splits_are_drawn(corpus: Corpus) -> None:
    many(corpus)
    told = [number for number in range(1, 401) if number % 3 == 0]
    corpus.add("captions", [caption_row(n, n, level="fair") for n in told])
    shown = '[{"image_id": "' + f"{200:064x}" + '", "question": "?", "answer": "!"}]'
    corpus.put("prompts", [{"prompt_id": "p9", "template": "t", "exemplars": shown}])
    for seed in range(3):
        places = drawn(corpus, seed)
        split = {row["image_id"]: row["split"] for row in places.table.to_pylist()}
        assert {split[f"{n:064x}"] for n in [*told, 200]} == {"train"}
        assert places.told == len(told) + 1
        assert {"val", "test"} <= set(split.values())


def test_a_policy_that_draws_splits_keeps_what_was_told(corpus: Corpus, tmp_path: Path) -> None:
    many(corpus)
    corpus.add("captions", [caption_row(n, n, level="fair") for n in range(1, 401, 5)])
    path = tmp_path / "draws.yaml"
    path.write_text("seed: 4\nsplits: {train: 0.5, test: 0.5}\n")
    policy = read_policy(str(path))
    filtered, verdicts = apply_policy(corpus, policy, shown_as=str(path))
    assert filtered.by_rule == {"rating_leak": 0}
    assert sum(verdicts["kept"].to_pylist()) == 80


def test_an_empty_corpus_has_no_places(corpus: Corpus) -> None:
    assert place_photos(corpus, PLAIN).table.num_rows == 0
    assert drawn(corpus).table.num_rows == 0


def test_the_planted_variants_are_other_files(tmp_path: Path) -> None:
    """The proof above is worth something only if the photos differ in their bytes."""
    images = [real("astronaut"), half_size(real("astronaut")), recompressed(real("astronaut"))]
    assert len({image.tobytes() for image in images}) == 3
    assert isinstance(images[0], Image.Image)
