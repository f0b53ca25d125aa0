"""``uniqa-curate filter`` and ``why``: parse, call and print; see `curation.filter` and beside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.cli_options import DEFAULT_CORPUS, JsonOption
from uniqa.console import print_json, print_table, progress, say, warn
from uniqa.errors import InputError, UniqaError, UsageError

if TYPE_CHECKING:
    from curation.compare import Difference
    from curation.corpus import Corpus
    from curation.filter import Filtered
    from curation.rules import Policy
    from curation.why import Why

CorpusOption = Annotated[Path, typer.Option("--corpus", help="The corpus, a DuckDB file.")]


def filter_command(
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The manifest to write, .parquet or .jsonl."),
    ] = None,
    corpus: CorpusOption = DEFAULT_CORPUS,
    policy: Annotated[
        str,
        typer.Option(
            help="A shipped policy (balanced, everything, paper, strict, voices_apart) or YAML."
        ),
    ] = "balanced",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what each rule would drop; write nothing.")
    ] = False,
    sweep: Annotated[
        str,
        typer.Option(
            help="Count what is left at each value of a rule's bound, a limit or a signal: "
            "RULE=FROM:TO:STEP, for example similarity=0.80:0.98:0.02; write nothing."
        ),
    ] = "",
    diff: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="Two policies, or filters that were run (id, manifest, or 'last'): which "
            "captions only one of them keeps, and why; write nothing.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that read photos.", show_default="cores")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Decide by a policy which captions training may learn from, and write the manifest."""
    asked = [
        name
        for name, given in (
            ("--output", output is not None and not dry_run),
            ("--dry-run", dry_run),
            ("--sweep", sweep),
            ("--diff", diff),
        )
        if given
    ]
    if len(asked) > 1:
        raise UsageError(f"{asked[0]} and {asked[1]} exclude one another")
    if not asked:
        raise UsageError("no manifest is named", "Name it by -o, or use --dry-run")
    _must_exist(corpus)
    if sweep:
        _sweep(corpus, policy, sweep, as_json=as_json)
    elif diff is not None:
        _diff(corpus, diff, as_json=as_json)
    else:
        _filter(corpus, policy, None if dry_run else output, workers=workers, as_json=as_json)


def why(
    caption: Annotated[str, typer.Argument(help="The caption's id, or how it begins.")],
    corpus: CorpusOption = DEFAULT_CORPUS,
    filter_name: Annotated[
        str, typer.Option("--filter", help="Filter id, the manifest it wrote, or 'last'.")
    ] = "last",
    as_json: JsonOption = False,
) -> None:
    """Why a caption was kept or dropped: its record, and each rule with its value and threshold."""
    from curation.reading import reading
    from curation.why import explain

    with reading(corpus) as store:
        found = explain(store, caption, filter_name)
    if as_json:
        print_json(found.as_dict())
    else:
        _show_why(found)


def _filter(
    corpus: Path, policy: str, output: Path | None, *, workers: int | None, as_json: bool
) -> None:
    from curation.alike import hash_photos
    from curation.corpus import Corpus
    from curation.filter import apply_policy, store_verdicts
    from curation.manifest import check_path, write_manifest
    from curation.policy import check_policy, read_policy
    from curation.reading import reading

    if output is not None:
        check_path(output)
    rules = read_policy(policy)
    rows: dict[str, Any] = {}
    provenance = None
    with reading(corpus) if output is None else Corpus(corpus, write=True) as store:
        _must_be_refined(store)
        if output is None:
            filtered, _ = apply_policy(store, rules, shown_as=policy)
        else:
            check_policy(rules, store, policy)
            _look(store, hash_photos, workers)
            filtered, verdicts = apply_policy(store, rules, shown_as=policy)
            run_id = store.begin_run(
                "filter", rules.seed, {"policy": rules.source, "output": str(output)}
            )
            try:
                store_verdicts(
                    store, rules, filtered, verdicts, run_id=run_id, to=str(output.absolute())
                )
                table, provenance = write_manifest(store, rules, filtered, output)
            except BaseException as error:
                known = isinstance(error, UniqaError | OSError)
                store.finish_run(run_id, "failed" if known else "interrupted", {})
                raise
            splits = table["split"].to_pylist()
            rows = {name: splits.count(name) for name in ("train", "val", "test")}
            store.finish_run(run_id, "done", {"kept": filtered.kept, "rows": rows})
    if as_json:
        print_json(_as_dict(filtered, rows))
        return
    _show_counts(rules, filtered)
    if output is not None:
        counts = ", ".join(f"{count:,} {name}" for name, count in rows.items())
        say(f"{output}: {sum(rows.values()):,} images ({counts}); provenance in {provenance}")
        if not filtered.kept:
            warn("the manifest holds no caption at all")


def _look(store: Corpus, hash_photos: Any, workers: int | None) -> None:
    """Hash the photos that were never looked at, so that near-identical ones share a group."""
    with progress() as bar:
        task = bar.add_task("looking for near-identical photos", total=None, note="")
        hash_photos(
            store,
            workers=workers,
            on_start=lambda photos: bar.update(task, total=photos),
            on_done=lambda photos: bar.advance(task, photos),
        )


def _as_dict(filtered: Filtered, rows: dict[str, int]) -> dict[str, Any]:
    places = filtered.places
    return {
        "filter_id": filtered.filter_id,
        "captions": filtered.captions,
        "kept": filtered.kept,
        "dropped": filtered.by_rule,
        "dropped_alone": filtered.alone,
        "near_identical_pairs": places.near_identical,
        "groups_joined": places.joined,
        "splits_changed": places.moved,
        "photos_not_looked_at": places.not_looked_at,
        "images": rows,
    }


def _show_counts(rules: Policy, filtered: Filtered) -> None:
    left = filtered.captions
    lines = [("all captions", "", "", "", f"{left:,}")]
    total = max(1, filtered.captions)
    for name, count in filtered.by_rule.items():
        left -= count
        alone = filtered.alone[name]
        share = f"{count / total:.1%}"
        lines.append((name, f"{alone:,}", f"{count:,}", share, f"{left:,}"))
    lines.append(("kept", "", "", f"{filtered.kept / total:.1%}", f"{filtered.kept:,}"))
    columns = ["rule", "breaks it", "dropped by it", "share", "left"]
    print_table(
        f"Policy '{rules.name}' on {filtered.captions:,} captions",
        columns,
        lines,
        right=columns[1:],
    )
    places = filtered.places
    if places.near_identical:
        say(
            f"{places.near_identical:,} pairs of near-identical photos: {places.joined:,} groups "
            f"joined others, {places.moved:,} photos changed split with their group"
        )
    if places.told:
        say(f"splits drawn anew; {places.told:,} photos whose rating was told stay in train")
    if places.not_looked_at:
        say(
            f"{places.not_looked_at:,} photos were not looked at: whether they are near-identical "
            "to others is not known"
        )


def _sweep(corpus: Path, policy: str, text: str, *, as_json: bool) -> None:
    from curation.policy import read_policy
    from curation.reading import reading
    from curation.sweep import SWEEP_COLUMNS, parse_range, sweep, sweep_rows

    wanted = parse_range(text)
    rules = read_policy(policy)
    with reading(corpus) as store:
        _must_be_refined(store)
        found = sweep(store, rules, wanted, shown_as=policy)
    if as_json:
        print_json(
            {
                "policy": rules.name,
                "swept": wanted.name,
                "meaning": found.meaning,
                "captions": found.captions,
                "points": [point.as_dict() for point in found.points],
            }
        )
        return
    print_table(
        f"Policy '{rules.name}' on {found.captions:,} captions, {wanted.name} from "
        f"{wanted.values[0]:g} to {wanted.values[-1]:g}",
        SWEEP_COLUMNS,
        sweep_rows(found),
        right=SWEEP_COLUMNS,
    )
    say(f"moved: {found.meaning}")


def _diff(corpus: Path, sides: tuple[str, str], *, as_json: bool) -> None:
    from curation.compare import compare
    from curation.reading import reading

    with reading(corpus) as store:
        found = compare(store, *sides)
    if as_json:
        print_json(found.as_dict())
    else:
        _show_diff(found)


def _show_diff(found: Difference) -> None:
    first, second = found.first.name, found.second.name
    names = {"first": first, "second": second}
    print_table(
        f"{first} beside {second}",
        ["captions kept by", "captions"],
        [
            ("both", f"{found.both:,}"),
            (f"{first} alone", f"{found.only_first:,}"),
            (f"{second} alone", f"{found.only_second:,}"),
            ("neither", f"{found.neither:,}"),
        ],
        right=["captions"],
    )
    print_table(
        "Why the other one dropped them",
        ["kept by alone", "dropped by the other for", "captions"],
        [(names[only], rule, f"{count:,}") for only, rule, count in found.by_rule],
        right=["captions"],
    )
    for what, rows in (
        ("model", found.by_model),
        ("level", found.by_level),
        ("photo", found.by_image),
    ):
        if rows:
            print_table(
                f"By {what}" + (" (the most different)" if what == "photo" else ""),
                [what, f"{first} alone", f"{second} alone"],
                [(name, f"{one:,}", f"{two:,}") for name, one, two in rows],
                right=[f"{first} alone", f"{second} alone"],
            )
    if found.examples:
        print_table(
            "Examples",
            ["kept by alone", "dropped for", "value", "threshold", "caption", "text"],
            [
                (names[only], rule, value or "", threshold or "", caption[:12], _short(text))
                for only, rule, value, threshold, caption, text in found.examples
            ],
        )


def _show_why(found: Why) -> None:
    record = found.caption
    unknown = [name for name, value in record.items() if value is None]
    print_table(
        f"Caption {record['caption_id']}",
        ["what", "value"],
        [(name, value) for name, value in record.items() if value is not None],
    )
    if unknown:
        say(f"not known of it: {', '.join(unknown)}")
    if found.kept is None:
        say("No filter has judged it" + (" since it came" if found.filter_id else "") + ".")
        return
    marks = {True: "passed", False: "broken", None: "not reached"}
    print_table(
        f"Policy '{found.policy}', filter {found.filter_id}",
        ["rule", "value", "threshold", ""],
        [(one.rule, one.value, one.threshold, marks[one.passed]) for one in found.rules],
    )
    if found.kept:
        say(f"Kept, with weight {found.weight:g}.")
    else:
        say(f"Dropped by {found.dropped_by}, the first rule that it breaks.")


def _short(text: str, most: int = 90) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _must_exist(corpus: Path) -> None:
    if not corpus.is_file():
        raise InputError(
            f"no corpus at {corpus}", "Make one with uniqa-curate generate, or name it by --corpus"
        )


def _must_be_refined(store: Corpus) -> None:
    if not store.value("SELECT count(*) FROM signals"):
        raise InputError(f"{store.path} holds no signals", "Run uniqa-curate refine first")
    unrefined = store.value(
        "SELECT count(*) FROM current_captions ANTI JOIN signals USING (caption_id)"
    )
    if unrefined:
        warn(f"{unrefined:,} captions have no signals yet; run uniqa-curate refine again")
