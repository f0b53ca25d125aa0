"""Sweeps count what a policy would keep at each value, and say what they moved."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from curation.corpus import Corpus
from curation.filter import apply_policy
from curation.policy import read_policy
from curation.rules import Policy
from curation.sweep import Point, Sweep, parse_range, sweep
from tests.conftest import caption_row, image_rows, rating_row
from tests.curation.filtering import signal_row
from uniqa.errors import UsageError

SIMILARITIES = (-1.0, 0.7, 0.85, 0.95, 1.0, -1.0, 0.8, 0.93)


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    """Two photos of two levels with four captions each."""
    with Corpus(tmp_path / "corpus.duckdb", write=True) as store:
        for image, level in ((1, "bad"), (2, "good")):
            photo, file = image_rows(image)
            store.add("images", [photo])
            store.put("files", [file])
            store.put("ratings", [rating_row(image, level=level)])
        store.add("captions", [caption_row(n, 1 + n // 5) for n in range(1, 9)])
        store.put(
            "signals",
            [
                signal_row(
                    n,
                    words=n,
                    similarity=SIMILARITIES[n - 1],
                    duplicate_kind="semantic" if SIMILARITIES[n - 1] >= 0.92 else "",
                )
                for n in range(1, 9)
            ],
        )
        yield store


def written(folder: Path, text: str) -> Policy:
    path = folder / "policy.yaml"
    path.write_text(text)
    return read_policy(str(path))


def swept(corpus: Corpus, policy: Policy, text: str) -> Sweep:
    return sweep(corpus, policy, parse_range(text), shown_as="policy.yaml")


def kept(found: Sweep) -> dict[float, int]:
    return {point.value: point.kept for point in found.points}


def test_ranges_hold_both_ends() -> None:
    found = parse_range("similarity=0.80:0.98:0.02")
    assert (found.name, found.sign, len(found.values)) == ("similarity", "=", 10)
    assert (found.values[0], found.values[-1]) == (0.8, 0.98)
    assert parse_range("words >= 10:2:-4").values == (10.0, 6.0, 2.0)
    assert parse_range("air<=3:3:1").values == (3.0,)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("similarity", "is not RULE=FROM:TO:STEP. Like:"),
        ("similarity=1:2", "is not RULE=FROM:TO:STEP"),
        ("similarity=a:2:1", "is not RULE=FROM:TO:STEP"),
        ("similarity=nan:2:1", "is not RULE=FROM:TO:STEP"),
        ("similarity=1:2:0", "never gets from 1 to 2 by 0"),
        ("similarity=1:2:-1", "never gets from 1 to 2 by -1"),
        ("similarity=0:1:0.0001", "has 10,001 points"),
    ],
)
def test_an_impossible_range_is_one_line(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_range(text)
    assert complaint in str(caught.value)


def test_sweeping_similarity_takes_the_place_of_refines_threshold(corpus: Corpus) -> None:
    balanced = read_policy("balanced")
    found = swept(corpus, balanced, "similarity=0.75:0.98:0.0575")
    # Words from 4 on: captions 4 … 8, with similarities 0.95, 1, -1, 0.8 and 0.93.
    assert list(kept(found).values()) == [1, 2, 2, 2, 4]
    assert "stored similarity" in found.meaning
    at_refines = swept(corpus, balanced, "similarity=0.92:0.92:1").points[0]
    assert at_refines.kept == apply_policy(corpus, balanced, shown_as="b")[0].kept


def test_every_point_is_what_the_policy_would_give(corpus: Corpus, tmp_path: Path) -> None:
    text = "rules: [{{rule: long, signal: words, min: {}}}]\nlimits: {{per_image: 2}}"
    found = swept(corpus, written(tmp_path, text.format(1)), "long=1:8:1")
    assert found.meaning == "rule 'long': words ≥ value"
    for value, count in kept(found).items():
        policy = written(tmp_path, text.format(value))
        assert apply_policy(corpus, policy, shown_as="p")[0].kept == count
    by_signal = swept(corpus, written(tmp_path, text.format(1)), "words=1:8:1")
    assert kept(by_signal) == kept(found)


def test_a_rule_about_some_captions_is_swept_about_these(corpus: Corpus, tmp_path: Path) -> None:
    policy = written(
        tmp_path, "rules: [{rule: long, signal: words, min: 1, for: \"dataset = 'koniq' AND "
        'caption_id > \'caption004\'"}]'
    )  # fmt: skip
    assert kept(swept(corpus, policy, "long=4:10:3")) == {4: 8, 7: 6, 10: 4}


def test_limits_and_new_conditions_are_swept(corpus: Corpus, tmp_path: Path) -> None:
    balanced = read_policy("balanced")
    assert list(kept(swept(corpus, balanced, "per_image=0:3:1")).values()) == [0, 1, 2, 2]
    everything = read_policy("everything")
    assert kept(swept(corpus, everything, "words<=2:8:3")) == {2: 2, 5: 5, 8: 8}
    assert kept(swept(corpus, everything, "words>=2:8:3")) == {2: 7, 5: 4, 8: 1}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("per_image=0.5:2:0.5", "is a whole number"),
        ("cut_off=1:2:1", "has no single bound"),
        ("rank=1:2:1", "Say which way: rank>=… or rank<=…"),
        ("wrods>=1:2:1", "neither a rule, a limit nor a signal.*Did you mean 'words'"),
        ("kept>=0:1:1", "unknown signal or column 'kept'"),
        ("text>=0:1:1", "the condition .* fails"),
    ],
)
def test_what_cannot_be_swept_is_one_line(corpus: Corpus, text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        swept(corpus, read_policy("balanced"), text)


def test_points_tell_diversity_and_balance(corpus: Corpus) -> None:
    corpus.put("captions", [caption_row(2, 1, text=caption_row(3, 1)["text"])])
    point = swept(corpus, read_policy("everything"), "words<=6:6:1").points[0]
    assert (point.kept, point.images) == (6, 2)
    assert point.distinct == pytest.approx(5 / 6)
    assert point.mean_similarity == pytest.approx((0.7 + 0.85 + 0.95 + 1.0) / 4)
    assert point.levels == {"bad": 4, "poor": 0, "fair": 0, "good": 2, "perfect": 0}
    shares = (4 / 6, 2 / 6)
    entropy = -sum(share * math.log(share) for share in shares) / math.log(5)
    assert point.balance == pytest.approx(entropy)


def test_balance_is_one_where_levels_are_even() -> None:
    levels = dict.fromkeys(("bad", "poor", "fair", "good", "perfect"), 7)
    assert Point(1, 35, 5, 1.0, None, levels).balance == pytest.approx(1.0)
    assert Point(1, 0, 0, 0.0, None, dict.fromkeys(levels, 0)).balance is None


def test_a_sweep_writes_nothing(corpus: Corpus) -> None:
    swept(corpus, read_policy("balanced"), "similarity=0.8:0.9:0.1")
    assert corpus.value("SELECT count(*) FROM filters") == 0
    assert corpus.value("SELECT count(*) FROM verdicts") == 0
