"""``uniqa-curate report``: parses, calls and prints; see `curation.report`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from curation.cli_options import DEFAULT_CORPUS, JsonOption
from uniqa.console import print_json, progress, say, warn


def report(
    corpus: Annotated[
        Path, typer.Option("--corpus", help="The corpus, a DuckDB file.")
    ] = DEFAULT_CORPUS,
    output: Annotated[Path, typer.Option("-o", "--output", help="The page to write.")] = Path(
        "report.html"
    ),
    images: Annotated[
        int, typer.Option(min=0, max=5000, help="Photos in the gallery at most.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Another seed, other photos, if there are more.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that read photos.", show_default="cores")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write one HTML page that shows a corpus: figures, reasons, and captions beside photos."""
    from curation.reading import reading
    from curation.report import check_path, write_report

    check_path(output)
    with reading(corpus) as store, progress() as bar:
        counting = bar.add_task("counting", total=None, note="")
        pictures = bar.add_task("thumbnails", total=None, note="", start=False)

        def counted(photos: int) -> None:
            bar.update(counting, total=1, completed=1)
            bar.update(pictures, total=photos)
            bar.start_task(pictures)

        written = write_report(
            store,
            output,
            images=images,
            seed=seed,
            workers=workers,
            on_counted=counted,
            on_pictures=lambda photos: bar.advance(pictures, photos),
        )
    if as_json:
        print_json(asdict(written))
        return
    if written.without_picture:
        warn(f"{written.without_picture:,} photos are gone or changed: they have no picture")
    of = f" of {written.photos_in_corpus:,}" if written.photos < written.photos_in_corpus else ""
    say(
        f"{written.path}: {written.photos:,}{of} photos with {written.captions:,} captions, "
        f"{written.bytes / 1e6:.1f} MB; open it in a browser"
    )
