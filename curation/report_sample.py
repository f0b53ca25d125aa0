"""The gallery's part of a corpus: some photos with their captions, as columns for a page.

Photos are drawn evenly from each dataset and level, the same ones for the same seed, and only as
many as the page has room for. Columns are whatever the view `corpus` has, packed by how much they
repeat. Must not know how the page looks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from curation.corpus import Corpus

PER_IMAGE = 60
"""Captions of one photo that are shown; of more, those with the smallest hashes."""

ROOM = 6_000_000
"""Bytes that all captions shown may take together."""

LONGEST = 60_000
"""Characters of one caption that are shown; what is longer ends with a note."""

CAPTION_BYTES = 170
"""Bytes that a caption takes beside its text, roughly."""

_PROMPTS = 400
"""Prompts whose wording is shown; with more, those are that most captions have."""

_OF_IMAGE = ("path", "width", "height", "dataset", "group_id", "split", "image_vendi")


@dataclass(frozen=True)
class Sample:
    """What the gallery shows.

    Attributes:
        of: photos with captions in the corpus.
        photos: a mapping per photo: `id`, `path`, `captions` (in the corpus), ….
        captions: captions shown.
        columns: name → packed column (see `packed`), one value per caption: all columns of the
            view, and `@image` (place among `photos`), `@prompt` (place among `prompts`) and
            `@length` (characters of the whole text).
        prompts: wordings.
        paths: image_id → files that have held the photo.
        strata: datasets and levels that photos were drawn from.
        cut: captions that are longer than what is shown of them.
    """

    of: int
    photos: list[dict[str, Any]]
    captions: int
    columns: dict[str, Any]
    prompts: list[dict[str, str]]
    paths: dict[str, list[str]]
    strata: int
    cut: int


def draw(corpus: Corpus, *, images: int, seed: int) -> Sample:
    """Draw photos and fetch all that is to be shown of them.

    Args:
        corpus: open.
        images: photos at most; fewer when their captions take more room than there is.
        seed: another seed, other photos.
    """
    of = int(corpus.value("SELECT count(DISTINCT image_id) FROM captions"))
    chosen = corpus.rows(_DRAW, [str(seed), PER_IMAGE, LONGEST, CAPTION_BYTES, images, ROOM])
    strata = len({(row[1], row[2]) for row in chosen})
    ids = [row[0] for row in chosen]
    total = {row[0]: row[3] for row in chosen}
    kinds = {name: kind for name, kind, *_ in corpus.rows("DESCRIBE corpus") if name != "text"}
    names = list(kinds)
    rows = _captions(corpus, kinds, ids)
    columns = list(zip(*rows, strict=True)) if rows else [()] * (len(names) + 4)
    place = {image_id: at for at, image_id in enumerate(ids)}
    at_image = [place[one] for one in columns[names.index("image_id")]]
    texts = [text if size <= LONGEST else text[:LONGEST] for text, size in _pairs(columns, names)]
    cut = sum(size > LONGEST for _, size in _pairs(columns, names))
    shown = {
        name: packed([plain(value) for value in columns[at]])
        for at, name in enumerate(names)
        if name != "image_id"
    }
    wording, prompts = _prompts(corpus, columns[len(names) + 2])
    shown |= {
        "text": {"list": texts},
        "@length": packed(list(columns[len(names) + 1])),
        "@image": {"list": at_image},
        "@prompt": packed(wording),
    }
    return Sample(
        of=of,
        photos=_photos(ids, total, names, columns, at_image),
        captions=len(rows),
        columns=shown,
        prompts=prompts,
        paths=_paths(corpus, ids),
        strata=strata,
        cut=cut,
    )


_DRAW = """
    WITH sized AS (
        SELECT image_id, strlen(text) AS size,
               row_number() OVER (PARTITION BY image_id ORDER BY md5(caption_id)) AS place
        FROM captions),
    photos AS (
        SELECT image_id, count(*) AS captions,
               sum(least(size, 4 * $3) + $4) FILTER (place <= $2) AS bytes
        FROM sized GROUP BY image_id),
    placed AS (
        SELECT image_id, coalesce(dataset, '') AS dataset, coalesce(level, '') AS level,
               captions, bytes, md5(image_id || $1) AS mixed,
               row_number() OVER (PARTITION BY coalesce(dataset, ''), coalesce(level, '')
                                  ORDER BY md5(image_id || $1)) AS turn
        FROM photos LEFT JOIN (
            SELECT image_id, min(dataset) AS dataset, min_by(level, dataset || task) AS level
            FROM ratings GROUP BY image_id) USING (image_id)),
    summed AS (
        SELECT *, row_number() OVER in_turn AS number, sum(bytes) OVER in_turn AS so_far
        FROM placed WINDOW in_turn AS (ORDER BY turn, mixed, image_id))
    SELECT image_id, dataset, level, captions FROM summed
    WHERE number <= $5 AND (so_far <= $6 OR number = 1)
    ORDER BY number
"""


def _captions(corpus: Corpus, kinds: dict[str, str], ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """The view's columns in `kinds`, then text, its length, prompt and the photo's place."""
    if not ids:
        return []
    listed = ", ".join(
        # As text: a moment with its zone would come back in the machine's own zone.
        f"strftime(epoch_ms(epoch_ms(v.\"{name}\")), '%Y-%m-%d %H:%M:%S')"
        if kind == "TIMESTAMP WITH TIME ZONE"
        else f'v."{name}"'
        for name, kind in kinds.items()
    )
    data = pa.table({"id": pa.array(ids, pa.string()), "at": pa.array(range(len(ids)), pa.int64())})
    return corpus.join(
        f"SELECT {listed}, left(v.text, $longest), length(v.text), c.prompt_id, i.at "
        "FROM {ids} i JOIN corpus v ON v.image_id = i.id "
        "JOIN (SELECT caption_id, prompt_id, row_number() OVER "
        "(PARTITION BY image_id ORDER BY md5(caption_id)) AS place FROM captions "
        "WHERE image_id IN (SELECT id FROM {ids})) c USING (caption_id) "
        "WHERE c.place <= $most "
        "ORDER BY i.at, v.score IS NULL, v.task, v.cue <> 'overall', v.cue, v.model, v.sample, "
        "v.caption_id",
        data,
        {"longest": LONGEST, "most": PER_IMAGE},
    )


def _pairs(columns: Sequence[Sequence[Any]], names: Sequence[str]) -> list[tuple[str, int]]:
    return list(zip(columns[len(names)], columns[len(names) + 1], strict=True))


def _photos(
    ids: Sequence[str],
    total: dict[str, int],
    names: Sequence[str],
    columns: Sequence[Sequence[Any]],
    at_image: Sequence[int],
) -> list[dict[str, Any]]:
    photos: list[dict[str, Any]] = [{"id": one, "captions": total[one]} for one in ids]
    known = [name for name in _OF_IMAGE if name in names]
    for row, place in enumerate(at_image):
        photo = photos[place]
        if "path" not in photo:
            photo |= {name: plain(columns[names.index(name)][row]) for name in known}
        for name in ("mos", "score", "rated_level"):
            value = plain(columns[names.index(name)][row]) if name in names else None
            if photo.get(name) is None:
                photo[name] = value
    return photos


def _prompts(
    corpus: Corpus, ids: Sequence[str | None]
) -> tuple[list[int | None], list[dict[str, str]]]:
    """Each caption's place among the prompts that are shown, and those."""
    counts: dict[str, int] = {}
    for one in ids:
        if one:
            counts[one] = counts.get(one, 0) + 1
    most = sorted(counts, key=lambda one: (-counts[one], one))[:_PROMPTS]
    if not most:
        return [None] * len(ids), []
    known = {
        row[0]: {"system": row[1] or "", "text": row[2] or "", "answer_start": row[3] or ""}
        for row in corpus.join(
            "SELECT prompt_id, system, text, answer_start FROM {ids} JOIN prompts USING "
            "(prompt_id)",
            pa.table({"prompt_id": pa.array(most, pa.string())}),
            {},
        )
    }
    place = {one: at for at, one in enumerate(one for one in most if one in known)}
    return [place.get(one or "") for one in ids], [known[one] for one in place]


def _paths(corpus: Corpus, ids: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {one: [] for one in ids}
    if ids:
        for image_id, path in corpus.join(
            "SELECT image_id, path FROM (SELECT image_id, path, 0 AS turn FROM images UNION "
            "SELECT image_id, path, 1 FROM files) JOIN {ids} ON image_id = id "
            "ORDER BY image_id, turn, path",
            pa.table({"id": pa.array(ids, pa.string())}),
            {},
        ):
            if path and path not in found[image_id]:
                found[image_id].append(path)
    return found


def packed(values: Sequence[Any]) -> dict[str, Any]:
    """A column in as little JSON as its repetition allows.

    Returns:
        ``{"all": value}`` where all are equal, ``{"dict": […], "at": […]}`` where they repeat, and
        ``{"list": […]}`` otherwise.
    """
    keys = [
        json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value
        for value in values
    ]
    distinct = dict(zip(keys, values, strict=True))
    if len(distinct) <= 1:
        return {"all": values[0] if values else None}
    lengths = {key: len(str(key)) + 3 * isinstance(key, str) for key in distinct}
    place = {key: at for at, key in enumerate(distinct)}
    as_dictionary = sum(lengths.values()) + len(keys) * (len(str(len(distinct))) + 1)
    if as_dictionary < sum(lengths[key] + 1 for key in keys):
        return {"dict": list(distinct.values()), "at": [place[key] for key in keys]}
    return {"list": list(values)}


def plain(value: Any) -> Any:
    """A value as JSON knows it: six digits, no infinities, big numbers as text."""
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, float):
        return _rounded(value)
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return value.isoformat() if isinstance(value, date) else str(value)


def _rounded(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e15 else rounded
