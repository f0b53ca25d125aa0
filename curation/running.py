"""What all models of a run share, and what each of them did.

Everything that can be known before the first model begins is settled and checked here. Must not
know how captions are made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from curation.bank import Banked
from curation.bottleneck import Bottleneck, Seconds
from curation.config import RunConfig
from curation.corpus import Corpus
from curation.engines import make_engine
from curation.engines.base import Engine
from curation.engines.spec import ModelSpec
from curation.existing import resumed_runs
from curation.foreseen import Turn, foresee
from curation.generate import Counts
from curation.incontext import bank_of
from curation.inputs import Inputs
from curation.plan import Plan, Rated, Shots
from curation.preflight import Probe
from curation.prompts import PromptLibrary
from curation.ratings import known_splits

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
class Run:
    """What all models of a run share."""

    config: RunConfig
    engine: str
    engine_options: Mapping[str, Any]
    library: PromptLibrary
    inputs: Inputs
    dry: bool = False
    ratings: Ratings = field(default_factory=dict)
    bank: Sequence[Banked] = ()
    waiting: Sequence[Mapping[str, Sequence[Turn]]] = ()
    """Per model, the tasks whose exemplars will come from the captions of models before it."""

    def ready(self, corpus: Corpus | None, engines: Sequence[Engine]) -> Run:
        """The run with all that is known before its first model begins.

        Raises:
            InputError: a bank that cannot be used, or too few exemplars for a model.
            UsageError: something is known of photos that no template has words for.
        """
        known = {} if corpus is None else known_splits(corpus)
        run = replace(self, ratings=self.inputs.rated(seed=self.config.seed, known=known))
        if any(rated.known for ratings in run.ratings.values() for rated in ratings):
            run.library.check_known(run.config.tasks)
        run = replace(run, bank=bank_of(run.config, run.library, run.ratings, corpus))
        turns = [run.turn(*pair) for pair in run.pairs(engines)]
        waiting = foresee(turns, run.config, run.library, run.ratings, corpus, run.bank)
        return replace(run, waiting=waiting)

    def pairs(self, engines: Sequence[Engine]) -> list[tuple[ModelSpec, Engine]]:
        """Every model with its engine."""
        return list(zip(self.config.models, engines, strict=True))

    def turn(self, spec: ModelSpec, engine: Engine) -> Turn:
        """A model as those after it see it."""
        plan = self.plan(spec, {}).heard_by(engine)
        answers = frozenset(
            task
            for task, cues in plan.cues.items()
            if not all(self.library.cue(task, cue).answer_start for cue in cues)
        )
        shots = self.shots(spec) if engine.listens else 0
        return Turn(engine.model, shots, answers, plan.sampling.max_tokens)

    def plan(self, spec: ModelSpec, exemplars: Mapping[str, Shots]) -> Plan:
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
