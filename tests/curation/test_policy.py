from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from curation.corpus import Corpus
from curation.policy import Rule, check_policy, read_policy
from uniqa.errors import InputError, UsageError


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus(tmp_path / "corpus.duckdb", write=True) as store:
        yield store


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["balanced", "everything"])
def test_shipped_policies_are_sound(corpus: Corpus, name: str) -> None:
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
    assert (policy.name, policy.seed, policy.per_image) == ("mine", 3, 5)
    assert policy.order_by == "similarity"
    assert policy.rules == (
        Rule("long", "words", 4, 60),
        Rule("fresh", "duplicate_kind", equals=""),
        Rule("whole", where="finish_reason <> 'length'"),
    )
    assert policy.rules[0].threshold == "≥ 4 and ≤ 60"
    assert policy.rules[1].threshold == "= ''"


def test_a_policy_without_a_name_is_called_like_its_file(tmp_path: Path) -> None:
    policy = read_policy(written(tmp_path, "rules: []"))
    assert (policy.name, policy.rules, policy.per_image) == ("mine", (), 0)


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
        ("rules: [{rule: per_image, where: 'true'}]", "a rule of UniQA's own"),
        ("rules: [words]", "a rule is not a mapping"),
        ("rules: {a: b}", "'rules' is not a list"),
        ("limits: [3]", "limits is not a mapping"),
        ("limits: {per_image: -1}", "'per_image' is a whole number"),
        ("limits: {per_image: 1.5}", "'per_image' is a whole number"),
        ("limits: {per_image: .inf}", "'per_image' is a whole number"),
        ("limits: {per_image: .nan}", "'per_image' is a whole number"),
        ("limits: {per_image: true}", "'per_image' is a whole number"),
        ("seed: 1.5", "'seed' is a whole number"),
        ("seed: abc", "'seed' is a whole number"),
        ("", "the policy is not a mapping"),
        ("- a", "the policy is not a mapping"),
        ("name: [unclosed", "is not valid YAML"),
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
        ("limits: {order_by: rnak}", "limits: unknown .* Did you mean 'rank'"),
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
