"""How many steps a build takes, and how many a model has had."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "build.json"
"""In a model's folder: the steps that it has had."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Steps of training: the eyes on small crops, on whole pictures, and the words."""

    near: int
    far: int
    talk: int

    def __str__(self) -> str:
        """For a sentence."""
        return (
            f"{self.near:,} steps on small crops, {self.far:,} on whole pictures and "
            f"{self.talk:,} of talk"
        )

    def part(self, share: float) -> Effort:
        """A share of it, two steps each at least."""
        return Effort(*(max(2, round(steps * share)) for steps in asdict(self).values()))

    def write(self, folder: Path) -> None:
        """Keep it with a model."""
        (folder / FILE).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")


FULL = Effort(near=2400, far=1000, talk=1500)
"""What two cores do in less than an hour and a half: it took 82 minutes."""

THOROUGH = Effort(near=3000, far=1100, talk=2200)
"""What the shipped models have had, who name compression; some 105 minutes by the same pace."""


def effort_of(folder: Path) -> Effort:
    """What a model has had."""
    return Effort(**json.loads((folder / FILE).read_text("utf-8")))
