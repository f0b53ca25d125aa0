from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from curation.corpus import Corpus
from curation.policy import check_policy, read_policy, shipped_policies
from curation.rules import Limit, Order, Rule, Splits, Term, Weights
from uniqa.errors import InputError, UsageError


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus(tmp_path / "corpus.duckdb", write=True) as store:
        yield store


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["balanced", "everything", "paper", "strict", "voices_apart"])
def test_shipped_policies_are_sound(corpus: Corpus, name: str) -> None:
    assert name in shipped_policies()
    policy = read_policy(name)
    assert policy.name == name
    check_policy(policy, corpus, name)


def test_a_policy_is_read_whole(tmp_path: Path) -> None:
    policy = read_policy(
        written(
            tmp_path,
            """
name: mine
seed: 3
rules:
  - {rule: long, signal: words, min: 4, max: 60}
  - {rule: fresh, signal: duplicate_kind, equals: ""}
  - {rule: whole, where: "finish_reason <> 'length'"}
limits: {per_image: 5, order_by: similarity}
""",
        )
    )
    assert (policy.name, policy.seed) == ("mine", 3)
    assert policy.limits == (Limit("per_image", ("image",), 5, Order("similarity")),)
    assert policy.rules == (
        Rule("long", "words", 4, 60),
        Rule("fresh", "duplicate_kind", equals=""),
        Rule("whole", where="finish_reason <> 'length'"),
    )
    assert policy.rules[0].threshold == "≥ 4 and ≤ 60"
    assert policy.rules[1].threshold == "= ''"


def test_a_policy_without_a_name_is_called_like_its_file(tmp_path: Path) -> None:
    policy = read_policy(written(tmp_path, "rules: []"))
    assert (policy.name, policy.rules, policy.limits) == ("mine", (), ())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nmae: x", "unknown key 'nmae'. Did you mean 'name'?"),
        ("limits: {per_imge: 3}", "limits has the unknown key 'per_imge'. Did you mean"),
        ("rules: [{rule: a, signal: words, mim: 3}]", "unknown key 'mim'. Did you mean 'min'?"),
        ("rules: [{signal: words, min: 3}]", "a rule has no name"),
        ("rules: [{rule: a}]", "rule 'a' needs either"),
        ("rules: [{rule: a, signal: words}]", "rule 'a' needs either"),
        ("rules: [{rule: a, min: 3}]", "rule 'a' needs either"),
        ("rules: [{rule: a, where: x, min: 3}]", "rule 'a' needs either"),
        ("rules: [{rule: a, where: x, signal: words, min: 3}]", "rule 'a' needs either"),
        ("rules: [{rule: a, signal: words, equals: 3, min: 3}]", "'equals' beside"),
        ("rules: [{rule: a, signal: words, equals: [1]}]", "neither a text nor a number"),
        ("rules: [{rule: a, signal: words, equals: null}]", "neither a text nor a number"),
        ("rules: [{rule: a, signal: words, min: many}]", "'min' is not a number"),
        ("rules: [{rule: a, signal: words, max: true}]", "'max' is not a number"),
        ("rules: [{rule: a, signal: words, min: .nan}]", "'min' is not a number"),
        ("rules: [{rule: a, signal: words, min: 9, max: 3}]", "nothing could pass"),
        ("rules: [{rule: a, where: x}, {rule: a, where: y}]", "two rules are called 'a'"),
        ("rules: [{rule: rating_leak, where: 'true'}]", "a rule of UniQA's own"),
        ("rules: [{rule: minimum_per_image, where: 'true'}]", "a rule of UniQA's own"),
        (
            "{rules: [{rule: per_image, where: 'true'}], limits: {per_image: 2}}",
            "two rules are called 'per_image'",
        ),
        ("rules: [words]", "a rule is not a mapping"),
        ("rules: {a: b}", "'rules' is not a list"),
        ("limits: [3]", "limits is not a mapping"),
        ("limits: {per_imagemodel: 1}", "unknown key 'per_imagemodel'. Did you mean"),
        ("limits: {per_image_image: 1}", "unknown key 'per_image_image'"),
        ("limits: {diverse: some}", "'diverse' is a whole number"),
        ("limits: {minimum_per_image: -1}", "'minimum_per_image' is a whole number"),
        ("limits: {per_image: {order_by: rank}}", "does not say how many to keep"),
        ("limits: {per_image: {keep: 1, order: rank}}", "'order'. Did you mean 'order_by'"),
        ("limits: {per_image: [{keep: 1}, {keep: 2}]}", "two rules are called 'per_image'"),
        ("limits: {order_by: rank down}", "no signal with asc or desc. Like: air desc"),
        ("rules: [{rule: a, signal: words, min: 1, unknown: maybe}]", "'unknown' is keep or drop"),
        ("weights: {terms: []}", "'terms' is not a list with a signal"),
        ("weights: {term: [{signal: words}]}", "unknown key 'term'. Did you mean 'terms'"),
        ("weights: {terms: [{signal: words, from: 0}]}", "signal 'words': 'to' is missing"),
        ("weights: {terms: [{signal: words, from: 1, to: 1}]}", "are the same"),
        ("weights: {terms: [{signal: words, from: 0, to: x}]}", "'to' is not a number"),
        ("weights: {terms: [{from: 0, to: 1}]}", "has no signal"),
        ("weights: {min: 0, terms: [{signal: words, from: 0, to: 1}]}", "0 < min ≤ max"),
        ("weights: {combine: mean, terms: [{signal: words, from: 0, to: 1}]}", "product or sum"),
        ("splits: {train: 0.8}", "sum to 1"),
        ("splits: {train: 1.2, test: -0.2}", "shares are from 0"),
        ("splits: {train: 0.8, tset: 0.2}", "unknown key 'tset'. Did you mean 'test'"),
        ("splits: {train: 1, stratify: [lvel]}", "by 'lvel'. Did you mean 'level'"),
        ("{seed: 1, seed: 2}", "'seed' stands there twice"),
        ("limits: {per_image: -1}", "'per_image' is a whole number"),
        ("limits: {per_image: 1.5}", "'per_image' is a whole number"),
        ("limits: {per_image: .inf}", "'per_image' is a whole number"),
        ("limits: {per_image: .nan}", "'per_image' is a whole number"),
        ("limits: {per_image: true}", "'per_image' is a whole number"),
        ("seed: 1.5", "'seed' is a whole number"),
        ("seed: abc", "'seed' is a whole number"),
        ("", "the policy is not a mapping"),
        ("- a", "the policy is not a mapping"),
        ("name: [unclosed", "cannot be read as YAML"),
    ],
)
def test_an_impossible_policy_is_refused_in_one_line(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_policy(path)
    assert complaint in str(caught.value)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_policy_is_met_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'balanced'"):
        read_policy("balancd")
    with pytest.raises(InputError, match="no policy file"):
        read_policy(str(tmp_path / "gone.yaml"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rules: [{rule: a, signal: wrods, min: 3}]", "rule 'a': unknown .* mean 'words'"),
        ("rules: [{rule: a, where: 'wrods > 3'}]", "the condition .* fails"),
        ("rules: [{rule: a, where: 'words >'}]", "the condition .* fails"),
        ("limits: {per_image: 1, order_by: rnak}", "'per_image': unknown .* mean 'rank'"),
        ("limits: {per_image: {keep: 1, for: 'wrods > 1'}}", "the condition .* fails"),
        ("rules: [{rule: a, signal: words, min: 1, for: 'wrods > 1'}]", "the condition .* fails"),
        ("rules: [{rule: a, where: 'kept'}]", "the condition .* fails"),
        ("weights: {terms: [{signal: wrods, from: 0, to: 1}]}", "weights: unknown .* mean 'words'"),
    ],
)
def test_a_policy_is_checked_against_the_corpus(
    tmp_path: Path, corpus: Corpus, text: str, complaint: str
) -> None:
    policy = read_policy(written(tmp_path, text))
    with pytest.raises(UsageError, match=complaint):
        check_policy(policy, corpus, "mine.yaml")


def test_quotes_in_values_stay_values(tmp_path: Path, corpus: Corpus) -> None:
    path = written(tmp_path, """rules: [{rule: a, signal: text, equals: "x' OR '1'='1"}]""")
    policy = read_policy(path)
    check_policy(policy, corpus, path)
    condition = policy.rules[0].condition
    assert corpus.value(f"""SELECT {condition} FROM (SELECT 'y' AS text)""") is False
    assert corpus.value(f"""SELECT {condition} FROM (SELECT 'x'' OR ''1''=''1' AS text)""") is True


def test_limits_weights_and_splits_are_read(tmp_path: Path) -> None:
    policy = read_policy(
        written(
            tmp_path,
            """
limits:
  order_by: rank
  per_image_model: 2
  diverse: 4
  per_image:
    - {rule: comments, keep: 3, order_by: air desc, for: "source = 'person'"}
    - {rule: the_rest, keep: 0, for: "source = 'elsewhere'"}
  per_cue: 0
  minimum_per_image: 2
weights:
  combine: sum
  min: 0.1
  terms: [{signal: similarity, from: 1, to: 0.5, low: 0.2, unknown: 0}]
splits: {test: 0.2, train: 0.8, stratify: [dataset]}
""",
        )
    )
    assert policy.limits == (
        Limit("per_image_model", ("image", "model"), 2),
        Limit("diverse", ("image",), 4, Order("gain_rank")),
        Limit("comments", ("image",), 3, Order("air", True), "source = 'person'"),
        Limit("the_rest", ("image",), 0, Order("rank"), "source = 'elsewhere'"),
    )
    assert policy.minimum_per_image == 2
    terms = (Term("similarity", 1, 0.5, 0.2, 1.0, 0.0),)
    assert policy.weights == Weights(terms, "sum", 0.1, 1.0)
    assert policy.splits == Splits({"train": 0.8, "val": 0.0, "test": 0.2}, ("dataset",))


@pytest.mark.parametrize(
    ("value", "weight"),
    [("1.0", 0.2), ("0.75", 0.6), ("0.5", 1.0), ("0.1", 1.0), ("1.5", 0.2), ("NULL", 0.7)],
)
def test_a_term_is_linear_and_clipped(corpus: Corpus, value: str, weight: float) -> None:
    term = Term("x", 1.0, 0.5, 0.2, 1.0, 0.7)
    assert corpus.value(f"SELECT {term.sql} FROM (SELECT {value} AS x)") == pytest.approx(weight)


def test_terms_are_multiplied_or_added_and_kept_within_bounds(corpus: Corpus) -> None:
    terms = (Term("x", 0, 1), Term("y", 0, 1))
    row = "FROM (SELECT 0.5 AS x, 0.8 AS y)"
    assert corpus.value(f"SELECT {Weights(terms).sql} {row}") == pytest.approx(0.4)
    assert corpus.value(f"SELECT {Weights(terms, 'sum').sql} {row}") == 1.0
    assert corpus.value(f"SELECT {Weights(terms, 'sum', 0.1, 2.0).sql} {row}") == 1.3
    assert corpus.value(f"SELECT {Weights(terms, minimum=0.5).sql} {row}") == 0.5
    assert corpus.value(f"SELECT {Weights().sql} {row}") == 1


def test_a_rule_can_speak_about_some_captions_and_let_the_unknown_pass(corpus: Corpus) -> None:
    rule = Rule("a", "x", minimum=3, only="y = 1", unknown=True)
    rows = "(VALUES (1, 1), (5, 1), (1, 2), (NULL, 1), (NULL, NULL)) AS t(x, y)"
    found = corpus.rows(f"SELECT {rule.condition} FROM {rows}")
    assert [row[0] for row in found] == [False, True, True, True, True]
    strict = Rule("a", "x", minimum=3)
    found = corpus.rows(f"SELECT {strict.condition} FROM {rows}")
    assert [row[0] for row in found] == [False, True, False, False, False]


def test_a_signal_that_nobody_computed_is_told_with_its_remedy(
    tmp_path: Path, corpus: Corpus
) -> None:
    row = {"caption_id": "c", "encoder": "e", "words": 3, "rank": 1, "run_id": "r"}
    corpus.put("signals", [row])
    path = written(tmp_path, "rules: [{rule: a, signal: informativeness, min: 0.1}]")
    with pytest.raises(UsageError, match=r"'informativeness' yet\. Run uniqa-curate refine"):
        check_policy(read_policy(path), corpus, path)
    corpus.put("signals", [{**row, "informativeness": 0.4}])
    check_policy(read_policy(path), corpus, path)
