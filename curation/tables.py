"""The tables that ``generate`` ends with: what each model made, or would have to make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from curation.running import ModelResult

Table = tuple[str, list[str], list[list[str]]]


def generate_tables(results: Sequence[ModelResult], *, dry_run: bool) -> Iterator[Table]:
    """Title, columns and rows; numbers are in all columns but the first."""
    if not dry_run:
        yield _made(results)
        return
    yield _plan(results)
    if any(result.probe for result in results):
        yield _probes(results)


def _made(results: Sequence[ModelResult]) -> Table:
    columns = ["model", "photos", "wanted", "there before", "made", "cut off", "failed"]
    columns += ["photos failed", "captions/s", "tokens/s", "prefix cache"]
    rows = []
    for result in results:
        counts = result.counts
        numbers = [counts.photos, counts.wanted, counts.resumed, counts.made, counts.truncated]
        numbers += [counts.failed, counts.photos_failed]
        working = 0.0
        if result.seconds is not None:
            working = result.seconds.wall - result.seconds.loading
        pace = [f"{counts.made / working:,.1f}" if counts.made and working > 0 else "–"]
        pace.append(f"{counts.tokens / working:,.0f}" if counts.tokens and working > 0 else "–")
        hits = result.cache_hits
        pace.append("–" if hits is None else f"{hits:.0%}")
        rows.append([result.model, *(f"{number:,}" for number in numbers), *pace])
    return _without_empty("Captions", columns, rows)


def _plan(results: Sequence[ModelResult]) -> Table:
    columns = ["model", "photos", "wanted", "there before", "to make", "photos failed"]
    rows = []
    for result in results:
        counts = result.counts
        numbers = [counts.photos, counts.wanted, counts.resumed, counts.missing]
        numbers.append(counts.photos_failed)
        rows.append([result.model, *(f"{number:,}" for number in numbers)])
    return "Plan (nothing was made)", columns, rows


def _probes(results: Sequence[ModelResult]) -> Table:
    columns = ["model", "longest prompt", "+ answer", "context", "captions/s", "loads in"]
    columns.append("will take about")
    rows = []
    for result in results:
        found = result.probe
        if found is None:
            continue
        needed = timedelta(seconds=round(found.seconds_for(result.counts.missing)))
        rows.append(
            [
                result.model,
                "–" if found.prompt_tokens is None else f"{found.prompt_tokens:,} tokens",
                "–" if found.prompt_tokens is None else f"{found.answer_tokens:,}",
                "–" if found.context is None else f"{found.context:,}",
                f"{found.captions_per_second:,.1f}",
                f"{found.load_seconds:,.1f} s",
                str(needed),
            ]
        )
    return "Asked about a few photos", columns, rows


def _without_empty(title: str, columns: list[str], rows: list[list[str]]) -> Table:
    """Columns that say nothing of any model only make the table too wide to read."""
    rare = {"cut off": "0", "tokens/s": "–", "prefix cache": "–", "captions/s": "–"}
    shown = [
        place
        for place, column in enumerate(columns)
        if any(row[place] != rare.get(column) for row in rows)
    ]
    return title, [columns[place] for place in shown], [[row[p] for p in shown] for row in rows]
