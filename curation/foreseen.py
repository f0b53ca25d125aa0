"""What is known of a run's exemplars before its first model begins.

Models run in turn, and exemplars are drawn when a model's turn comes, from the captions of those
before it. A run that cannot be supplied must not find that out after hours; and a dry run, which
makes no captions, budgets for exemplars that are not there yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curation.bank import WORDS, Banked, bank_sets, groups_to_draw, too_few
from curation.config import RunConfig
from curation.corpus import Corpus
from curation.incontext import is_drawn, no_corpus
from curation.plan import Rated
from curation.prompts import Exemplar, PromptLibrary
from uniqa.errors import InputError


@dataclass(frozen=True)
class Turn:
    """A model of a run: what it is shown, and what its captions could show to those after it.

    `shots` is 0 for a model that is shown nothing, `answers` are the tasks that it answers by
    texts, of `max_tokens` at most.
    """

    model: str
    shots: int
    answers: frozenset[str]
    max_tokens: int


@dataclass(frozen=True)
class StandIns:
    """Exemplars that are not made yet, shown in a dry run: as large as the real ones may be."""

    exemplar: Exemplar
    shots: int

    def for_image(self, _image_id: str, *_groups: str) -> tuple[Exemplar, ...]:
        """The same for every photo."""
        return (self.exemplar,) * self.shots


def stand_ins(
    task: str, makers: Sequence[Turn], library: PromptLibrary, *, shots: int, photo: tuple[str, str]
) -> StandIns:
    """What takes the place of exemplars from the captions of `makers`.

    Args:
        task: what they answer about.
        makers: the models before.
        library: gives the question.
        shots: exemplars per question.
        photo: path and image_id of the one that each of them shows.
    """
    path, image_id = photo
    # A word is a token at least; models that count none are bound by what is drawn at most.
    words = min(2 * WORDS[1], max(one.max_tokens for one in makers))
    answer = " ".join(["light"] * words)
    return StandIns(Exemplar(image_id, path, library.exemplar_question(task), answer), shots)


def foresee(
    turns: Sequence[Turn],
    config: RunConfig,
    library: PromptLibrary,
    ratings: Mapping[str, Sequence[Rated]],
    corpus: Corpus | None,
    bank: Sequence[Banked] = (),
) -> list[dict[str, list[Turn]]]:
    """Check that every model can be shown its exemplars, as far as can be told beforehand.

    Args:
        turns: the models in the order in which they run.
        config: tasks, number of sets and seed.
        library: gives the exemplars' question.
        ratings: of this run, by path.
        corpus: None where there is none yet.
        bank: the user's own exemplars, if any.

    Returns:
        Per turn, the tasks whose exemplars are not there yet, with the turns before it whose
        captions will be.

    Raises:
        InputError: bank, corpus and run cannot supply so many, whatever the models say.
    """
    waiting: list[dict[str, list[Turn]]] = []
    for number, turn in enumerate(turns):
        waiting.append({})
        if not turn.shots:
            continue
        for task in config.tasks:
            sets = config.exemplar_sets
            if bank:
                bank_sets(bank, task, shots=turn.shots, sets=sets, seed=config.seed)
                continue
            makers = [one for one in turns[:number] if task in one.answers]
            if _waits(turn, task, makers, config, library, ratings, corpus):
                waiting[-1][task] = makers
    return waiting


def _waits(
    turn: Turn,
    task: str,
    makers: Sequence[Turn],
    config: RunConfig,
    library: PromptLibrary,
    ratings: Mapping[str, Sequence[Rated]],
    corpus: Corpus | None,
) -> bool:
    shots, sets = turn.shots, config.exemplar_sets
    there = 0
    if corpus is not None:
        if is_drawn(corpus, config, library, task, shots):
            return False
        there = groups_to_draw(corpus, task, library, config.seed)
    if there >= shots * sets:
        return False
    if not makers:
        if corpus is None:
            raise no_corpus(config.corpus)
        raise too_few(corpus.path, task, shots=shots, sets=sets, groups=there)
    most = _most_groups(task, shots * sets, ratings, corpus)
    if most < shots * sets:
        raise InputError(
            f"{sets} × {shots} exemplars for the task '{task}' are wanted by {turn.model}, but "
            f"ratings for it are known of train photos of {most} different groups only",
            "Ask about another --task alone, name ratings for this one, lower --shots or "
            "--exemplar-sets, or bring your own by --exemplars FILE",
        )
    return True


def _most_groups(
    task: str, enough: int, ratings: Mapping[str, Sequence[Rated]], corpus: Corpus | None
) -> int:
    """Groups of photos that could be drawn if all of them had captions, counted up to `enough`."""
    groups: set[str] = set()
    if corpus is not None:
        groups |= {
            group
            for (group,) in corpus.rows(
                "SELECT DISTINCT coalesce(nullif(group_id, ''), image_id) FROM ratings "
                "WHERE task = $1 AND image_id IN (SELECT image_id FROM ratings "
                "GROUP BY image_id HAVING bool_and(split = 'train')) LIMIT $2",
                [task, enough],
            )
        }
    for own in ratings.values():
        if len(groups) >= enough:
            break
        if all(one.split == "train" for one in own):
            groups.update(one.group for one in own if one.task == task)
    return len(groups)
