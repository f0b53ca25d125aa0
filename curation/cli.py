"""``uniqa-curate``: parses, calls and prints; everything else lives in the modules it calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from curation.cli_options import DEFAULT_CORPUS, JsonOption
from curation.export_cli import export
from curation.generate_cli import generate
from curation.import_cli import import_command
from curation.prompts_cli import app as prompts_app
from curation.refine_cli import refine
from curation.sql_cli import schema, sql
from curation.status_cli import status
from uniqa import __version__
from uniqa.console import (
    print_json,
    print_table,
    run,
    say,
    warn,
)
from uniqa.errors import InputError, UniqaError, UsageError

app = typer.Typer(
    name="uniqa-curate",
    help="Curate captions: generate them with models, refine them to signals, filter them to a "
    "manifest, and ask the corpus in SQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.command()(generate)
app.command("import")(import_command)
app.command()(refine)
app.command()(sql)
app.command()(schema)
app.command()(status)
app.command()(export)
app.add_typer(prompts_app, name="prompts")

CorpusOption = Annotated[
    Path, typer.Option("--corpus", help="The corpus, a DuckDB file.", show_default=True)
]
SeedOption = Annotated[int, typer.Option(help="Another seed, other wordings, samples and splits.")]


def main() -> None:
    """The console's entry point."""
    run(app, "uniqa-curate")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"uniqa {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("filter")
def filter_command(
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The manifest to write, .parquet or .jsonl."),
    ] = None,
    corpus: CorpusOption = DEFAULT_CORPUS,
    policy: Annotated[
        str, typer.Option(help="A shipped policy (balanced, everything) or a YAML file.")
    ] = "balanced",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what each rule would drop; write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Decide by a policy which captions training may learn from, and write the manifest."""
    from curation.corpus import Corpus
    from curation.filter import apply_policy, store_verdicts
    from curation.manifest import check_path, write_manifest
    from curation.policy import read_policy

    if output is None and not dry_run:
        raise UsageError("no manifest is named", "Name it by -o, or use --dry-run")
    if output is not None:
        check_path(output)
    rules = read_policy(policy)
    _must_exist(corpus)
    with Corpus(corpus, write=not dry_run) as store:
        if not store.value("SELECT count(*) FROM signals"):
            raise InputError(f"{corpus} holds no signals", "Run uniqa-curate refine first")
        unrefined = store.value(
            "SELECT count(*) FROM current_captions ANTI JOIN signals USING (caption_id)"
        )
        if unrefined:
            warn(f"{unrefined:,} captions have no signals yet; run uniqa-curate refine again")
        filtered, verdicts = apply_policy(store, rules, shown_as=policy)
        rows: dict[str, Any] = {}
        if output is not None and not dry_run:
            run_id = store.begin_run(
                "filter", rules.seed, {"policy": rules.source, "output": str(output)}
            )
            store_verdicts(
                store, rules, filtered, verdicts, run_id=run_id, to=str(output.absolute())
            )
            table, provenance = write_manifest(store, rules, filtered, output)
            splits = table["split"].to_pylist()
            rows = {name: splits.count(name) for name in ("train", "val", "test")}
            store.finish_run(run_id, "done", {"kept": filtered.kept, "rows": rows})
    if as_json:
        result = {"filter_id": filtered.filter_id, "captions": filtered.captions}
        print_json(result | {"kept": filtered.kept, "dropped": filtered.by_rule, "images": rows})
        return
    shares = [
        (name, f"{count:,}", f"{count / max(1, filtered.captions):.1%}")
        for name, count in (("kept", filtered.kept), *filtered.by_rule.items())
    ]
    print_table(
        f"Policy '{rules.name}' on {filtered.captions:,} captions",
        ["kept, or dropped by", "captions", "share"],
        shares,
        right=["captions", "share"],
    )
    if rows and output is not None:
        counts = ", ".join(f"{count:,} {name}" for name, count in rows.items())
        say(f"{output}: {sum(rows.values()):,} images ({counts}); provenance in {provenance}")
        if not filtered.kept:
            warn("the manifest holds no caption at all")


@app.command()
def demo_photos(
    folder: Annotated[Path, typer.Argument(help="Where to put them.")],
    seed: SeedOption = 0,
) -> None:
    """Write about 200 real photos with known distortions and a ratings table, to try things on."""
    from curation.demo.photos import make_demo_photos

    table = make_demo_photos(folder, seed=seed)
    say(f"{table}: ratings derived from the known severity of each distortion, not from people")


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """What this machine has and can use, with a remedy for each thing that is missing."""
    from curation.doctor import examine

    findings = examine()
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        print_table(
            "What is there",
            ["", "part", "found", "remedy"],
            [(one.mark, one.part, one.found, one.remedy) for one in findings],
        )
    if any(one.needed and not one.usable for one in findings):
        raise typer.Exit(3)


def _must_exist(corpus: Path) -> None:
    if not corpus.is_file():
        raise InputError(
            f"no corpus at {corpus}", "Make one with uniqa-curate generate, or name it by --corpus"
        )


def _outcome(error: BaseException) -> str:
    return "failed" if isinstance(error, UniqaError | OSError) else "interrupted"


if __name__ == "__main__":
    main()
