"""What ``uniqa-curate generate`` does, from a run's configuration to results: models in turn."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from curation.bottleneck import Bottleneck, Seconds, bottleneck
from curation.config import RunConfig
from curation.corpus import Corpus
from curation.engines import default_models, make_engine
from curation.engines.base import Engine
from curation.engines.spec import ModelSpec
from curation.exemplars import ExemplarSets
from curation.existing import resumed_runs
from curation.generate import KNOWN_UNUSABLE, Counts, Generation
from curation.incontext import exemplars_of
from curation.inputs import Inputs, read_inputs
from curation.plan import Plan, Rated
from curation.preflight import PROBE_PHOTOS, Probe, probe
from curation.prompts import PromptLibrary
from curation.ratings import known_splits
from curation.showing import Display
from curation.snapshot import Passing, Publisher
from uniqa.console import people, say, warn
from uniqa.errors import UsageError

Ratings = Mapping[str, tuple[Rated, ...]]


@dataclass(frozen=True)
class ModelResult:
    """What one model did in a run; or, after a dry run, would have to do."""

    model: str
    counts: Counts
    failures: dict[str, int] = field(default_factory=dict)
    seconds: Seconds | None = None
    limit: Bottleneck | None = None
    probe: Probe | None = None

    @property
    def failure_rate(self) -> float:
        """Share of the photos and captions that failed, among all that there are, in [0, 1]."""
        counts = self.counts
        captions = counts.failed / max(1, counts.resumed + counts.made + counts.failed)
        photos = counts.photos_failed / max(1, counts.photos)
        return max(captions, photos)

    @property
    def cache_hits(self) -> float | None:
        """Share of the prompts' tokens that came from the prefix cache; None where unknown."""
        counts = self.counts
        return counts.cached_tokens / counts.prompt_tokens if counts.prompt_tokens else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told: dict[str, Any] = {"model": self.model, **asdict(self.counts)}
        told["failures"] = self.failures
        if self.seconds is not None:
            told["seconds"] = {k: round(v, 2) for k, v in asdict(self.seconds).items()}
            told["prefix_cache_hits"] = self.cache_hits
        if self.limit is not None:
            told["bottleneck"] = self.limit.as_dict()
        if self.probe is not None:
            told["probe"] = self.probe.as_dict()
            told["seconds_needed"] = round(self.probe.seconds_for(self.counts.missing))
        return told


@dataclass(frozen=True)
class _Run:
    """What all models of a run share."""

    config: RunConfig
    engine: str
    engine_options: Mapping[str, Any]
    library: PromptLibrary
    inputs: Inputs
    ratings: Ratings
    dry: bool = False

    def plan(self, spec: ModelSpec, exemplars: Mapping[str, ExemplarSets]) -> Plan:
        """What is wanted of one model."""
        config = self.config
        return Plan(
            tasks=config.tasks,
            cues={name: self.library.cues(name, config.cues) for name in config.tasks},
            library=self.library,
            sampling=spec.sampling(config.sampling),
            seed=config.seed,
            samples=config.n if spec.n is None else spec.n,
            guided=config.guided,
            ratings=self.ratings,
            exemplars=exemplars,
        )

    def check(self) -> None:
        """Raise UsageError where something is known of photos that no template has words for."""
        if any(rated.known for ratings in self.ratings.values() for rated in ratings):
            self.library.check_known(self.config.tasks)

    def told(self) -> dict[str, Any]:
        """The run's configuration, as it stands in the corpus."""
        settings = {"engine": self.engine, "engine_options": self.engine_options}
        told: dict[str, Any] = json.loads(json.dumps(settings | asdict(self.config), default=str))
        return told

    def resumed(self, corpus: Corpus) -> list[str]:
        """The runs whose captions count as this one's own, where captions are added."""
        return resumed_runs(corpus, self.told()) if self.config.on_existing == "add" else []

    def shots(self, spec: ModelSpec) -> int:
        """Exemplars that a model is shown."""
        return self.config.shots if spec.shots is None else spec.shots

    def start(self, spec: ModelSpec, number: int) -> Engine:
        """The model's engine; nothing is loaded yet."""
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(spec.id).name)
        corpus = self.config.corpus
        folder = corpus.with_name(f"{corpus.stem}.logs")
        if self.dry:
            # A dry run leaves nothing where it was called.
            folder = Path(gettempdir()) / f"uniqa-dry-run-{os.getpid()}"
        return make_engine(
            spec,
            engine=self.engine,
            engine_options=self.engine_options,
            shots=self.shots(spec),
            log=(folder / f"vllm-{number}-{safe}.log").absolute(),
        )


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
    run = _Run(config, engine, engine_options or {}, library, inputs, {}, dry_run)
    engines = [run.start(spec, number) for number, spec in enumerate(config.models)]
    _check_replaces(config, engines)
    # A server is asked for its model here: one that is not there leaves no empty corpus.
    _ = [one.revision for one in engines]
    if dry_run and not config.corpus.is_file():
        # Nothing to compare with, and a dry run leaves nothing behind.
        run = replace(run, ratings=inputs.rated(seed=config.seed, known={}))
        run.check()
        return [_dry(run, None, *pair, probe_photos) for pair in _pairs(config, engines)]
    with Corpus(config.corpus, write=not dry_run) as corpus:
        ratings = inputs.rated(seed=config.seed, known=known_splits(corpus))
        run = replace(run, ratings=ratings)
        run.check()
        if dry_run:
            return [_dry(run, corpus, *pair, probe_photos) for pair in _pairs(config, engines)]
        return _all_models(run, corpus, engines, should_stop)


def _pairs(config: RunConfig, engines: Sequence[Engine]) -> list[tuple[ModelSpec, Engine]]:
    return list(zip(config.models, engines, strict=True))


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
    run: _Run, corpus: Corpus, engines: Sequence[Engine], should_stop: Callable[[], bool]
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
            for spec, engine in _pairs(config, engines):
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
    run: _Run,
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
    shown = exemplars_of(
        corpus, config, run.library, run.shots(spec) if engine.listens else 0, run_id
    )
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


def _dry(
    run: _Run, corpus: Corpus | None, spec: ModelSpec, engine: Engine, probing: bool
) -> ModelResult:
    paths, shots = run.inputs.paths, run.shots(spec) if engine.listens else 0
    shown = exemplars_of(corpus, run.config, run.library, shots, run_id="")
    plan = run.plan(spec, shown)
    if corpus is None:
        per_photo = plan.heard_by(engine).per_photo
        counts, failures = Counts(photos=len(paths), wanted=len(paths) * per_photo), {}
    else:
        generation = Generation(
            corpus,
            engine,
            plan,
            run_id="",
            on_existing=run.config.on_existing,
            resumed=run.resumed(corpus),
        )
        counts, failures = generation.missing(paths), dict(generation.failures)
    found: Probe | None = None
    few = PROBE_PHOTOS * plan.heard_by(engine).per_photo
    if probing and 0 < counts.missing <= few:
        say(f"{engine.model}: {counts.missing:,} captions are too few to be worth a probe")
    elif probing and counts.missing:
        try:
            with people.status(f"{engine.model}: asked about a few photos …"):
                found = probe(engine, plan, paths, workers=run.config.workers)
        finally:
            engine.close()
    return ModelResult(engine.model, counts, failures, probe=found)
