"""Which comments say something: length, AR, AIR and informativeness against labels by hand.

    python benchmarks/purity.py COMMENTS [--dev] [--examples N] [--draw]

COMMENTS is a CSV with `image`, `source` and `comment`. Scores the labelled comments that the
rules were not written on, counts hygiene's reasons over all comments with time and peak memory, and
writes a section of RESULTS.md. `--dev` scores the half that the rules were written on instead, and
writes nothing. `--examples` prints so many per reason; `--draw` only
checks that the labelled comments are those that the seed draws.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.results import write_section
from curation.embed import SentenceEncoder
from curation.hygiene import REASONS, Context, Finding, find_openers, hygiene
from curation.informative import informativeness
from curation.purity import air, ranks, words

LABELS = Path(__file__).with_name("data") / "comment_labels.csv"
SEED, RESAMPLES = 20, 4000
# In place of a model's description of each photo: there are no pixels to describe.
GENERIC = (
    "The composition is well balanced and leads the eye to the subject, with a pleasing use of "
    "space, lines and depth of field.",
    "The light is soft and even, the exposure is right, and shadows and highlights keep detail.",
    "The colours are harmonious and well saturated, with good contrast against the background.",
)

WHICH = {
    "dev": "the half of 300 comments that the rules were written on",
    "report": "the other half of 300, labelled before the rules were written, not looked at since",
    "fresh": "drawn at random when the rules were done, labelled before they were scored",
}
REMARKS = """AUC with 95 % bootstrap intervals; the last column is how far informativeness is ahead,
resampled in pairs. Labels and rules are by the same author (see `benchmarks/data/README.md`): these
figures say how well the rules do what that author meant, not how well others would agree. AR needs
a model's description of the same photo, and there are no pixels here: *others* puts the mean of the
image's other comments in its place (the mean of all where there is no other), *generic* three
sentences on composition, light and colour. Ranks are taken per image as in the paper, divided by
the number of its comments; *over all* ranks the labelled comments among each other, which is kinder
to images with few."""

Floats = NDArray[np.float64]


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("comments", type=Path)
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--examples", type=int, default=0)
    parser.add_argument("--draw", action="store_true")
    options = parser.parse_args()
    frame = read(options.comments)
    if options.draw:
        labels = pd.read_csv(LABELS)
        same = set(draw(frame)["id"]) == set(labels[labels["half"] != "fresh"]["id"])
        print("the labelled comments are those drawn" if same else "NOT the comments drawn")
        sys.exit(0 if same else 1)
    # Hygiene first: its peak memory is to be without an encoder.
    clean = hygiene_table(frame, options.examples)
    halves = ["dev"] if options.dev else ["report", "fresh"]
    body = [f"{purity_table(frame, half)}\n" for half in halves] + [REMARKS, "", clean]
    print("\n".join(body))
    if not options.dev:
        command = f"python benchmarks/purity.py {options.comments.name}"
        write_section("Purity of comments", "\n".join(body), command)


def read(path: Path) -> pd.DataFrame:
    """Comments with their stable id and length."""
    frame = pd.read_csv(path, dtype={"image": str, "comment": str})
    pairs = zip(frame["image"], frame["comment"], strict=True)
    frame["id"] = [hashlib.sha256(f"{i}\n{c}".encode()).hexdigest()[:16] for i, c in pairs]
    frame["words"] = words(frame["comment"].tolist())
    return frame


def draw(frame: pd.DataFrame) -> pd.DataFrame:
    """300 comments with different texts: 30 of every fifth of length of each source."""
    frame = frame.drop_duplicates("comment").sort_values("id").reset_index(drop=True)
    rng = np.random.default_rng(SEED)
    parts = []
    for source in sorted(frame["source"].unique()):
        own = frame[frame["source"] == source]
        cuts = own["words"].quantile([0.2, 0.4, 0.6, 0.8]).to_numpy()
        fifth = np.searchsorted(cuts, own["words"].to_numpy(), side="left")
        for band in range(5):
            rows = own[fifth == band]
            part = rows.iloc[rng.choice(len(rows), 30, replace=False)].copy()
            part["half"] = ["dev"] * 15 + ["report"] * 15
            parts.append(part)
    return pd.concat(parts)


def purity_table(frame: pd.DataFrame, half: str) -> str:
    """AUC of every measure on one half of the labels, with paired bootstrap intervals."""
    labels = pd.read_csv(LABELS)
    labels = labels[labels["half"] == half]
    texts = dict(zip(frame["id"], frame["comment"], strict=True))
    labels["comment"] = [texts[i] for i in labels["id"]]
    truth = labels["informative"].to_numpy(dtype=bool)
    own = np.array([informativeness(text) for text in labels["comment"]])
    scores, alone = rivals(frame, labels)
    scores["informativeness"] = own
    rng = np.random.default_rng(SEED)
    draws = [rng.integers(0, len(truth), len(truth)) for _ in range(RESAMPLES)]
    draws = [d for d in draws if 0 < truth[d].sum() < len(d)]
    lines = [
        f"**{half}**: {WHICH[half]}; {truth.sum()} informative, {(~truth).sum()} not.",
        "",
        "| measure | AUC | 95 % | ahead by, 95 % |",
        "|---|---:|---:|---:|",
    ]
    ours = np.array([auc(truth[d], own[d]) for d in draws])
    for name, score in scores.items():
        sampled = np.array([auc(truth[d], score[d]) for d in draws])
        ahead = _interval(ours - sampled) if name != "informativeness" else ""
        lines.append(f"| {name} | {auc(truth, score):.3f} | {_interval(sampled)} | {ahead} |")
    sure = (labels["doubtful"] == 0).to_numpy()
    lines += [
        "",
        f"Without the {int((~sure).sum())} labels marked doubtful, informativeness has "
        f"{auc(truth[sure], own[sure]):.3f}. {alone} labelled comments are their image's only one.",
    ]
    return "\n".join(lines)


def rivals(frame: pd.DataFrame, labels: pd.DataFrame) -> tuple[dict[str, Floats], int]:
    """Length, AR and AIR of the labelled comments, and how many are alone on their image."""
    near = frame[frame["image"].isin(set(labels["image"].astype(str)))].drop_duplicates("id")
    near = near.reset_index(drop=True)
    encoder = SentenceEncoder()
    vectors = encoder.encode(near["comment"].tolist()).astype(np.float64)
    general = encoder.encode(list(GENERIC)).astype(np.float64).mean(axis=0)
    generic = vectors @ (general / np.linalg.norm(general))
    place = {i: row for row, i in enumerate(near["id"])}
    everyone = vectors.mean(axis=0)
    others = np.empty(len(near))
    in_image: dict[str, Floats] = {
        name: np.empty(len(near)) for name in ("length", "others", "generic", "AIR o", "AIR g")
    }
    alone = set()
    for rows in near.groupby("image").indices.values():
        total = vectors[rows].sum(axis=0)
        for row in rows:
            rest = total - vectors[row] if len(rows) > 1 else everyone
            others[row] = vectors[row] @ rest / np.linalg.norm(rest)
            if len(rows) == 1:
                alone.add(near["id"][row])
        lengths = near["words"].to_numpy()[rows]
        for name, value in (
            ("length", ranks(lengths)),
            ("others", ranks(others[rows])),
            ("generic", ranks(generic[rows])),
            ("AIR o", air(others[rows], lengths)),
            ("AIR g", air(generic[rows], lengths)),
        ):
            in_image[name][rows] = value / len(rows)
    at = np.array([place[i] for i in labels["id"]])
    length = near["words"].to_numpy()[at]
    return {
        "length in words (IR)": length.astype(np.float64),
        "IR, rank in its image": in_image["length"][at],
        "AR to others": others[at],
        "AR to generic": generic[at],
        "AIR, others": in_image["AIR o"][at],
        "AIR, generic": in_image["AIR g"][at],
        "AIR over all, others": air(others[at], length),
        "AIR over all, generic": air(generic[at], length),
    }, len(alone & set(labels["id"]))


def auc(truth: NDArray[np.bool_], score: Floats) -> float:
    """The chance that an informative comment scores above one that is not; ties count half."""
    positive = int(truth.sum())
    above = ranks(score)[truth].sum() - positive * (positive + 1) / 2
    return float(above / (positive * (len(truth) - positive)))


def hygiene_table(frame: pd.DataFrame, examples: int) -> str:
    """Counts of reasons over all comments, with time and peak memory."""
    texts = frame["comment"].tolist()
    began, busy = time.perf_counter(), time.process_time()
    context = Context(openers=find_openers(texts))
    found: dict[str, list[tuple[str, Finding]]] = defaultdict(list)
    touched = 0
    for text in texts:
        findings = hygiene(text, context)
        touched += bool(findings)
        for finding in findings:
            found[finding.name].append((text, finding))
    wall, cpu = time.perf_counter() - began, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, busy = time.perf_counter(), time.process_time()
    scores = np.array([informativeness(text) for text in texts])
    wall_own, cpu_own = time.perf_counter() - began, time.process_time() - busy
    rng = random.Random(SEED)
    for reason in REASONS if examples else ():
        for text, finding in rng.sample(found[reason], min(examples, len(found[reason]))):
            before = text[max(0, finding.start - 60) : finding.start]
            print(f"{reason:12} …{before}>>>{finding.part[:80]}<<< {finding.detail}")
    lines = [
        f"Hygiene over all {len(texts):,} comments: {touched:,} have a finding; {wall:.1f} s "
        f"({cpu:.1f} s of CPU), peak memory of the process {peak:.0f} MiB."
        f" Informativeness of all: {wall_own:.1f} s ({cpu_own:.1f} s of CPU, "
        f"{len(texts) / cpu_own:,.0f} comments a second); "
        f"{float((scores == 0).mean()):.0%} say nothing, {float((scores >= 0.6).mean()):.0%} "
        "have 0.6 or more. Other programs shared the machine.",
        "",
        "| reason | comments |",
        "|---|---:|",
        *(f"| {reason} | {len(found[reason]):,} |" for reason in REASONS),
    ]
    return "\n".join(lines)


def _interval(values: Floats) -> str:
    low, high = np.percentile(values, [2.5, 97.5])
    return f"{low:.3f} – {high:.3f}"


if __name__ == "__main__":
    main()
