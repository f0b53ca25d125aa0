"""How much of the engine's own speed `generate` keeps, and how large a plan it carries.

    python benchmarks/generate.py --photos FOLDER [--limit 128] [--shots 2] [--repeats 2]
    python benchmarks/generate.py --photos FOLDER --plan [--largest 1000000]

The first form compares, in turn and each in a process of its own: `generate`; a bare `LLM.chat`
over the same messages in windows of the same size, once with its photos read and shrunk beforehand
and once reading each window's photos before it asks; and a naive script that goes prompt by prompt
over full-size photos with the text before the photo (in the first round only). Engine loading is
excluded everywhere. The second form runs plans of growing
size through an engine that answers at once. Both write into RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.results import write_section
from curation.engines.base import nothing_ahead, untold
from uniqa import console

ROLES = ("generate", "bare", "naive")
PHOTOS_PER_PLAN = 10
"""Captions planned per photo in the second form."""


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--model", default="pocket-a")
    parser.add_argument("--limit", type=int, default=128)
    parser.add_argument("--shots", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--role", choices=(*ROLES, "plan"), help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--captions", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        # As the command line sets it: threads that spin while they wait would measure what else
        # the machine does. It is read when vLLM loads, and the same for all.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        told = _plan_once(options) if options.role == "plan" else _role(options)
        print(json.dumps(told))
        return
    with tempfile.TemporaryDirectory(prefix="uniqa-") as folder:
        options.work = Path(folder)
        if options.plan:
            _plans(options)
        else:
            _compare(options)


# ---- against the bare engine ---------------------------------------------------------------------


def _compare(options: argparse.Namespace) -> None:
    found: dict[str, list[dict[str, Any]]] = {
        f"{r} {s}": [] for s in _shots(options) for r in ROLES
    }
    for turn in range(options.repeats):
        # The order turns round: whatever warms up or tires favours nobody.
        for shots in _shots(options):
            for role in ROLES if turn % 2 == 0 else ("bare", "generate"):
                console.say(f"round {turn + 1}: {role}, {shots} exemplars")
                found[f"{role} {shots}"].append(_child(options, role, shots))
    lines = [
        "| way | exemplars | captions | captions/s | of the bare engine | second half, captions/s "
        "| of the bare engine | prefix cache |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for shots in _shots(options):
        bare = median(one["rate"] for one in found[f"bare {shots}"])
        settled = median(one["steady"] for one in found[f"bare {shots}"])
        for name, way in _NAMES.items():
            role, _, reading = name.partition(" ")
            runs = found[f"{role} {shots}"]
            rates = [one["rate_reading" if reading else "rate"] for one in runs]
            rate = median(rates)
            each = ", ".join(f"{one:.1f}" for one in rates)
            steady = median(one["steady_reading" if reading else "steady"] for one in runs)
            lines.append(
                f"| {way} | {shots} | {runs[0]['captions']:,} | {rate:.1f} ({each}) "
                f"| {rate / bare:.3f} | {steady:.1f} | {steady / settled:.3f} "
                f"| {runs[0]['hits']:.1%} |"
            )
    command = (
        f"python benchmarks/generate.py --photos {options.photos.name} --limit {options.limit}"
    )
    write_section("Generation against the bare engine", "\n".join(lines), command)
    console.people.print("\n".join(lines), markup=False, soft_wrap=True)


_NAMES = {
    "generate": "`uniqa-curate generate`",
    "bare": "`LLM.chat`, the same messages in windows of the same size, photos read beforehand",
    "bare reading": "`LLM.chat`, the same, reading each window's photos before it asks",
    "naive": "naive: prompt by prompt, text before the photo, full-size photos",
}


def _shots(options: argparse.Namespace) -> list[int]:
    return sorted({0, options.shots})


def _child(options: argparse.Namespace, role: str, shots: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--photos", str(options.photos), "--model", options.model]
    command += ["--limit", str(options.limit), "--shots", str(shots), "--role", role]
    command += ["--work", str(options.work), "--captions", str(options.captions)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return told


def _role(options: argparse.Namespace) -> dict[str, Any]:
    from uniqa.photos import find_photos

    paths = [str(path) for path in find_photos(options.photos)][: options.limit]
    if options.role == "generate":
        return _generate(options, paths)
    # vLLM writes on stdout, which is for the result.
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        return _bare(options, paths, naive=options.role == "naive")
    finally:
        os.dup2(kept, 1)


def _config(options: argparse.Namespace, paths: Sequence[str]) -> Any:
    from curation.config import RunConfig, Source
    from curation.engines.spec import ModelSpec

    bank = options.work / "bank.jsonl"
    if options.shots and not bank.exists():
        _write_bank(bank, options)
    corpus = options.work / f"{options.role}-{options.shots}-{time.monotonic_ns()}.duckdb"
    return RunConfig(
        sources=(Source(images=tuple(Path(path) for path in paths)),),
        corpus=corpus,
        models=(ModelSpec(options.model),),
        shots=options.shots,
        exemplars=bank if options.shots else None,
    )


def _write_bank(bank: Path, options: argparse.Namespace) -> None:
    """Exemplars from photos that are not asked about, answered by measurement."""
    from curation.engines.measured import MeasuredEngine
    from uniqa.photos import find_photos, read_photo

    spare = find_photos(options.photos)[options.limit :][: 4 * options.shots]
    if len(spare) < 2 * options.shots:
        raise SystemExit(f"--limit {options.limit} leaves {len(spare)} photos for exemplars")
    engine = MeasuredEngine()
    with bank.open("w") as file:
        for number, path in enumerate(spare):
            for task in ("quality", "aesthetic"):
                text = engine.caption(
                    read_photo(path).pixels, task=task, cue="overall", seed=number
                )
                file.write(json.dumps({"image": str(path), "task": task, "answer": text}) + "\n")


def _generate(options: argparse.Namespace, paths: Sequence[str]) -> dict[str, Any]:
    from curation.command import run_generate
    from curation.corpus import Corpus

    config = _config(options, paths)
    (result,) = run_generate(config, engine="vllm")
    assert result.seconds is not None
    working = result.seconds.wall - result.seconds.loading
    windows: list[tuple[float, int]] = []
    with Corpus(config.corpus) as corpus:
        stored = corpus.table("SELECT epoch(created_at) AS moment FROM captions ORDER BY 1")
    for at in stored["moment"].to_pylist():
        # A window's captions are stored in one go.
        together = bool(windows) and at - windows[-1][0] < 0.25
        count = windows.pop()[1] if together else 0
        windows.append((at, count + 1))
    return {
        "captions": result.counts.made,
        "rate": result.counts.made / working,
        "steady": _steady(windows),
        "hits": result.cache_hits or 0.0,
    }


def _steady(windows: Sequence[tuple[float, int]]) -> float:
    """Captions a second in the second half of a run's windows, given when each ended.

    In the first half the engine meets shapes of batches that it has not computed yet, and prepares
    for them; a long run does that once.
    """
    half = len(windows) // 2
    if half < 1:
        return float("nan")
    made = sum(count for _, count in windows[half:])
    return made / (windows[-1][0] - windows[half - 1][0])


def _bare(options: argparse.Namespace, paths: Sequence[str], *, naive: bool) -> dict[str, Any]:
    """vLLM by itself, asked what `generate` asks, from messages that are ready beforehand."""
    from PIL import Image
    from vllm import SamplingParams

    from curation.engines import make_engine, worker
    from curation.engines.messages import conversation
    from curation.incontext import bank_of, exemplars_of
    from curation.plan import Plan
    from curation.prompts import PromptLibrary
    from curation.shots import ShotPhotos
    from uniqa.photos import read_photo

    config, library = _config(options, paths), PromptLibrary()
    engine: Any = make_engine(options.model, engine="vllm", shots=options.shots)
    plan = Plan(
        tasks=config.tasks,
        cues={task: library.cues(task) for task in config.tasks},
        library=library,
        sampling=config.sampling,
        seed=config.seed,
        exemplars=exemplars_of(
            None, config, library, options.shots, "", bank_of(config, library, {}, None)
        ),
    )
    # The very options that `generate` gives to vLLM.
    llm = worker._Model(engine._setting).llm
    shots = ShotPhotos(engine)
    side = None if naive else engine.max_side
    shown: dict[str, Any] = {}

    def asked(path: str) -> list[tuple[list[dict[str, Any]], Any]]:
        """What is asked about a photo: messages and sampling, question by question."""
        photo = read_photo(path, max_side=side)
        image = Image.fromarray(photo.pixels)
        pairs = []
        for question in plan.questions(path, photo.image_id):
            for one, pixels in zip(question.exemplars, shots.of(question.exemplars), strict=True):
                shown.setdefault(one.image_id, Image.fromarray(pixels))
            photos = [*(shown[one.image_id] for one in question.exemplars), image]
            message = _message(conversation(question), photos, text_first=naive)
            how = plan.sampling_of(question).as_dict() | {"seed": int(photo.image_id[:6], 16)}
            pairs.append((message, SamplingParams(**how)))
        return pairs

    def ask(windows: Iterator[list[tuple[list[dict[str, Any]], Any]]]) -> dict[str, Any]:
        prompt = cached = 0
        began = time.monotonic()
        ends: list[tuple[float, int]] = []
        for some in windows:
            messages, sampling = zip(*some, strict=True)
            outputs = llm.chat(list(messages), list(sampling), use_tqdm=False)
            prompt += sum(len(one.prompt_token_ids or ()) for one in outputs)
            cached += sum(one.num_cached_tokens or 0 for one in outputs)
            ends.append((time.monotonic(), len(outputs)))
        answers = sum(count for _, count in ends)
        rate = answers / (ends[-1][0] - began)
        return {
            "captions": answers, "rate": rate, "steady": _steady(ends), "hits": cached / prompt
        }  # fmt: skip

    photos = max(1, -(-engine.window // plan.per_photo))
    every, starts = [asked(path) for path in paths], range(0, len(paths), photos)
    if naive:
        flat = [pairs[number] for number in range(plan.per_photo) for pairs in every]
        return ask(_cut(flat, photos * plan.per_photo))

    def afresh() -> None:
        # A first answer pays for what `generate` pays while it loads.
        llm.chat(*map(list, zip(*every[0][:1], strict=True)), use_tqdm=False)
        llm.reset_prefix_cache()
        llm.reset_mm_cache()

    afresh()
    told = ask([pair for one in every[at : at + photos] for pair in one] for at in starts)
    afresh()
    reading = ask(
        [pair for path in paths[at : at + photos] for pair in asked(path)] for at in starts
    )
    return told | {"rate_reading": reading["rate"], "steady_reading": reading["steady"]}


def _cut(pairs: list[Any], size: int) -> Iterator[list[Any]]:
    return (pairs[first : first + size] for first in range(0, len(pairs), size))


def _message(turns: Any, photos: list[Any], *, text_first: bool) -> list[dict[str, Any]]:
    message = []
    for turn in turns:
        content: list[dict[str, Any]] = [{"type": "text", "text": turn.text}]
        if turn.photo is not None:
            part = {"type": "image_pil", "image_pil": photos[turn.photo]}
            content.insert(1 if text_first else 0, part)
        message.append({"role": turn.role, "content": content})
    return message


# ---- large plans ---------------------------------------------------------------------------------


class InstantEngine:
    """Answers at once: what is left is the work of planning, reading and storing."""

    name = "instant"
    model = "instant"
    revision = "1"
    max_side = 64
    window = 1024
    samples = True
    listens = True
    context: int | None = None

    def __init__(self) -> None:
        self.on_answered: Callable[[int], None] = untold
        self.ahead: Callable[[], Sequence[Any]] = nothing_ahead

    @staticmethod
    def prepare(photo: Any) -> int:
        """Nothing of it is needed."""
        return int(photo.width)

    def start(self) -> None:
        """Nothing to load."""

    def generate(self, requests: Sequence[Any]) -> list[Any]:
        """A different sentence for every request."""
        from curation.engines.base import Answer

        return [
            Answer(
                request.caption_id,
                f"The photo {request.image_id[:8]} answers {request.question.cue} with "
                f"{request.seed}, in a sentence as long as captions are.",
                "stop",
                120,
                24,
                60,
            )
            for request in requests
        ]

    def close(self) -> None:
        """Nothing to give back."""


def _plans(options: argparse.Namespace) -> None:
    lines = [
        "| captions planned | photos | made/s | peak memory | again, all there | memory then |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for size in (1_000, 10_000, 100_000, 1_000_000):
        if size > options.largest:
            break
        console.say(f"a plan of {size:,} captions")
        options.captions = size
        _many_photos(options.work / "photos", size // PHOTOS_PER_PLAN)
        first = _child(options, "plan", 0)
        again = _child(options, "plan", 0)
        lines.append(
            f"| {size:,} | {size // PHOTOS_PER_PLAN:,} | {first['made'] / first['seconds']:,.0f} "
            f"| {first['peak_mib']:,.0f} MiB | {again['seconds']:.1f} s "
            f"| {again['peak_mib']:,.0f} MiB |"
        )
        (options.work / "plan.duckdb").unlink()
    body = (
        "An engine that answers at once; photos of 24 × 16 pixels, so what is measured is "
        "planning, opening files and storing. Memory is the resident peak of the main process.\n\n"
        + "\n".join(lines)
    )
    command = f"python benchmarks/generate.py --photos {options.photos.name} --plan"
    write_section("Large plans", body, command)
    console.people.print("\n".join(lines), markup=False, soft_wrap=True)


def _many_photos(folder: Path, number: int) -> None:
    """That many different tiny PNG files, a thousand per folder."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    have = sum(1 for _ in _files(folder)) if folder.exists() else 0
    if have > number:
        shutil.rmtree(folder)
        have = 0
    for place in range(number):
        pixels = rng.integers(0, 255, (16, 24, 3), dtype=np.uint8)
        if place >= have:
            home = folder / f"{place // 1000:04}"
            home.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(home / f"{place:07}.png", compress_level=1)


def _files(folder: Path) -> Iterator[Path]:
    return folder.glob("*/*.png")


def _plan_once(options: argparse.Namespace) -> dict[str, Any]:
    import resource

    from curation.corpus import Corpus
    from curation.engines.base import Sampling
    from curation.generate import Generation
    from curation.images import collect_images
    from curation.plan import Plan
    from curation.prompts import PromptLibrary

    began = time.monotonic()
    library = PromptLibrary()
    cues = ["overall", "sharpness", "noise", "exposure", "colour"]
    plan = Plan(
        tasks=["quality"],
        cues={"quality": library.cues("quality", cues)},
        library=library,
        sampling=Sampling(),
        seed=0,
        samples=PHOTOS_PER_PLAN // len(cues),
    )
    paths, _ = collect_images([options.work / "photos"])
    with Corpus(options.work / "plan.duckdb", write=True) as corpus:
        generation = Generation(corpus, InstantEngine(), plan, "run")
        generation.run([str(path) for path in paths])
    counts = generation.counts
    assert counts.made + counts.resumed == options.captions, counts
    return {
        "made": counts.made,
        "seconds": time.monotonic() - began,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
