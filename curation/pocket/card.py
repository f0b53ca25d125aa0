"""The model card of a pocket model: what it is, learned from, scored, cannot do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curation.pocket.effort import FULL, THOROUGH, effort_of
from curation.pocket.exam import percent
from curation.pocket.sources import (
    CREDITS,
    Photograph,
    credits_table,
    packages,
    photographs,
    read_photographs,
)

_MANNER = {
    "pocket-a": "an observant critic, in flowing prose",
    "pocket-b": "a plain-spoken inspector, in the first person",
}


def figures(result: dict[str, Any]) -> dict[str, str]:
    """The exam's result as label → text, for tables."""
    faults, own = result["faults"], result["own"]
    control = faults["permuted"]
    obedience = result["obedience"]
    rows = {
        "macro-F1 of the fault named, severity 3–5": f"{faults['macro_f1']:.3f}",
        "… with photos permuted": f"{control['macro_f1']:.3f}",
        "… on photos of scikit-image and scikit-learn": f"{own['macro_f1']:.3f}",
        "clean photos called clean": f"{faults['clean']:.1%}",
        "… clean, with photos permuted": f"{control['clean']:.1%}",
        "level words against severity, SRCC": f"{faults['severity_srcc']:.3f}",
        "… severity, with photos permuted": f"{control['severity_srcc']:.3f}",
    }
    if "opinion" in result:
        seen = result["opinion"]
        for how, interval in (("greedy", "interval"), ("sampled", "interval_sampled")):
            low, high = seen[interval]
            label = "one text" if how == "greedy" else "mean of eight texts"
            rows[f"level words against people's ratings, SRCC, {label}"] = (
                f"{seen[how]:.3f} [{low:.2f}, {high:.2f}]"
            )
        low, high = seen["interval_score"]
        rows["level asked for by `score` against people's ratings, SRCC"] = (
            f"{seen['score']:.3f} [{low:.2f}, {high:.2f}]"
        )
        rows["… ratings against permuted photos"] = f"{seen['permuted']:.3f}"
    rows |= {
        "keeps to the task": f"{obedience['task']:.1%}",
        "keeps to the level": f"{obedience['level']:.1%}",
        "keeps to the cue": f"{obedience['cue']:.1%}",
        "… cue, with a fault told that may not be there": f"{obedience['cue_told']:.1%}",
        "words after one-sentence exemplars, after long ones": (
            f"{result['shots_2']['brief_words']:.0f}, {result['shots_2']['rich_words']:.0f}"
        ),
        "same fault after either, 1 exemplar": f"{result['shots_1']['same_fault']:.0%}",
        "same fault after either, 2 exemplars": f"{result['shots_2']['same_fault']:.0%}",
        "distinct texts of 4 samples, temperature 1": f"{result['distinct']:.3f}",
        "Vendi score": f"{result['vendi']:.1f}",
        "Vendi score of both models' texts, as many": f"{result['vendi_pair']:.1f}",
        "same text from transformers and vLLM, temperature 0": (
            f"{result['same']} of {result['same_of']}"
        ),
        "captions/s, vLLM": f"{result['speed_vllm']:.1f}",
        "captions/s, transformers": f"{result['speed_transformers']:.1f}",
        "seconds to load, vLLM": f"{result['load_vllm']:.0f}",
    }
    return rows


def _thorough(folder: Path) -> str:
    return " --thorough" if effort_of(folder) == THOROUGH else ""


def _effort(folder: Path) -> str:
    had = effort_of(folder)
    if had == FULL:
        return ""
    if had == THOROUGH:
        return (
            "These are the steps of `--thorough`, some 105 minutes on two cores by their pace. "
            f"Without\nit there are {FULL},\n"
            "in 82 minutes; what such models see is in `benchmarks/RESULTS.md`.\n"
        )
    return f"The builder takes {FULL} by now.\n"


def _since(learned: Sequence[Photograph]) -> str:
    """That building again gives another model, where the builder has other photographs by now."""
    if set(learned) == set(photographs()):
        return ""
    return (
        f"The builder has {len(photographs())} photographs by now "
        "(`curation/data/photographs.csv`)\n"
        "and keeps some apart to calibrate by: what it makes is another model than this one.\n"
    )


def write_card(folder: Path, name: str, result: dict[str, Any]) -> None:
    """Write ``README.md`` into a model's folder."""
    from safetensors import safe_open

    path = folder / "model.safetensors"
    with safe_open(path, "np") as file:
        weights = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    learned = read_photographs(folder / CREDITS)
    rows = "\n".join(f"| {label} | {value} |" for label, value in figures(result).items())
    named = "\n".join(
        f"| {kind} | {result['faults']['f1'][kind]:.2f} | "
        + " | ".join(map(percent, shares)) + " |"
        for kind, shares in result["faults"]["named"].items()
    )  # fmt: skip
    text = f"""---
license: cc-by-sa-4.0
language: en
pipeline_tag: image-text-to-text
tags: [image-quality-assessment, image-aesthetics, idefics3]
---

# {name}

A very small multimodal model that says in words how good a photo is technically and how it looks:
{weights / 1e6:.1f} million weights, {path.stat().st_size / 1e6:.1f} MB, Idefics3. It speaks like
{_MANNER[name]}. Made so that UniQA can show and test its whole path on any laptop, without a
network; it knows light, colour and faults, and nothing of what a photo shows.

## How good it is

On {result["where"]}, damaged by known faults; asked through vLLM; rules read the texts.
{result["machine"]}.

| what | value |
|---|---:|
{rows}

Named right, by severity of the fault:

| fault | F1 at 3–5 | 1 | 2 | 3 | 4 | 5 |
|---|---:|---:|---:|---:|---:|---:|
{named}

## What it cannot do

It does not recognise objects, people, places or text. It sees a photo at 512 pixels on its longer
side, stretched to a square: finer noise and blocks than that escape it. Weak faults are often
missed, and faults that look alike (blur, motion blur, enlargement) are taken for one another. A
level word in the prompt is repeated, not checked. Its judgement of beauty is that of a formula
over measurements, not of people. English only; other questions than those about quality and
aesthetics get an answer about quality or aesthetics.

## Data

Crops of {len(learned)} photographs from the Debian packages
{", ".join(packages(learned))},
damaged by known faults of known severity and measured by `curation.measuring`. Texts come from the
grammar in `curation/pocket`, told what the model's own eyes read. No caption was written by a
person or by another model.

| package | photograph | by | licence |
|---|---|---|---|
{chr(10).join(credits_table(learned))}

## How to build it again

    python -m curation.pocket build --work FOLDER{_thorough(folder)}

Seeded and resumable. The packages are fetched with `apt-get`.
This model has had {effort_of(folder)}.
{_effort(folder)}{_since(learned)}"""
    (folder / "README.md").write_text(text, encoding="utf-8")
