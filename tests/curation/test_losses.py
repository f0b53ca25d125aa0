from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.cover import whole
from curation.distinct import Words, distinct
from curation.diversity import vendi
from curation.grouped import Captions
from curation.losses import PER_CORPUS, PER_IMAGE, Loss, losses
from tests.curation.test_diversity import units


def text(row: int) -> str:
    return f"word{row % 7} word{row % 5} and word{row}"


def corpus(vectors: NDArray[np.float32], images: int, each: int) -> tuple[Captions, Words]:
    """Images with equally many captions; caption i says text i."""
    count = images * each
    captions = Captions(vectors, np.arange(count), np.arange(0, count + 1, each))
    return captions, Words.of([text(row) for row in range(count)])


def by(found: list[Loss], value: str, measure: str) -> Loss:
    return next(one for one in found if (one.value, one.measure) == (value, measure))


def test_whole_and_without_are_what_they_say() -> None:
    captions, words = corpus(units(24, 10, 5), 4, 6)
    values = ["a", "b", "a", "b", "b", "c"] * 4
    found = losses(captions, words, values, threshold=0.3)
    assert [(one.value, one.measure) for one in found] == [
        (value, measure) for value in "abc" for measure in (*PER_IMAGE, *PER_CORPUS)
    ]
    for value in "abc":
        rest = np.array(values) != value
        vendis, covered, said, wholly = [], [], [], []
        for start in range(0, 24, 6):
            own = captions.vectors[start : start + 6]
            stays = rest[start : start + 6]
            wholly.append(vendi(own))
            vendis.append(vendi(own[stays]))
            best = np.maximum(own @ own[stays].T, 0).max(axis=1)
            covered.append(best.mean())
            said.append((best >= 0.3).mean())
        loss = by(found, value, "vendi")
        assert (loss.images, loss.bare, loss.captions) == (4, 0, int((~rest).sum()))
        assert loss.whole == pytest.approx(np.mean(wholly), abs=1e-5)
        assert loss.without == pytest.approx(np.mean(vendis), abs=1e-5)
        assert loss.lost == pytest.approx(np.mean(wholly) - np.mean(vendis), abs=1e-5)
        assert by(found, value, "coverage").without == pytest.approx(np.mean(covered), abs=1e-5)
        assert by(found, value, "coverage").whole == pytest.approx(1, abs=1e-5)
        assert by(found, value, "said").without == pytest.approx(np.mean(said))
        assert by(found, value, "said").whole == 1
        assert by(found, value, "corpus_vendi").without == pytest.approx(
            vendi(captions.vectors[rest]), abs=1e-4
        )
        assert by(found, value, "distinct_2").without == pytest.approx(
            distinct(words, captions, rest).distinct_2.mean()
        )


def test_thinned_is_the_mean_over_all_ways_to_take_as_many() -> None:
    vectors = units(3, 8, 2)
    captions, words = corpus(vectors, 1, 3)
    loss = by(losses(captions, words, ["a", "b", "b"], draws=600), "a", "vendi")
    ways = [vendi(np.delete(vectors, place, axis=0)) for place in range(3)]
    assert loss.thinned == pytest.approx(np.mean(ways), abs=0.03)
    assert loss.beyond == pytest.approx(loss.thinned - ways[0], abs=1e-9)


def test_whoever_says_what_nobody_says_is_missed_and_an_echo_is_not() -> None:
    rng = np.random.default_rng(0)
    images = 60
    common = units(images * 3, 48, 1).reshape(images, 3, 48)
    own = units(images * 3, 48, 2).reshape(images, 3, 48)
    echo = common + 0.1 * rng.normal(size=common.shape) / np.sqrt(48)
    stacked = np.concatenate([common, echo, own], axis=1).reshape(-1, 48)
    vectors = np.asarray(stacked / np.linalg.norm(stacked, axis=1, keepdims=True), np.float32)
    captions, words = corpus(vectors, images, 9)
    found = losses(captions, words, (["first"] * 3 + ["echo"] * 3 + ["own"] * 3) * images)
    for measure in ("vendi", "coverage", "said"):
        assert by(found, "own", measure).low > 0
        assert by(found, "echo", measure).high < 0
        assert by(found, "first", measure).high < 0  # with the echo there, it is one too
    assert by(found, "own", "corpus_vendi").beyond > by(found, "echo", "corpus_vendi").beyond


def test_names_given_at_random_lose_nothing_beyond_chance() -> None:
    """The interval holds zero nearly always; without kinds, balance itself would seem a gain."""
    images, kinds, models = 80, 4, 3
    rng = np.random.default_rng(3)
    about = units(kinds, 32, 4)[None, :, None, :] + 0.4 * units(
        images * kinds * models, 32, 5
    ).reshape(images, kinds, models, 32)
    about = rng.permuted(about, axis=2)
    stacked = about.reshape(-1, 32)
    vectors = np.asarray(stacked / np.linalg.norm(stacked, axis=1, keepdims=True), np.float32)
    captions, words = corpus(vectors, images, kinds * models)
    values = ["a", "b", "c"] * (images * kinds)
    kind = [str(k) for k in range(kinds) for _ in range(models)] * images
    fair = losses(captions, words, values, alike=kind, draws=20)
    blind = losses(captions, words, values, draws=20)
    for value in "abc":
        inside = by(fair, value, "vendi")
        assert abs(inside.beyond) < 0.03
        assert abs(by(fair, value, "coverage").beyond) < 0.01
        assert abs(by(fair, value, "said").beyond) < 0.02
        assert by(blind, value, "vendi").beyond < -0.05


def test_images_with_no_other_captions_are_counted_apart() -> None:
    vectors = units(5, 8)
    captions = Captions(vectors, np.arange(5), np.array([0, 2, 3, 5]))
    words = Words.of([text(row) for row in range(5)])
    found = losses(captions, words, ["a", "b", "a", "b", "b"])
    assert (by(found, "a", "vendi").images, by(found, "a", "vendi").bare) == (1, 1)
    assert (by(found, "b", "vendi").images, by(found, "b", "vendi").bare) == (1, 1)
    apart = losses(captions, words, ["a", "a", "b", "c", "c"])
    assert by(apart, "a", "vendi").images == 0
    assert np.isnan(by(apart, "a", "vendi").beyond)
    # As many captions of every image are all of them: chance loses what the group loses.
    assert by(apart, "a", "corpus_vendi").beyond == pytest.approx(0, abs=1e-9)


def test_a_seed_repeats_and_only_so_many_images_are_looked_at() -> None:
    captions, words = corpus(units(200, 8), 50, 4)
    values = ["a", "b"] * 100
    found = losses(captions, words, values, most=20, seed=3)
    assert found == losses(captions, words, values, most=20, seed=3)
    assert found != losses(captions, words, values, most=20, seed=4)
    assert by(found, "a", "vendi").images == 20
    assert by(found, "a", "corpus_vendi").captions == 40


def test_a_single_group_is_compared_with_nothing() -> None:
    captions, words = corpus(units(4, 8), 2, 2)
    assert losses(captions, words, ["a"] * 4) == []
    assert losses(Captions(units(0, 8), np.array([], int), np.array([0])), words, []) == []


@pytest.mark.parametrize(
    "wrong", [{"values": ["a"]}, {"alike": ["a"]}, {"draws": 1}, {"values": ["a"] * 5}]
)
def test_what_cannot_be_compared_is_refused(wrong: dict[str, Any]) -> None:
    captions, words = corpus(units(4, 8), 2, 2)
    with pytest.raises(ValueError, match=r"per caption|two draws"):
        losses(captions, words, **{"values": ["a", "b"] * 2} | wrong)


def test_whole_numbers_of_similarity_do_not_go_below_zero() -> None:
    assert whole(np.array([-0.5, 0.25])).tolist() == [0, 250_000]
