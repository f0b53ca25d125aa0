"""Captions for other programs: a manifest's, or the whole corpus's, in the formats they read.

Everything is written beside its place and renamed at the end. Photos that go into an export are
those that were captioned: one whose bytes have changed since is left out, and said. Must not know
how captions were chosen.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from curation.corpus import Corpus
from uniqa.containers import read_bytes
from uniqa.errors import InputError, UsageError

FORMATS = ("uniqa", "open-clip", "webdataset", "datasets", "conversations")

PLACEHOLDER = "<image>"
"""Where a conversation's photo stands; a caption that holds it would ask for another photo."""

_ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "BMP": "bmp", "GIF": "gif"}

_ABOUT = {
    ("quality", "overall"): "technical quality",
    ("aesthetic", "overall"): "aesthetic quality",
    ("quality", "comment"): "technical quality",
    ("aesthetic", "comment"): "aesthetic quality",
}


@dataclass(slots=True)
class Photo:
    """A photo with the captions that were chosen for it."""

    image: str
    image_id: str
    split: str
    group: str
    ratings: list[dict[str, Any]] = field(default_factory=list)
    captions: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Exported:
    """What an export holds; `left_out` says why photos are missing."""

    photos: int = 0
    captions: int = 0
    files: int = 0
    left_out: list[str] = field(default_factory=list)


def read_manifest(path: Path) -> list[Photo]:
    """The photos of a manifest that have captions, in its order; a photo with two ratings once.

    Raises:
        InputError: no manifest, or one that cannot be read.
    """
    if not path.is_file():
        raise InputError(f"no manifest at {path}", "Make one with uniqa-curate filter -o")
    try:
        return _photos(_manifest_rows(path))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as a manifest ({_line(error)})") from error


def read_everything(corpus: Corpus) -> list[Photo]:
    """Every photo with every caption that nothing supersedes, whatever a filter decided."""
    table = corpus.table("""
        SELECT path AS image, image_id, split, group_id AS "group",
               list({'text': text, 'weight': 1.0::FLOAT, 'task': task, 'cue': cue,
                     'source': source, 'model': CASE WHEN source = 'model'
                     THEN model || '@' || revision ELSE '' END}
                    ORDER BY task, cue, caption_id) AS captions
        FROM corpus WHERE NOT superseded GROUP BY ALL ORDER BY image, image_id
    """)
    return _photos(table.to_pylist())


def export(
    photos: Sequence[Photo],
    format_: str,
    output: Path,
    *,
    root: Path | None = None,
    separator: str = "\t",
    shard_bytes: int = 500_000_000,
    on_photo: Callable[[], object] = lambda: None,
) -> Exported:
    """Write an export.

    Args:
        photos: see `read_manifest`.
        format_: one of `FORMATS`.
        output: a file; for webdataset and datasets a folder that is not there yet, or empty.
        root: photos are named relative to it, in the formats that name them.
        separator: between the columns of open-clip's table.
        shard_bytes: size that no WebDataset shard exceeds, but for one with a single photo.
        on_photo: called for every photo.

    Raises:
        InputError: the output cannot be written, or the folder holds something.
        UsageError: an unknown format, or a photo that is not below `root`.
    """
    done = Exported()
    if format_ in {"webdataset", "datasets"}:
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise InputError(f"{output} is there already", "Name another folder, or remove it")
        folder = _write_shards if format_ == "webdataset" else _write_dataset
        _beside(output, lambda to: folder(photos, to, shard_bytes, done, on_photo))
        return done
    rows = _counted(photos, done, root, on_photo)
    if format_ == "open-clip":
        _beside(output, lambda to: _write_table(rows, to, separator))
    elif format_ in {"uniqa", "conversations"}:
        entry = _uniqa if format_ == "uniqa" else _conversation
        _beside(output, lambda to: _write_list((entry(*row) for row in rows), to))
    else:
        raise UsageError(f"unknown format '{format_}'", f"Known: {', '.join(FORMATS)}")
    done.files = 1
    return done


# ---- reading ------------------------------------------------------------------------------------


def _manifest_rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(10_000):
                yield from batch.to_pylist()
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _photos(rows: Iterable[dict[str, Any]]) -> list[Photo]:
    found: dict[str, Photo] = {}
    for row in rows:
        if not row["captions"]:
            continue
        photo = found.get(row["image_id"])
        if photo is None:
            photo = Photo(row["image"], row["image_id"], row["split"], row["group"])
            # Every rating's row repeats the photo's captions.
            photo.captions = list(row["captions"])
            found[row["image_id"]] = photo
        if row.get("mos") is not None:
            names = ("dataset", "task", "mos", "score", "level")
            photo.ratings.append({name: row[name] for name in names})
    return list(found.values())


# ---- tables and lists ---------------------------------------------------------------------------

_Row = tuple[str, Photo, dict[str, Any], int]


def _counted(
    photos: Sequence[Photo], done: Exported, root: Path | None, on_photo: Callable[[], object]
) -> Iterator[_Row]:
    for photo in photos:
        name = _named(photo.image, root)
        for number, caption in enumerate(photo.captions):
            yield name, photo, caption, number
        done.photos += 1
        done.captions += len(photo.captions)
        on_photo()


def _named(image: str, root: Path | None) -> str:
    if root is None:
        return image
    try:
        return str(Path(image).relative_to(root.absolute()))
    except ValueError:
        raise UsageError(f"{image} is not below {root}", "Name another --images-root") from None


def _uniqa(name: str, _photo: Photo, caption: dict[str, Any], _number: int) -> dict[str, Any]:
    return {"image_path": name, "prompt": caption["text"]}


def _conversation(name: str, photo: Photo, caption: dict[str, Any], number: int) -> dict[str, Any]:
    task, cue = caption["task"], caption["cue"]
    about = _ABOUT.get((task, cue), cue.replace("_", " "))
    # No rating in the question, whatever the model that wrote the caption was told.
    question = f"{PLACEHOLDER}\nDescribe the {about} of this photo."
    answer = caption["text"].replace(PLACEHOLDER, PLACEHOLDER.replace("image", " image "))
    return {
        "id": f"{photo.image_id[:16]}-{number}",
        "image": name,
        "conversations": [
            {"from": "human", "value": question},
            {"from": "gpt", "value": answer},
        ],
        "task": task,
        "cue": cue,
        "model": caption["model"],
    }


def _write_list(entries: Iterable[dict[str, Any]], path: Path) -> None:
    """A JSON list, an entry a line: neither side needs all of it in memory."""
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for number, entry in enumerate(entries):
            file.write(",\n" if number else "\n")
            file.write(json.dumps(entry, ensure_ascii=False))
        file.write("\n]\n")


def _write_table(rows: Iterable[_Row], path: Path, separator: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator, lineterminator="\n")
        writer.writerow(["filepath", "title"])
        for name, _, caption, _ in rows:
            # Readers of such tables stop at this character, whatever the quotes.
            writer.writerow([name, caption["text"].replace("\0", "\N{REPLACEMENT CHARACTER}")])


# ---- with pixels --------------------------------------------------------------------------------


def _with_bytes(
    photos: Sequence[Photo], done: Exported, on_photo: Callable[[], object]
) -> Iterator[tuple[Photo, bytes, str]]:
    """Photos with their bytes and the ending of their format."""
    for photo in photos:
        on_photo()
        try:
            data = read_bytes(photo.image)
            if hashlib.sha256(data).hexdigest() != photo.image_id:
                raise InputError("its bytes have changed since it was captioned")
            with Image.open(io.BytesIO(data)) as image:
                ending = _ENDINGS.get(image.format or "", (image.format or "img").lower())
        except (OSError, InputError) as error:
            done.left_out.append(f"{photo.image}: {_line(error)}")
            continue
        done.photos += 1
        done.captions += len(photo.captions)
        yield photo, data, ending


def _told(photo: Photo) -> dict[str, Any]:
    return {
        "image_id": photo.image_id,
        "split": photo.split,
        "group": photo.group,
        "ratings": photo.ratings,
        "captions": photo.captions,
    }


def _write_shards(
    photos: Sequence[Photo],
    folder: Path,
    most: int,
    done: Exported,
    on_photo: Callable[[], object],
) -> None:
    folder.mkdir()
    shard: tarfile.TarFile | None = None
    written = 0
    try:
        for photo, data, ending in _with_bytes(photos, done, on_photo):
            text = photo.captions[0]["text"].encode()
            facts = json.dumps(_told(photo), ensure_ascii=False).encode()
            members = [(ending, data), ("txt", text), ("json", facts)]
            # A header of 512 bytes and contents in blocks of 512 each; the end of a tar is 10 kB.
            size = sum(512 + -(-len(content) // 512) * 512 for _, content in members)
            if shard is None or written + size + 10_240 > most:
                if shard is not None:
                    shard.close()
                shard = tarfile.open(folder / f"{done.files:06}.tar", "w")  # noqa: SIM115
                done.files += 1
                written = 0
            for name, content in members:
                # Nothing of the day or the user: the same export has the same bytes.
                member = tarfile.TarInfo(f"{photo.image_id[:32]}.{name}")
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
            written += size
    finally:
        if shard is not None:
            shard.close()


def _write_dataset(
    photos: Sequence[Photo],
    folder: Path,
    most: int,
    done: Exported,
    on_photo: Callable[[], object],
) -> None:
    import datasets

    rating = {"dataset": "string", "task": "string", "mos": "float64", "score": "float64"}
    text = dict.fromkeys(("text", "task", "cue", "source", "model"), "string")
    value = datasets.Value
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "image_id": value("string"),
            "split": value("string"),
            "group": value("string"),
            "ratings": datasets.List(
                {name: value(kind) for name, kind in {**rating, "level": "string"}.items()}
            ),
            "captions": datasets.List(
                {name: value(kind) for name, kind in {**text, "weight": "float32"}.items()}
            ),
        }
    )
    folder.mkdir()
    step: list[dict[str, Any]] = []
    parts: list[Any] = []
    held = 0

    def flush() -> None:
        nonlocal held
        if step:
            part = datasets.Dataset.from_list(step, features=features)
            place = folder / f"part-{len(parts)}"
            part.save_to_disk(str(place))
            parts.append(datasets.load_from_disk(str(place)))
            step.clear()
            held = 0

    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        for photo, data, ending in _with_bytes(photos, done, on_photo):
            name = f"{photo.image_id[:32]}.{ending}"
            step.append({"image": {"bytes": data, "path": name}, **_told(photo)})
            held += len(data)
            if held > min(most, 200_000_000):
                flush()
        flush()
        whole = datasets.concatenate_datasets(parts) if parts else None
        if whole is None:
            whole = datasets.Dataset.from_list([], features=features)
        whole.save_to_disk(str(folder / "whole"), max_shard_size=most)
    finally:
        if not bars:
            datasets.enable_progress_bars()
    for number in range(len(parts)):
        shutil.rmtree(folder / f"part-{number}")
    for file in sorted((folder / "whole").iterdir()):
        file.rename(folder / file.name)
        done.files += 1
    (folder / "whole").rmdir()


# ---- small parts --------------------------------------------------------------------------------


def _beside(output: Path, write: Callable[[Path], object]) -> None:
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        if output.is_dir():
            output.rmdir()
        temporary.replace(output)
    except OSError as error:
        raise InputError(f"cannot write the export {output} ({_line(error)})") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
