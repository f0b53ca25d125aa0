"""How few ratings are enough: every method, with and without captions, curated or not.

    python benchmarks/train_labels.py RATINGS --curated M.parquet --uncurated ALL.parquet [--task T]

RATINGS is a ratings table; the manifests come from one corpus of captions that were written without
ratings (`generate --no-guided`), once through a policy (`voices_apart`, or `one_per_voice` or
`diverse_four` of `benchmarks/data`), once through `everything`. Photos are split by group, five
times; each time the compact model is pre-trained on the training photos' captions alone: the
curated ones, as many uncurated ones drawn at random per photo, and the curated ones handed to other
photos. Heads learn on draws of the training photos' ratings and are tested on the others. Nothing
is chosen on the test. Writes a section of RESULTS.md. `--tries` compares variants of `fused`
instead, each with one thing left out or done otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from numpy.typing import NDArray

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.results import told_arguments, write_section
from training.adapt import choose, fit_head, predict
from training.commands import pretrain
from training.config import AdaptConfig, PretrainConfig
from training.data import Manifest, Rated, read_manifest, read_rated
from training.encoders import Lite0Tower
from training.features import default_cache, photo_features
from training.fused import Recipe, fit_fused
from training.metrics import srcc
from training.recipes import recipes_for
from training.ridge import fit_ridge
from training.views import Views, views_of
from uniqa.console import progress
from uniqa.splits import seeded_key

ARMS = ("curated", "uncurated", "shuffled")
LAST = "ridge, last stage of the whole photo"
AUTO_DRAWS = 2
"""`auto` is tried on the first draws of each budget."""

TEST = 0.4
VALIDATION = 0.1

Scores = NDArray[np.float64]
Row = tuple[str, str]
"""Method and what it was pre-trained on."""


def main() -> None:
    """Parse, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ratings", type=Path)
    parser.add_argument("--curated", type=Path, required=True)
    parser.add_argument("--uncurated", type=Path, required=True)
    parser.add_argument("--task", default="")
    parser.add_argument("--labels", default="50,100,200")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--group-column", default="")
    parser.add_argument("--images-root", type=Path)
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--tries", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kind = "tries" if options.tries else f"captions by {_policy(options.curated)}"
    rated = read_rated(options.ratings, task=options.task, images_root=options.images_root)
    if options.group_column:
        import pandas as pd

        told = pd.read_csv(options.ratings).set_index("image")[options.group_column]
        rated = replace(rated, groups=[str(told[name]) for name in rated.names])
    budgets = [int(word) for word in options.labels.split(",")]
    curated, everything = read_manifest(options.curated), read_manifest(options.uncurated)
    found: dict[Row, dict[str, list[float]]] = {}
    captions = []
    for seed in range(options.splits):
        trial = Trial(rated, seed, options.cache)
        arms: dict[str, Views] = {}
        for arm in ["curated"] if options.tries else ARMS:
            manifest = arrange(arm, curated, everything, trial, seed)
            captions.append(sum(map(len, manifest.captions)))
            arms[arm] = trial.views(manifest, seed)
        for number, (budget, rows) in enumerate(trial.draws(budgets, options.draws)):
            # Choosing among methods costs as much as all of them five times over.
            choosing = number % max(options.draws, 1) < AUTO_DRAWS or budget == "all"
            told = (
                trial.tries(arms["curated"], rows, options.task)
                if options.tries
                else trial.methods(arms, rows, options.task, choosing)
            )
            for row, scores in told:
                found.setdefault(row, {}).setdefault(budget, []).append(srcc(scores, trial.truth))
        print(f"split {seed + 1} of {options.splits} done", file=sys.stderr, flush=True)
    body = tell(found, options.splits, options.draws, captions)
    print(body)
    title = f"Few labels: {options.ratings.parent.name}, {kind}"
    write_section(title, body, f"python benchmarks/train_labels.py {told_arguments()}")


def _policy(manifest: Path) -> str:
    """The policy that made a manifest, as its provenance tells."""
    told = manifest.with_name(f"{manifest.name}.provenance.json")
    return str(json.loads(told.read_text("utf-8"))["policy_name"])


class Trial:
    """One split of the rated photos, with their features."""

    def __init__(self, rated: Rated, seed: int, cache: Path) -> None:
        self.cache = cache
        self.tower = Lite0Tower()
        got = photo_features(rated.images, self.tower, cache)
        if got.errors:
            raise SystemExit(f"{len(got.errors)} photos cannot be read")
        self.features, self.ids = got.values, got.ids
        self.scores, self.groups = rated.scores, rated.groups
        names = sorted(set(rated.groups), key=lambda name: seeded_key(seed, name))
        tested = set(names[: round(TEST * len(names))])
        kept_apart = set(names[-max(1, round(VALIDATION * len(names))) :])
        rows = range(len(rated.groups))
        self.test = [row for row in rows if rated.groups[row] in tested]
        self.pool = [row for row in rows if rated.groups[row] not in tested]
        self.validation = {self.ids[row] for row in rows if rated.groups[row] in kept_apart}
        self.truth = self.scores[self.test]
        self.seed = seed

    def views(self, manifest: Manifest, seed: int) -> Views:
        """What a model pre-trained on the manifest knows of every rated photo."""
        config = PretrainConfig(seed=seed)
        model, _ = pretrain(manifest, config, self.cache)
        return views_of(model, self.features, manifest.tasks[0], self.cache, self.ids)

    def draws(self, budgets: list[int], count: int) -> Iterator[tuple[str, list[int]]]:
        """Budget and rows to learn from: `count` draws of each, and all once."""
        with progress() as bar:
            smaller = [budget for budget in budgets if budget < len(self.pool)]
            job = bar.add_task(f"split {self.seed + 1}", total=len(smaller) * count + 1, note="")
            for budget in smaller:
                for number in range(count):
                    drawn = 1000 * self.seed + number
                    order = sorted(self.pool, key=lambda r: seeded_key(drawn, self.ids[r]))
                    yield str(budget), sorted(order[:budget])
                    bar.advance(job)
            yield "all", self.pool
            bar.advance(job)

    def methods(
        self, arms: dict[str, Views], rows: list[int], task: str, choosing: bool
    ) -> Iterator[tuple[Row, Scores]]:
        """Every method's scores of the test photos."""
        config = AdaptConfig()
        y, groups = self.scores[rows], [self.groups[row] for row in rows]
        start, stop = next((b.start, b.stop) for b in self.tower.blocks if b.name == "whole.stage8")
        features = self.features[:, start:stop]
        plain = fit_ridge(features[rows], y, groups, {LAST: [(0, stop - start)]})
        yield (LAST, "–"), plain.predict(features[self.test])
        for number, (arm, views) in enumerate(arms.items()):
            here, there = views.take(rows), views.take(self.test)
            if not number:
                yield (
                    ("ridge, all stages", "–"),
                    predict(fit_head("ridge", here, y, groups, config), there),
                )
                recipes = recipes_for(task, views.families)
                bare = {n: r for n, r in here.ranges.items() if n not in ("embedding", "cues")}
                head = fit_fused(here.together, y, groups, bare, recipes)
                yield ("fused", "–"), head.predict(there.together)
            yield ("zero-shot", arm), there.zero_shot
            for method in ("adapter", "cues", "fused") if not number else ("adapter", "fused"):
                head = fit_head(method, here, y, groups, config)
                yield (method, arm), predict(head, there)
            if choosing and arm == "curated":
                method = choose(here, y, groups, config).method
                yield ("auto", arm), predict(fit_head(method, here, y, groups, config), there)

    def tries(self, views: Views, rows: list[int], task: str) -> Iterator[tuple[Row, Scores]]:
        """`fused` with one thing left out or done otherwise."""
        here, there = views.take(rows), views.take(self.test)
        y, groups = self.scores[rows], [self.groups[row] for row in rows]
        recipes = recipes_for(task, views.families)
        every = here.ranges
        largest = max(recipes, key=lambda recipe: sum(share for _, share in recipe.weights))
        variants: dict[str, tuple[dict[str, tuple[int, int]], list[Recipe]]] = {
            "as it is": (every, recipes),
            "without class names": (_without(every, "names"), recipes),
            "without embedding": (_without(every, "embedding"), recipes),
            "without cue values": (_without(every, "cues"), recipes),
            "without any text": (_without(every, "names", "embedding", "cues"), recipes),
            "linear recipes only": (every, [replace(r, curved=False) for r in recipes]),
            "RBF recipes only": (every, [replace(r, curved=True) for r in recipes]),
            "the recipe with most text only": (every, [largest]),
            "the other task's recipes": (
                every,
                recipes_for("quality" if task == "aesthetic" else "aesthetic", views.families),
            ),
        }
        for name, (ranges, used) in variants.items():
            yield (
                (name, "curated"),
                fit_fused(here.together, y, groups, ranges, used).predict(there.together),
            )
        whole = fit_fused(here.together, y, groups, every, recipes)
        best = max(whole.terms, key=lambda term: term.share).recipe
        alone = fit_fused(here.together, y, groups, every, [best])
        yield (
            ("the best recipe by left-out error, no average", "curated"),
            alone.predict(there.together),
        )


def _without(ranges: dict[str, tuple[int, int]], *names: str) -> dict[str, tuple[int, int]]:
    return {name: ends for name, ends in ranges.items() if name not in names}


def arrange(arm: str, curated: Manifest, everything: Manifest, trial: Trial, seed: int) -> Manifest:
    """The arm's captions on the trial's training photos, per photo as many as the curated arm's."""
    rng = np.random.default_rng(seed)
    pool = {trial.ids[row] for row in trial.pool}
    rows = [row for row, key in enumerate(curated.ids) if key in pool and curated.captions[row]]
    captions = [curated.captions[row] for row in rows]
    if arm == "uncurated":
        every = {key: everything.captions[row] for row, key in enumerate(everything.ids)}
        whole = [every[curated.ids[row]] for row in rows]
        captions = [
            [replace(texts[k], weight=1.0) for k in rng.permutation(len(texts))[: len(own)]]
            for texts, own in zip(whole, captions, strict=True)
        ]
    elif arm == "shuffled":
        captions = [captions[k] for k in rng.permutation(len(rows))]
    ids = [curated.ids[row] for row in rows]
    return Manifest(
        path=curated.path,
        sha256=curated.sha256,
        images=[curated.images[row] for row in rows],
        ids=ids,
        tasks=[curated.tasks[row] or captions[0][0].task for row in rows],
        scores=np.full(len(rows), np.nan),
        splits=["val" if key in trial.validation else "train" for key in ids],
        groups=[curated.groups[row] for row in rows],
        captions=captions,
        datasets=[""] * len(rows),
    )


def tell(
    found: dict[Row, dict[str, list[float]]], splits: int, draws: int, captions: list[int]
) -> str:
    """The table: mean ± sd of SRCC over splits and draws, and what beats what how often."""
    budgets = list(next(iter(found.values())))
    lines = [
        f"SRCC on photos of groups never learned from, mean ± sd over {splits} splits × {draws} "
        f"draws (all labels: {splits} splits; auto: {AUTO_DRAWS} draws). "
        f"{np.mean(captions):.0f} captions per pre-training on average, none written with a rating "
        "in the prompt.",
        "",
        "| method | pre-trained on captions | " + " | ".join(f"{b} labels" for b in budgets) + " |",
        "|---|---|" + "---:|" * len(budgets),
    ]
    for (method, arm), values in found.items():
        cells = [f"{np.mean(values[b]):.3f} ± {np.std(values[b], ddof=1):.3f}" for b in budgets]
        lines.append(f"| {method} | {arm} | " + " | ".join(cells) + " |")
    lines += ["", *_differences(found, budgets)]
    return "\n".join(lines)


def _differences(found: dict[Row, dict[str, list[float]]], budgets: list[str]) -> Iterator[str]:
    """Paired differences: the same split and draw on both sides."""
    pairs: list[tuple[str, Row, Row]] = [
        ("fused on curated − ridge, last stage", ("fused", "curated"), (LAST, "–")),
        ("fused on curated − ridge, all stages", ("fused", "curated"), ("ridge, all stages", "–")),
        ("fused on curated − fused without captions", ("fused", "curated"), ("fused", "–")),
        ("fused: curated − uncurated", ("fused", "curated"), ("fused", "uncurated")),
        ("fused: curated − shuffled", ("fused", "curated"), ("fused", "shuffled")),
        ("zero-shot: curated − uncurated", ("zero-shot", "curated"), ("zero-shot", "uncurated")),
        ("adapter: curated − uncurated", ("adapter", "curated"), ("adapter", "uncurated")),
        ("adapter: curated − shuffled", ("adapter", "curated"), ("adapter", "shuffled")),
    ]
    pairs = [pair for pair in pairs if pair[1] in found and pair[2] in found]
    if not pairs:
        return
    yield "| difference, same splits and draws | " + " | ".join(budgets) + " |"
    yield "|---|" + "---:|" * len(budgets)
    for name, ours, theirs in pairs:
        cells = []
        for budget in budgets:
            away = np.array(found[ours][budget]) - np.array(found[theirs][budget])
            cells.append(f"{away.mean():+.3f} (above in {np.mean(away > 0):.0%})")
        yield f"| {name} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
