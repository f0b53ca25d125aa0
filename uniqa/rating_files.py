"""Files that ratings stand in, read as they are: text tables, Parquet, JSON lines, containers.

Containers of photos (see `uniqa.containers`) that hold scores too are ratings tables as well; so
is a folder of such containers, the shards of one dataset. Must not know what is made of the cells.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from uniqa.containers import columns, is_container, read_table
from uniqa.errors import InputError
from uniqa.photos import absolute, search
from uniqa.splits import SPLITS

# First name that a table has wins; compared in lower case without spaces, dashes, underscores.
NAMES: dict[str, list[str]] = {
    "image": (
        "image image_path image_name img path file filename file_name filepath photo picture "
        "dist_img dis_img_path distorted name image_id id"
    ).split(),
    "mos": (
        "mos mean_opinion_score dmos mos_quality quality_mos mos_zscore score mean rating "
        "mean_score beauty quality aesthetic"
    ).split(),
    "std": "std mos_std sd stddev mos_sd score_std stdev".split(),
    "votes": "votes n_votes num_votes n raters num_ratings count".split(),
    "dataset": ["dataset"],
    "group": "group content scene reference ref ref_img ref_img_path source_image".split(),
    "split": "split set fold".split(),
    "scale": ["scale"],
    "task": ["task"],
    "known": (
        "distortion distortion_type dist_type distortion_name dist_name degradation corruption "
        "attribute known"
    ).split(),
}

RENAMED_SPLITS = {
    "training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test",
}  # fmt: skip
"""What other tables call the splits."""


def is_table(path: Path, score_column: str | None = None) -> bool:
    """Whether a path is a ratings table: by its ending, or a container of photos with scores.

    Args:
        path: a file or a `datasets` directory.
        score_column: name of the scores, when they have an unusual one.

    Raises:
        InputError: a container that cannot be opened.
    """
    if is_container(path):
        return has_scores(path, score_column)
    return _kind(path) is not None and not path.is_dir()


def has_scores(container: Path | str, score_column: str | None = None) -> bool:
    """Whether a container of photos has a numeric column that is named like scores are.

    Raises:
        InputError: a container that cannot be opened.
    """
    names = {plain_name(score_column)} if score_column else set(map(plain_name, NAMES["mos"]))
    return any(
        number and bool(names.intersection((plain_name(name), leaf(name))))
        for name, number in columns(container).items()
    )


def read_frame(path: Path) -> pd.DataFrame:
    """Read a table as it is, every cell of a text format as text.

    A container, or a folder of rated containers, gives the photos' addresses as `image` and all
    that it tells beside the pixels.

    Raises:
        InputError: no such file, an ending that is no table's, or a file that does not parse.
    """
    if path.is_dir() or is_container(path):
        return read_containers(path, None, [])
    kind = _kind(path)
    if not path.is_file():
        raise InputError(f"no table at {path}", "Check the path")
    if kind is None:
        raise InputError(f"{path} is not a table", "Use .csv, .tsv, .parquet or .jsonl")
    try:
        if kind == "parquet":
            return _with_image_paths(_with_index(pd.read_parquet(path)))
        if kind == "json":
            return pd.read_json(path, lines=True, dtype=False)
        return _read_text(path, "\t" if kind == "tsv" else ",")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} cannot be read as a table (not UTF-8 text)", "Save it as UTF-8"
        ) from error
    except (ValueError, OSError, pd.errors.ParserError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as a table ({reason})") from error


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """pandas stores its index: named, it is a column; else it may count several tables' rows."""
    return frame.reset_index(drop=all(name is None for name in frame.index.names))


def _with_image_paths(frame: pd.DataFrame) -> pd.DataFrame:
    """`datasets` writes photos that it did not embed as pairs of no bytes and a path."""
    for column in frame.columns:
        first = frame[column].iloc[0] if len(frame) else None
        if isinstance(first, dict) and set(first) == {"bytes", "path"}:
            frame[column] = [cell.get("path") if cell else None for cell in frame[column]]
    return frame


def read_containers(path: Path, score_column: str | None, guessed: list[str]) -> pd.DataFrame:
    """A container's table, or one of all rated containers below a folder: shards of a dataset."""
    path = absolute(path)
    if is_container(path):
        shards = [str(path)]
    else:
        shards = [one for one in search(path).containers if has_scores(one, score_column)]
    if not shards:
        raise InputError(
            f"no ratings in the folder {path}", "Name a table, or a container of photos with scores"
        )
    _check_shards(path, shards)
    frames: list[pd.DataFrame] = []
    for shard in shards:
        frame = read_table(shard)
        told = re.match(r"([a-z]+)[-_.\d]", Path(shard).name.lower())
        if told and "split" not in frame.columns:
            name = RENAMED_SPLITS.get(told[1], told[1])
            if name in SPLITS:
                frame["split"] = name
                guessed.append(f"photos in {Path(shard).name} are of the split {name}, by its name")
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _check_shards(folder: Path, shards: Sequence[str]) -> None:
    """Refuse two datasets in one folder: they would get one scale.

    Shards differ in numbers and splits only: train-00000-of-00004, test-00000-of-00001.
    """
    words = {*SPLITS, *RENAMED_SPLITS, "of", ""}
    first = None
    for shard in shards:
        parts = re.split(r"[\W\d_]+", str(Path(shard).relative_to(folder.parent)).lower())
        name = [part for part in parts if part not in words]
        if first not in (None, name):
            raise InputError(
                f"{shards[0]} and {shard} look like two datasets with ratings",
                "Name each by itself, or put each into a folder of its own",
            )
        first = name


def _read_text(path: Path, separator: str) -> pd.DataFrame:
    header = pd.read_csv(path, sep=separator, nrows=0, index_col=False).columns
    if len(header) == 1 and "\t" in str(header[0]):
        # Tables for CLIP training are called .csv, whatever separates their columns.
        separator = "\t"
        header = pd.read_csv(path, sep=separator, nrows=0, index_col=False).columns
    semicolons = len(header) == 1 and ";" in str(header[0])
    if semicolons:
        separator = ";"
        header = pd.read_csv(path, sep=separator, nrows=0, index_col=False).columns
    # With a column to spare: a field too many would else shift all the others by one, silently.
    names = [*header, "\0spare"]
    with warnings.catch_warnings():
        # Of fields too many, which is said once, below.
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        frame = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            header=None,
            skiprows=1,
            names=names,
            index_col=False,
        )
    spare = frame.pop("\0spare")
    full = spare[spare.notna() & (spare != "")]
    if len(full):
        raise InputError(
            f"{path} has more fields in row {int(full.index[0]) + 2} than in its header",
            "Quote commas inside a field",
        )
    if semicolons:
        # Where the semicolon separates, the comma is the decimal sign.
        frame = frame.replace(r"^(-?\d+),(\d+)$", r"\1.\2", regex=True)
    return frame


def _kind(path: Path) -> str | None:
    name = path.name.lower().removesuffix(".gz")
    endings = {"csv": "csv", "tsv": "tsv", "tab": "tsv", "parquet": "parquet", "jsonl": "json"}
    return endings.get(name.rpartition(".")[2])


def plain_name(name: str) -> str:
    """A column's name without case, spaces, dashes and underscores."""
    return re.sub(r"[\s_\-]+", "", name).lower()


def leaf(name: str) -> str:
    """The last part of a nested name: ``mos`` of ``ratings.mos``."""
    return plain_name(name.rpartition(".")[2])
