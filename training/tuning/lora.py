"""Low-rank adaptation (LoRA, Hu et al., arXiv 2106.09685) of a tower, by peft.

Only two thin matrices beside each chosen layer learn; afterwards their product is added into the
layer's own weights, so that a saved model knows nothing of it.
"""

from __future__ import annotations

import importlib.util

from torch import nn

from uniqa.errors import UsageError

LAYERS = (
    *("q_proj", "k_proj", "v_proj", "out_proj"),  # CLIP, SigLIP
    *("query", "key", "value"),  # BERT
    *("_expand_conv", "_project_conv"),  # EfficientNet's 1 × 1 convolutions
)
"""Ends of the names of layers that get low-rank matrices."""


def need_peft(option: str = "--lora") -> None:
    """Refuse in one line where peft, which `option` needs, is missing.

    Raises:
        UsageError: it is not installed.
    """
    if importlib.util.find_spec("peft") is None:
        raise UsageError(f"{option} needs the package peft", "Run: pip install peft")


def add_lora(tower: nn.Module, rank: int, *, seed: int) -> None:
    """Freeze a tower and put low-rank matrices beside its attention or 1 × 1 layers, in place.

    At first they change nothing. Their product is scaled by α/rank = 2.

    Raises:
        UsageError: peft is missing.
    """
    need_peft()
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    _plain_convolutions(tower)
    there = {name.rpartition(".")[2] for name, _ in tower.named_modules()}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(
            LoraConfig(
                r=rank,
                lora_alpha=2 * rank,
                lora_dropout=0.0,
                target_modules=[name for name in LAYERS if name in there],
            ),
            tower,
        )


def _plain_convolutions(tower: nn.Module) -> None:
    """Put torch's own 1 × 1 convolution, with the same weights, where LoRA goes beside one.

    peft makes its matrices by the layer's class, and EfficientNet's takes other arguments.
    """
    for name, layer in list(tower.named_modules()):
        special = isinstance(layer, nn.Conv2d) and type(layer) is not nn.Conv2d
        if special and name.endswith(LAYERS):
            plain = nn.Conv2d(layer.in_channels, layer.out_channels, 1, bias=layer.bias is not None)
            plain.weight, plain.bias = layer.weight, layer.bias
            parent, _, leaf = name.rpartition(".")
            setattr(tower.get_submodule(parent), leaf, plain)


def merge_lora(tower: nn.Module) -> None:
    """Add the low-rank products into the layers and take the matrices away, in place."""
    from peft.tuners.lora import LoraLayer

    for name, layer in list(tower.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(tower.get_submodule(parent), leaf, layer.get_base_layer())
    if hasattr(tower, "peft_config"):
        del tower.peft_config
