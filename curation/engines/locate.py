"""Finding a model: its files, its name in the corpus and its revision.

Shipped models first, then directories, then the Hugging Face cache and hub. Loads nothing, so that
a wrong name is told before any photo is read.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from curation.pocket.shipped import POCKETS, shipped_models
from uniqa.errors import EngineError, InputError, UsageError

_SMALL = (".json", ".jinja", ".txt", ".model")
"""Endings of what a model consists of beside its weights; they are part of its revision."""

_CODE = (".py", ".tiktoken")
"""Endings of what some models bring besides."""


def locate_model(model: str) -> tuple[Path, str, str]:
    """Where a model's files are, what it is called and which revision it is.

    Returns:
        Folder, name and revision: the hub's commit, or ``files-`` and a hash of the folder's
        configuration and weights' sizes and first megabytes.

    Raises:
        EngineError: neither a folder nor an id that is cached or can be fetched.
        InputError: a folder without a model in it.
    """
    if model in POCKETS:
        return _shipped(model)
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder} has no config.json", "Name a Hugging Face model directory")
        if not any(folder.glob("*.safetensors")):
            raise InputError(f"{folder} has no *.safetensors weights")
        return folder.resolve(), folder.resolve().name, _folder_revision(folder)
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise InputError(f"no model directory at {model}", "Check the path")
    if "/" not in model:
        raise UsageError(
            f"unknown model '{model}'",
            f"Use {', '.join(repr(name) for name in ('measured', *shipped_models()))}, a model "
            "directory, or a hub id like org/name",
        )
    from huggingface_hub import snapshot_download

    name, _, revision = model.partition("@")
    try:
        # Code is fetched but runs only where an engine option says that it may.
        patterns = [*(f"*{suffix}" for suffix in (*_SMALL, *_CODE)), "*.safetensors"]
        path = Path(snapshot_download(name, revision=revision or None, allow_patterns=patterns))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise EngineError(
            f"the model '{model}' is neither a directory nor in the cache, and the hub gave "
            f"nothing ({reason})",
            "Download it where there is a network, then name its directory",
        ) from error
    return path, name, path.name


def _shipped(name: str) -> tuple[Path, str, str]:
    folder = shipped_models().get(name)
    if folder is None or not any(folder.glob("*.safetensors")):
        raise InputError(
            f"the model '{name}' did not come with this installation",
            "Reinstall uniqa, or use --model measured",
        )
    return folder, name, _folder_revision(folder)


def _folder_revision(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in _SMALL:
            digest.update(path.name.encode() + path.read_bytes())
        elif path.suffix == ".safetensors":
            with path.open("rb") as file:
                digest.update(json.dumps([path.name, path.stat().st_size]).encode())
                digest.update(file.read(1 << 20))
    return f"files-{digest.hexdigest()[:12]}"
