"""What ``uniqa-curate generate`` does, from a run's configuration to results: models in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from curation.bottleneck import bottleneck
from curation.config import RunConfig
from curation.corpus import Corpus
from curation.dryrun import all_dry
from curation.engines import default_models
from curation.engines.base import Engine
from curation.engines.spec import ModelSpec
from curation.generate import KNOWN_UNUSABLE, Generation
from curation.incontext import exemplars_of
from curation.inputs import read_inputs
from curation.prompts import PromptLibrary
from curation.running import ModelResult, Run
from curation.showing import Display
from curation.snapshot import Passing, Publisher
from uniqa.console import say, warn
from uniqa.errors import UsageError


def run_generate(
    config: RunConfig,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    engine: str = "auto",
    engine_options: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    probe_photos: bool = True,
) -> list[ModelResult]:
    """Run every model over the plan, one after the other.

    Args:
        config: what to do.
        should_stop: asked after every window.
        engine, engine_options: for models that name none, as for `make_engine`.
        dry_run: plan and probe, and make nothing.
        probe_photos: whether a dry run asks the models about a few photos.

    Raises:
        UniqaError: inputs, options, corpus or an engine that cannot be used.
    """
    library = PromptLibrary(config.prompts)
    library.check_cues(config.tasks, config.cues)
    inputs = read_inputs(config.sources, config.tasks)
    if not config.models:
        names, why = default_models(engine)
        say(why)
        # Into the configuration, so that the run's row names the models that it used.
        config = replace(config, models=tuple(ModelSpec(id=name) for name in names))
    _check_twice(config)
    if config.exemplars and not (config.shots or any(spec.shots for spec in config.models)):
        raise UsageError("exemplars are named, but none is to be shown", "Say how many by --shots")
    run = Run(config, engine, engine_options or {}, library, inputs, dry_run)
    engines = [run.start(spec, number) for number, spec in enumerate(config.models)]
    _check_replaces(config, engines)
    # A server is asked for its model here: one that is not there leaves no empty corpus.
    _ = [one.revision for one in engines]
    is_new = not config.corpus.is_file()
    if is_new:
        # A run that cannot be leaves no empty corpus, and a dry run leaves nothing.
        run = run.ready(None, engines)
        if dry_run:
            return all_dry(run, None, engines, probe_photos)
    with Corpus(config.corpus, write=not dry_run) as corpus:
        run = run if is_new else run.ready(corpus, engines)
        if dry_run:
            return all_dry(run, corpus, engines, probe_photos)
        return _all_models(run, corpus, engines, should_stop)


def _check_twice(config: RunConfig) -> None:
    seen: list[ModelSpec] = []
    for spec in config.models:
        # As it will run: a setting that repeats the run's is none.
        how = spec.sampling(config.sampling)
        n, shots = spec.n or config.n, config.shots if spec.shots is None else spec.shots
        full = replace(spec, **how.as_dict(), n=n, shots=shots)
        if full in seen:
            raise UsageError(f"the model '{spec.id}' is named twice with the same settings")
        seen.append(full)


def _check_replaces(config: RunConfig, engines: Sequence[Engine]) -> None:
    """Raise UsageError if one model's captions would take the place of its own of this run."""
    names = [engine.model for engine in engines]
    twice = sorted({name for name in names if names.count(name) > 1})
    if config.on_existing == "replace" and twice:
        raise UsageError(
            f"two models of this run are called '{twice[0]}': with --on-existing replace the "
            "second would take the place of the first",
            "Replace by one of them, then run the other with --on-existing add",
        )


def _all_models(
    run: Run, corpus: Corpus, engines: Sequence[Engine], should_stop: Callable[[], bool]
) -> list[ModelResult]:
    config = run.config
    told = run.told()
    resumed = run.resumed(corpus)
    run_id = corpus.begin_run("generate", config.seed, told)
    results: list[ModelResult] = []
    outcome = "failed"
    publisher = Publisher(corpus, run_id)
    try:
        with publisher:
            for spec, engine in run.pairs(engines):
                results.append(
                    _one_model(run, corpus, spec, engine, run_id, resumed, should_stop, publisher)
                )
                if should_stop():
                    break
        outcome = "interrupted" if should_stop() else "done"
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    finally:
        counts = {f"{n}:{result.model}": result.as_dict() for n, result in enumerate(results)}
        corpus.finish_run(run_id, outcome, counts)
    return results


def _one_model(
    run: Run,
    corpus: Corpus,
    spec: ModelSpec,
    engine: Engine,
    run_id: str,
    resumed: Sequence[str],
    should_stop: Callable[[], bool],
    publisher: Publisher,
) -> ModelResult:
    config, paths = run.config, run.inputs.paths
    # Only now: the captions of a model before may serve this one as exemplars.
    shots = run.turn(spec, engine).shots
    shown = exemplars_of(corpus, config, run.library, shots, run_id, run.bank)
    passing = Passing(engine.model, publisher)
    with Display(engine.model) as display:

        def passed(captions: int, results: int) -> None:
            display.advance(captions, results, generation)
            passing.advance(captions, results)

        generation = Generation(
            corpus,
            engine,
            run.plan(spec, shown),
            run_id,
            passed,
            should_stop,
            on_existing=config.on_existing,
            resumed=resumed,
            max_failure_rate=config.max_failure_rate,
        )
        if not generation.per_photo:
            warn(f"{engine.model} cannot answer any of the cues asked for: nothing is made by it")
        display.expect(len(paths) * generation.per_photo)
        passing.expect(len(paths) * generation.per_photo)
        engine.on_answered = display.answered
        try:
            generation.run(paths, config.workers)
        finally:
            engine.close()
            _tell(generation)
    if run.ratings and not should_stop():
        generation.store_ratings(paths)
    if generation.counts.made and config.on_existing == "skip":
        _tell_of_others(corpus, engine, run_id)
    limit = None
    if generation.counts.made:
        limit = bottleneck(generation.seconds, engine=engine.name)
        say(f"{engine.model}: {_pace(generation)}; {limit}")
    return ModelResult(
        engine.model, generation.counts, dict(generation.failures), generation.seconds, limit
    )


def _tell_of_others(corpus: Corpus, engine: Engine, run_id: str) -> None:
    """Say what a changed setting, or another release's wordings, left side by side."""
    if not corpus.value(
        "SELECT bool_or(run_id <> $run) FROM captions WHERE model = $model",
        {"run": run_id, "model": engine.model},
    ):
        return
    beside = corpus.value(
        "SELECT coalesce(sum(others), 0) FROM (SELECT count(*) FILTER (run_id <> $run) AS others "
        "FROM current_captions WHERE model = $model AND source = 'model' "
        "GROUP BY image_id, task, cue HAVING bool_or(run_id = $run) AND "
        "count(DISTINCT (prompt_id, revision, CAST(sampling AS VARCHAR))) > 1)",
        {"run": run_id, "model": engine.model},
    )
    if beside:
        say(
            f"{engine.model}: {beside:,} older captions, made under other prompts or settings, "
            "stay beside the new ones (--on-existing replace supersedes them)"
        )


def _tell(generation: Generation) -> None:
    for complaint in generation.complaints:
        warn(complaint)
    before = generation.failures[KNOWN_UNUSABLE]
    untold = sum(generation.failures.values()) - before - len(generation.complaints)
    if untold:
        warn(f"{untold:,} more failed; all are rows of the table failures")
    if before:
        warn(f"{before:,} files were no usable photos before and have not changed")
    if generation.counts.truncated:
        warn(
            f"{generation.counts.truncated:,} of {generation.counts.made:,} captions of "
            f"{generation.engine.model} were cut off by --max-tokens; they are marked as truncated"
        )


def _pace(generation: Generation) -> str:
    counts, seconds = generation.counts, generation.seconds
    working = max(1e-9, seconds.wall - seconds.loading)
    parts = [f"{counts.made:,} captions in {working:,.1f} s ({counts.made / working:,.1f}/s"]
    if counts.tokens:
        parts.append(f"{counts.tokens / working:,.0f} tokens/s")
    if counts.prompt_tokens:
        parts.append(f"prefix cache {counts.cached_tokens / counts.prompt_tokens:.0%}")
    loaded = f", loaded in {seconds.loading:,.1f} s" if seconds.loading > 1 else ""
    return ", ".join(parts) + ")" + loaded
