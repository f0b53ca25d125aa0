"""Verdicts: every caption gets one, with the rule, the value and the limit that decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from curation.corpus import Corpus
from curation.filter import apply_policy
from curation.policy import read_policy
from tests.conftest import caption_row, image_rows, rating_row
from tests.curation.filtering import judge, signal_row
from uniqa.errors import UsageError


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


def kept(verdicts: dict[str, dict[str, str]]) -> str:
    return "".join(number for number, one in sorted(verdicts.items()) if one["kept"])


def test_limits_count_by_whatever_they_name(corpus: Corpus, tmp_path: Path) -> None:
    for number in (3, 4):
        changed = {"model": "other", "cue": "noise"}
        corpus.put("captions", [caption_row(number, 1, **changed)])
    for limits, left in {
        "per_image: 1": "167",
        "per_image_model: 1": "1367",
        "per_model: 1": "13",
        "per_cue: 2": "1234",
        "per_image_cue: 1": "1367",
        "per_split: 1": "",
    }.items():
        text = f"limits: {{{limits}}}"
        if not left:
            with pytest.raises(UsageError, match="unknown key 'per_split'"):
                judge(corpus, tmp_path, text)
            continue
        assert kept(judge(corpus, tmp_path, text)[1]) == left, limits


def test_limits_apply_in_the_order_in_which_they_stand(corpus: Corpus, tmp_path: Path) -> None:
    corpus.put("signals", [signal_row(n, words=10 - n) for n in range(1, 9)])
    by_words = "per_image: {keep: 2, order_by: words}"
    by_rank = "per_group: {keep: 1, order_by: rank}"
    first = judge(corpus, tmp_path, f"limits: {{{by_words}, {by_rank}}}")
    assert kept(first[1]) == "367"
    assert first[0].by_rule == {"rating_leak": 1, "per_image": 2, "per_group": 2}
    assert first[0].alone == {"rating_leak": 1, "per_image": 2, "per_group": 5}
    second = judge(corpus, tmp_path, f"limits: {{{by_rank}, {by_words}}}")
    assert kept(second[1]) == "167"


def test_a_limit_speaks_of_its_captions_alone(corpus: Corpus, tmp_path: Path) -> None:
    people = {"source": "person", "model": "contest", "cue": "comment"}
    corpus.put("captions", [caption_row(number, 1, **people) for number in (2, 3, 4)])
    corpus.put("signals", [signal_row(n, air=float(n), air_rank=5 - n) for n in (2, 3, 4)])
    limit = "{rule: top, keep: 2, order_by: air desc, for: \"source = 'person'\"}"
    filtered, verdicts = judge(corpus, tmp_path, f"limits: {{per_image: {limit}}}")
    assert kept(verdicts) == "134678"
    assert (verdicts["2"]["rule"], verdicts["2"]["value"]) == ("top", "3")
    assert filtered.by_rule["top"] == 1
    paper, _ = apply_policy(corpus, read_policy("paper"), shown_as="paper")
    assert paper.by_rule == {"rating_leak": 1, "top_comments": 0}


def test_a_limit_by_a_signal_that_nobody_computed_is_refused(
    corpus: Corpus, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"signal 'gain_rank' yet\. Run uniqa-curate refine"):
        judge(corpus, tmp_path, "limits: {diverse: 2}")
    corpus.put("signals", [signal_row(n, gain_rank=9 - n) for n in range(1, 9)])
    assert kept(judge(corpus, tmp_path, "limits: {diverse: 1}")[1]) == "468"


def test_what_is_equal_is_chosen_by_the_seed(corpus: Corpus, tmp_path: Path) -> None:
    corpus.put("signals", [signal_row(n, rank=1) for n in range(1, 9)])
    chosen = {
        seed: kept(judge(corpus, tmp_path, f"seed: {seed}\nlimits: {{per_image: 1}}")[1])
        for seed in range(8)
    }
    assert len(set(chosen.values())) > 1
    again = kept(judge(corpus, tmp_path, "seed: 3\nlimits: {per_image: 1}")[1])
    assert again == chosen[3]


def test_an_image_with_too_few_captions_gives_none(corpus: Corpus, tmp_path: Path) -> None:
    filtered, verdicts = judge(corpus, tmp_path, "limits: {minimum_per_image: 2}")
    assert kept(verdicts) == "123478"
    one = verdicts["6"]
    assert (one["rule"], one["value"], one["threshold"]) == ("minimum_per_image", "1", "≥ 2")
    assert filtered.by_rule == {"rating_leak": 1, "minimum_per_image": 1}
    # What limits leave is what counts.
    text = "limits: {per_image: 1, minimum_per_image: 2}"
    assert kept(judge(corpus, tmp_path, text)[1]) == ""


def test_rules_are_counted_in_order_and_alone(corpus: Corpus, tmp_path: Path) -> None:
    rules = "{rule: a, where: \"cue <> 'overall'\"}, {rule: b, signal: rank, max: 2}"
    filtered, _ = judge(corpus, tmp_path, f"rules: [{rules}]\nlimits: {{per_image: 3}}")
    assert filtered.by_rule == {"rating_leak": 1, "a": 7, "b": 0, "per_image": 0}
    assert filtered.alone == {"rating_leak": 1, "a": 8, "b": 6, "per_image": 1}


def test_weights_are_stored_with_verdicts(corpus: Corpus, tmp_path: Path) -> None:
    corpus.put("signals", [signal_row(1, words=4), signal_row(2, words=100)])
    text = "weights: {min: 0.2, terms: [{signal: words, from: 0, to: 16}]}"
    verdicts = judge(corpus, tmp_path, text)[1]
    weights = [float(verdicts[number]["weight"]) for number in "123"]
    assert weights == pytest.approx([0.25, 1.0, 0.2])
    shown = dict(corpus.rows("SELECT caption_id, weight FROM corpus"))
    assert shown["caption001"] == pytest.approx(0.25)
