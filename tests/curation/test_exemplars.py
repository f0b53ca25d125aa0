"""Exemplar sets: balance, disjointness, and that no image meets itself or its group."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curation.bank import POOL, bank_sets, draw_bank, read_bank
from curation.corpus import Corpus
from curation.embed import text_hash
from curation.exemplars import ExemplarSets, choose
from curation.prompts import Exemplar, PromptLibrary
from tests.conftest import caption_row, image_rows, rating_row
from uniqa.errors import InputError
from uniqa.levels import LEVELS

LIBRARY = PromptLibrary()


def shot(number: int, level: str = "fair", group: str = "") -> Exemplar:
    name = f"{number:064x}"
    return Exemplar(name, f"/photos/{number}.jpg", "Why?", f"Answer {number}.", level, group)


@st.composite
def banks(draw: Any) -> list[Exemplar]:
    """Some groups of one to three images each, of any levels; a few without a group."""
    groups = draw(st.lists(st.integers(1, 3), min_size=4, max_size=25))
    found = []
    for group, size in enumerate(groups):
        for _ in range(size):
            named = f"scene{group}" if size > 1 or draw(st.booleans()) else ""
            found.append(shot(len(found), draw(st.sampled_from(LEVELS)), named))
    return found


def flat(sets: ExemplarSets) -> list[Exemplar]:
    return [one for every in sets.sets for one in every]


def group_of(one: Exemplar) -> str:
    return one.group or one.image_id


# ---- who sees what ------------------------------------------------------------------------------


@given(banks(), st.integers(1, 4), st.integers(1, 4), st.integers(0, 5))
def test_no_image_sees_itself_or_its_group(
    bank: list[Exemplar], shots: int, sets: int, seed: int
) -> None:
    made = ExemplarSets.compose("quality", bank, shots=shots, sets=sets, seed=seed)
    for target in [*bank, shot(999, group="scene0"), shot(998)]:
        shown = made.for_image(target.image_id, target.group)
        if target in bank:
            # The bank's own word on a photo's group holds where the ratings say nothing.
            told = made.for_image(target.image_id)
            assert target.image_id not in {one.image_id for one in told}
            assert group_of(target) not in {group_of(one) for one in told}
        assert target.image_id not in {one.image_id for one in shown}
        assert group_of(target) not in {group_of(one) for one in shown}
        assert shown is made.for_image(target.image_id, target.group)
        assert len(shown) == shots or len(made.sets) == 1
        assert len({group_of(one) for one in shown}) == len(shown)


@given(banks(), st.integers(1, 4), st.integers(1, 4), st.integers(0, 5), st.randoms())
def test_the_order_of_the_bank_is_nothing(
    bank: list[Exemplar], shots: int, sets: int, seed: int, rng: random.Random
) -> None:
    first = ExemplarSets.compose("quality", bank, shots=shots, sets=sets, seed=seed)
    rng.shuffle(bank)
    second = ExemplarSets.compose("quality", bank, shots=shots, sets=sets, seed=seed)
    assert first.as_dict() == second.as_dict()
    assert first.bank_id == second.bank_id


@given(banks(), st.integers(1, 4), st.integers(1, 4))
def test_sets_share_no_group_and_spares_none_with_them(
    bank: list[Exemplar], shots: int, sets: int
) -> None:
    made = ExemplarSets.compose("quality", bank, shots=shots, sets=sets, seed=0)
    assert {len(one) for one in made.sets} == {shots}
    shown = [group_of(one) for one in (*flat(made), *made.spares)]
    assert len(set(shown)) == len(shown)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 9))
def test_levels_are_balanced_in_each_set_and_over_all(shots: int, sets: int, seed: int) -> None:
    bank = [shot(number, LEVELS[number % 5]) for number in range(5 * 36)]
    made = ExemplarSets.compose("quality", bank, shots=shots, sets=sets, seed=seed)
    assert len(made.sets) == sets
    for some in (flat(made), *made.sets):
        counts = Counter(dict.fromkeys(LEVELS, 0))
        counts.update(one.level for one in some)
        assert max(counts.values()) - min(counts.values()) <= 1
        assert len(some) % 5 or max(counts.values()) == min(counts.values())


def test_a_rare_level_gives_what_it_has_and_the_others_share_the_rest() -> None:
    bank = [shot(0, "bad")] + [shot(n, LEVELS[1 + n % 4]) for n in range(1, 60)]
    chosen = choose(bank, 13, seed=3)
    assert Counter(one.level for one in chosen) == dict(zip(LEVELS, [1, 3, 3, 3, 3], strict=True))


def test_a_single_exemplar_is_neither_the_best_nor_the_worst() -> None:
    bank = [shot(number, LEVELS[number % 5]) for number in range(20)]
    assert [one.level for one in choose(bank, 1, seed=0)] == ["fair"]
    assert {one.level for one in choose(bank, 2, seed=0)} == {"poor", "good"}


def test_sets_do_not_rise_from_bad_to_perfect() -> None:
    bank = [shot(number, LEVELS[number % 5]) for number in range(100)]
    made = ExemplarSets.compose("quality", bank, shots=5, sets=8, seed=0)
    orders = {tuple(one.level for one in every) for every in made.sets}
    assert len(orders) > 4


def test_images_are_spread_over_the_sets_and_another_seed_spreads_them_anew() -> None:
    bank = [shot(number, LEVELS[number % 5]) for number in range(40)]
    made = [ExemplarSets.compose("quality", bank, shots=2, sets=4, seed=seed) for seed in (0, 1)]
    images = [f"{number:064x}" for number in range(1000, 1800)]
    counts = Counter(made[0].for_image(image) for image in images)
    assert len(counts) == 4
    assert min(counts.values()) > 150
    assert made[0].sets != made[1].sets


def test_where_one_set_is_all_a_spare_of_the_same_level_stands_in() -> None:
    only = [shot(1, "bad", "a"), shot(2, "good", "b")]
    spares = [shot(3, "poor", "c"), shot(4, "good", "d"), shot(5, "good", "e")]
    made = ExemplarSets("quality", [only], seed=0, spares=spares)
    assert made.for_image("x", "b") == (only[0], spares[1])
    assert made.for_image(only[1].image_id) == (only[0], spares[1])
    assert made.for_image("x", "b") is made.for_image(only[1].image_id)
    # The spare is the target itself; the next one of that level is not.
    assert ExemplarSets("quality", [only], seed=0, spares=spares[1:]).for_image(
        spares[1].image_id, "b"
    ) == (only[0], spares[2])
    assert ExemplarSets("quality", [only], seed=0).for_image("x", "b") == (only[0],)


def test_groups_of_ratings_keep_kin_apart_and_change_nothing_for_others() -> None:
    """They may be told after a first run: whoever is not kin is shown what it was shown before."""
    bank = [shot(number) for number in range(8)]
    wanted = {"shots": 2, "sets": 4, "seed": 0}
    told = {bank[0].image_id: {"beach"}, bank[1].image_id: {"beach"}, bank[2].image_id: {"inn"}}
    alone = ExemplarSets.compose("quality", bank, **wanted)
    aware = ExemplarSets.compose("quality", bank, **wanted, kin=told)
    assert aware.sets == alone.sets
    for number in range(100, 160):
        image_id = f"{number:064x}"
        assert aware.for_image(image_id, "hill") == alone.for_image(image_id, "hill")
        for group in ("beach", "inn"):
            seen = {one.image_id for one in aware.for_image(image_id, group)}
            assert len(seen) == 2
            assert not any(group in told.get(one, ()) for one in seen)
    assert bank[1] not in aware.for_image(bank[0].image_id)


def test_sets_that_share_a_group_or_hold_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="share the group 'a'"):
        ExemplarSets("quality", [[shot(1, group="a")], [shot(2, group="a")]], seed=0)
    with pytest.raises(ValueError, match="at least one exemplar"):
        ExemplarSets("quality", [[shot(1)], []], seed=0)
    with pytest.raises(ValueError, match="at least one exemplar"):
        ExemplarSets("quality", [], seed=0)


def test_too_few_groups_for_one_set_is_an_error_and_for_several_means_fewer() -> None:
    bank = [shot(number, group="same") for number in range(9)] + [shot(20), shot(21)]
    with pytest.raises(InputError, match=r"4 exemplars.*there are 3.*lower --shots"):
        ExemplarSets.compose("quality", bank, shots=4, sets=1, seed=0)
    assert len(ExemplarSets.compose("quality", bank, shots=1, sets=9, seed=0).sets) == 3
    with pytest.raises(InputError, match="4 exemplars of different groups"):
        choose(bank, 4, seed=0)


def test_what_was_stored_comes_back(tmp_path: Path) -> None:
    bank = [shot(number, LEVELS[number % 5], f"g{number}") for number in range(20)]
    made = ExemplarSets.compose("quality", bank, shots=3, sets=2, seed=4)
    again = ExemplarSets.from_dict(json.loads(json.dumps(made.as_dict())))
    assert again.as_dict() == made.as_dict()
    assert again.bank_id == made.bank_id
    assert again.for_image("x", "g3") == made.for_image("x", "g3")
    assert set(made.images) == {one.image_id for one in (*flat(made), *made.spares)}
    moved = json.loads(json.dumps(made.as_dict()).replace("/photos", "/elsewhere"))
    assert ExemplarSets.from_dict(moved).bank_id == made.bank_id


def test_with_vectors_the_most_different_ones_are_chosen() -> None:
    # Three directions, many copies of each: one of each must be found, whichever comes first.
    bank = [shot(number) for number in range(60)]
    axes = np.eye(3, dtype=np.float32)
    vectors = {one.image_id: axes[number % 3] for number, one in enumerate(bank)}
    for seed in range(5):
        chosen = choose(bank, 3, seed=seed, vectors=vectors)
        assert {int(vectors[one.image_id].argmax()) for one in chosen} == {0, 1, 2}


# ---- a user's bank ------------------------------------------------------------------------------

ITEM = {"image": "0.png", "task": "quality", "answer": "Sharp and clean."}


@pytest.fixture
def folder(tmp_path: Path, make_photo: Any) -> Path:
    for number in range(4):
        make_photo(tmp_path / f"{number}.png", seed=number)
    return tmp_path


def bank_file(folder: Path, items: Any, name: str = "bank.yaml") -> Path:
    path = folder / name
    if isinstance(items, str):
        path.write_text(items)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(item) for item in items) + "\n\n")
    else:
        path.write_text(yaml.safe_dump(items))
    return path


@pytest.mark.parametrize("name", ["bank.yaml", "bank.yml", "bank.jsonl"])
def test_a_bank_is_read_and_what_it_leaves_out_is_filled_in(folder: Path, name: str) -> None:
    items = [
        ITEM,
        {**ITEM, "image": "1.png", "level": "poor", "question": "And this?", "group": "g"},
        {**ITEM, "image": "0.png", "task": "aesthetic"},
    ]
    bank = read_bank(bank_file(folder, items, name), LIBRARY)
    assert [one.task for one in bank] == ["quality", "quality", "aesthetic"]
    first, second, third = (one.exemplar for one in bank)
    assert Path(first.path) == folder / "0.png"
    assert first.question == LIBRARY.tasks["quality"].cues["overall"].unguided[0]
    assert third.question == LIBRARY.tasks["aesthetic"].cues["overall"].unguided[0]
    assert (first.level, first.group) == ("", first.image_id)
    assert (second.level, second.question, second.group) == ("poor", "And this?", "g")
    made = bank_sets(bank, "quality", shots=1, sets=4, seed=0)
    assert len(made.sets) == 2
    assert made.for_image(first.image_id) == (second,)
    with pytest.raises(InputError, match="2 exemplars for the task 'aesthetic'"):
        bank_sets(bank, "aesthetic", shots=2, sets=1, seed=0)


@pytest.mark.parametrize(
    ("items", "complaint"),
    [
        ([{**ITEM, "anwser": "x"}], "exemplar 1 has the unknown key 'anwser'. Did you mean 'answ"),
        ([ITEM, {"image": "1.png", "task": "quality"}], "exemplar 2 lacks 'answer'"),
        ([{**ITEM, "task": "qualty"}], "unknown task 'qualty'. Did you mean 'quality'?"),
        ([{**ITEM, "level": "god"}], "unknown level 'god'. Did you mean 'good'?"),
        ([{**ITEM, "answer": "  "}], "'answer' is not a text"),
        ([{**ITEM, "level": 3}], "'level' is not a text, but '3'"),
        ([{**ITEM, "image": "9.png"}], "its image cannot be used"),
        ([ITEM, ITEM], "exemplar 2 shows a photo that another one"),
        (["just text"], "exemplar 1 is not a mapping"),
        ([], "holds no exemplars"),
        ({"a": 1}, "is not a list of exemplars"),
        ("- image: a\n  image: b\n", "line 2: 'image' stands there twice"),
        ("- [", "cannot be read as YAML"),
    ],
)
def test_a_bank_that_breaks_the_schema_is_refused(folder: Path, items: Any, complaint: str) -> None:
    path = bank_file(folder, items)
    with pytest.raises(InputError) as caught:
        read_bank(path, LIBRARY)
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)


def test_other_files_are_no_bank(folder: Path) -> None:
    with pytest.raises(InputError, match=r"Write \.yaml or \.jsonl"):
        read_bank(folder / "bank.csv", LIBRARY)
    with pytest.raises(InputError, match="line 2 is not JSON"):
        read_bank(bank_file(folder, json.dumps(ITEM) + "\n{", "bank.jsonl"), LIBRARY)
    with pytest.raises(InputError, match="cannot be read"):
        read_bank(folder / "none.jsonl", LIBRARY)


# ---- a bank drawn from the corpus ---------------------------------------------------------------


class Toy:
    """Vectors by the words' hashes; counts what it was asked."""

    name = "toy"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        found = np.array(
            [[byte - 127.5 for byte in bytes.fromhex(text_hash(text))] for text in texts],
            dtype=np.float32,
        )
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def words(number: int) -> str:
    return f"The photo number {number} shows edges that are rather crisp and clean."


@pytest.fixture
def store(tmp_path: Path, make_photo: Any) -> Iterator[Corpus]:
    """Fifty rated photos, ten per level, with a caption each; every fifth is held back."""
    with Corpus(tmp_path / "corpus.duckdb", write=True) as corpus:
        rows = list(range(50))
        random.Random(0).shuffle(rows)
        for number in rows:
            path = make_photo(tmp_path / "photos" / f"{number}.png", seed=number, size=(6, 4))
            corpus.put("images", [image_rows(number, str(path))[0]])
            split = "train" if number // 5 % 5 else "test"
            corpus.put("ratings", [rating_row(number, level=LEVELS[number % 5], split=split)])
            corpus.put("captions", [caption_row(number, number, text=words(number))])
        yield corpus


def draw(corpus: Corpus, toy: Toy | None = None, **changes: Any) -> ExemplarSets:
    toy = toy or Toy()
    options = {"shots": 5, "sets": 2, "seed": 0, "library": LIBRARY, "encoder": "toy"}
    return draw_bank(corpus, "quality", **{**options, **changes}, load=lambda _name: toy)


def numbers(sets: ExemplarSets) -> set[int]:
    return {int(one.image_id, 16) for one in (*flat(sets), *sets.spares)}


def test_a_drawn_bank_is_of_train_photos_and_holds_every_level_in_every_set(store: Corpus) -> None:
    made = draw(store)
    assert [sorted(one.level for one in every) for every in made.sets] == [sorted(LEVELS)] * 2
    assert all(number // 5 % 5 for number in numbers(made))
    for one in flat(made):
        number = int(one.image_id, 16)
        assert one.level == LEVELS[number % 5]
        assert one.group == f"scene{number}"
        assert one.question == LIBRARY.exemplar_question("quality")
        assert one.answer == words(number)
        assert Path(one.path).name == f"{number}.png"


def test_a_photo_that_any_table_holds_back_is_never_drawn(store: Corpus) -> None:
    held = 7
    other = {"dataset": "other", "task": "aesthetic", "split": "val"}
    store.put("ratings", [rating_row(held, **other)])
    for seed in range(6):
        assert held not in numbers(draw(store, seed=seed, sets=7))


def test_seed_and_identities_decide_and_nothing_else(store: Corpus, tmp_path: Path) -> None:
    made = draw(store)
    assert draw(store).as_dict() == made.as_dict()
    assert draw(store, seed=1).as_dict() != made.as_dict()
    with Corpus(tmp_path / "other.duckdb", write=True) as other:
        for table in ("images", "ratings", "captions"):
            rows = sorted(store.table(f"SELECT * FROM {table}").to_pylist(), key=str)
            other.put(table, rows)
        assert draw(other).as_dict() == made.as_dict()


def test_what_is_no_whole_current_caption_of_the_task_is_not_drawn(store: Corpus) -> None:
    long = " ".join(["word"] * 61)
    bad = [
        {"text": "Too short to say much."},
        {"text": long},
        {"finish_reason": "length"},
        {"source": "comment"},
        {"task": "aesthetic"},
        {"superseded_by": "another"},
    ]
    for number, change in enumerate(bad, start=5):
        store.put("captions", [caption_row(number, number, **{"text": words(number), **change})])
    for seed in range(6):
        assert not numbers(draw(store, seed=seed, sets=6)) & set(range(5, 5 + len(bad)))


def test_the_best_caption_of_a_photo_is_taken(store: Corpus) -> None:
    told = "Its quality is {} because the edges are crisp and nothing is disturbed."
    for number in range(50):
        level = LEVELS[number % 5]
        wrong = LEVELS[(number + 1) % 5]
        store.put(
            "captions",
            [
                caption_row(100 + number, number, cue="noise", text=told.format(level)),
                caption_row(200 + number, number, text=told.format(wrong), level=wrong),
                caption_row(300 + number, number, text=told.format(level), level=level),
            ],
        )
    for one in flat(draw(store)):
        assert one.answer == told.format(one.level)


def test_a_photo_without_a_file_is_not_drawn(store: Corpus) -> None:
    for number in range(10, 15):
        Path(store.value("SELECT path FROM images WHERE image_id = ?", [f"{number:064x}"])).unlink()
    for seed in range(4):
        assert not numbers(draw(store, seed=seed, sets=6)) & set(range(10, 15))


def test_stored_embeddings_are_used_and_none_are_written(store: Corpus) -> None:
    toy = Toy()
    made = draw(store, toy)
    assert len(toy.asked) == 40
    vectors = Toy().encode(toy.asked)
    for text, vector in zip(toy.asked, vectors, strict=True):
        row = {"text_hash": text_hash(text), "encoder": "toy", "vector": vector.tolist()}
        store.put("embeddings", [row])
    again = Toy()
    assert draw(store, again).as_dict() == made.as_dict()
    assert again.asked == []


def test_a_corpus_that_cannot_supply_enough_says_what_to_do(store: Corpus) -> None:
    with pytest.raises(InputError, match=r"9 × 5 exemplars.* 40 rated train photos.*--exemplars"):
        draw(store, sets=9)
    with pytest.raises(InputError, match="'aesthetic'"):
        draw_bank(store, "aesthetic", shots=1, sets=1, seed=0, library=LIBRARY)


def test_a_pool_is_large_enough_to_be_choosy() -> None:
    assert POOL >= 100
