"""``uniqa-curate export``: parses, calls and prints; see `curation.exporting`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.cli_options import DEFAULT_CORPUS, JsonOption, one_of
from uniqa.console import print_json, progress, say, warn_each
from uniqa.errors import InputError, UsageError
from uniqa.splits import SPLITS

if TYPE_CHECKING:
    from curation.exporting import Photo


def export(
    format_: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help="uniqa, open-clip, webdataset, datasets or conversations."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file, or for two formats the folder.")
    ],
    manifest: Annotated[
        Path | None,
        typer.Option(help="The manifest.", show_default="the one that the last filter wrote"),
    ] = None,
    corpus: Annotated[
        Path, typer.Option("--corpus", help="The corpus, a DuckDB file.", show_default=True)
    ] = DEFAULT_CORPUS,
    unfiltered: Annotated[
        bool,
        typer.Option("--unfiltered", help="All captions of the corpus, whatever a filter decided."),
    ] = False,
    split: Annotated[
        list[str] | None,
        typer.Option(help="train, val, test or all; repeatable.", show_default="train"),
    ] = None,
    images_root: Annotated[
        Path | None, typer.Option(help="Name photos relative to this folder.")
    ] = None,
    separator: Annotated[
        str, typer.Option(help="Between the columns of the open-clip table.", show_default="a tab")
    ] = "\t",
    shard_mb: Annotated[
        int, typer.Option(min=1, help="Most megabytes of a webdataset or datasets shard.")
    ] = 500,
    as_json: JsonOption = False,
) -> None:
    """Write captions and photos for other programs: CLIP training, MLLM fine-tuning, datasets."""
    from curation.exporting import FORMATS
    from curation.exporting import export as write_export

    one_of(format_, FORMATS, "FORMAT")
    wanted = [one_of(name, (*SPLITS, "all"), "--split") for name in split or ["train"]]
    separator = separator.replace("\\t", "\t")
    if len(separator) != 1:
        raise UsageError("--separator is one character")
    photos, source = _read(corpus, manifest, unfiltered)
    chosen = [one for one in photos if "all" in wanted or one.split in wanted]
    if not chosen:
        raise InputError(
            f"{source} has no caption in the split {' or '.join(wanted)}", "See --split all"
        )
    with progress() as bar:
        task = bar.add_task("exporting", total=len(chosen), note="")
        done = write_export(
            chosen,
            format_,
            output,
            root=images_root,
            separator=separator,
            shard_bytes=shard_mb * 1_000_000,
            on_photo=lambda: bar.advance(task),
        )
    warn_each([f"left out: {one}" for one in done.left_out])
    if as_json:
        print_json({"format": format_, "source": source, "splits": wanted, **asdict(done)})
        return
    say(
        f"{output}: {done.captions:,} captions of {done.photos:,} photos "
        f"({', '.join(wanted)}) from {source}"
    )


def _read(corpus: Path, manifest: Path | None, unfiltered: bool) -> tuple[list[Photo], str]:
    from curation.exporting import read_everything, read_manifest
    from curation.reading import reading

    if manifest is not None:
        if unfiltered:
            raise UsageError("--manifest and --unfiltered exclude one another")
        return read_manifest(manifest), str(manifest)
    with reading(corpus) as store:
        if unfiltered:
            return read_everything(store), str(corpus)
        last = store.value(
            "SELECT manifest FROM filters ORDER BY filtered_at DESC, filter_id LIMIT 1"
        )
    if not last:
        raise InputError(
            f"{corpus} was not filtered yet",
            "Run uniqa-curate filter, or export all of it by --unfiltered",
        )
    return read_manifest(Path(last)), str(last)
