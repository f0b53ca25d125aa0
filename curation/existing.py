"""What happens to captions that are there already: skip, add or replace.

*Existing* are the captions that a model gave before for the same photo, task and cue, whatever the
prompt's wording, the sampling, the seed or the model's revision. `skip` makes what is missing by
identity and leaves them alone; `add` makes as many new samples beside them as a first run would;
`replace` makes what is missing by identity and marks the others as superseded, keeping the rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from curation.corpus import Corpus

First = dict[tuple[str, str], int]
"""(task, cue) → number of the first sample that is to be made."""


def resumed_runs(corpus: Corpus, config: Mapping[str, object]) -> list[str]:
    """The runs that a run with this configuration goes on with: all that did not finish.

    Newest first, up to the last one that finished. What they added is part of what is to be
    added now, so that adding in two goes adds no more than in one.
    """
    text = json.dumps(config, default=str)
    runs: list[str] = []
    for run_id, outcome in corpus.rows(
        "SELECT run_id, outcome FROM runs WHERE command = 'generate' "
        "AND CAST(config AS VARCHAR) = CAST(CAST(? AS JSON) AS VARCHAR) ORDER BY started_at DESC",
        [text],
    ):
        if outcome not in {"killed", "interrupted", "failed"}:
            break
        runs.append(run_id)
    return runs


def first_samples(
    corpus: Corpus, image_ids: Sequence[str], model: str, resumed: Sequence[str]
) -> dict[str, First]:
    """For `add`: per image, the number of the first new sample of each task and cue."""
    found = corpus.join(
        "SELECT c.image_id, task, cue, max(sample) + 1 FROM captions c "
        "JOIN {ids} i ON c.image_id = i.id "
        "WHERE model = $model AND source = 'model' AND NOT list_contains($resumed, run_id) "
        "GROUP BY ALL",
        pa.table({"id": pa.array(image_ids, pa.string())}),
        {"model": model, "resumed": list(resumed)},
    )
    firsts: dict[str, First] = {}
    for image_id, task, cue, first in found:
        firsts.setdefault(image_id, {})[task, cue] = first
    return firsts


def supersede(corpus: Corpus, wanted: pa.Table, model: str, run_id: str) -> None:
    """For `replace`: mark what the wanted captions take the place of.

    A photo's task and cue are touched only if all captions wanted of them are there: a model that
    refused leaves the old ones standing. A wanted caption that was superseded before counts again.

    Args:
        corpus: open for writing, inside a transaction.
        wanted: columns caption_id, image_id, task, cue; one row per caption wanted.
        model: whose captions.
        run_id: the run that supersedes.
    """
    parameters = {"model": model, "run": run_id}
    corpus.join(
        "UPDATE captions SET superseded_by = NULL FROM {ids} w "
        "WHERE captions.caption_id = w.caption_id AND superseded_by IS NOT NULL",
        wanted,
        {},
    )
    corpus.join(
        "UPDATE captions SET superseded_by = $run FROM ("
        "SELECT w.image_id, w.task, w.cue FROM {ids} w "
        "LEFT JOIN captions c USING (caption_id) GROUP BY ALL "
        "HAVING count(*) = count(c.caption_id)) AS whole "
        "WHERE captions.image_id = whole.image_id AND captions.task = whole.task "
        "AND captions.cue = whole.cue AND model = $model AND source = 'model' "
        "AND superseded_by IS NULL AND caption_id NOT IN (SELECT caption_id FROM {ids})",
        wanted,
        parameters,
    )
