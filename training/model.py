"""The model directory: towers by name, learned tensors, and where everything came from.

| file | what |
| --- | --- |
| model.json | kind of towers, sizes, task, temperature's bounds, the head and its facts |
| model.safetensors | projections and, after `adapt`, the head |
| seen.safetensors | SHA-256 of every photo learned from, and cross-fitted embeddings |
| provenance.json | manifest hash, versions, seed, settings, encoders |
| metrics.jsonl | one line per epoch and, where towers were tuned, per window of steps |
| towers/ | Hugging Face towers, or those of `compact` that were tuned |

Only safetensors and JSON are read; a directory with pickled weights is refused. Must not know how
anything in it was learned.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.encoders import (
    ImageTower,
    Lite0Tower,
    MiniLMTower,
    TextTower,
    load_compact,
    save_compact,
)
from training.heads import Learned, pack, unpack
from training.projections import Projections
from uniqa.errors import InputError, UsageError

FORMAT = 2
_PICKLES = frozenset(".bin .pt .pth .pkl .pickle .ckpt .joblib".split())


@dataclass
class Head:
    """What `adapt` learned: the chosen method, its tensors, and the facts behind the choice."""

    method: str
    learned: Learned
    task: str
    scale: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Model:
    """A contrastive model with its towers and, perhaps, a head."""

    kind: str
    """`compact` or `huggingface`."""
    image: ImageTower
    text: TextTower
    projections: Projections
    task: str
    """The task it was pre-trained for mostly; what zero-shot scores speak about by default."""
    provenance: dict[str, Any]
    seen: frozenset[str]
    """Ids of photos learned from, in pre-training or adaptation."""
    head: Head | None = None
    metrics: list[dict[str, Any]] = field(default_factory=list)
    trained_on: frozenset[str] = frozenset()
    """Those of `seen` that were learned from in pre-training."""
    crossfit: dict[str, torch.Tensor] = field(default_factory=dict)
    """Id → (dim,) embedding by a model that never saw this photo's group; may be empty."""


def new_directory(path: Path, *, overwrite: bool = False, left: Collection[str] = ()) -> Path:
    """A path that a model may be written to.

    Args:
        path: a directory, there or not.
        overwrite: whether a model in it may be replaced.
        left: names in it that do not count, because an unfinished run left them.

    Raises:
        UsageError: it exists with something in it, and `overwrite` is not given.
        OSError: its folder cannot be made or written.
    """
    if path.is_file():
        raise UsageError(f"{path} is a file", "Name a folder by --out")
    filled = path.is_dir() and any(one.name not in left for one in path.iterdir())
    if filled and not overwrite:
        raise UsageError(
            f"{path} already has something in it", "Name another --out, or --overwrite"
        )
    ours = (path / "model.json").is_file() or (path / "checkpoint").is_dir()
    if filled and overwrite and not ours:
        raise UsageError(f"{path} is not a model directory", "--overwrite replaces only models")
    # Before the work, not after: the place can be made and written.
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass
    return path


def save_model(model: Model, path: Path) -> None:
    """Write a model directory whole: beside its place first, then renamed into it."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        scratch.chmod(0o755)
        tensors = {f"projections.{n}": t for n, t in model.projections.state_dict().items()}
        tensors |= {f"head.{name}": tensor for name, tensor in _head_tensors(model.head).items()}
        _write(scratch / "model.json", _describe(model))
        save_file({n: t.contiguous() for n, t in tensors.items()}, scratch / "model.safetensors")
        seen = {"pretraining": _pack(model.trained_on), "all": _pack(model.seen)}
        if model.crossfit:
            keys = sorted(model.crossfit)
            seen["crossfit_ids"] = _pack(keys)
            seen["crossfit"] = torch.stack([model.crossfit[key] for key in keys])
        save_file(seen, scratch / "seen.safetensors")
        _write(scratch / "provenance.json", model.provenance)
        lines = "".join(json.dumps(_plain(record)) + "\n" for record in model.metrics)
        (scratch / "metrics.jsonl").write_text(lines, encoding="utf-8")
        if model.kind == "huggingface":
            from training.huggingface import save_towers

            save_towers(model.image, scratch / "towers")
        elif isinstance(model.image, Lite0Tower) and isinstance(model.text, MiniLMTower):
            save_compact(model.image, model.text, scratch / "towers")
        _move_in(scratch, path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


KEPT = ("tensorboard",)
"""What a run leaves beside its model and the model replaces not."""


def _move_in(scratch: Path, path: Path) -> None:
    """Put a finished directory in place; `model.json`, which makes it a model, comes last.

    What was there, checkpoints too, goes only afterwards: a run killed here goes on from them.
    """
    if not path.exists():
        scratch.replace(path)
        return
    (path / "model.json").unlink(missing_ok=True)
    new = sorted(file.name for file in scratch.iterdir())
    for name in sorted(new, key=lambda name: name == "model.json"):
        if (path / name).is_dir():
            shutil.rmtree(path / name)
        (scratch / name).replace(path / name)
    for old in path.iterdir():
        if old.name not in (*new, *KEPT):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    scratch.rmdir()


def load_model(path: Path) -> Model:
    """Read a model directory.

    Raises:
        InputError: not a model directory, pickled weights in it, damaged, or made by another
            version of the towers.
    """
    if not (path / "model.json").is_file():
        raise InputError(f"{path} is not a model directory", "Make one by uniqa-train pretrain")
    for file in sorted(path.rglob("*")):
        if file.suffix.lower() in _PICKLES:
            raise InputError(
                f"{file} is a pickle, which can run code when it is read",
                "Remove it; models hold safetensors and JSON only",
            )
    about = _read_json(path / "model.json")
    if about.get("format") != FORMAT:
        raise InputError(
            f"{path} has model format {about.get('format')}, this program reads {FORMAT}",
            "Install the version that made it, or pre-train again",
        )
    try:
        return _assemble(path, about)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is damaged ({reason})", "Make it again") from error


def _assemble(path: Path, about: dict[str, Any]) -> Model:
    image, text = make_towers(about["kind"], path / "towers")
    for tower, told in ((image, about["image_encoder"]), (text, about["text_encoder"])):
        if tower.name != told:
            raise InputError(
                f"{path} was made with the encoder {told}, here is {tower.name}",
                "Pre-train again with this version",
            )
    if image.policy != about["crop_policy"]:
        raise InputError(
            f"{path} was made with the crop policy {about['crop_policy']}, here is {image.policy}",
            "Pre-train again with this version",
        )
    tensors = _read_tensors(path / "model.safetensors")
    projections = Projections(image.dim, text.dim, about["dim"])
    state = {n.removeprefix("projections."): t for n, t in tensors.items() if n[0] == "p"}
    if "logit_bias" in state:
        projections.add_bias(0.0)
    projections.load_state_dict(state)
    seen = _read_tensors(path / "seen.safetensors")
    lines = (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return Model(
        kind=about["kind"],
        image=image,
        text=text,
        projections=projections.eval().requires_grad_(False),
        task=about["task"],
        provenance=_read_json(path / "provenance.json"),
        seen=_unpack(seen["all"]),
        trained_on=_unpack(seen["pretraining"]),
        crossfit=_crossfit(seen),
        head=_head(about["head"], tensors),
        metrics=[json.loads(line) for line in lines],
    )


def make_towers(kind: str, folder: Path | str) -> tuple[ImageTower, TextTower]:
    """The towers of `compact` (packaged, or tuned ones in `folder`), or those of a Hugging Face id.

    An empty `folder` means the packaged ones.
    """
    if kind == "compact":
        return load_compact(Path(folder)) if str(folder) else (Lite0Tower(), MiniLMTower())
    from training.huggingface import load_towers

    return load_towers(str(folder))


def versions() -> dict[str, str]:
    """Versions of everything that numbers depend on."""
    names = ("uniqa", "torch", "transformers", "datasets", "numpy", "pillow", "safetensors")
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _describe(model: Model) -> dict[str, Any]:
    head = None
    if model.head is not None:
        head = {
            "method": model.head.method,
            "task": model.head.task,
            "scale": model.head.scale,
            "facts": model.head.facts,
            "learned": pack(model.head.learned)[1],
        }
    return {
        "format": FORMAT,
        "kind": model.kind,
        "image_encoder": model.image.name,
        "text_encoder": model.text.name,
        "crop_policy": model.image.policy,
        "dim": model.projections.text.out_features,
        "task": model.task,
        "head": head,
    }


def _head_tensors(head: Head | None) -> dict[str, torch.Tensor]:
    return pack(head.learned)[0] if head is not None else {}


def _head(about: dict[str, Any] | None, tensors: dict[str, torch.Tensor]) -> Head | None:
    if about is None:
        return None
    own = {n.removeprefix("head."): t for n, t in tensors.items() if n.startswith("head.")}
    learned = unpack(about["method"], own, about["learned"])
    return Head(about["method"], learned, about["task"], about["scale"], about["facts"])


def _pack(ids: Sequence[str] | frozenset[str]) -> torch.Tensor:
    blob = bytes.fromhex("".join(sorted(ids)))
    return torch.from_numpy(np.frombuffer(blob, dtype=np.uint8).reshape(-1, 32).copy())


def _crossfit(seen: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if "crossfit" not in seen:
        return {}
    keys = (bytes(row).hex() for row in seen["crossfit_ids"].numpy())
    return dict(zip(keys, seen["crossfit"], strict=True))


def _unpack(packed: torch.Tensor) -> frozenset[str]:
    return frozenset(bytes(row).hex() for row in packed.numpy())


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read ({error})", "Make the model again") from error
    return tensors


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error})", "Make the model again") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object", "Make the model again")
    return value


def _write(path: Path, value: dict[str, Any]) -> None:
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, sort_keys=True)
    with path.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        os.fsync(file.fileno())


def _plain(value: Any) -> Any:
    """JSON knows no NaN: it becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.floating | np.integer):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
