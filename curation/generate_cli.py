"""``uniqa-curate generate``: parses, calls and prints; see `curation.command`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.cli_options import DEFAULT_CORPUS, JsonOption, one_of
from uniqa.console import draining, print_json, print_table, say
from uniqa.errors import TooManyFailuresError, UsageError
from uniqa.levels import TASKS, Scale

if TYPE_CHECKING:
    from curation.engines.spec import ModelSpec


def generate(
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders, photos, ratings tables, Parquet files or datasets directories with "
            "images in them, WebDataset tars.",
            show_default=False,
        ),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(help="The corpus, a DuckDB file.", show_default=str(DEFAULT_CORPUS)),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Run file (YAML); options given here win over it.")
    ] = None,
    ratings: Annotated[
        Path | None,
        typer.Option(
            help="Ratings table (CSV, TSV, Parquet, JSON lines), one row per image and dataset."
        ),
    ] = None,
    ratings_task: Annotated[
        str, typer.Option(help="What the ratings speak about: quality or aesthetic.")
    ] = "",
    image_column: Annotated[str | None, typer.Option(help="Column with the image names.")] = None,
    score_column: Annotated[str | None, typer.Option(help="Column with the MOS.")] = None,
    known_column: Annotated[
        str | None,
        typer.Option(help="Column that names a known distortion or attribute, told in prompts."),
    ] = None,
    images_root: Annotated[
        Path | None, typer.Option(help="Folder that the table's image names are relative to.")
    ] = None,
    scale: Annotated[
        str, typer.Option(help="The scale as WORST:BEST, for example 1:5, or 100:0 for DMOS.")
    ] = "",
    dataset: Annotated[
        str | None,
        typer.Option(help="Name of the dataset that a table rates, where it tells none."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="'measured', 'pocket-a', 'pocket-b', or a Hugging Face directory or id of a "
            "multimodal model (repeat).",
            show_default="the pocket models where they are shipped, else measured",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="quality or aesthetic (repeat).", show_default="both"),
    ] = None,
    cue: Annotated[
        list[str] | None,
        typer.Option(help="What to ask about (repeat).", show_default="each task's defaults"),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Folder with prompt templates of your own.", show_default="the shipped ones"
        ),
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(min=0, max=32, help="Exemplars shown before each question.", show_default="0"),
    ] = None,
    exemplars: Annotated[
        Path | None,
        typer.Option(
            help="Bank of exemplars (YAML or JSON lines).",
            show_default="drawn from rated images of the corpus",
        ),
    ] = None,
    exemplar_sets: Annotated[
        int | None,
        typer.Option(min=1, help="Sets of exemplars, to spread style.", show_default="4"),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", min=1, help="Captions per photo, model and cue.", show_default="1"),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, max=5.0, help="0 is greedy.", show_default="0.7")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Share of the most likely words.", show_default="0.95")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Upper bound for one caption.", show_default="160")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Another seed, other wordings, samples and splits.", show_default="0"),
    ] = None,
    guided: Annotated[
        bool | None,
        typer.Option(
            "--guided/--no-guided",
            help="Tell models the rated level of photos in the train split.",
            show_default="guided",
        ),
    ] = None,
    on_existing: Annotated[
        str | None,
        typer.Option(
            help="Captions there already for photo, model and cue: skip, add or replace.",
            show_default="skip",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="vllm, transformers, server, or auto: server with --url, else vllm if installed."
        ),
    ] = "auto",
    engine_option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE for the engine, for example max_model_len=4096 (repeat)."),
    ] = None,
    url: Annotated[
        str, typer.Option(help="OpenAI-compatible server, for example http://host:8000/v1.")
    ] = "",
    gpus: Annotated[
        str,
        typer.Option(help="One engine per GPU: all, a number, or indices like 0,2 (3, is GPU 3)."),
    ] = "",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that read photos.", show_default="cores")
    ] = None,
    max_failure_rate: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Exit with 1 if more than this share fails.", show_default="0.1"
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be made and how long it takes; make none."),
    ] = False,
    probe: Annotated[
        bool, typer.Option(help="In a dry run, ask each model about ten photos.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Describe photos with models and store every caption and failure in the corpus.

    A run that was stopped goes on where it was: repeat the same command.
    """
    from curation.command import run_generate
    from curation.config import merge_config
    from curation.engines import ENGINES
    from curation.tables import generate_tables

    wanted = merge_config(
        config,
        images=images or [],
        source={
            "ratings": ratings,
            "ratings_task": ratings_task and one_of(ratings_task, TASKS, "--ratings-task"),
            "image_column": image_column,
            "score_column": score_column,
            "known_column": known_column,
            "images_root": images_root,
            "scale": Scale.parse(scale) if scale else None,
            "dataset": dataset,
        },
        models=model or [],
        every_model={"url": url, "gpus": gpus},
        run={
            "corpus": corpus,
            "prompts": prompts,
            "tasks": tuple(one_of(name, TASKS, "--task") for name in task or ()),
            "cues": tuple(cue or ()),
            "n": n,
            "temperature": temperature,
            "top_p": top_p,
            "max_tokens": max_tokens,
            "seed": seed,
            "guided": guided,
            "shots": shots,
            "exemplars": exemplars,
            "exemplar_sets": exemplar_sets,
            "on_existing": on_existing,
            "workers": workers,
            "max_failure_rate": max_failure_rate,
        },
    )
    options = _engine_options(engine_option or [], wanted.models)
    with draining() as should_stop:
        results = run_generate(
            wanted,
            should_stop,
            engine=one_of(engine, ENGINES, "--engine"),
            engine_options=options,
            dry_run=dry_run,
            probe_photos=probe,
        )
    if as_json:
        print_json([result.as_dict() for result in results])
    else:
        for title, columns, rows in generate_tables(results, dry_run=dry_run):
            print_table(title, columns, rows, right=columns[1:])
    if should_stop():
        say("Stopped. Everything finished is stored; repeat the command to go on.")
        raise typer.Exit(130)
    for result in results:
        if result.failure_rate > wanted.max_failure_rate:
            raise TooManyFailuresError(
                f"{result.failure_rate:.0%} of {result.model}'s work failed, more than "
                f"{wanted.max_failure_rate:.0%}",
                f'See: uniqa-curate sql "SELECT stage, kind, path, message FROM failures" '
                f"--corpus {wanted.corpus}",
            )


def _engine_options(pairs: list[str], models: Sequence[ModelSpec]) -> dict[str, Any]:
    import yaml

    options: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise UsageError(f"--engine-option '{pair}' is not NAME=VALUE")
        try:
            options[name.strip().replace("-", "_")] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            # Not what it says: it may be a secret, or as long as a page.
            raise UsageError(
                f"the value of --engine-option {name} cannot be read as YAML",
                "Write NAME=4096, NAME=text or 'NAME={a: 1}'",
            ) from None
    if options and models and all(spec.id == "measured" for spec in models):
        raise UsageError(
            "--engine-option says nothing to 'measured'", "Leave it out, or name another --model"
        )
    return options
