"""Texts from elsewhere: people's comments, and captions that another program made.

A table with one row per text becomes captions of the corpus, each known by a hash of image, maker
and text, so that importing again adds nothing. Photos are verified and hashed as everywhere. Must
not know what a text is worth.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from curation import rows
from curation.corpus import Corpus, now
from curation.images import ImageStep, Prepared
from curation.text_lists import read_lists
from uniqa.containers import stamp
from uniqa.errors import InputError, UsageError, nearest
from uniqa.image_names import resolve_images
from uniqa.levels import TASKS
from uniqa.photos import Photo
from uniqa.rating_files import NAMES, read_frame

KINDS = ("comment", "caption")
"""What people write; what models write."""

TEXT_NAMES = "comment caption text description prompt sentence review title txt".split()

_PHOTOS, _TEXTS = 128, 20_000


@dataclass(frozen=True)
class Texts:
    """A table of texts made regular.

    `frame` has the columns `name` (as written), `image` (absolute path, or the name where photos
    are not wanted), `text`, `task`, `cue`, `model` and `revision` (empty for comments).
    """

    path: Path
    kind: str
    dataset: str
    frame: pd.DataFrame
    guessed: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


@dataclass
class Imported:
    """What an import did; numbers of texts, but for `photos` and `photos_failed`."""

    texts: int = 0
    added: int = 0
    there_before: int = 0
    without_photo: int = 0
    photos: int = 0
    photos_failed: int = 0
    complaints: list[str] = field(default_factory=list)


def read_texts(
    path: Path,
    kind: str,
    *,
    image_column: str | None = None,
    text_column: str | None = None,
    images_root: Path | None = None,
    photos: bool = True,
    dataset: str | None = None,
    task: str | None = None,
    model: str | None = None,
) -> Texts:
    """Read a table with one text per row.

    Args:
        path: .csv, .tsv, .jsonl (also gzipped), .parquet, or a .json list (`curation.text_lists`).
        kind: one of `KINDS`.
        image_column, text_column: names; guessed, and said, when not given.
        images_root: folder that image names are relative to; guessed when not given.
        photos: False leaves images as names, where the photos themselves are not at hand.
        dataset: name of the collection; the file's name otherwise.
        task: what the texts speak about; the table's ``task`` column, else aesthetic.
        model: who made captions; the table's ``model`` column otherwise.

    Raises:
        InputError: unreadable, no usable column or row; captions of an unknown model.
        UsageError: a named column or task that there is not.
    """
    if kind not in KINDS:
        raise UsageError(f"--kind does not know '{kind}'", nearest(kind, KINDS))
    guessed: list[str] = []
    raw = read_lists(path) if path.suffix == ".json" else read_frame(path)
    if raw.empty:
        raise InputError(f"{path} has no rows")
    name = _column(path, raw, "image", image_column, NAMES["image"], guessed)
    text = _column(path, raw, "text", text_column, TEXT_NAMES, guessed)
    frame = pd.DataFrame(
        {"name": raw[name].map(_plain), "text": raw[text].map(_plain)}, index=raw.index
    )
    frame["task"] = _tasks(path, raw, task, guessed)
    frame["cue"] = raw["cue"].map(_plain) if kind == "caption" and "cue" in raw else kind
    frame["model"], frame["revision"] = "", ""
    if kind == "caption":
        if model is None and "model" not in raw:
            raise InputError(f"{path} does not say which model wrote the captions", "Use --model")
        frame["model"] = model if model is not None else raw["model"].map(_plain)
        frame["revision"] = raw["revision"].map(_plain) if "revision" in raw else ""
    frame, dropped = _usable(path, frame)
    frame["image"] = frame["name"]
    if photos:
        frame["image"] = resolve_images(path, frame["name"].tolist(), images_root, guessed)
        frame = _with_photo(path, frame, dropped)
    return Texts(path, kind, dataset or path.name.split(".")[0], frame, guessed, dropped)


def import_texts(
    corpus: Corpus,
    texts: Texts,
    *,
    photos: bool = True,
    run_id: str,
    workers: int | None = None,
    on_photos: Callable[[int], None] = lambda _photos: None,
    on_texts: Callable[[int], None] = lambda _texts: None,
) -> Imported:
    """Store texts, and the photos that they are about.

    Args:
        corpus: open for writing; committed window by window.
        texts: see `read_texts`.
        photos: False knows each image by its name alone; such images never enter a manifest.
        run_id: goes into every row.
        workers: processes that read photos; one per processor when not given.
        on_photos, on_texts: told how many were done.
    """
    done = Imported(texts=len(texts.frame))
    if photos:
        identities = _store_photos(corpus, sorted(set(texts.frame["image"])), workers, run_id, done,
                                   on_photos)  # fmt: skip
    else:
        identities = _store_names(corpus, texts)
    done.photos = len(set(identities.values()))
    batch: list[dict[str, Any]] = []
    for row in _rows(texts, identities, run_id):
        batch.append(row)
        if len(batch) == _TEXTS:
            _store(corpus, batch, done)
            on_texts(len(batch))
            batch = []
    _store(corpus, batch, done)
    on_texts(len(batch))
    done.without_photo = done.texts - done.added - done.there_before
    return done


def name_id(dataset: str, name: str) -> str:
    """Identity of an image that is known by its name alone: 64 hexadecimal digits."""
    return hashlib.sha256(f"name\x1f{dataset}\x1f{name}".encode()).hexdigest()


def _rows(texts: Texts, identities: Mapping[str, str], run_id: str) -> Iterator[dict[str, Any]]:
    seen: Counter[tuple[str, ...]] = Counter()
    source = "person" if texts.kind == "comment" else "model"
    for text, task, cue, model, revision, image in texts.frame[
        ["text", "task", "cue", "model", "revision", "image"]
    ].itertuples(index=False):
        image_id = identities.get(image)
        if image_id is None:
            continue
        key = (image_id, texts.kind, texts.dataset, f"{model}@{revision}", task, cue, text)
        # Two people may write the same: the second is another comment, whatever row it stands in.
        sample = seen[key]
        seen[key] += 1
        identity = "\x1f".join((*key, str(sample)))
        yield {
            "caption_id": hashlib.sha256(identity.encode()).hexdigest()[:32],
            "image_id": image_id,
            "source": source,
            "engine": "import",
            "model": model or texts.dataset,
            "revision": revision,
            "task": task,
            "cue": cue,
            "level": "",
            "prompt_id": "",
            "sampling": "{}",
            "seed": 0,
            "sample": sample,
            "text": text,
            "finish_reason": "",
            "run_id": run_id,
            "created_at": now(),
        }


def _store(corpus: Corpus, batch: Sequence[dict[str, Any]], done: Imported) -> None:
    if not batch:
        return
    there = corpus.done([row["caption_id"] for row in batch])
    with corpus.transaction():
        corpus.add("captions", batch)
    done.there_before += len(there)
    done.added += len(batch) - len(there)


def _store_names(corpus: Corpus, texts: Texts) -> dict[str, str]:
    names = sorted(set(texts.frame["image"]))
    identities = {name: name_id(texts.dataset, name) for name in names}
    blank = {"file_bytes": 0, "format": "", "mode": "", "width": 0, "height": 0}
    with corpus.transaction():
        corpus.add(
            "images",
            [{"image_id": identities[name], "path": name, **blank} for name in names],
        )
    return identities


def _store_photos(
    corpus: Corpus,
    paths: Sequence[str],
    workers: int | None,
    run_id: str,
    done: Imported,
    on_photos: Callable[[int], None],
) -> dict[str, str]:
    """Path → image_id of every usable photo; those that the corpus knows are not read again."""
    known = corpus.known_files(paths)
    identities: dict[str, str] = {}
    unread: list[str] = []
    for path in paths:
        file = known.get(path)
        if file is None or (file.size, file.mtime_ns) != stamp(path):
            unread.append(path)
        elif file.image_id is not None:
            identities[path] = file.image_id
        else:
            done.photos_failed += 1
    on_photos(len(paths) - len(unread))
    batches = (unread[at : at + _PHOTOS] for at in range(0, len(unread), _PHOTOS))
    with ImageStep(_nothing, 16, workers) as step:
        for items in step.windows(batches):
            good = [item for item in items if isinstance(item, Prepared)]
            broken = [item for item in items if not isinstance(item, Prepared)]
            with corpus.transaction():
                corpus.put("images", [rows.image_row(photo) for photo in good])
                corpus.put("files", [rows.file_row(item) for item in items])
                corpus.add_failures([rows.photo_failure(item, run_id) for item in broken])
            identities |= {photo.path: photo.image_id for photo in good}
            done.photos_failed += len(broken)
            done.complaints += [f"{item.path}: {item.message}" for item in broken]
            on_photos(len(items))
    return identities


def _nothing(_photo: Photo) -> None:
    """All that importing needs of a photo is that it can be read, and its facts."""


def _column(
    path: Path,
    raw: pd.DataFrame,
    what: str,
    named: str | None,
    usual: Sequence[str],
    guessed: list[str],
) -> str:
    columns = [str(column) for column in raw.columns]
    if named is not None:
        if named not in columns:
            raise UsageError(f"{path} has no column '{named}'", nearest(named, columns))
        return named
    found = next((name for name in usual if name in columns), None)
    if found is None:
        raise InputError(
            f"{path} has no {what} column (it has: {', '.join(columns)})",
            f"Name it by --{what}-column",
        )
    if found != what:
        guessed.append(f"column '{found}' of {path.name} is taken as the {what}")
    return found


def _tasks(path: Path, raw: pd.DataFrame, task: str | None, guessed: list[str]) -> Any:
    if task is not None:
        if task not in TASKS:
            raise UsageError(f"--task does not know '{task}'", nearest(task, TASKS))
        return task
    if "task" not in raw:
        guessed.append(f"the texts of {path.name} speak about aesthetic matters (set it by --task)")
        return "aesthetic"
    tasks = raw["task"].map(_plain)
    for row, one in enumerate(tasks):
        if one not in TASKS:
            raise InputError(f"{path}, row {row + 2}: unknown task '{one}'", nearest(one, TASKS))
    return tasks


def _usable(path: Path, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    dropped = []
    unnamed = frame["name"] == ""
    wordless = (frame["text"] == "") & ~unnamed
    for rows_, why in ((unnamed, "no image name"), (wordless, "no text")):
        if rows_.any():
            dropped.append(f"{int(rows_.sum()):,} rows left out: {why}")
    frame = frame[~(unnamed | wordless)]
    if frame.empty:
        raise InputError(f"{path} has no row with an image and a text")
    return frame.reset_index(drop=True), dropped


def _with_photo(path: Path, frame: pd.DataFrame, dropped: list[str]) -> pd.DataFrame:
    there = {image: stamp(image)[0] >= 0 for image in set(frame["image"])}
    lost = sorted(image for image, found in there.items() if not found)
    if len(lost) == len(there):
        raise InputError(
            f"none of the {len(lost):,} photos that {path} names is there (first: {lost[0]})",
            "Check --images-root and --image-column, or import the texts --without-photos",
        )
    if lost:
        rows_ = ~frame["image"].map(there).astype(bool)
        dropped.append(
            f"{int(rows_.sum()):,} rows left out: {len(lost):,} photos are not there "
            f"(first: {lost[0]})"
        )
        frame = frame[~rows_].reset_index(drop=True)
    return frame


def _plain(value: object) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value).strip()
