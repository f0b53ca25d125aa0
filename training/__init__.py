"""Learning from trusted captions and a few ratings, and scoring photos.

Must not import `curation`: a manifest is all that passes between the two.
"""

from __future__ import annotations

from training.score import Scored, Scorer

__all__ = ["Scored", "Scorer"]
