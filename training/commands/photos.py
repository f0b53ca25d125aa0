"""Features of the photos of a ratings table, with what could not be read said."""

from __future__ import annotations

from pathlib import Path

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
    warn_each([f"{rated.images[at]}: {why}" for at, why in sorted(found.errors.items())])
    good = [int(at) for at in found.good]
    if not good:
        raise InputError(f"no photo of {rated.path} can be read", "Check --images-root")
    return found, good
