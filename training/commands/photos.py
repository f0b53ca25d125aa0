"""Features of the photos of a ratings table, with what could not be read said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.data import Rated
from training.features import PhotoFeatures, photo_features
from training.model import Model
from uniqa.console import warn, warn_each
from uniqa.errors import InputError


def rated_features(model: Model, rated: Rated, cache: Path) -> tuple[PhotoFeatures, list[int]]:
    """Features of a ratings table's photos, and the positions that could be read.

    Raises:
        InputError: no photo can be read.
    """
    found = photo_features(rated.images, model.image, cache, label="looking at photos")
    good = [int(at) for at in found.good]
    if not good:
        first = min(found.errors)
        raise InputError(
            f"none of the {len(rated.images)} photos of {rated.called} can be read "
            f"(first: {rated.images[first]}: {found.errors[first]})",
            "Check --images-root and --image-column",
        )
    warn_each([f"{rated.images[at]}: {why}" for at, why in sorted(found.errors.items())])
    return found, good


def one_per_photo(
    rated: Rated, found: PhotoFeatures, good: Sequence[int]
) -> tuple[Rated, list[int]]:
    """The readable rows, each photo once, and their positions.

    Copies under other names have the same bytes: one could be learned from and the other tested
    on. They are merged to their mean rating, and that is said.
    """
    first: dict[str, int] = {}
    copies: dict[str, list[int]] = {}
    for at in good:
        first.setdefault(found.ids[at], at)
        copies.setdefault(found.ids[at], []).append(at)
    kept = list(first.values())
    usable = rated.take(kept)
    if len(kept) < len(good):
        name = next(rated.names[at] for at in good if first[found.ids[at]] != at)
        warn(
            f"{rated.called}: {len(good) - len(kept)} photos are copies of others, byte for byte "
            f"(first: {name}); merged to their mean rating"
        )
        means = [float(np.mean(rated.scores[copies[found.ids[at]]])) for at in kept]
        usable = replace(usable, scores=np.array(means))
    return usable, kept


def check_differ(rated: Rated, rows: Sequence[int], what: str) -> None:
    """Refuse ratings that nothing can be learned from, or measured by.

    Raises:
        InputError: fewer than two, or all the same.
    """
    if len(rows) < 2:
        raise InputError(
            f"{rated.called} has {len(rows)} usable rating {what}", "Two or more are needed"
        )
    scores = rated.scores[list(rows)]
    if np.ptp(scores) == 0:
        value = float(rated.scale.restore(scores[0]))
        raise InputError(
            f"all {len(rows)} ratings {what} in {rated.called} are the same ({value:g})",
            "Give photos of different quality",
        )
