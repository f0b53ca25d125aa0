"""Which groups and splits photos have, by the corpus's ratings and by those of a run.

What is shown in context is kept apart by group from what is asked about; a run that names no
ratings must keep apart what an earlier one was told. Must not know of exemplars or prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from curation.corpus import Corpus
from curation.plan import Place, Places, Rated, placed
from uniqa.containers import stamp
from uniqa.photos import PhotoError, image_id_of

MOST = 16_384
"""Photos whose places are remembered: a few blocks of them, as windows are read ahead."""


def places_in(corpus: Corpus, image_ids: Sequence[str]) -> dict[str, Places]:
    """The places of those of the photos that the corpus holds ratings of."""
    found: dict[str, dict[tuple[str, str], Place]] = {}
    for image_id, dataset, task, group, split in corpus.join(
        "SELECT image_id, dataset, task, group_id, split FROM ratings JOIN {ids} ON image_id = id "
        "ORDER BY image_id, dataset, task",
        pa.table({"id": pa.array(image_ids, pa.string())}),
        {},
    ):
        found.setdefault(image_id, {})[dataset, task] = Place(group or image_id, split)
    return dict(found)


class KnownPlaces(Mapping[str, Places]):
    """image_id → places, of the photos that were looked up last: never a whole table."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._places: dict[str, Places] = {}

    def look_up(self, image_ids: Sequence[str]) -> None:
        """Have the places of these photos (`MOST` of them at most) at hand."""
        before = self._places
        there = {one: before.pop(one) for one in image_ids if one in before}
        new = [one for one in image_ids if one not in there]
        # Ratings are found by reading their column; whether a photo is new, by an index.
        new_but_known = list(self._corpus.known_images(new)) if new else []
        places = places_in(self._corpus, new_but_known) if new_but_known else {}
        there |= {one: places.get(one, {}) for one in new}
        kept = max(0, MOST - len(there))
        for one in list(before)[: max(0, len(before) - kept)]:
            del before[one]
        before |= there

    def __getitem__(self, image_id: str) -> Places:
        """The places of a photo that was looked up."""
        return self._places[image_id]

    def __iter__(self) -> Iterator[str]:
        """The photos at hand, those looked up last at the end."""
        return iter(self._places)

    def __len__(self) -> int:
        """How many photos are at hand."""
        return len(self._places)


def places_of(
    photos: Mapping[str, str], ratings: Mapping[str, Sequence[Rated]], corpus: Corpus | None
) -> dict[str, Places]:
    """Where a few photos stand that the user names apart from those of the run.

    Args:
        photos: absolute path → image_id.
        ratings: of the run, by absolute path. A copy of a rated photo is known by its bytes.
        corpus: None where there is none yet.

    Returns:
        image_id → places, of photos that have any.
    """
    wanted = set(photos.values())
    found = places_in(corpus, sorted(wanted)) if corpus is not None else {}
    sizes = {stamp(path)[0] for path in photos}
    for path in sorted(ratings):
        image_id = photos.get(path)
        # Only files of the same size can have the same bytes: few are read.
        if image_id is None and stamp(path)[0] in sizes:
            image_id = _image_id(path)
        if image_id in wanted:
            found[image_id] = placed(ratings[path], found.get(image_id, {}))
    return found


def _image_id(path: str) -> str:
    try:
        return image_id_of(path)
    except PhotoError:
        # What is wrong with a photo of the run is for the run to say.
        return ""
