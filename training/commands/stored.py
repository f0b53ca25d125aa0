"""Rows of a manifest joined with stored features of their photos and captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.data import Manifest
from training.encoders import Features
from training.features import photo_features, text_features
from training.pretrain import Pairs, make_pairs
from uniqa.console import warn_each


def features_of(
    manifest: Manifest, rows: Sequence[int], tower: Any, cache: Path
) -> dict[int, Features]:
    """Row → features of its photo; photos that cannot be read are told and left out."""
    got = photo_features(
        [manifest.images[row] for row in rows],
        tower,
        cache,
        ids=[manifest.ids[row] for row in rows],
        label="looking at photos",
    )
    warn_each([f"{manifest.images[rows[at]]}: {why}" for at, why in sorted(got.errors.items())])
    return {row: got.values[int(got.rows[at])] for at, row in enumerate(rows) if got.rows[at] >= 0}


def pairs_of(
    manifest: Manifest, rows: Sequence[int], found: dict[int, Features], tower: Any, cache: Path
) -> Pairs:
    """The rows' photos, all in `found`, with the features of their captions."""
    texts = sorted({caption.text for row in rows for caption in manifest.captions[row]})
    features = text_features(texts, tower, cache, label="reading captions")
    where = {text: at for at, text in enumerate(texts)}
    return make_pairs(manifest, rows, np.stack([found[row] for row in rows]), features, where)
