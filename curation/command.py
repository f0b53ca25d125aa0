"""What ``uniqa-curate generate`` does, from options to results: inputs, ratings, models in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from curation.corpus import Corpus
from curation.engines import default_models, make_engine
from curation.engines.base import Engine, Sampling
from curation.generate import Counts, Generation
from curation.images import collect_images
from curation.plan import Plan, Rated
from curation.prompts import PromptLibrary
from curation.ratings import known_splits, rated_photos
from uniqa.console import progress, say, warn
from uniqa.errors import InputError
from uniqa.levels import Scale
from uniqa.ratings import RatingsTable, read_ratings


@dataclass(frozen=True)
class GenerateOptions:
    """The options of ``generate``, checked for form but not yet against files.

    Without `models`, those of `default_models` are used.
    """

    images: Sequence[Path]
    corpus: Path
    ratings: Path | None
    ratings_task: str
    image_column: str | None
    score_column: str | None
    images_root: Path | None
    scale: Scale | None
    dataset: str | None
    models: Sequence[str]
    tasks: Sequence[str]
    cues: Sequence[str]
    samples: int
    temperature: float
    max_tokens: int
    seed: int
    guided: bool
    engine: str
    engine_options: dict[str, Any]
    workers: int | None
    dry_run: bool


@dataclass(frozen=True)
class ModelResult:
    """What one model did in a run."""

    model: str
    counts: Counts
    failures: dict[str, int]

    @property
    def failure_rate(self) -> float:
        """Share of the photos and captions tried that failed, in [0, 1]."""
        counts = self.counts
        captions = counts.failed / max(1, counts.made + counts.failed)
        photos = counts.photos_failed / max(1, counts.photos)
        return max(captions, photos)

    def as_row(self, dry_run: bool) -> tuple[object, ...]:
        """For a table: model, photos, wanted, there before, made or to make, failures."""
        counts = self.counts
        made = counts.wanted - counts.resumed if dry_run else counts.made
        numbers = (counts.photos, counts.wanted, counts.resumed, made, counts.failed)
        return (self.model, *(f"{number:,}" for number in (*numbers, counts.photos_failed)))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"model": self.model, **asdict(self.counts), "failures": self.failures}


def run_generate(
    options: GenerateOptions, should_stop: Callable[[], bool] = lambda: False
) -> list[ModelResult]:
    """Run every model over the plan, one after the other.

    Raises:
        UniqaError: inputs, options, corpus or an engine that cannot be used.
    """
    library = PromptLibrary()
    library.check_cues(options.tasks, options.cues)
    paths, tables = _inputs(options)
    if not options.models:
        models, why = default_models(options.engine)
        say(why)
        # Into the options, so that the run's row names the models that it used.
        options = replace(options, models=models)
    engines = [
        make_engine(model, **_engine_settings(model, options, number))
        for number, model in enumerate(options.models)
    ]
    if options.dry_run and not options.corpus.is_file():
        # Nothing to compare with, and a dry run leaves nothing behind.
        return [_fresh(engine, _plan(options, library, tables, {}), paths) for engine in engines]
    with Corpus(options.corpus, write=not options.dry_run) as corpus:
        plan = _plan(options, library, tables, known_splits(corpus))
        if options.dry_run:
            return [_missing(corpus, engine, plan, paths) for engine in engines]
        run_id = corpus.begin_run("generate", options.seed, asdict(options))
        results: list[ModelResult] = []
        outcome = "failed"
        try:
            for engine in engines:
                results.append(
                    _run_engine(corpus, engine, plan, paths, run_id, options.workers, should_stop)
                )
                if should_stop():
                    break
            outcome = "interrupted" if should_stop() else "done"
        except KeyboardInterrupt:
            outcome = "interrupted"
            raise
        finally:
            counts = {result.model: result.as_dict() for result in results}
            corpus.finish_run(run_id, outcome, counts)
        return results


def _inputs(options: GenerateOptions) -> tuple[list[str], list[RatingsTable]]:
    photos, table_paths = collect_images(options.images)
    tables = [_read_table(options, path) for path in table_paths]
    paths = {str(path) for path in photos}
    for table in tables:
        paths.update(table.frame["image"])
    lost = [path for table in tables for path in table.frame["image"] if not Path(path).is_file()]
    if lost and len(lost) == len(paths):
        raise InputError(
            f"none of the {len(lost):,} images named is there (first: {lost[0]})",
            "Check --images-root and --image-column",
        )
    if lost:
        warn(f"{len(lost):,} of {len(paths):,} images are not there (first: {lost[0]})")
    if options.ratings is not None:
        ratings = _read_table(options, options.ratings, paths)
        unmatched = len(paths) - len(paths.intersection(ratings.frame["image"]))
        if unmatched == len(paths):
            raise InputError(
                f"no image in {options.ratings} is among the {len(paths):,} photos",
                "Check --images-root and --image-column",
            )
        if unmatched:
            say(f"{unmatched:,} of {len(paths):,} photos have no rating and get unguided prompts")
        tables.append(ratings)
    return sorted(paths), tables


def _read_table(
    options: GenerateOptions, path: Path, photos: set[str] | None = None
) -> RatingsTable:
    roots: list[Path | None] = [options.images_root]
    if photos is not None and options.images_root is None:
        # The table may stand elsewhere: its names are then relative to the folders given.
        roots += [folder for folder in options.images if folder.is_dir()]
    best: tuple[int, RatingsTable] | None = None
    for root in roots:
        table = read_ratings(
            path,
            image_column=options.image_column,
            score_column=options.score_column,
            images_root=root,
            scale=options.scale,
            dataset=options.dataset,
        )
        hits = len(photos.intersection(table.frame["image"])) if photos else 0
        if best is None or hits > best[0]:
            best = (hits, table)
    assert best is not None
    table = best[1]
    for guess in table.guessed:
        say(f"guessed: {guess}")
    for dropped in table.dropped:
        warn(f"{path.name}: {dropped}")
    return table


def _plan(
    options: GenerateOptions,
    library: PromptLibrary,
    tables: Sequence[RatingsTable],
    known: dict[tuple[str, str], str],
) -> Plan:
    task = options.ratings_task or (options.tasks[0] if len(options.tasks) == 1 else "quality")
    if tables and not options.ratings_task and len(options.tasks) > 1:
        say(f"guessed: the ratings speak about {task} (set it by --ratings-task)")
    ratings: dict[str, Rated] = {}
    for table in tables:
        ratings |= rated_photos(table, task, seed=options.seed, known=known)
    return Plan(
        tasks=options.tasks,
        cues={name: library.cues(name, options.cues) for name in options.tasks},
        library=library,
        sampling=Sampling(temperature=options.temperature, max_tokens=options.max_tokens),
        seed=options.seed,
        samples=options.samples,
        guided=options.guided,
        ratings=ratings,
    )


def _engine_settings(model: str, options: GenerateOptions, number: int) -> dict[str, Any]:
    if model == "measured":
        return {}
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(model).name)
    log = options.corpus.with_name(f"{options.corpus.stem}.logs") / f"vllm-{number}-{safe}.log"
    return {
        "engine": options.engine,
        "engine_options": options.engine_options,
        "log": log.absolute(),
    }


def _run_engine(
    corpus: Corpus,
    engine: Engine,
    plan: Plan,
    paths: Sequence[str],
    run_id: str,
    workers: int | None,
    should_stop: Callable[[], bool],
) -> ModelResult:
    with progress() as bar:
        shown = bar.add_task(f"{engine.model}: photos", total=len(paths), note="")

        def advance(photos: int, note: str) -> None:
            bar.update(shown, advance=photos)
            if note:
                bar.update(shown, note=note)

        generation = Generation(corpus, engine, plan, run_id, advance, should_stop)
        try:
            generation.run(paths, workers)
        finally:
            engine.close()
    if plan.ratings:
        generation.store_ratings(paths)
    for complaint in generation.complaints:
        warn(complaint)
    untold = sum(generation.failures.values()) - len(generation.complaints)
    if untold:
        warn(f"{untold:,} more failed now or before; all are rows of the table failures")
    return ModelResult(engine.model, generation.counts, dict(generation.failures))


def _missing(corpus: Corpus, engine: Engine, plan: Plan, paths: Sequence[str]) -> ModelResult:
    generation = Generation(corpus, engine, plan, run_id="")
    counts = generation.missing(paths)
    return ModelResult(engine.model, counts, dict(generation.failures))


def _fresh(engine: Engine, plan: Plan, paths: Sequence[str]) -> ModelResult:
    counts = Counts(photos=len(paths), wanted=len(paths) * plan.per_photo)
    return ModelResult(engine.model, counts, {})
