"""Where exemplars come from: a bank that the user wrote, or the corpus's own rated photos.

Only photos of the train split are ever drawn: an exemplar tells its photo's level to every model.
What is drawn depends on seed and identities, never on the order of rows. Must not know how
exemplars are told to a model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.corpus import Corpus
from curation.embed import PACKAGED, Encoder, SentenceEncoder, text_hash
from curation.exemplars import ExemplarSets, choose
from curation.pocket.listen import levels_said
from curation.prompts import Exemplar, PromptLibrary
from curation.strict import check_keys, read_yaml
from uniqa.containers import exists
from uniqa.errors import InputError, nearest
from uniqa.levels import LEVELS, TASKS
from uniqa.photos import PhotoError, absolute, read_photo
from uniqa.splits import seeded_key

WORDS = (8, 60)
"""Fewest and most words of an answer that is drawn: neither a tag nor an essay."""

POOL = 400
"""Photos per level among which the most different ones are looked for."""


@dataclass(frozen=True, slots=True)
class Banked:
    """An exemplar and the task that it is for."""

    task: str
    exemplar: Exemplar
    kin: frozenset[str] = frozenset()
    """Groups that its photo has in ratings."""


def read_bank(path: Path, library: PromptLibrary) -> list[Banked]:
    """The exemplars of a user's file, in its order.

    Args:
        path: YAML list or JSON lines of ``{image, task, answer, level?, question?, group?}``;
            images are relative to the file. Without a group a photo is one by itself.
        library: gives the question where an item has none.

    Raises:
        InputError: a file, item or photo that cannot be used; the item is named.
    """
    items = _items(path)
    if not items:
        raise InputError(f"{path} holds no exemplars")
    bank = [
        _banked(f"{path}: exemplar {number}", path.parent, item, library)
        for number, item in enumerate(items, start=1)
    ]
    seen: set[tuple[str, str]] = set()
    for number, one in enumerate(bank, start=1):
        if (one.task, one.exemplar.image_id) in seen:
            raise InputError(
                f"{path}: exemplar {number} shows a photo that another one for the task "
                f"'{one.task}' shows already"
            )
        seen.add((one.task, one.exemplar.image_id))
    return bank


def bank_sets(
    bank: Sequence[Banked], task: str, *, shots: int, sets: int, seed: int
) -> ExemplarSets:
    """The exemplar sets that a bank gives for a task.

    Raises:
        InputError: too few exemplars of the task for a single set.
    """
    own = [one for one in bank if one.task == task]
    return ExemplarSets.compose(
        task, [one.exemplar for one in own], shots=shots, sets=sets, seed=seed,
        kin={one.exemplar.image_id: one.kin for one in own},
    )  # fmt: skip


def draw_bank(
    corpus: Corpus,
    task: str,
    *,
    shots: int,
    sets: int,
    seed: int,
    library: PromptLibrary,
    encoder: str = PACKAGED,
    load: Callable[[str], Encoder] = SentenceEncoder,
) -> ExemplarSets:
    """Exemplar sets from captions of rated train photos, level by level, as different as can be.

    The corpus may be open for reading only: embeddings it lacks are computed and not stored.

    Args:
        corpus: with ratings for the task and captions of the photos rated.
        task: ``quality`` or ``aesthetic``.
        shots: exemplars per set.
        sets: how many.
        seed: another seed, another draw.
        library: gives the question that all exemplars answer.
        encoder: name under which the corpus keeps the embeddings.
        load: makes the encoder of that name; called only if a text has no vector yet.

    Raises:
        InputError: the corpus cannot supply that many.
    """
    candidates = _candidates(corpus, task, library, seed)
    groups = len({shot.group for shot in candidates})
    if groups < shots * sets:
        raise too_few(corpus.path, task, shots=shots, sets=sets, groups=groups)
    vectors = _vectors(corpus, [shot.answer for shot in candidates], encoder, load)
    by_image = {shot.image_id: vectors[shot.answer] for shot in candidates}
    chosen = choose(candidates, shots * sets, seed=seed, vectors=by_image)
    return ExemplarSets.dealt(task, chosen, rest=candidates, shots=shots, seed=seed)


def groups_to_draw(corpus: Corpus, task: str, library: PromptLibrary, seed: int) -> int:
    """Of how many groups `draw_bank` could draw exemplars now."""
    return len({shot.group for shot in _candidates(corpus, task, library, seed)})


def too_few(path: Path, task: str, *, shots: int, sets: int, groups: int) -> InputError:
    """That the corpus at `path` cannot supply so many."""
    return InputError(
        f"{sets} × {shots} exemplars for the task '{task}' are wanted, but {path} holds "
        f"usable captions of {groups} rated train photos of different groups",
        "Generate captions of more rated photos first, lower --shots or the number of sets, "
        "or bring your own by --exemplars FILE",
    )


def _items(path: Path) -> list[Any]:
    if path.suffix.lower() in {".yaml", ".yml"}:
        data = read_yaml(path)
        if not isinstance(data, list):
            raise InputError(f"{path} is not a list of exemplars")
        return data
    if path.suffix.lower() != ".jsonl":
        raise InputError(f"{path} is no exemplar bank", "Write .yaml or .jsonl")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})") from error
    items = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                items.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise InputError(f"{path}: line {number} is not JSON ({error.msg})") from error
    return items


def _banked(where: str, folder: Path, item: Any, library: PromptLibrary) -> Banked:
    data = check_keys(where, item, {"image", "task", "answer"}, {"level", "question", "group"})
    for key, value in data.items():
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{where}: '{key}' is not a text, but '{value}'")
    if data["task"] not in TASKS:
        raise InputError(f"{where}: unknown task '{data['task']}'", nearest(data["task"], TASKS))
    level = data.get("level", "")
    if level and level not in LEVELS:
        raise InputError(f"{where}: unknown level '{level}'", nearest(level, LEVELS))
    photo_path = absolute(folder / Path(data["image"]).expanduser())
    try:
        photo = read_photo(photo_path, max_side=512)
    except PhotoError as error:
        raise InputError(f"{where}: its image cannot be used ({error})") from error
    question = data.get("question", "").strip() or library.exemplar_question(data["task"])
    return Banked(
        data["task"],
        Exemplar(
            photo.image_id,
            str(photo_path),
            question,
            data["answer"].strip(),
            level,
            data.get("group", "") or photo.image_id,
        ),
    )


_USABLE = """
    c.task = $1 AND c.source = 'model' AND c.finish_reason = 'stop'
    AND len(string_split(trim(c.text), ' ')) BETWEEN $2 AND $3"""


def _candidates(corpus: Corpus, task: str, library: PromptLibrary, seed: int) -> list[Exemplar]:
    """The best caption of each usable photo, up to `POOL` photos per level."""
    usable = [task, *WORDS]
    photos = corpus.table(
        f"""
        WITH rated AS (
            SELECT image_id, level, group_id FROM ratings WHERE task = $1
            QUALIFY row_number() OVER (PARTITION BY image_id ORDER BY dataset) = 1),
        train AS (
            -- What any table holds back is held back.
            SELECT image_id FROM ratings GROUP BY image_id HAVING bool_and(split = 'train'))
        SELECT image_id, i.path, r.level,
               coalesce(nullif(r.group_id, ''), image_id) AS group_id
        FROM rated r JOIN train USING (image_id) JOIN images i USING (image_id)
        WHERE image_id IN (SELECT c.image_id FROM current_captions c WHERE {_USABLE})
        """,
        usable,
    ).to_pylist()
    photos.sort(key=lambda row: (seeded_key(seed, row["image_id"]), row["image_id"]))
    pool: dict[str, dict[str, Any]] = {}
    for level in LEVELS:
        there = (one for one in photos if one["level"] == level and exists(one["path"]))
        pool |= {one["image_id"]: one for one in islice(there, POOL)}
    captions = corpus.table(
        f"""
        SELECT c.caption_id, c.image_id, c.cue, c.level AS told, c.text FROM current_captions c
        WHERE c.image_id IN (SELECT unnest($4)) AND {_USABLE}
        """,
        [*usable, list(pool)],
    ).to_pylist()
    best: dict[str, dict[str, Any]] = {}
    for row in captions:
        row["level"] = pool[row["image_id"]]["level"]
        known = best.get(row["image_id"])
        if known is None or _worth(row) < _worth(known):
            best[row["image_id"]] = row
    return [
        Exemplar(
            image_id,
            one["path"],
            _question(library, task, best[image_id]["cue"]),
            best[image_id]["text"],
            one["level"],
            one["group_id"],
        )
        for image_id, one in pool.items()
    ]


def _question(library: PromptLibrary, task: str, cue: str) -> str:
    """What a caption answers; the whole photo, if the templates have lost its cue."""
    known = library.tasks[task].cues
    return known[cue].unguided[0] if cue in known else library.exemplar_question(task)


def _worth(row: dict[str, Any]) -> tuple[bool, bool, bool, int, str]:
    """Best first: about the photo as a whole, in line with its rating, and with much to say."""
    said = levels_said(row["text"])
    return (
        row["cue"] != "overall",
        bool(said) and row["level"] not in said,
        row["told"] != row["level"],
        -len(set(row["text"].lower().split())),
        row["caption_id"],
    )


def _vectors(
    corpus: Corpus, texts: list[str], name: str, load: Callable[[str], Encoder]
) -> dict[str, NDArray[np.float32]]:
    """text → unit-length vector, from the corpus where it has them."""
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    hashes = {text_hash(text): text for text in distinct}
    stored = corpus.table(
        "SELECT text_hash, vector FROM embeddings WHERE encoder = ? AND text_hash IN "
        "(SELECT unnest(?))",
        [name, list(hashes)],
    ).to_pylist()
    found = {hashes[row["text_hash"]]: np.array(row["vector"], np.float32) for row in stored}
    missing = [text for text in distinct if text not in found]
    if missing:
        found.update(zip(missing, load(name).encode(missing), strict=True))
    return found
