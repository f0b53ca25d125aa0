"""Loss and retrieval on validation photos, seen as scoring sees them: whole and all crops.

Must not know how anything is learned. Photos that cannot be read are told once and left out.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from training.config import PretrainConfig
from training.data import Manifest
from training.encoders import Features, ImageTower
from training.pretrain import make_pairs, validate
from training.tuning.learners import AnyLearner
from training.tuning.photos import PixelCache, read_pixels
from uniqa.console import warn
from uniqa.photos import PhotoError


class Validation:
    """Call it with a learner in evaluation mode: val_loss, val_r1, val_r1_text."""

    LIMIT = 512
    """Photos that are looked at; retrieval among more is no surer and takes longer."""

    def __init__(
        self, manifest: Manifest, rows: Sequence[int], config: PretrainConfig, cache: PixelCache
    ) -> None:
        self.rows = list(rows)
        self._manifest, self._config, self._cache = manifest, config, cache

    def __call__(self, learner: AnyLearner) -> dict[str, float]:
        """NaN without at least two photos."""
        image, text, projections = learner.towers()
        seen = self._look(image)
        self.rows = [row for row in self.rows if row in seen]
        if len(self.rows) < 2:
            return validate(projections, None, self._config)
        wordings = sorted({c.text for row in self.rows for c in self._manifest.captions[row]})
        where = {wording: at for at, wording in enumerate(wordings)}
        values = np.stack([seen[row] for row in self.rows])
        pairs = make_pairs(self._manifest, self.rows, values, text.encode(wordings), where)
        # A copy: on another device the learner's own must stay where they are.
        return validate(copy.deepcopy(projections).to("cpu"), pairs, self._config)

    def _look(self, tower: ImageTower) -> dict[int, Features]:
        seen: dict[int, Features] = {}
        with ThreadPoolExecutor(2) as pool:
            for start in range(0, len(self.rows), 16):
                some = self.rows[start : start + 16]
                prepared = pool.map(lambda row: self._prepare(tower, row), some)
                for row, one in zip(some, prepared, strict=True):
                    if isinstance(one, PhotoError):
                        warn(f"{one}; left out")
                    else:
                        seen[row] = tower.encode(one)
        return seen

    def _prepare(self, tower: ImageTower, row: int) -> object:
        try:
            pixels = read_pixels(self._manifest.images[row], self._manifest.ids[row], self._cache)
        except PhotoError as error:
            return error
        return tower.prepare(pixels)
