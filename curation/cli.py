"""``uniqa-curate``: parses, calls and prints; everything else lives in the modules it calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curation.cli_options import JsonOption
from curation.export_cli import export
from curation.filter_cli import filter_command, why
from curation.generate_cli import generate
from curation.import_cli import import_command
from curation.manifest_cli import app as manifest_app
from curation.prompts_cli import app as prompts_app
from curation.refine_cli import refine
from curation.report_cli import report
from curation.sql_cli import schema, sql
from curation.status_cli import status
from uniqa import __version__
from uniqa.console import print_json, print_table, run, say

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
app.command("filter")(filter_command)
app.command()(why)
app.add_typer(manifest_app, name="manifest")
app.command()(report)
app.add_typer(prompts_app, name="prompts")

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


if __name__ == "__main__":
    main()
