"""``uniqa-curate import``: parses, calls and prints; see `curation.importing`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from curation.cli_options import DEFAULT_CORPUS, JsonOption
from uniqa.console import print_json, print_table, progress, say, warn, warn_each
from uniqa.errors import UniqaError


def import_command(
    table: Annotated[
        Path,
        typer.Argument(
            help="CSV, TSV, JSON lines (also gzipped), Parquet or a JSON list, a row per text."
        ),
    ],
    kind: Annotated[
        str, typer.Option(help="comment: people wrote them; caption: another program's model.")
    ],
    corpus: Annotated[
        Path, typer.Option("--corpus", help="The corpus, a DuckDB file.")
    ] = DEFAULT_CORPUS,
    image_column: Annotated[str | None, typer.Option(help="Column with the image names.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column with the texts.")] = None,
    images_root: Annotated[
        Path | None, typer.Option(help="Folder that image names are relative to.")
    ] = None,
    without_photos: Annotated[
        bool,
        typer.Option(
            "--without-photos",
            help="Know images by name alone: their texts get signals, but enter no manifest.",
        ),
    ] = False,
    dataset: Annotated[
        str | None, typer.Option(help="Name of the collection.", show_default="the file's name")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="What the texts speak about: quality or aesthetic.",
            show_default="the table's task column, else aesthetic",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Who wrote captions.", show_default="the table's model column"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that read photos.", show_default="cores")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take people's comments, or captions made elsewhere, into the corpus."""
    from curation.corpus import Corpus
    from curation.importing import import_texts, read_texts

    texts = read_texts(
        table,
        kind,
        image_column=image_column,
        text_column=text_column,
        images_root=images_root,
        photos=not without_photos,
        dataset=dataset,
        task=task,
        model=model,
    )
    for guess in texts.guessed:
        say(f"guessed: {guess}")
    for dropped in texts.dropped:
        warn(f"{table.name}: {dropped}")
    with Corpus(corpus, write=True) as store, progress() as bar:
        run_id = store.begin_run("import", 0, {"table": str(table), "kind": kind})
        if not without_photos:
            photos = bar.add_task("photos", total=texts.frame["image"].nunique(), note="")
        storing = bar.add_task("texts", total=len(texts.frame), note="")
        try:
            done = import_texts(
                store,
                texts,
                photos=not without_photos,
                run_id=run_id,
                workers=workers,
                on_photos=lambda count: bar.advance(photos, count),
                on_texts=lambda count: bar.advance(storing, count),
            )
        except BaseException as error:
            known = isinstance(error, UniqaError | OSError)
            store.finish_run(run_id, "failed" if known else "interrupted", {})
            raise
        counts = asdict(done)
        complaints = counts.pop("complaints")
        store.finish_run(run_id, "done", counts)
    warn_each(complaints)
    if as_json:
        print_json(counts)
        return
    print_table(
        "Imported",
        ["what", "count"],
        [(name.replace("_", " "), f"{count:,}") for name, count in counts.items()],
        right=["count"],
    )
