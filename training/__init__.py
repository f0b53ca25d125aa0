"""Learning from trusted captions and a few ratings, and scoring photos.

Must not import `curation`: a manifest is all that passes between the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.score import Scored, Scorer

__all__ = ["Scored", "Scorer"]


def __getattr__(name: str) -> Any:
    # Only when asked for: it takes seconds to load, and the command line must start at once.
    if name in __all__:
        from training import score

        return getattr(score, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
