"""A small corpus that filters are tried on: three photos, captions with signals."""

from __future__ import annotations

from pathlib import Path

from curation.corpus import Corpus
from curation.filter import Filtered, apply_policy, store_verdicts
from curation.policy import read_policy


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


def judge(
    corpus: Corpus, folder: Path, text: str, name: str = "policy"
) -> tuple[Filtered, dict[str, dict[str, str]]]:
    """Apply and store a policy; its verdicts by the last figure of the caption's id."""
    path = folder / f"{name}.yaml"
    path.write_text(text)
    policy = read_policy(str(path))
    filtered, verdicts = apply_policy(corpus, policy, shown_as=str(path))
    to = str(folder / f"{name}.parquet")
    store_verdicts(corpus, policy, filtered, verdicts, run_id="r", to=to)
    return filtered, {row["caption_id"][-1]: row for row in verdicts.to_pylist()}
