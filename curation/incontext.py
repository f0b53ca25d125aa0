"""Which exemplars a run shows: of the user's bank, as stored by an earlier run, or newly drawn.

What was drawn once is kept in the corpus: captions made meanwhile must not change what a resumed
run shows, for the exemplars are part of a caption's identity. Another seed draws anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from curation.bank import Banked, bank_sets, draw_bank, read_bank
from curation.config import RunConfig
from curation.corpus import Corpus, now
from curation.exemplars import ExemplarSets
from curation.places import places_in, places_of
from curation.plan import Places, Rated
from curation.prompts import Exemplar, PromptLibrary
from uniqa.console import say, warn
from uniqa.errors import InputError


def bank_of(
    config: RunConfig,
    library: PromptLibrary,
    ratings: Mapping[str, Sequence[Rated]],
    corpus: Corpus | None,
) -> tuple[Banked, ...]:
    """The user's bank, empty if none is named; photos in the val or test split are warned of.

    Each has, beside the group that the bank tells, those that it has in the ratings: its kin must
    not see it.

    Args:
        config: names the bank.
        library: gives the exemplars' question.
        ratings: of this run, by path.
        corpus: with the ratings of earlier runs; None where there is none yet.

    Raises:
        InputError: the bank cannot be used.
    """
    if config.exemplars is None:
        return ()
    bank = read_bank(config.exemplars, library)
    photos = {one.exemplar.path: one.exemplar.image_id for one in bank}
    places = places_of(photos, ratings, corpus)
    _warn_of_held_back(places)
    return tuple(
        replace(one, kin=frozenset(place.group for place in there.values()))
        for one in bank
        for there in (places.get(one.exemplar.image_id, {}),)
    )


def exemplars_of(
    corpus: Corpus | None,
    config: RunConfig,
    library: PromptLibrary,
    shots: int,
    run_id: str,
    bank: Sequence[Banked] = (),
) -> dict[str, ExemplarSets]:
    """The exemplar sets of every task; none without shots.

    Args:
        corpus: None where there is none yet.
        config: tasks, number of sets and seed.
        library: gives the exemplars' question.
        shots: exemplars per question.
        run_id: of the run that draws; empty for a dry run, which stores nothing.
        bank: the user's own, as `bank_of` gives it; without it exemplars come from the corpus.

    Raises:
        InputError: bank or corpus cannot supply so many.
    """
    if not shots:
        return {}
    if bank:
        return {
            task: bank_sets(bank, task, shots=shots, sets=config.exemplar_sets, seed=config.seed)
            for task in config.tasks
        }
    if corpus is None:
        raise no_corpus(config.corpus)
    return {task: _drawn(corpus, config, library, task, shots, run_id) for task in config.tasks}


def no_corpus(path: Path) -> InputError:
    """That there is no corpus to draw from at `path`."""
    return InputError(
        f"{path} does not exist yet, so no exemplars can be drawn from it",
        "Generate captions of rated photos without --shots first, or name a bank by "
        "--exemplars FILE",
    )


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
    """What a run with these settings, and no ratings, would show before it asks about a photo.

    Nothing is stored.

    Args:
        image_id: of the photo asked about.
        task: what it is asked about.
        library: gives the exemplars' question.
        shots, sets, seed: as for a run.
        bank: the user's own exemplars; else they are those stored in the corpus, or drawn from it.
        corpus: tells the photos' groups, too; with a bank it may be missing.

    Raises:
        InputError: bank or corpus cannot supply so many.
    """
    if not shots:
        return ()
    config = RunConfig(corpus=corpus, tasks=(task,), exemplars=bank, exemplar_sets=sets, seed=seed)
    with Corpus(corpus) if corpus.is_file() else nullcontext() as store:
        own = bank_of(config, library, {}, store)
        shown = exemplars_of(store, config, library, shots, run_id="", bank=own)
        places = places_in(store, [image_id]).get(image_id, {}) if store is not None else {}
    return shown[task].for_image(image_id, *(place.group for place in places.values()))


def _warn_of_held_back(places: Mapping[str, Places]) -> None:
    held_back = sum(
        any(place.split != "train" for place in one.values()) for one in places.values()
    )
    if held_back:
        warn(
            f"{held_back:,} photos of the bank are in the val or test split: what their exemplars "
            "say reaches captions that training learns from"
        )


def _drawn(
    corpus: Corpus,
    config: RunConfig,
    library: PromptLibrary,
    task: str,
    shots: int,
    run_id: str,
) -> ExemplarSets:
    bank_id = _bank_id(config, library, task, shots)
    stored = _stored(corpus, bank_id)
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


def is_drawn(
    corpus: Corpus, config: RunConfig, library: PromptLibrary, task: str, shots: int
) -> bool:
    """Whether the corpus keeps these exemplars from an earlier run."""
    return _stored(corpus, _bank_id(config, library, task, shots)) is not None


def _bank_id(config: RunConfig, library: PromptLibrary, task: str, shots: int) -> str:
    asked = [task, shots, config.exemplar_sets, config.seed, library.exemplar_question(task)]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def _stored(corpus: Corpus, bank_id: str) -> str | None:
    found: str | None = corpus.value(
        "SELECT exemplars FROM exemplar_banks WHERE bank_id = ?", [bank_id]
    )
    return found
