"""How the pocket models learn to talk: what the eyes read, said in words, when asked for it.

The eyes are done and stay as they are. Every picture is looked at once; from then on a small
Llama learns to answer questions about image tokens. The teacher is the grammar of `answers`, told
what the eyes themselves read (`targets.reading_of`): so the model is never taught to say what it
cannot see. All questions about a picture share its tokens and their system message, as they do
when vLLM answers them: one row of a batch is that prefix and several questions with answers, which
see the prefix and themselves but not one another.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from curation.pocket.answers import answer
from curation.pocket.calibrate import calibrated
from curation.pocket.eyes import Eyes, canvas_frames, make_optimizer
from curation.pocket.incontext import MANNERS
from curation.pocket.questions import level_question, question
from curation.pocket.reading import Reading
from curation.pocket.shape import SPECIAL, TILE_TOKENS, config_of
from curation.pocket.targets import reading_of
from curation.prompts import PromptLibrary
from uniqa import console
from uniqa.levels import LEVELS, TASKS

STYLES = ("brief", "plain", "rich")
QUESTIONS = 6
"""Questions about a picture in one row of a batch."""
LEVEL_SHARE, KNOWN_SHARE = 0.08, 0.15
"""Shares of the questions that ask for a level, and that are told a fault of the picture."""

_IMAGES = "<image>" * TILE_TOKENS
IMAGE = (
    "".join(
        "".join(f"<fake_token_around_image><row_{row}_col_{column}>{_IMAGES}" for column in (1, 2))
        + "\n"
        for row in (1, 2)
    )
    + f"\n<fake_token_around_image><global-img>{_IMAGES}<fake_token_around_image>"
)
"""What the processor makes of ``<image>`` for a photo of four tiles."""

CUES = {
    task: tuple(PromptLibrary().tasks[task].cues) for task in TASKS
}  # quality and aesthetic, each with its own


@dataclass(frozen=True, slots=True)
class Sight:
    """What the eyes saw of all pictures.

    `tokens`: (pictures, 5 · TILE_TOKENS, hidden size), tiles first, thumbnail last.
    """

    tokens: Tensor
    readings: list[Reading]


def look_all(
    eyes: Eyes,
    images: NDArray[np.uint8],
    truth: NDArray[np.float32],
    apart: int,
    batch: int = 16,
) -> dict[str, Sight]:
    """Image tokens and readings of pictures, for every model.

    Args:
        eyes: that are done.
        images: canvases, (n, CANVAS, CANVAS, 3).
        truth: their rows, (n, targets.WIDTH).
        apart: how many of them, the last, are of photographs that the eyes did not learn from; all
            are read as these turn out to be best read.
    """
    tokens: dict[str, list[Tensor]] = {name: [] for name in eyes.connectors}
    rows: list[NDArray[np.float32]] = []
    with console.progress() as bar, torch.inference_mode():
        task = bar.add_task("looking", total=len(images), note="")
        for start in range(0, len(images), batch):
            part = images[start : start + batch]
            frames = np.stack([np.stack(list(canvas_frames(canvas))) for canvas in part])
            with torch.autocast("cpu", dtype=torch.bfloat16):
                seen = eyes.tokens_of(torch.from_numpy(frames).permute(0, 1, 4, 2, 3))
            for name, token in seen.items():
                tokens[name].append(token.flatten(1, 2).half())
            # Both models are told the same: what the two readers see on average.
            rows.append(eyes.plain(torch.stack(list(eyes.rows_of(seen).values())).mean(dim=0)))
            bar.advance(task, len(part))
    scores = np.concatenate(rows)
    found = calibrated(scores[len(scores) - apart :], truth[len(scores) - apart :])
    console.say(f"clean is said once its score is {-found.cleaner:.1f} above the others'")
    readings = [
        reading_of(row, float(quality))
        for row, quality in zip(found.corrected(scores), found.quality(scores), strict=True)
    ]
    return {name: Sight(torch.cat(parts), readings) for name, parts in tokens.items()}


def save_sights(sights: dict[str, Sight], path: Path) -> None:
    """Keep what `look_all` saw."""
    readings = [astuple(reading) for reading in next(iter(sights.values())).readings]
    part = path.with_suffix(".part")
    torch.save({"readings": readings} | {n: sight.tokens for n, sight in sights.items()}, part)
    part.replace(path)


def load_sight(path: Path, name: str) -> Sight:
    """What `save_sights` kept, for one model."""
    kept = torch.load(path, weights_only=True)
    return Sight(kept[name], [Reading(*values) for values in kept["readings"]])


class Lessons:
    """Draws rows to learn from: a picture, up to two exemplars, questions and answers."""

    def __init__(self, name: str, sight: Sight, tokenizer: Any, seed: int) -> None:
        self.manner = MANNERS[name]
        self.sight = sight
        self.tokenizer = tokenizer
        self.seed = seed

    def row(
        self, index: int, batch: int
    ) -> tuple[list[int], list[int], list[tuple[list[int], int]]]:
        """One row.

        Args:
            index: of the row; the same row every time.
            batch: rows of a batch. All of one have as many exemplars, since the longest row
                decides what a batch costs.

        Returns:
            The prefix's tokens; the pictures whose image tokens it holds, in order; and per
            question its tokens with those of the answer, and how many of them the answer is.
        """
        rng = random.Random(f"{self.seed}/{index}")
        task = rng.choice(TASKS)
        system, _ = question(task, "overall", "", rng)
        shots = random.Random(f"{self.seed}/{index // batch}/shots").choices(
            (0, 1, 2), (0.64, 0.16, 0.2)
        )[0]
        style = rng.choice(STYLES)
        pictures: list[int] = []
        text = "<|im_start|>" + (f"System: {system}<end_of_utterance>\n" if system else "")
        for _ in range(shots):
            pictures.append(rng.randrange(len(self.sight.readings)))
            asked, said = self._exchange(pictures[-1], task, style, rng, bool(system))
            text += f"User:{IMAGE} {asked}<end_of_utterance>\nAssistant: {said}<end_of_utterance>\n"
        pictures.append(rng.randrange(len(self.sight.readings)))
        prefix = self._ids(f"{text}User:{IMAGE}")
        exchanges = []
        for _ in range(QUESTIONS):
            told = style if shots else rng.choices(STYLES, (0.2, 0.5, 0.3))[0]
            asked, said = self._exchange(pictures[-1], task, told, rng, bool(system))
            before = self._ids(f" {asked}<end_of_utterance>\nAssistant:")
            after = self._ids(f" {said}<end_of_utterance>")
            exchanges.append((before + after, len(after)))
        return prefix, pictures, exchanges

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _exchange(
        self, picture: int, task: str, style: str, rng: random.Random, system: bool
    ) -> tuple[str, str]:
        reading = self.sight.readings[picture]
        if rng.random() < LEVEL_SHARE:
            asked, start = level_question(task, rng)
            return asked, f"{start} {reading.quality if task == 'quality' else reading.beauty}."
        cue = "overall" if rng.random() < 0.3 else rng.choice(CUES[task])
        level = rng.choice(LEVELS) if rng.random() < 0.45 else ""
        told = rng.random() < KNOWN_SHARE and reading.faults
        for _ in range(8):
            own, asked = question(task, cue, level, rng, fault=reading.faults[0][0] if told else "")
            # Without a system message only a question that tells the task by itself will do.
            if bool(own) == system:
                break
        said = answer(reading, task, cue, level, self.manner, style, rng)
        return asked, said


def train_talk(
    name: str,
    sight: Sight,
    tokenizer: Any,
    checkpoint: Path,
    *,
    steps: int,
    batch: int = 8,
    rate: float = 2e-3,
    seed: int = 0,
) -> Any:
    """Train, or go on training, the speaking half of an ``Idefics3ForConditionalGeneration``.

    Returns the model; its vision half is not touched. Checkpoints are written every 200 steps.
    """
    from transformers import Idefics3ForConditionalGeneration

    torch.manual_seed(seed)
    config = config_of(name, len(tokenizer))
    config._attn_implementation = "sdpa"
    model = Idefics3ForConditionalGeneration(config)
    talker = _Talker(model)
    mean = [p.detach().clone() for p in talker.parameters()]
    optimizer = make_optimizer(talker, rate)
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        talker.load_state_dict(state["talker"])
        optimizer.load_state_dict(state["optimizer"])
        mean, start = state["mean"], state["step"]
    lessons = Lessons(name, sight, tokenizer, seed)
    spread = float(sight.tokens[:256].float().std())
    began, smooth = time.monotonic(), 0.0
    with console.progress() as bar:
        task = bar.add_task(name, total=steps, completed=start, note="")
        for step in range(start, steps):
            for group in optimizer.param_groups:
                warm = min(1.0, (step + 1) / 100)
                group["lr"] = rate * warm * 0.5 * (1 + math.cos(math.pi * step / steps))
            rows = [lessons.row(step * batch + place, batch) for place in range(batch)]
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = talker(rows, sight.tokens, 0.03 * spread)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(talker.parameters(), 1.0)
            optimizer.step()
            keep = min(0.997, (step + 1) / (step + 10))
            with torch.no_grad():
                for old, new in zip(mean, talker.parameters(), strict=True):
                    old.lerp_(new, 1 - keep)
            value = float(loss.detach())
            smooth = value if not smooth else 0.98 * smooth + 0.02 * value
            bar.update(task, advance=1, note=f"loss {smooth:.3f}")
            if (step + 1) % 100 == 0:
                console.say(
                    f"{name} {step + 1}/{steps} loss {smooth:.3f} {time.monotonic() - began:.0f} s"
                )
            if (step + 1) % 200 == 0 or step + 1 == steps:
                part = checkpoint.with_suffix(".part")
                torch.save(
                    {
                        "talker": talker.state_dict(),
                        "mean": mean,
                        "optimizer": optimizer.state_dict(),
                        "step": step + 1,
                    },
                    part,
                )
                part.replace(checkpoint)
    with torch.no_grad():
        for old, new in zip(mean, talker.parameters(), strict=True):
            new.copy_(old)
    return model.eval()


class _Talker(nn.Module):
    """The speaking half of a model, on rows of `Lessons`."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.text = model.model.text_model
        # Tied: the same matrix reads words and writes them.
        model.lm_head.weight = self.text.embed_tokens.weight

    def forward(self, rows: Sequence[Any], tokens: Tensor, noise: float) -> Tensor:
        """Mean cross-entropy of the answers' tokens."""
        image_token, pad = SPECIAL.index("<image>"), SPECIAL.index("<pad>")
        width = max(len(prefix) + sum(len(part) for part, _ in parts) for prefix, _, parts in rows)
        ids = torch.full((len(rows), width), pad)
        positions = torch.zeros((len(rows), width), dtype=torch.long)
        group = torch.full((len(rows), width), -1)
        labels = torch.full((len(rows), width), -100)
        for r, (prefix, _, parts) in enumerate(rows):
            at = len(prefix)
            ids[r, :at] = torch.tensor(prefix)
            positions[r, :at] = torch.arange(at)
            group[r, :at] = 0
            for number, (part, length) in enumerate(parts, start=1):
                end = at + len(part)
                ids[r, at:end] = torch.tensor(part)
                positions[r, at:end] = torch.arange(len(part)) + len(prefix)
                group[r, at:end] = number
                # The token before the answer is the first that has something to foretell.
                labels[r, end - length - 1 : end - 1] = ids[r, end - length : end]
                at = end
        same = group[:, :, None] == group[:, None, :]
        prefix_seen = (group[:, None, :] == 0) & (group[:, :, None] > 0)
        order = torch.ones(width, width, dtype=torch.bool).tril()
        allowed = (same | prefix_seen) & order
        embedded = self.text.embed_tokens(ids)
        seen = torch.cat([tokens[pictures].float().flatten(0, 1) for _, pictures, _ in rows])
        seen = seen + noise * torch.randn_like(seen)
        embedded = embedded.masked_scatter((ids == image_token)[:, :, None], seen.to(embedded))
        hidden = self.text(
            inputs_embeds=embedded, attention_mask=allowed[:, None], position_ids=positions
        ).last_hidden_state
        wanted = labels >= 0
        logits = functional.linear(hidden[wanted], self.text.embed_tokens.weight).float()
        return functional.cross_entropy(logits, labels[wanted])
