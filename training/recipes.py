"""Which blocks of a photo's vector the fused head looks at, and how strongly.

A short list per task, written down before any labels are seen: what technical quality shows in is
texture at every depth of the tower; what people find beautiful is mostly what is on the photo,
which late stages, class names and captions tell. Which of them to trust is left to the labels (see
`training.fused`). Must not know ratings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from training.fused import Recipe

NAMES, EMBEDDING, CUES = "names", "embedding", "cues"
"""Blocks beside the image tower's own."""

_LISTED: dict[str, tuple[tuple[str, float, float, float, bool], ...]] = {
    # Family of image blocks, then the shares of names, embedding and cues; whether curved.
    "quality": (
        ("all", 0.0, 0.0, 0.0, False),
        ("all", 0.0, 0.0, 0.0, True),
        ("all", 0.0, 0.2, 0.1, False),
        ("all", 0.0, 0.2, 0.1, True),
        ("all", 0.0, 0.8, 0.4, True),
        ("late", 0.0, 0.2, 0.1, True),
    ),
    "aesthetic": (
        ("late", 0.2, 0.0, 0.0, True),
        ("late", 0.2, 0.4, 0.0, True),
        ("late", 0.2, 0.8, 0.0, True),
        ("late", 0.2, 0.4, 0.2, True),
        ("late", 0.2, 0.4, 0.0, False),
        ("all", 0.2, 0.4, 0.0, True),
    ),
}


def recipes_for(task: str, families: Mapping[str, Sequence[str]]) -> list[Recipe]:
    """The task's recipes over a tower's families of blocks: the first holds all, the last late."""
    everything, *_, late = [*families.values(), list(families.values())[-1]]
    members = {"all": everything, "late": late}
    found = []
    for family, names, embedding, cues, curved in _LISTED[task]:
        blocks = [(block, 1.0 / len(members[family])) for block in members[family]]
        extra = [(NAMES, names), (EMBEDDING, embedding), (CUES, cues)]
        blocks += [(block, share) for block, share in extra if share]
        told = "".join(f" + {share:g} {block}" for block, share in extra if share)
        found.append(
            Recipe(f"{family}{told} ({'rbf' if curved else 'linear'})", tuple(blocks), curved)
        )
    return found
