"""CLIP- and SigLIP-like models of transformers as towers.

A photo is seen whole (as the model's own processor wants it) and in fixed crops of native pixels;
its features are the whole photo's embedding followed by the crops' mean. Weights are read as
safetensors only. Must not know manifests or ratings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import normalize

from training.encoders import (
    GRID,
    MAX_SIDE,
    Block,
    Features,
    ImageTower,
    TextTower,
    fingerprint,
    fixed_crops,
    quiet_transformers,
)
from uniqa.errors import InputError
from uniqa.photos import Pixels


class Towers:
    """One transformers model with its processors; photos and texts share its space."""

    def __init__(self, model: Any, processor: Any, tokenizer: Any, source: str) -> None:
        self.model = model.eval()
        self.processor = processor
        self.tokenizer = tokenizer
        self.source = source
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device)
        self.side = _side(processor)
        text = model.config.text_config
        self.tokens = int(getattr(text, "max_position_embeddings", 77))
        with torch.inference_mode():
            self.dim = self.embed_tokens(self.tokenize(["a photo"])).shape[1]

    def fingerprint(self) -> str:
        """Twelve digits that stand for these very weights."""
        return fingerprint(self.model.state_dict())

    def pixels(self, views: Sequence[Pixels]) -> dict[str, torch.Tensor]:
        """What the model wants to see of n views: each tensor has n rows.

        CLIP and SigLIP want (n, 3, side, side); SigLIP 2 patches, their mask and their grid.
        """
        prepared = self.processor(images=list(views), return_tensors="pt")
        return {name: prepared[name] for name in self.processor.model_input_names}

    def tokenize(self, texts: Sequence[str], *, full: bool = True) -> dict[str, torch.Tensor]:
        """Texts padded to the full length, which SigLIP was trained with, or to the longest."""
        tokens = self.tokenizer(
            list(texts),
            padding="max_length" if full else "longest",
            truncation=True,
            max_length=self.tokens,
            return_tensors="pt",
        )
        return {name: value for name, value in tokens.items() if name != "token_type_ids"}

    def embed_pixels(self, pixels: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, d), not normalised."""
        there = {name: value.to(self.device) for name, value in pixels.items()}
        return _pooled(self.model.get_image_features(**there))

    def embed_tokens(self, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, d), not normalised."""
        there = {name: value.to(self.device) for name, value in tokens.items()}
        return _pooled(self.model.get_text_features(**there))


class HuggingFaceImageTower:
    """Whole photo and crops through the vision tower: (2·d,) features."""

    def __init__(self, towers: Towers, name: str) -> None:
        self.towers = towers
        self.name = f"{name}/image"
        self.policy = f"side{MAX_SIDE}-whole-crops{len(GRID)}x{towers.side}-unit-v1"
        d = towers.dim
        self.dim = 2 * d
        self.blocks: tuple[Block, ...] = (Block("whole", 0, d), Block("crops", d, 2 * d))
        self.families: dict[str, tuple[str, ...]] = {
            "whole and crops": ("whole", "crops"),
            "whole": ("whole",),
        }

    def prepare(self, pixels: Pixels) -> dict[str, torch.Tensor]:
        """The whole and the crops, as the model wants them."""
        return self.towers.pixels([pixels, *fixed_crops(pixels, self.towers.side)])

    def encode(self, prepared: dict[str, torch.Tensor]) -> Features:
        """Unit-length embedding of the whole, then the mean of the crops' unit-length ones."""
        with torch.inference_mode():
            views = normalize(self.towers.embed_pixels(prepared), dim=-1).cpu()
        values: Features = torch.cat([views[0], views[1:].mean(0)]).float().numpy()
        return values


class HuggingFaceTextTower:
    """Unit-length text embeddings (n, d)."""

    def __init__(self, towers: Towers, name: str) -> None:
        self.towers = towers
        self.name = f"{name}/text"
        self.dim = towers.dim

    def encode(self, texts: Sequence[str]) -> Features:
        """(n, d); all texts have the model's full length, so batches never matter."""
        parts = []
        for start in range(0, len(texts), 32):
            with torch.inference_mode():
                tokens = self.towers.tokenize(texts[start : start + 32])
                parts.append(normalize(self.towers.embed_tokens(tokens), dim=-1).cpu())
        values: Features = torch.cat(parts).float().numpy()
        return values


def load_towers(source: str) -> tuple[ImageTower, TextTower]:
    """Towers of a model id or directory.

    Raises:
        InputError: not found, not a contrastive image–text model, or without safetensors.
    """
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    quiet_transformers()
    try:
        model = AutoModel.from_pretrained(source, use_safetensors=True, dtype=torch.float32)
        processor = AutoImageProcessor.from_pretrained(source, backend="pil")
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"--model {source} cannot be loaded ({reason})",
            "Use compact, or a CLIP or SigLIP model with safetensors weights",
        ) from error
    if not hasattr(model, "get_image_features") or not hasattr(model, "get_text_features"):
        raise InputError(
            f"--model {source} is a {type(model).__name__}, which has no image and text towers",
            "Use compact, or a CLIP or SigLIP model",
        )
    return wrap(Towers(model, processor, tokenizer, source))


def wrap(towers: Towers) -> tuple[ImageTower, TextTower]:
    """Both towers under a name that tells these very weights."""
    name = f"{type(towers.model).__name__}@{towers.fingerprint()}"
    return HuggingFaceImageTower(towers, name), HuggingFaceTextTower(towers, name)


def save_towers(image: Any, folder: Path) -> None:
    """Write weights (safetensors), configuration, tokenizer and image processor."""
    towers: Towers = image.towers
    towers.model.save_pretrained(folder, safe_serialization=True)
    towers.tokenizer.save_pretrained(folder)
    towers.processor.save_pretrained(folder)


def temperature(model: Any) -> torch.Tensor:
    """exp(logit_scale) of a CLIP-like model, inside 1 … 100."""
    scale: torch.Tensor = model.logit_scale
    return scale.exp().clamp(1.0, 100.0).squeeze()


def log_temperature(model: Any) -> float:
    """logit_scale itself, clamped alike."""
    return math.log(float(temperature(model).detach()))


def _side(processor: Any) -> int:
    """Side of the square that a processor makes of a photo, in pixels."""
    if getattr(processor, "max_num_patches", None):
        return int(processor.patch_size) * math.isqrt(int(processor.max_num_patches))
    size = dict(processor.crop_size or processor.size)
    return int(size.get("height") or size.get("shortest_edge") or 224)


def _pooled(output: Any) -> torch.Tensor:
    """transformers 5 returns an object, earlier versions a tensor."""
    pooled: torch.Tensor = output if isinstance(output, torch.Tensor) else output.pooler_output
    return pooled
