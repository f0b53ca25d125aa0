"""Features of the photos of a ratings table, with what could not be read said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.data import Rated
from training.features import PhotoFeatures, photo_features
from training.model import Model
from uniqa.console import warn_each
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
            f"none of the {len(rated.images)} photos of {rated.path} can be read "
            f"(first: {rated.images[first]}: {found.errors[first]})",
            "Check --images-root and --image-column",
        )
    warn_each([f"{rated.images[at]}: {why}" for at, why in sorted(found.errors.items())])
    return found, good


def check_differ(rated: Rated, rows: Sequence[int], what: str) -> None:
    """Refuse ratings that nothing can be learned from, or measured by.

    Raises:
        InputError: fewer than two, or all the same.
    """
    if len(rows) < 2:
        raise InputError(
            f"{rated.path} has {len(rows)} usable rating {what}", "Two or more are needed"
        )
    scores = rated.scores[list(rows)]
    if np.ptp(scores) == 0:
        value = float(rated.scale.restore(scores[0]))
        raise InputError(
            f"all {len(rows)} ratings {what} in {rated.path} are the same ({value:g})",
            "Give photos of different quality",
        )
