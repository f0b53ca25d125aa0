"""``uniqa-curate manifest``: parses, calls and prints; see `curation.manifest_check`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from curation.cli_options import JsonOption
from uniqa.console import print_json, print_table, progress, say
from uniqa.errors import InputError

app = typer.Typer(help="Look at manifests.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at manifests."""


@app.command()
def check(
    manifest: Annotated[Path, typer.Argument(help="The manifest, .parquet or .jsonl.")],
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Read every photo and compare its bytes' hash.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a manifest's schema, photos, splits and provenance; needs no corpus."""
    from curation.manifest_check import check_manifest

    with progress() as bar:
        task = bar.add_task("photos", total=None, note="")
        found = check_manifest(
            manifest, hashes=hashes, on_photos=lambda photos: bar.advance(task, photos)
        )
    if as_json:
        print_json({"rows": found.rows, "checks": [asdict(one) for one in found.checks]})
    else:
        print_table(
            f"{manifest}: {found.rows:,} rows",
            ["", "check", "looked at", "wrong", "first"],
            [
                (
                    "✗" if one.wrong else "✓",
                    one.name,
                    f"{one.looked_at:,}",
                    f"{one.wrong:,}",
                    one.first[0] if one.first else one.note,
                )
                for one in found.checks
            ],
            right=["looked at", "wrong"],
        )
        for one in found.failed:
            for message in one.first[1:]:
                say(f"{one.name}: {message}")
    if found.failed:
        raise InputError(
            f"{manifest} fails {len(found.failed)} of {len(found.checks)} checks "
            f"({'; '.join(one.name for one in found.failed)})",
            "Make it again with uniqa-curate filter",
        )
