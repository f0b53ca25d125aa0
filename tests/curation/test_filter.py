"""Verdicts: every caption gets one, with the rule, the value and the limit that decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from curation.corpus import Corpus
from curation.filter import Filtered, apply_policy, store_verdicts
from curation.policy import read_policy
from tests.conftest import caption_row, image_rows, rating_row
from uniqa.errors import UsageError


def signal_row(number: int, **changes: object) -> dict[str, object]:
    return {
        "caption_id": f"caption{number:03}",
        "encoder": "e",
        "words": 8,
        "distinct_words": 8,
        "rank": number,
        "duplicate_kind": "",
        "duplicate_of": None,
        "similarity": 0.5,
        "mean_similarity": 0.5,
        "threshold": 0.92,
        "run_id": "r",
        **changes,
    }


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    """Image 1 is in train, image 2 in test, image 3 has no rating."""
    with Corpus(tmp_path / "corpus.duckdb", write=True) as store:
        for image in (1, 2, 3):
            photo, file = image_rows(image)
            store.add("images", [photo])
            store.put("files", [file])
        store.put("ratings", [rating_row(1), rating_row(2, split="test")])
        store.add(
            "captions",
            [
                caption_row(1, 1, level="fair"),
                caption_row(2, 1, finish_reason="length"),
                caption_row(3, 1),
                caption_row(4, 1),
                caption_row(5, 2, level="good"),  # tells a test rating: planted
                caption_row(6, 2),
                caption_row(7, 3, level="bad"),
                caption_row(8, 3),
            ],
        )
        signals = [signal_row(number) for number in range(1, 9)]
        signals[2] = signal_row(3, words=2, distinct_words=2)
        signals[3] = signal_row(4, duplicate_kind="semantic", duplicate_of="caption001")
        store.put("signals", signals)
        yield store


def judge(corpus: Corpus, folder: Path, text: str) -> tuple[Filtered, dict[str, dict[str, str]]]:
    path = folder / "policy.yaml"
    path.write_text(text)
    policy = read_policy(str(path))
    filtered, verdicts = apply_policy(corpus, policy, shown_as=str(path))
    store_verdicts(corpus, policy, filtered, verdicts, run_id="r", to="/m.parquet")
    assert isinstance(verdicts, pa.Table)
    return filtered, {row["caption_id"][-1]: row for row in verdicts.to_pylist()}


def test_every_caption_has_a_verdict_with_its_reason(corpus: Corpus, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "curation/data/policies/balanced.yaml").read_text()
    filtered, verdicts = judge(corpus, tmp_path, text)
    assert (filtered.captions, filtered.kept, filtered.dropped) == (8, 4, 4)
    assert filtered.by_rule == {
        "rating_leak": 1,
        "too_short": 1,
        "cut_off": 1,
        "duplicate": 1,
        "per_image": 0,
    }
    reasons = {
        number: (one["kept"], one["rule"], one["value"], one["threshold"])
        for number, one in verdicts.items()
    }
    assert reasons["1"] == (True, "", "", "")
    assert reasons["3"] == (False, "too_short", "2", "≥ 4")
    assert reasons["4"] == (False, "duplicate", "semantic", "= ''")
    assert reasons["2"][:2] == (False, "cut_off")
    assert "length" in reasons["2"][3]
    assert reasons["5"][:2] == (False, "rating_leak")


def test_no_policy_lifts_the_leak_rule(corpus: Corpus, tmp_path: Path) -> None:
    for text in (
        "rules: []",
        "rules: [{rule: all, where: 'true'}]",
        "rules: [{rule: leaks, where: \"prompt_level <> '' OR true\"}]",
    ):
        filtered, verdicts = judge(corpus, tmp_path, text)
        assert [number for number, one in verdicts.items() if not one["kept"]] == ["5"]
        assert filtered.by_rule["rating_leak"] == 1


def test_a_guided_caption_leaves_with_its_photos_split(corpus: Corpus, tmp_path: Path) -> None:
    """The split changed after the caption was made: what was fine is a leak now."""
    assert judge(corpus, tmp_path, "rules: []")[0].by_rule["rating_leak"] == 1
    corpus.put("ratings", [rating_row(1, split="val")])
    filtered, verdicts = judge(corpus, tmp_path, "rules: []")
    assert filtered.by_rule["rating_leak"] == 2
    assert not verdicts["1"]["kept"]


def test_the_first_broken_rule_is_the_reason(corpus: Corpus, tmp_path: Path) -> None:
    rules = ["{rule: short, signal: words, max: 3}", "{rule: none, where: 'false'}"]
    first = judge(corpus, tmp_path, f"rules: [{', '.join(rules)}]")[0]
    assert list(first.by_rule.items()) == [("rating_leak", 1), ("short", 6), ("none", 1)]
    second = judge(corpus, tmp_path, f"rules: [{', '.join(rules[::-1])}]")[0]
    assert second.by_rule == {"rating_leak": 1, "none": 7, "short": 0}


def test_the_limit_per_image_keeps_the_best(corpus: Corpus, tmp_path: Path) -> None:
    filtered, verdicts = judge(corpus, tmp_path, "limits: {per_image: 1, order_by: rank}")
    assert [number for number, one in verdicts.items() if one["kept"]] == ["1", "6", "7"]
    assert filtered.by_rule == {"rating_leak": 1, "per_image": 4}
    over = verdicts["3"]
    assert (over["rule"], over["value"], over["threshold"]) == ("per_image", "3", "≤ 1")


def test_a_dropped_caption_takes_no_place_in_the_limit(corpus: Corpus, tmp_path: Path) -> None:
    text = "rules: [{rule: not_first, signal: rank, min: 2}]\nlimits: {per_image: 1}"
    verdicts = judge(corpus, tmp_path, text)[1]
    assert [number for number, one in verdicts.items() if one["kept"]] == ["2", "6", "7"]


def test_an_unknown_signal_keeps_nobody(corpus: Corpus, tmp_path: Path) -> None:
    """A caption that was never refined has no signals: rules about them cannot pass."""
    corpus.add("captions", [caption_row(9, 3)])
    verdicts = judge(corpus, tmp_path, "rules: [{rule: long, signal: words, min: 1}]")[1]
    one = verdicts["9"]
    assert (one["kept"], one["rule"], one["value"]) == (False, "long", "unknown")


def test_verdicts_are_rows_and_the_view_shows_the_last_filter(
    corpus: Corpus, tmp_path: Path
) -> None:
    strict, _ = judge(corpus, tmp_path, "rules: [{rule: none, where: 'false'}]")
    shown = "SELECT DISTINCT kept, dropped_by FROM corpus ORDER BY ALL"
    assert corpus.rows(shown) == [(False, "none"), (False, "rating_leak")]
    loose, _ = judge(corpus, tmp_path, "rules: []")
    assert corpus.rows(shown) == [(False, "rating_leak"), (True, "")]
    assert strict.filter_id != loose.filter_id
    counts = dict(corpus.rows("SELECT filter_id, count(*) FROM verdicts GROUP BY ALL"))
    assert counts == {strict.filter_id: 8, loose.filter_id: 8}


def test_judging_writes_nothing(corpus: Corpus) -> None:
    policy = read_policy("everything")
    apply_policy(corpus, policy, shown_as="everything")
    assert corpus.value("SELECT count(*) FROM verdicts") == 0
    assert corpus.value("SELECT count(*) FROM filters") == 0


@pytest.mark.parametrize(
    "rule",
    [
        "{rule: a, signal: words, equals: many}",
        "{rule: a, where: 'CAST(text AS INTEGER) > 3'}",
        "{rule: a, signal: wrods, min: 3}",
    ],
)
def test_a_rule_that_fails_on_the_values_is_an_error_of_the_policy(
    corpus: Corpus, tmp_path: Path, rule: str
) -> None:
    with pytest.raises(UsageError) as caught:
        judge(corpus, tmp_path, f"rules: [{rule}]")
    assert "\n" not in str(caught.value)
    assert corpus.value("SELECT count(*) FROM captions") == 8


def test_an_empty_corpus_is_judged_too(tmp_path: Path) -> None:
    with Corpus(tmp_path / "empty.duckdb", write=True) as store:
        filtered, _ = judge(store, tmp_path, "limits: {per_image: 3}")
    assert (filtered.captions, filtered.kept, filtered.dropped) == (0, 0, 0)
