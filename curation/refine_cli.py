"""``uniqa-curate refine``: parses, calls and prints; see `curation.refine`, `curation.explain`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.cli_options import DEFAULT_CORPUS, JsonOption, one_of
from uniqa.console import print_json, print_table, progress, say, warn_each
from uniqa.errors import InputError, UniqaError

if TYPE_CHECKING:
    from curation.losses import Loss
    from curation.refine import Refined

REPEATS = ("exact", "near", "semantic")
PRECISIONS = ("auto", "float32", "bfloat16")
_LOST = ("Vendi of an image", "Vendi of the corpus", "distinct-2 of an image")
_SHOWN = ("vendi", "corpus_vendi", "distinct_2")


def refine(
    corpus: Annotated[
        Path, typer.Option("--corpus", help="The corpus, a DuckDB file.")
    ] = DEFAULT_CORPUS,
    explain: Annotated[
        str,
        typer.Option(
            metavar="CAPTION_ID",
            help="Change nothing; show all that is known of a caption and why. The id's beginning "
            "is enough.",
        ),
    ] = "",
    encoder: Annotated[
        str, typer.Option(help="sentence-transformers model: packaged name, directory or hub id.")
    ] = "all-MiniLM-L6-v2",
    precision: Annotated[
        str, typer.Option(help="float32, bfloat16, or auto: bfloat16 where the hardware has it.")
    ] = "auto",
    similarity: Annotated[
        float,
        typer.Option(min=-1.0, max=1.0, help="From here on two captions of an image say the same."),
    ] = 0.92,
    meaning: Annotated[
        float,
        typer.Option(min=-1.0, max=1.0, help="From here on they mean the same (entropy only)."),
    ] = 0.8,
    rank_by: Annotated[
        str,
        typer.Option(
            help="Which of two captions survives: worth (whole, without problems, informative), or "
            "a signal: informativeness, words, distinct_words, grounding, level_agreement, "
            "relevance."
        ),
    ] = "worth",
    repeats: Annotated[
        str,
        typer.Option(
            help="How the same text is looked for over the whole corpus: exact, near, or semantic "
            "(hours for tens of millions)."
        ),
    ] = "near",
    language: Annotated[str, typer.Option(help="The language that captions should be in.")] = "en",
    grounding: Annotated[
        bool,
        typer.Option(
            "--grounding/--no-grounding", help="Measure photos and hold claims against that."
        ),
    ] = True,
    relevance: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="Contrastive model for image–text relevance: a directory of uniqa-train, or a "
            "Hugging Face CLIP or SigLIP directory or id.",
        ),
    ] = "",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that measure photos.", show_default="cores")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws that groups are compared with.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compute signals for every caption: problems, duplicates, diversity, purity and truth."""
    from curation.corpus import Corpus
    from curation.language import LANGUAGES
    from curation.ranking import check_rank_by

    if not corpus.is_file():
        raise InputError(
            f"no corpus at {corpus}", "Make one with uniqa-curate generate, or name it by --corpus"
        )
    if explain:
        _explain(corpus, explain, as_json)
        return
    one_of(repeats, REPEATS, "--repeats")
    one_of(precision, PRECISIONS, "--precision")
    one_of(language, tuple(LANGUAGES), "--language")
    check_rank_by(rank_by)
    from curation.embed import SentenceEncoder, encoder_name
    from curation.refine import Settings
    from curation.refine import refine as refine_corpus

    settings = Settings(
        encoder=encoder_name(encoder, precision),  # type: ignore[arg-type]
        similarity=similarity,
        meaning=meaning,
        rank_by=rank_by,
        repeats=repeats,
        language=language,
        grounding=grounding,
        workers=workers,
        seed=seed,
    )
    with Corpus(corpus, write=True) as store, progress() as bar:
        if not store.value("SELECT count(*) FROM current_captions"):
            raise InputError(f"{corpus} holds no captions", "Run uniqa-curate generate first")
        run_id = store.begin_run("refine", seed, asdict(settings) | {"relevance": relevance})
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total, note="")
            bar.update(tasks[stage], advance=done, total=total)

        try:
            complaints: list[str] = []
            if relevance:
                from curation.relevances import store_relevances

                complaints = store_relevances(store, relevance, run_id, tell)
            result = refine_corpus(
                store,
                lambda: SentenceEncoder(encoder, precision),  # type: ignore[arg-type]
                settings,
                run_id=run_id,
                on_progress=tell,
            )
        except BaseException as error:
            known = isinstance(error, UniqaError | OSError)
            store.finish_run(run_id, "failed" if known else "interrupted", {})
            raise
        store.finish_run(run_id, "done", asdict(result))
    warn_each(sorted({*complaints, *result.unmeasured}))
    if as_json:
        print_json(asdict(result))
        return
    _print(result, settings.similarity)


def _print(result: Refined, similarity: float) -> None:
    found: list[tuple[str, str]] = [
        ("captions", f"{result.captions:,}"),
        ("images", f"{result.images:,}"),
        ("texts newly embedded", f"{result.embedded:,}"),
        ("captions newly read", f"{result.read:,}"),
        ("photos newly measured", f"{result.measured:,}"),
        *(
            (f"{kind} duplicates within an image", f"{count:,}")
            for kind, count in result.duplicates.items()
        ),
        *(
            (f"{kind} repeats of other images", f"{count:,}")
            for kind, count in result.repeats.items()
        ),
        ("captions that measurements contradict", f"{result.contradicted:,}"),
        *((f"problem: {name}", f"{count:,}") for name, count in result.problems.items()),
        ("boilerplate openers", f"{result.openers:,}"),
        ("mean similarity within an image", f"{result.mean_similarity:.3f}"),
        ("mean Vendi score of an image", f"{result.vendi:.2f}"),
        *((f"{name.replace('_', ' ')} of the corpus", f"{value:.3f}")
          for name, value in result.corpus.items()),
    ]  # fmt: skip
    print_table(
        f"Signals ({result.encoder}, duplicates from similarity {similarity:g})",
        ["what", "value"],
        found,
        right=["value"],
    )
    rows = list(_worth(result))
    if rows:
        print_table(
            "What the corpus would lose without each model, beyond being smaller",
            ["model", "captions", *_LOST],
            rows,
            right=["captions", *_LOST],
        )
        say(
            "Above 0: it says what the others do not. At or below 0: more captions of the others "
            'would do as well. All groups: uniqa-curate sql "FROM group_losses"'
        )


def _worth(result: Refined) -> Iterator[tuple[str, ...]]:
    measures: dict[str, dict[str, Loss]] = {}
    for one in result.losses.get("model", []):
        measures.setdefault(one.value, {})[one.measure] = one
    for name, found in measures.items():
        cells = []
        for measure in _SHOWN:
            half = (found[measure].high - found[measure].low) / 2
            told = f"{found[measure].beyond:+.3f} ± {half:.3f}"
            cells.append("–" if math.isnan(found[measure].beyond) else told)
        yield (name, f"{found[_SHOWN[0]].captions:,}", *cells)


def _explain(corpus: Path, caption_id: str, as_json: bool) -> None:
    from curation.explain import explain
    from curation.reading import reading

    with reading(corpus) as store:
        told = explain(store, caption_id)
    if as_json:
        print_json(told.as_dict())
        return
    for title, columns, rows, right in told.tables():
        if rows:
            print_table(title, columns, rows, right=right)
