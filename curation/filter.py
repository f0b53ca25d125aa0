"""Filter: a policy's verdict on every caption, each drop with its rule, value and threshold.

The first rule that a caption breaks is its reason. Before all rules of the policy stand two that
no policy can lift: a caption whose prompt told a rating never leaves the train split, so that no
test score reaches a model by way of a text; and one that a newer caption supersedes is not used.
Groups and splits are those of `curation.groups`, near-identical photos joined.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

import pyarrow as pa

from curation.corpus import Corpus, now
from curation.groups import Places, place_photos
from curation.judge import Staged, stage, verdict_table
from curation.policy import check_policy
from curation.rules import Policy


@dataclass(frozen=True)
class Filtered:
    """What a filter run decided.

    `by_rule` is in the order in which the rules apply; `alone` counts what each would drop if there
    were no other.
    """

    filter_id: str
    captions: int
    kept: int
    by_rule: dict[str, int]
    alone: dict[str, int]
    places: Places = field(repr=False)
    snapshot: str = ""

    @property
    def dropped(self) -> int:
        """Captions that are not in the manifest."""
        return self.captions - self.kept


def apply_policy(corpus: Corpus, policy: Policy, *, shown_as: str) -> tuple[Filtered, pa.Table]:
    """Judge every caption; nothing is written yet.

    Args:
        corpus: refined, so that the signals are there.
        policy: the rules.
        shown_as: the policy's name or file, for errors.

    Returns:
        The counts, and one row of the table `verdicts` per caption.

    Raises:
        UsageError: the policy names what the corpus does not have.
    """
    check_policy(policy, corpus, shown_as)
    places = place_photos(corpus, policy)
    staged = stage(corpus, policy, places)
    corpus.stage("verdict", f"SELECT caption_id, weight, broken, value FROM ({staged.verdicts()})")
    snapshot = snapshot_hash(corpus)
    filtered = _counted(corpus, staged, places, snapshot, _filter_id(corpus, policy, snapshot))
    return filtered, verdict_table(corpus, staged, filtered.filter_id)


def _counted(
    corpus: Corpus, staged: Staged, places: Places, snapshot: str, filter_id: str
) -> Filtered:
    counts = dict(corpus.rows("SELECT broken, count(*) FROM verdict GROUP BY broken"))
    by_rule = {name: counts.get(number, 0) for number, name in enumerate(staged.names)}
    alone = staged.alone(corpus)
    if not alone["superseded"]:
        del by_rule["superseded"], alone["superseded"]
    return Filtered(
        filter_id, sum(counts.values()), counts.get(None, 0), by_rule, alone, places, snapshot
    )


def store_verdicts(
    corpus: Corpus, policy: Policy, filtered: Filtered, verdicts: pa.Table, *, run_id: str, to: str
) -> None:
    """Write the verdicts; they become what the view `corpus` shows."""
    places = filtered.places.table
    ids = pa.array([filtered.filter_id] * places.num_rows, pa.string())
    with corpus.transaction():
        corpus.put(
            "filters",
            [
                {
                    "filter_id": filtered.filter_id,
                    "policy": policy.name,
                    "manifest": to,
                    "run_id": run_id,
                    "filtered_at": now(),
                    "source": json.dumps(policy.source, default=str),
                    "captions": filtered.captions,
                    "kept": filtered.kept,
                    "by_rule": json.dumps(filtered.by_rule),
                }
            ],
        )
        corpus.put("verdicts", verdicts)
        corpus.put("places", places.append_column("filter_id", ids))


def snapshot_hash(corpus: Corpus) -> str:
    """A hash of what was written and rated, whatever runs it took to get there."""
    captions = corpus.value(
        "SELECT sha256(string_agg(caption_id || sha256(text), '' ORDER BY caption_id)) "
        "FROM current_captions"
    )
    ratings = corpus.value(
        "SELECT sha256(string_agg(concat_ws('|', image_id, dataset, task, mos, std, split, "
        "group_id), '\n' ORDER BY image_id, dataset, task)) FROM ratings"
    )
    return hashlib.sha256(f"{captions}|{ratings}".encode()).hexdigest()


def _filter_id(corpus: Corpus, policy: Policy, snapshot: str) -> str:
    """A hash of the policy, the corpus and all that was decided: other decisions, another id."""
    rules = json.dumps(policy.source, sort_keys=True, default=str)
    decided = corpus.value(
        "SELECT sha256(string_agg(concat_ws('|', caption_id, broken, value, weight), '\n' "
        "ORDER BY caption_id)) FROM verdict"
    )
    placed = corpus.value(
        "SELECT sha256(string_agg(concat_ws('|', image_id, group_id, split), '\n' "
        "ORDER BY image_id)) FROM placed"
    )
    identity = f"{rules}|{snapshot}|{decided}|{placed}"
    return hashlib.sha256(identity.encode()).hexdigest()[:16]
