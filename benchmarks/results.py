"""Where benchmarks write: one section per benchmark in RESULTS.md, with machine and versions."""

from __future__ import annotations

import os
import platform
import re
import sys
from datetime import date
from pathlib import Path

import psutil

from curation.corpus import versions

RESULTS = Path(__file__).with_name("RESULTS.md")

HEAD = """\
# Results

Written by the scripts in this folder, but for remarks below some tables; each section names its
command. `oasis_beauty` is what the README calls beauty (501 photos), `avt_quality` what it calls
compression (256 frames).
"""


def machine() -> str:
    """This machine and what runs on it, in one line."""
    memory = psutil.virtual_memory().total / 2**30
    what = ", ".join(f"{name} {number}" for name, number in versions().items())
    parts = (platform.machine(), f"{os.cpu_count()} cores", f"{memory:.0f} GiB", accelerator())
    return f"{', '.join(parts)}; {what}"


def accelerator() -> str:
    """The GPUs that torch finds by name, or that none was used."""
    import torch

    if not torch.cuda.is_available():
        return "no GPU used"
    names = [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())]
    return ", ".join(
        f"{names.count(name)} × {name}" if names.count(name) > 1 else name
        for name in dict.fromkeys(names)
    )


def told_arguments() -> str:
    """What the script was called with; of a path its last two parts, whatever lies before."""
    told = []
    for word in sys.argv[1:]:
        path = Path(word)
        told.append(str(Path(*path.parts[-2:])) if path.is_absolute() else word)
    return " ".join(told)


def write_section(title: str, body: str, command: str) -> None:
    """Replace (or add) the section `title` of RESULTS.md."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else HEAD
    section = (
        f"## {title}\n\n`{command}`, {date.today():%Y-%m-%d}, on {machine()}.\n\n{body.strip()}\n"
    )
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    if pattern.search(text):
        text = pattern.sub(lambda _: section + "\n", text)
    else:
        text = text.rstrip() + "\n\n" + section
    RESULTS.write_text(text.rstrip() + "\n", encoding="utf-8")
