"""``uniqa-curate``: parses, calls and prints; everything else lives in the modules it calls."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from curation.prompts_cli import app as prompts_app
from uniqa import __version__
from uniqa.console import (
    draining,
    print_json,
    print_rows,
    print_table,
    progress,
    run,
    say,
    warn,
)
from uniqa.errors import InputError, TooManyFailuresError, UniqaError, UsageError, nearest
from uniqa.levels import TASKS, Scale

app = typer.Typer(
    name="uniqa-curate",
    help="Curate captions: generate them with models, refine them to signals, filter them to a "
    "manifest, and ask the corpus in SQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.add_typer(prompts_app, name="prompts")

CorpusOption = Annotated[
    Path, typer.Option("--corpus", help="The corpus, a DuckDB file.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
SeedOption = Annotated[int, typer.Option(help="Another seed, other wordings, samples and splits.")]
DEFAULT_CORPUS = Path("corpus.duckdb")


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
        typer.Option(help="Ratings table (CSV, TSV, Parquet, JSON lines), one row per image."),
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
    dataset: Annotated[str | None, typer.Option(help="Name of the rated dataset.")] = None,
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
            help="What runs models: vllm, transformers, server, or auto (vllm if installed)."
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
        typer.Option(help="One engine per GPU: all, a number, or indices like 0,2."),
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
            "ratings_task": ratings_task and _one_of(ratings_task, TASKS, "--ratings-task"),
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
            "tasks": tuple(_one_of(name, TASKS, "--task") for name in task or ()),
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
    options = _engine_options(engine_option or [])
    with draining() as should_stop:
        results = run_generate(
            wanted,
            should_stop,
            engine=_one_of(engine, ENGINES, "--engine"),
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


@app.command()
def refine(
    corpus: CorpusOption = DEFAULT_CORPUS,
    encoder: Annotated[
        str, typer.Option(help="sentence-transformers model: packaged name, directory or hub id.")
    ] = "all-MiniLM-L6-v2",
    similarity: Annotated[
        float,
        typer.Option(min=-1.0, max=1.0, help="From here on two captions of an image say the same."),
    ] = 0.92,
    as_json: JsonOption = False,
) -> None:
    """Compute signals for every caption: duplicates, ranks, similarity, diversity."""
    from dataclasses import asdict

    from curation.corpus import Corpus
    from curation.embed import SentenceEncoder
    from curation.refine import refine as refine_corpus

    _must_exist(corpus)
    with Corpus(corpus, write=True) as store, progress() as bar:
        total = store.value("SELECT count(*) FROM current_captions")
        if not total:
            raise InputError(f"{corpus} holds no captions", "Run uniqa-curate generate first")
        texts = store.value("SELECT count(DISTINCT text) FROM current_captions")
        run_id = store.begin_run("refine", 0, {"encoder": encoder, "similarity": similarity})
        embedding = bar.add_task("embedding", total=texts, note="")
        refining = bar.add_task("signals", total=total, note="")
        try:
            result = refine_corpus(
                store,
                lambda: SentenceEncoder(encoder),
                Path(encoder).name if Path(encoder).is_dir() else encoder,
                threshold=similarity,
                run_id=run_id,
                on_embedded=lambda done: bar.update(embedding, advance=done),
                on_refined=lambda done: bar.update(refining, advance=done),
            )
        except BaseException as error:
            store.finish_run(run_id, _outcome(error), {})
            raise
        store.finish_run(run_id, "done", asdict(result))
    if as_json:
        print_json(asdict(result))
        return
    print_table(
        f"Signals ({result.encoder})",
        ["what", "value"],
        [
            ("captions", f"{result.captions:,}"),
            ("images", f"{result.images:,}"),
            ("texts newly embedded", f"{result.embedded:,}"),
            ("exact duplicates", f"{result.exact:,}"),
            (f"semantic duplicates (similarity ≥ {similarity:g})", f"{result.semantic:,}"),
            ("mean similarity within an image", f"{result.mean_similarity:.3f}"),
            ("mean Vendi score of an image", f"{result.vendi:.2f}"),
        ],
        right=["value"],
    )


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
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over the corpus's tables and views.")],
    corpus: CorpusOption = DEFAULT_CORPUS,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    limit: Annotated[
        int, typer.Option(min=0, help="Rows shown in the table; 0 shows all. No limit on files.")
    ] = 50,
) -> None:
    """Ask the corpus in SQL, read-only: nothing can be written, attached, copied or read beside."""
    from curation.corpus import Corpus

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude one another")
    with Corpus(corpus) as store:
        result = store.ask(query)
    if as_json:
        print_json(result.to_pylist())
        return
    rows = [list(row.values()) for row in result.to_pylist()] if result.num_columns else []
    if as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(result.column_names)
        writer.writerows(rows)
        return
    import pyarrow.types as kinds

    numbers = [
        field.name
        for field in result.schema
        if kinds.is_integer(field.type) or kinds.is_floating(field.type)
    ]
    shown = rows[:limit] if limit else rows
    print_rows(result.column_names, shown, right=numbers)
    if len(shown) < len(rows):
        say(f"{len(shown):,} of {len(rows):,} rows shown; --limit 0 shows all")


@app.command()
def status(corpus: CorpusOption = DEFAULT_CORPUS, as_json: JsonOption = False) -> None:
    """What is in a corpus, what failed, what the last filter dropped, what to do next."""
    from curation.corpus import Corpus
    from curation.status import read_status

    with Corpus(corpus) as store:
        state = read_status(store)
    if as_json:
        print_json(state.as_dict())
        return
    for title, columns, rows, right in state.tables():
        if rows:
            print_table(title, columns, rows, right=right)
    say(f"Next: {state.next_step(corpus)}")


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


def _one_of(word: str, known: tuple[str, ...], option: str) -> str:
    if word not in known:
        raise UsageError(f"{option} does not know '{word}'", nearest(word, known))
    return word


def _engine_options(pairs: list[str]) -> dict[str, Any]:
    import yaml

    options = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise UsageError(f"--engine-option '{pair}' is not NAME=VALUE")
        options[name.strip().replace("-", "_")] = yaml.safe_load(value)
    return options


def _must_exist(corpus: Path) -> None:
    if not corpus.is_file():
        raise InputError(
            f"no corpus at {corpus}", "Make one with uniqa-curate generate, or name it by --corpus"
        )


def _outcome(error: BaseException) -> str:
    return "failed" if isinstance(error, UniqaError | OSError) else "interrupted"


if __name__ == "__main__":
    main()
