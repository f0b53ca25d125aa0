"""Which exemplars a run shows: of the user's bank, as stored by an earlier run, or newly drawn.

What was drawn once is kept in the corpus: captions made meanwhile must not change what a resumed
run shows, for the exemplars are part of a caption's identity. Another seed draws anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa

from curation.bank import bank_sets, draw_bank, read_bank
from curation.config import RunConfig
from curation.corpus import Corpus, now
from curation.exemplars import ExemplarSets
from curation.prompts import Exemplar, PromptLibrary
from uniqa.console import say, warn
from uniqa.errors import InputError


def exemplars_of(
    corpus: Corpus | None, config: RunConfig, library: PromptLibrary, shots: int, run_id: str
) -> dict[str, ExemplarSets]:
    """The exemplar sets of every task; none without shots.

    Args:
        corpus: None where there is none yet.
        config: tasks, bank, number of sets and seed.
        library: gives the exemplars' question.
        shots: exemplars per question.
        run_id: of the run that draws; empty for a dry run, which stores nothing.

    Raises:
        InputError: bank or corpus cannot supply so many.
    """
    if not shots:
        return {}
    if config.exemplars is not None:
        bank = read_bank(config.exemplars, library)
        if corpus is not None:
            _warn_of_held_back(corpus, {one.exemplar.image_id for one in bank})
        return {
            task: bank_sets(bank, task, shots=shots, sets=config.exemplar_sets, seed=config.seed)
            for task in config.tasks
        }
    if corpus is None:
        raise InputError(
            f"{config.corpus} does not exist yet, so no exemplars can be drawn from it",
            "Generate captions of rated photos without --shots first, or name a bank by "
            "--exemplars FILE",
        )
    return {task: _drawn(corpus, config, library, task, shots, run_id) for task in config.tasks}


def exemplars_for(
    image_id: str,
    task: str,
    library: PromptLibrary,
    *,
    shots: int,
    sets: int,
    seed: int,
    bank: Path | None,
    corpus: Path,
) -> tuple[Exemplar, ...]:
    """What a run with these settings would show before it asks about a photo; stores nothing.

    Args:
        image_id: of the photo asked about.
        task: what it is asked about.
        library: gives the exemplars' question.
        shots, sets, seed: as for a run.
        bank: the user's own exemplars; else they are those stored in the corpus, or drawn from it.
        corpus: looked into without a bank only.

    Raises:
        InputError: bank or corpus cannot supply so many.
    """
    config = RunConfig(corpus=corpus, tasks=(task,), exemplars=bank, exemplar_sets=sets, seed=seed)
    if not shots or bank is not None or not corpus.is_file():
        shown = exemplars_of(None, config, library, shots, run_id="")
        return shown[task].for_image(image_id) if shown else ()
    with Corpus(corpus) as store:
        # As a run knows it: the task's own ratings go first.
        group = store.value(
            "SELECT group_id FROM ratings WHERE image_id = ? ORDER BY task <> ?, dataset LIMIT 1",
            [image_id, task],
        )
        shown = exemplars_of(store, config, library, shots, run_id="")
    return shown[task].for_image(image_id, group or image_id)


def _warn_of_held_back(corpus: Corpus, image_ids: set[str]) -> None:
    held_back = corpus.join(
        "SELECT count(DISTINCT image_id) FROM ratings JOIN {ids} ON image_id = id "
        "WHERE split <> 'train'",
        pa.table({"id": pa.array(sorted(image_ids), pa.string())}),
        {},
    )[0][0]
    if held_back:
        warn(
            f"{held_back:,} photos of the bank are in the val or test split of the corpus: what "
            "their exemplars say reaches captions that training learns from"
        )


def _drawn(
    corpus: Corpus,
    config: RunConfig,
    library: PromptLibrary,
    task: str,
    shots: int,
    run_id: str,
) -> ExemplarSets:
    asked = [task, shots, config.exemplar_sets, config.seed, library.exemplar_question(task)]
    bank_id = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    stored = corpus.value("SELECT exemplars FROM exemplar_banks WHERE bank_id = ?", [bank_id])
    if stored is not None:
        return ExemplarSets.from_dict(json.loads(stored))
    drawn = draw_bank(
        corpus, task, shots=shots, sets=config.exemplar_sets, seed=config.seed, library=library
    )
    if run_id:
        said = ", ".join(sorted({shot.level for one in drawn.sets for shot in one}))
        say(
            f"drew {len(drawn.sets)} sets of {shots} exemplars for {task} from the corpus "
            f"(levels {said})"
        )
        row = {
            "bank_id": bank_id,
            "task": task,
            "exemplars": json.dumps(drawn.as_dict(), ensure_ascii=False),
            "run_id": run_id,
            "drawn_at": now(),
        }
        corpus.put("exemplar_banks", [row])
    return drawn
