"""A dry run: what each model would have to make, how long it takes, and whether it fits.

Makes no caption and stores nothing; what is not there yet is said, and something as large stands
in for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from curation.corpus import Corpus
from curation.engines.base import Engine
from curation.engines.spec import ModelSpec
from curation.foreseen import Turn, stand_ins
from curation.generate import Counts, Generation
from curation.incontext import exemplars_of
from curation.plan import Plan, Shots
from curation.preflight import PROBE_PHOTOS, Probe, check_fit, largest_photo, probe
from curation.running import ModelResult, Run
from uniqa.console import people, say


def all_dry(
    run: Run, corpus: Corpus | None, engines: Sequence[Engine], probing: bool
) -> list[ModelResult]:
    """What every model would have to do.

    Args:
        run: ready.
        corpus: open for reading; None where there is none yet.
        engines: of the run's models.
        probing: whether they are asked about a few photos.

    Raises:
        UniqaError: an engine that does not start, a question that does not fit, or no exemplars.
    """
    return [
        _dry(run, corpus, spec, engine, waiting, probing)
        for (spec, engine), waiting in zip(run.pairs(engines), run.waiting, strict=True)
    ]


def _dry(
    run: Run,
    corpus: Corpus | None,
    spec: ModelSpec,
    engine: Engine,
    waiting: Mapping[str, Sequence[Turn]],
    probing: bool,
) -> ModelResult:
    paths = run.inputs.paths
    plan = run.plan(spec, _shown_dry(run, corpus, spec, engine, waiting, probing))
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
    if probing and counts.missing:
        few = counts.missing <= PROBE_PHOTOS * plan.heard_by(engine).per_photo
        try:
            if few:
                _only_fit(run, plan, engine, counts.missing)
            else:
                with people.status(f"{engine.model}: asked about a few photos …"):
                    found = probe(engine, plan, paths, workers=run.config.workers)
        finally:
            engine.close()
    return ModelResult(engine.model, counts, failures, probe=found)


def _shown_dry(
    run: Run,
    corpus: Corpus | None,
    spec: ModelSpec,
    engine: Engine,
    waiting: Mapping[str, Sequence[Turn]],
    probing: bool,
) -> Mapping[str, Shots]:
    """What a model will be shown, or something as large where that is not made yet."""
    shots = run.turn(spec, engine).shots
    there = replace(run.config, tasks=tuple(t for t in run.config.tasks if t not in waiting))
    shown: dict[str, Shots] = {}
    if there.tasks:
        shown |= exemplars_of(corpus, there, run.library, shots, "", run.bank)
    if waiting:
        # Photos are read for the probe alone.
        paths = run.inputs.paths
        photo = largest_photo(paths, engine.max_side) if probing else (paths[0], "")
        for task, makers in waiting.items():
            shown[task] = stand_ins(task, makers, run.library, shots=shots, photo=photo)
            names = " and ".join(dict.fromkeys(one.model for one in makers))
            say(
                f"{engine.model}: its exemplars for {task} will be drawn from the captions of "
                f"{names}; until then the largest photo and an answer of full length stand in"
            )
    return shown


def _only_fit(run: Run, plan: Plan, engine: Engine, missing: int) -> None:
    said = f"{engine.model}: {missing:,} captions are too few to time them by a probe"
    if engine.listens:
        with people.status(f"{engine.model}: asked about the largest photo …"):
            tokens = check_fit(engine, plan, run.inputs.paths, workers=run.config.workers)
        if tokens is not None and engine.context is not None:
            said += (
                f"; the longest prompt has {tokens:,} tokens and its answer up to "
                f"{plan.answer_tokens:,}, of {engine.context:,}"
            )
    say(said)
