"""Images a second of pre-training against a plain PyTorch loop, and memory of large batches.

    python benchmarks/train_speed.py --photos FOLDER [--rounds 3] [--memory 64,1024,8192]

The plain loop is what one writes with transformers: a Dataset that opens each photo with Pillow, a
DataLoader with two workers, CLIP's loss, AdamW. Both loops take turns, each in a process of its
own, with the same start, batch, views and number of steps; ours begins every round with an empty
pixel cache. Where a CUDA device is at hand, CLIP ViT-B/16 in bf16 is measured as well.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
import psutil
import torch
from PIL import Image

from benchmarks import child
from benchmarks.results import write_section
from training.config import PretrainConfig
from training.data import Caption, Manifest
from training.encoders import MAX_SIDE, Lite0Tower, MiniLMTower
from training.losses import clip_loss
from training.projections import Projections
from training.tuning.augment import draw_view
from training.tuning.data import Examples
from training.tuning.learners import (
    AnyLearner,
    CompactLearner,
    HuggingFaceLearner,
    choose_what_learns,
    learning_mode,
)
from training.tuning.loop import Loop
from training.tuning.photos import PixelCache
from training.tuning.plan import Plan, draw_captions
from uniqa import console
from uniqa.photos import find_photos, image_id_of

CHUNK = 32

PEAK_BF16 = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bf16 operations a second by part of a card's name, as their makers state them."""

SAYINGS = (
    "The photo is sharp in its middle, a little soft towards the corners, and evenly lit.",
    "Fine noise shows in the dark areas, while colours stay natural and contrast is moderate.",
    "A calm composition with the subject off the centre and a background that does not distract.",
    "Strong compression has left blocks around edges and the sky is banded and overexposed.",
)


def main() -> None:
    """Parse, run, write; with --child, do one measurement and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=240, help="photos used")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default="compact,clip")
    parser.add_argument("--memory", default="64,1024,8192", help="effective batches; empty: none")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        sys.stdout.write(json.dumps(_measure(json.loads(options.child), options)) + "\n")
        return
    parts = [_speed(options)]
    if options.memory:
        parts.append(_memory(options))
    parts.append(_cuda(options))
    body = "\n\n".join(parts)
    write_section("Pre-training on pixels: speed and memory", body, _command(options))
    console.say("written: benchmarks/RESULTS.md")


# ---------------------------------------------------------------- what the parent asks for


def _ask(options: argparse.Namespace, **what: Any) -> dict[str, Any]:
    words: list[object] = ["--photos", options.photos, "--limit", options.limit]
    words += ["--batch", options.batch, "--epochs", options.epochs, "--child", json.dumps(what)]
    return child.run("benchmarks.train_speed", *words)


def _speed(options: argparse.Namespace) -> str:
    lines = [
        f"Batches of {options.batch}, {options.epochs} epochs over "
        f"{min(options.limit, len(find_photos(options.photos)))} photos, fp32, "
        f"{options.rounds} rounds in turns; images/s are medians, with all rounds in brackets. "
        "Peak memory in GiB, without the plain loop's two reading processes.",
        "",
        "| model | plain loop | ours | ratio | peak plain | peak ours |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for model in options.models.split(","):
        found: dict[str, list[dict[str, Any]]] = {"plain": [], "ours": []}
        for turn in range(options.rounds):
            order = ("plain", "ours") if turn % 2 == 0 else ("ours", "plain")
            for loop in order:
                found[loop].append(_ask(options, kind="speed", model=model, loop=loop))
                console.say(f"{model}, {loop}: {found[loop][-1]['rate']:.2f} images/s", "dim")
        rates = {loop: [one["rate"] for one in rounds] for loop, rounds in found.items()}
        middle = {loop: float(np.median(some)) for loop, some in rates.items()}
        peaks = {loop: max(one["gib"] for one in rounds) for loop, rounds in found.items()}
        told = {
            loop: f"{middle[loop]:.2f} ({', '.join(f'{rate:.2f}' for rate in rates[loop])})"
            for loop in found
        }
        lines.append(
            f"| {_NAMES[model]} | {told['plain']} | {told['ours']} "
            f"| {middle['ours'] / middle['plain']:.2f} "
            f"| {peaks['plain']:.2f} | {peaks['ours']:.2f} |"
        )
        losses = [f"{found[loop][0]['loss']:.3f}" for loop in ("plain", "ours")]
        lines.append(f"| last losses | {losses[0]} | {losses[1]} | | | |")
    return "\n".join(lines)


_NAMES = {
    "compact": "compact, both towers tuned",
    "clip": "CLIP, 4 layers × 256, patch 16, random start",
}


def _memory(options: argparse.Namespace) -> str:
    lines = [
        f"One step of a CLIP of 4 layers × 256 (patch 32), chunks of {CHUNK} photos; peak memory "
        "of the whole process, and its growth over the smallest batch.",
        "",
        "| effective batch | cached: peak GiB | seconds | without: peak GiB | seconds |",
        "|---:|---:|---:|---:|---:|",
    ]
    sizes = [int(size) for size in options.memory.split(",")]
    per_photo = idle = 0.0
    for size in sizes:
        cached = _ask(options, kind="memory", size=size, chunk=CHUNK)
        console.say(f"batch {size}: {cached['gib']:.2f} GiB with cached gradients", "dim")
        idle = idle or cached["gib"]
        free = psutil.virtual_memory().available / 2**30
        if size == sizes[0] or per_photo * size < 0.6 * free:
            whole = _ask(options, kind="memory", size=size, chunk=0)
            per_photo = max(whole["gib"] - cached["before"], 0.0) / size
            other = f"{whole['gib']:.2f} | {whole['seconds']:.0f}"
        else:
            other = f"about {cached['before'] + per_photo * size:.0f}, does not fit | – "
        lines.append(
            f"| {size:,} | {cached['gib']:.2f} (+{cached['gib'] - idle:.2f}) "
            f"| {cached['seconds']:.0f} | {other} |"
        )
    return "\n".join(lines)


def _cuda(options: argparse.Namespace) -> str:
    if not torch.cuda.is_available():
        return "CLIP ViT-B/16 in bf16 was not measured: no CUDA device."
    lines = ["| CLIP ViT-B/16, bf16 | images/s | share of the card's peak | peak GiB |"]
    lines.append("|---|---:|---:|---:|")
    for size, chunk in ((512, 0), (4096, 256)):
        got = _ask(options, kind="cuda", size=size, chunk=chunk)
        share = f"{got['share']:.1%}" if got["share"] else "unknown card"
        how = f"batch {size:,}, " + (f"chunks of {chunk}" if chunk else "one graph")
        lines.append(f"| {how} | {got['rate']:,.0f} | {share} | {got['gib']:.1f} |")
    return "\n".join(lines) + f"\n\nOn {torch.cuda.get_device_name()}."


# ---------------------------------------------------------------- what a child measures


def _measure(what: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if what["kind"] == "speed":
            return _measure_speed(what, options, folder)
        if what["kind"] == "memory":
            return _measure_memory(what, options, folder)
        return _measure_cuda(what, options, folder)


def _measure_speed(
    what: dict[str, Any], options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    manifest = _manifest(options.photos, options.limit)
    learner = _learner(what["model"], folder)
    learner.factors = {}  # One rate for all, as in the plain loop.
    learning_mode(learner)
    config = _config(what["model"], epochs=options.epochs, batch_size=options.batch)
    with child.measured() as found:
        if what["loop"] == "ours":
            cache = PixelCache(folder, 2**33)
            loop = Loop(learner, Examples.of(manifest, range(len(manifest.ids))), config, cache)
            loss = loop.run()[-1]["train_loss"]
        else:
            loss = _plain_loop(learner, manifest, config)
    seen = options.epochs * len(manifest.ids)
    return found | {"rate": seen / found["seconds"], "loss": loss}


class _Photos(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """A photo as a training script reads it: Pillow, upright, RGB, no larger than ours."""

    def __init__(
        self, learner: AnyLearner, manifest: Manifest, epoch_start: int, plan: Plan
    ) -> None:
        self.learner, self.manifest = learner, manifest
        self.steps = {
            row: step
            for step in range(epoch_start, epoch_start + plan.per_epoch)
            for row in plan.rows(step)
        }

    def __len__(self) -> int:
        return len(self.manifest.ids)

    def __getitem__(self, row: int) -> tuple[Any, str]:
        with Image.open(self.manifest.images[row]) as image:
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))
            upright = image.convert("RGB")
        if max(upright.size) > MAX_SIDE:
            upright.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
        step, image_id = self.steps[row], self.manifest.ids[row]
        view = draw_view(0, step, image_id, "quality")
        captions = self.manifest.captions[row]
        (pick,) = draw_captions(
            np.full(len(captions), 1 / len(captions)), 1, by_weight=True, seed=0, step=step,
            key=image_id,
        )  # fmt: skip
        return self.learner.prepare(np.asarray(upright), view), captions[pick].text


def _plain_loop(learner: AnyLearner, manifest: Manifest, config: PretrainConfig) -> float:
    """Dataset, DataLoader, forward, loss, backward, step."""
    plan = Plan(len(manifest.ids), config.batch_size, config.epochs_used, config.seed)
    learning = [p for p in learner.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=config.lr_used, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=plan.steps)
    losses: list[float] = []
    for epoch in range(config.epochs_used):
        start = epoch * plan.per_epoch
        loader = torch.utils.data.DataLoader(
            _Photos(learner, manifest, start, plan),
            batch_sampler=[plan.rows(step) for step in range(start, start + plan.per_epoch)],
            num_workers=2,
            collate_fn=lambda items: (
                learner.collate([photo for photo, _ in items]),
                [text for _, text in items],
            ),
        )
        losses = []
        for photos, texts in loader:
            image = learner.embed_images(photos)
            text = learner.embed_texts(learner.tokenize(texts))
            loss = clip_loss(learner.scale() * image @ text.T)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _measure_memory(
    what: dict[str, Any], options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    size, chunk = what["size"], what["chunk"]
    manifest = _manifest(options.photos, options.limit, repeat=size)
    learner = _learner("clip", folder, patch=32)
    config = _config("clip", epochs=1, batch_size=size, chunk=chunk)
    loop = Loop(learner, Examples.of(manifest, range(size)), config, PixelCache(folder, 2**33))
    before = psutil.Process().memory_info().rss / 2**30
    with child.measured() as found:
        learning_mode(learner)
        loop.step()
        loop.reader.close()
    return found | {"before": before}


def _measure_cuda(
    what: dict[str, Any], options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    from torch.utils.flop_counter import FlopCounterMode

    size, chunk, steps = what["size"], what["chunk"], 4
    manifest = _manifest(options.photos, options.limit, repeat=size * steps)
    learner = _learner("clip", folder, patch=16, width=768, layers=12, text_width=512)
    config = _config("clip", epochs=1, batch_size=size, chunk=chunk, precision="bf16")
    examples = Examples.of(manifest, range(size * steps))
    loop = Loop(learner, examples, config, PixelCache(folder, 2**34), workers=14)
    learning_mode(learner)
    with FlopCounterMode(display=False) as counter:
        loop.step()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(steps - 1):
        loop.step()
    torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / (steps - 1)
    loop.reader.close()
    name = torch.cuda.get_device_name()
    peak = next((value for part, value in PEAK_BF16.items() if part in name), 0.0)
    share = counter.get_total_flops() / seconds / peak if peak else 0.0
    gib = torch.cuda.max_memory_allocated() / 2**30
    return {"rate": size / seconds, "share": share, "gib": gib}


# ---------------------------------------------------------------- models and data


def _config(model: str, **options: Any) -> PretrainConfig:
    return PretrainConfig(
        model="compact" if model == "compact" else "random", towers="tuned", lr=1e-5, **options
    )


def _learner(model: str, folder: Path, **shape: int) -> AnyLearner:
    learner: AnyLearner
    if model == "compact":
        image, text = Lite0Tower(), MiniLMTower()
        projections = Projections(image.dim, text.dim, 256)
        learner = CompactLearner(projections, tuned=(True, True), biased=False)
    else:
        learner = HuggingFaceLearner(_random_clip(folder / "clip", **shape), biased=False)
    choose_what_learns(learner, image=True, text=True, lora=0, seed=0)
    return learner


def _random_clip(
    folder: Path, *, patch: int = 16, width: int = 256, layers: int = 4, text_width: int = 256
) -> Any:
    """A CLIP with a tokenizer that knows the words of `SAYINGS`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    from training.huggingface import Towers

    words = ["<pad>", "<unk>", "<start>", "<end>"]
    words += sorted({word for saying in SAYINGS for word in saying.rstrip(".").split()})
    raw = Tokenizer(models.WordLevel({w: k for k, w in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 2), ("<end>", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", unk_token="<unk>", bos_token="<start>",
        eos_token="<end>", model_max_length=77,
    )  # fmt: skip

    def shape(size: int) -> dict[str, int]:
        return {
            "hidden_size": size,
            "intermediate_size": 4 * size,
            "num_hidden_layers": layers,
            "num_attention_heads": size // 64,
        }

    text = shape(text_width) | {
        "vocab_size": 49408, "eos_token_id": 3, "bos_token_id": 2, "pad_token_id": 0
    }  # fmt: skip
    torch.manual_seed(0)
    model = CLIPModel(
        CLIPConfig(
            text_config=text,
            vision_config=shape(width) | {"image_size": 224, "patch_size": patch},
            projection_dim=text_width,
        )
    )
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}
    )
    return Towers(model, processor, tokenizer, str(folder))


def _manifest(folder: Path, limit: int, repeat: int = 0) -> Manifest:
    """The folder's photos with two captions each; with `repeat`, that many rows in turn."""
    photos = find_photos(folder)[:limit]
    ids = [image_id_of(photo) for photo in photos]
    rows = [row % len(photos) for row in range(repeat or len(photos))]
    sayings = [Caption(saying, 1.0, "quality") for saying in SAYINGS]
    return Manifest(
        path=folder,
        sha256="",
        images=[photos[row] for row in rows],
        ids=[ids[row] for row in rows],
        tasks=["quality"] * len(rows),
        scores=np.full(len(rows), np.nan),
        splits=["train"] * len(rows),
        groups=[ids[row] for row in rows],
        captions=[[sayings[row % 4], sayings[(row + 1) % 4]] for row in rows],
        datasets=[""] * len(rows),
    )


def _command(options: argparse.Namespace) -> str:
    memory = options.memory or "''"
    return (
        f"python benchmarks/train_speed.py --photos {options.photos.parent.name} "
        f"--limit {options.limit} --batch {options.batch} --epochs {options.epochs} "
        f"--rounds {options.rounds} --models {options.models} --memory {memory}"
    )


if __name__ == "__main__":
    main()
