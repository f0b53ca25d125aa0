"""Hygiene of many texts as the few values that a table holds and a rule can test.

Pure, and everything in it can be pickled: a caller with many texts shares them out to processes.
Must not know the corpus; what each finding means stands in `curation.hygiene`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.hygiene import Context, hygiene
from curation.language import language_of


@dataclass(frozen=True, slots=True)
class Problems:
    """What is wrong with one text.

    Attributes:
        names: findings, in the order of `hygiene.REASONS`.
        opener: the share of the corpus's texts that begin as this one does, in [0, 1]; 0 if that
            is no boilerplate.
        language: its code or script; empty where unsure.
    """

    names: tuple[str, ...]
    opener: float
    language: str

    @property
    def count(self) -> int:
        """How many findings, but for the opener: what begins like others may go on soundly."""
        return len(self.names) - ("opener" in self.names)

    @property
    def listed(self) -> str:
        """Names with commas in between, as for a column."""
        return ",".join(self.names)


def problems_of(
    texts: Sequence[str], context: Context, finish_reasons: Sequence[str] | None = None
) -> list[Problems]:
    """Hygiene of texts, each distinct one looked at once.

    Args:
        texts: captions or comments.
        context: what was asked, which openers the corpus has, which language is wanted.
        finish_reasons: what the engine said of each; unknown without it.

    Raises:
        ValueError: not one finish reason per text.
    """
    reasons = [""] * len(texts) if finish_reasons is None else finish_reasons
    if len(reasons) != len(texts):
        raise ValueError(f"{len(reasons)} finish reasons for {len(texts)} texts")
    known: dict[tuple[str, bool], Problems] = {}
    found = []
    for text, reason in zip(texts, reasons, strict=True):
        key = (text, reason == "length")
        if key not in known:
            known[key] = _problems(text, context, reason)
        found.append(known[key])
    return found


def _problems(text: str, context: Context, finish_reason: str) -> Problems:
    names = tuple(finding.name for finding in hygiene(text, context, finish_reason))
    share = context.openers.share(text) if "opener" in names else 0.0
    return Problems(names, share, language_of(text))
