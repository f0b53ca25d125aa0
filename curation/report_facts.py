"""The whole corpus counted once, small enough to be turned over in memory.

One query groups all captions by what a report asks about (model, task, cue, level, reason …), so a
million captions come back as some thousand rows. Columns that a corpus lacks count as empty. Must
not know how figures are shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from curation.corpus import Corpus

FACETS = (
    *("source", "engine", "model", "task", "cue", "dataset", "split", "rated_level"),
    *("superseded", "truncated", "duplicate_kind", "kept", "dropped_by", "dropped_threshold"),
)

NO_SIGNALS = frozenset(
    (
        *("width", "height", "mos", "score", "shots", "seed", "sample", "prompt_tokens"),
        *("cached_tokens", "tokens", "rank", "distinct_words", "level_bad", "level_poor"),
        *("gain_rank", "air_rank", "meaning"),
        *("level_fair", "level_good", "level_perfect", "image_vendi", "image_entropy"),
    )
)
"""Numeric columns of the view `corpus` that are facts about a caption, not signals of its worth."""

BINS = 24

_NOTHING = {"similarity": -1.0}
"""Values that stand for "there is none", and would otherwise be a false peak."""

_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)")


@dataclass(frozen=True, slots=True)
class Counts:
    """Captions before the last filter (those that nothing supersedes), and kept by it."""

    before: int = 0
    after: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(self.before + other.before, self.after + other.after)


@dataclass(frozen=True, slots=True)
class Histogram:
    """One signal's values in equal bins from `low` to `high`; the outermost hold all beyond.

    `exact` says that there is nothing beyond; means are None where there are no values.
    """

    name: str
    meaning: str
    low: float
    high: float
    bins: list[Counts]
    exact: bool
    mean_before: float | None
    mean_after: float | None

    @property
    def captions(self) -> int:
        """Captions that have the signal."""
        return sum(one.before for one in self.bins)

    @property
    def kept(self) -> int:
        """Of these, kept by the last filter."""
        return sum(one.after for one in self.bins)


class Facts:
    """The grouped counts of one corpus.

    Attributes:
        columns: of the view `corpus`.
        meanings: column → what it means, where that is told.
        signals: the numeric signals among them, in the view's order.
        lists: columns that hold lists of words, such as found problems.
        filtered: whether a filter has judged captions.
    """

    def __init__(self, corpus: Corpus) -> None:
        kinds = corpus.rows("DESCRIBE corpus")
        self.columns = [row[0] for row in kinds]
        self.meanings = dict(
            corpus.rows(
                "SELECT column_name, coalesce(comment, '') FROM duckdb_columns() "
                "WHERE table_name = 'corpus'"
            )
        )
        self.signals = [
            name for name, kind, *_ in kinds if _NUMBER.fullmatch(kind) and name not in NO_SIGNALS
        ]
        self.lists = [name for name, kind, *_ in kinds if kind == "VARCHAR[]"]
        facets = ", ".join(
            f'"{name}"' if name in self.columns else f"NULL AS {name}" for name in FACETS
        )
        sums = "".join(f', sum("{name}")::DOUBLE, count("{name}")::BIGINT' for name in self.signals)
        grouped = ", ".join(str(place + 1) for place in range(len(FACETS)))
        self._rows = corpus.rows(f"SELECT {facets}, count(*){sums} FROM corpus GROUP BY {grouped}")
        kept = FACETS.index("kept")
        self.filtered = any(row[kept] is not None for row in self._rows)

    def by(
        self, *facets: str, where: Callable[[dict[str, Any]], bool] | None = None
    ) -> dict[tuple[Any, ...], Counts]:
        """Captions per combination of facets; superseded ones count only if `where` is given."""
        places = [FACETS.index(name) for name in facets]
        superseded, kept, n = FACETS.index("superseded"), FACETS.index("kept"), len(FACETS)
        found: dict[tuple[Any, ...], Counts] = {}
        for row in self._rows:
            if where is None and row[superseded]:
                continue
            if where is not None and not where(dict(zip(FACETS, row, strict=False))):
                continue
            key = tuple(row[place] for place in places)
            one = Counts(row[n], row[n] if row[kept] else 0)
            found[key] = found.get(key, Counts()) + one
        return found

    def total(self, where: Callable[[dict[str, Any]], bool] | None = None) -> Counts:
        """All captions together."""
        return self.by(where=where).get((), Counts())

    def means(self, facet: str) -> dict[Any, dict[str, float]]:
        """Value of a facet → signal → its mean over the captions that nothing supersedes."""
        place, superseded = FACETS.index(facet), FACETS.index("superseded")
        sums: dict[Any, list[float]] = {}
        first = len(FACETS) + 1
        for row in self._rows:
            if row[superseded]:
                continue
            have = sums.setdefault(row[place], [0.0] * (2 * len(self.signals)))
            for at, value in enumerate(row[first:]):
                have[at] += value or 0
        return {
            key: {
                name: have[2 * at] / have[2 * at + 1]
                for at, name in enumerate(self.signals)
                if have[2 * at + 1]
            }
            for key, have in sums.items()
        }

    def histograms(self, corpus: Corpus) -> list[Histogram]:
        """Every signal's distribution before and after the last filter, empty signals left out."""
        if not self.signals:
            return []
        values = self._values()
        asked = ", ".join(
            f"quantile_disc({name}, 0.005), quantile_disc({name}, 0.995), min({name}), "
            f"max({name}), avg({name}), avg({name}) FILTER (passed)"
            for name in values
        )
        (flat,) = corpus.rows(f"SELECT {asked} FROM ({self._chosen(values)})")
        ranges = {}
        for at, name in enumerate(values):
            low, high, least, most, before, after = flat[6 * at : 6 * at + 6]
            if low is None:
                continue
            if low == high:
                low, high = least, most
            ranges[name] = (low, high, (low, high) == (least, most), before, after)
        counts = self._binned(corpus, values, ranges)
        return [
            Histogram(signal, self.meanings.get(signal, ""), low, high, counts[name], exact, b, a)
            for signal, name in zip(self.signals, values, strict=True)
            if name in ranges
            for low, high, exact, b, a in [ranges[name]]
        ]

    def _values(self) -> dict[str, str]:
        """Short name of each signal → SQL of its value, null for what is no value."""
        found = {}
        for at, name in enumerate(self.signals):
            value = f'CASE WHEN isfinite("{name}"::DOUBLE) THEN "{name}"::DOUBLE END'
            if name in _NOTHING:
                value = f"nullif({value}, {_NOTHING[name]!r}::DOUBLE)"
            found[f"v{at}"] = value
        return found

    def _chosen(self, columns: dict[str, str]) -> str:
        passed = "coalesce(kept, false)" if "kept" in self.columns else "false"
        current = "NOT superseded" if "superseded" in self.columns else "true"
        listed = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
        return f"SELECT {passed} AS passed, {listed} FROM corpus WHERE {current}"

    def _binned(
        self, corpus: Corpus, values: dict[str, str], ranges: dict[str, Any]
    ) -> dict[str, list[Counts]]:
        """Captions per bin, all signals in one pass."""
        found = {name: [Counts()] * BINS for name in ranges}
        if not ranges:
            return found
        bins = {}
        for name, (low, high, *_) in ranges.items():
            width = (high - low) / BINS or 1.0
            place = f"floor((({values[name]}) - ({low!r}::DOUBLE)) / {width!r})"
            inside = f"least({BINS - 1}, greatest(0, {place}))::INTEGER"
            # Without the condition no value would be the lowest: both functions pass nulls over.
            bins[name] = f"CASE WHEN ({values[name]}) IS NOT NULL THEN {inside} END"
        sets = ", ".join(f"({name})" for name in bins)
        shown = ", ".join(f"{name}, grouping({name})" for name in bins)
        for row in corpus.rows(
            f"SELECT count(*), count(*) FILTER (passed), {shown} FROM ({self._chosen(bins)}) "
            f"GROUP BY GROUPING SETS ({sets})"
        ):
            for at, name in enumerate(bins):
                place_of, absent = row[2 + 2 * at : 4 + 2 * at]
                if not absent and place_of is not None:
                    found[name][place_of] = Counts(row[0], row[1])
        return found


def ordered(
    counts: dict[tuple[Any, ...], Counts], order: Sequence[str] = ()
) -> list[tuple[Any, Counts]]:
    """Counts of one facet, in the order given, then the most frequent first."""
    place = {word: at for at, word in enumerate(order)}
    single = [(key[0], count) for key, count in counts.items()]
    return sorted(
        single, key=lambda one: (place.get(one[0], len(place)), -one[1].before, str(one[0]))
    )
