"""One HTML file that shows a corpus: figures, and a gallery of photos with their captions.

Everything is inside the file and its content policy forbids the rest: no request is ever made, and
no script runs but its own, known by its hash. Texts are shown as they are, with control characters
made visible; they are never markup. The same corpus and seed give the same bytes. Must not know
how figures are counted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from curation.corpus import Corpus
from curation.report_data import VENDI_SAMPLE, Figures, Step, gather
from curation.report_facts import Counts
from curation.report_sample import PER_IMAGE, Sample, draw
from curation.thumbnails import Thumbnail, make_thumbnails
from uniqa import __version__
from uniqa.errors import InputError, UsageError

MOST_BYTES = 9_500_000
"""Bytes that a report should have at most, beside its figures."""

LARGEST_THUMBNAIL = 14_000
SMALLEST_THUMBNAIL = 1_500
"""Bytes of one thumbnail; between them, what is left for pictures is shared out evenly."""

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069"
    "\ufeff\ufff9-\ufffb]"
)
"""What a page would hide or obey: control characters, and those that turn or join text."""


@dataclass(frozen=True)
class Written:
    """A written report."""

    path: Path
    bytes: int
    photos: int
    photos_in_corpus: int
    captions: int
    without_picture: int


def write_report(
    corpus: Corpus,
    path: Path,
    *,
    images: int = 1000,
    seed: int = 0,
    workers: int | None = None,
    on_counted: Callable[[int], None] = lambda _photos: None,
    on_pictures: Callable[[int], None] = lambda _photos: None,
) -> Written:
    """Write the report of a corpus.

    Args:
        corpus: open.
        path: the file, ending in .html; an older one is replaced once the new one is whole.
        images: photos in the gallery at most.
        seed: draws the photos, if there are more.
        workers: processes that read photos; one per processor if not given.
        on_counted: told how many photos the gallery will have, once the figures are counted.
        on_pictures: told how many more photos were read.

    Raises:
        UsageError: the name does not end in .html.
        InputError: the file cannot be written.
    """
    check_path(path)
    figures = gather(corpus, seed=seed)
    sample = draw(corpus, images=images, seed=seed)
    on_counted(len(sample.photos))
    packed = _json(_data(sample, figures, {}))
    room = (MOST_BYTES - len(packed.encode())) * 3 // 4 // max(1, len(sample.photos))
    pictures = make_thumbnails(
        sample.paths,
        most=min(LARGEST_THUMBNAIL, max(SMALLEST_THUMBNAIL, room)),
        workers=workers,
        on_done=on_pictures,
    )
    page = render(corpus.path.name, figures, sample, pictures, seed=seed)
    _write(path, page)
    return Written(
        path=path,
        bytes=len(page),
        photos=len(sample.photos),
        photos_in_corpus=sample.of,
        captions=sample.captions,
        without_picture=sum(not one.url for one in pictures.values()),
    )


def check_path(path: Path) -> None:
    """Raise UsageError unless the name is that of a page: nothing else may be replaced by one."""
    if path.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"a report is an HTML file, not '{path.name}'", "End its name in .html")


def render(
    title: str, figures: Figures, sample: Sample, pictures: dict[str, Thumbnail], *, seed: int
) -> bytes:
    """The page as bytes of UTF-8."""
    folder = Path(__file__).resolve().parent / "data" / "report"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= _FILTERS
    style, script = ((folder / name).read_text("utf-8") for name in ("style.css", "script.js"))
    page = environment.get_template("page.html").render(
        title=title,
        version=__version__,
        csp=_policy(style, script),
        # Our own files, and JSON without a character that could end its element.
        style=Markup(style),
        script=Markup(script),
        data=Markup(_json(_data(sample, figures, pictures))),
        f=figures,
        authors=_authors(figures),
        sample=sample,
        seed=seed,
        per_image=PER_IMAGE,
        shown_total=sum(photo["captions"] for photo in sample.photos),
        missing=sum(not one.url for one in pictures.values()),
        effective=any(one.effective is not None for one in figures.models),
        agreement=any(one.agreement for one in figures.models),
        vendi_sample=VENDI_SAMPLE,
    )
    return page.encode("utf-8", "replace")


def literal(text: object) -> Markup:
    """A text as it is, in its own direction, with what a page would hide or obey spelled out."""
    if text is None or text == "":
        return Markup("")
    shown = str(text)
    parts: list[Markup] = []
    last = 0
    for found in _CONTROL.finditer(shown):
        parts.append(escape(shown[last : found.start()]))
        parts.append(Markup('<span class="control">{}</span>').format(spelled(found[0])))
        last = found.end()
    parts.append(escape(shown[last:]))
    return Markup("<bdi>{}</bdi>").format(Markup("").join(parts))


def spelled(character: str) -> str:
    """A control character's name: ␀ … ␡ as pictures, others as U+202E."""
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"U+{code:04X}"


def _name(text: str) -> str:
    """A text for the title bar, where nothing can be marked up."""
    return _CONTROL.sub(lambda found: spelled(found[0]), text)


def _data(sample: Sample, figures: Figures, pictures: dict[str, Thumbnail]) -> dict[str, Any]:
    photos = []
    for photo in sample.photos:
        picture = pictures.get(photo["id"], Thumbnail("", ""))
        photos.append({**photo, "picture": picture.url, "why": picture.reason})
    return {
        "photos": photos,
        "captions": sample.captions,
        "columns": sample.columns,
        "meanings": {name: figures.meanings.get(name, "") for name in sample.columns},
        "prompts": sample.prompts,
        "rules": [[row.label, row.note] for row in figures.reasons],
    }


def _json(value: Any) -> str:
    """JSON that can stand in a script element: nothing in it is markup, or a line's end."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _authors(figures: Figures) -> str:
    """Who wrote the captions: `` by 3 models and from 1 collection of comments``."""
    models = sum(not one.people for one in figures.models)
    collections = len(figures.models) - models
    parts = []
    if models:
        parts.append(f"by {models:,} model{'s' * (models > 1)}")
    if collections:
        parts.append(f"from {collections:,} collection{'s' * (collections > 1)} of comments")
    return " " + " and ".join(parts) if parts else ""


def _policy(style: str, script: str) -> str:
    """The content policy: pictures from within, this style, this script, and nothing else."""
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
        for text in (style, script)
    ]
    return (
        f"default-src 'none'; img-src data:; style-src {hashes[0]}; script-src {hashes[1]}; "
        "base-uri 'none'; form-action 'none'"
    )


def _write(path: Path, page: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".report-", delete=False) as file:
            part = Path(file.name)
            try:
                file.write(page)
                file.close()
                part.chmod(0o666 & ~_umask())
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror or error})") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _number(value: float) -> str:
    return f"{value:,}"


def _short(value: float | None) -> str:
    """A number with as many digits as a reader needs."""
    if value is None:
        return "–"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _share_of(part: float, whole: float) -> str:
    if not whole:
        return "–"
    share = 100 * part / whole
    if 99.5 <= share < 100:
        return "> 99 %"
    if 0 < share < 0.05:
        return "< 0.1 %"
    return f"{share:.0f} %" if share >= 10 or share == 0 else f"{share:.1f} %"


def _kept_share(counts: Counts) -> str:
    return _share_of(counts.after, counts.before)


def _largest(counts: Iterable[Counts]) -> int:
    return max([1, *(one.before for one in counts)])


def _total_of(steps: list[Step], label: str) -> int:
    return next((step.count for step in steps if step.label == label), 0)


_FILTERS: dict[str, Callable[..., Any]] = {
    "literal": literal,
    "name": _name,
    "attribute": str,
    "number": _number,
    "short": _short,
    "share_of": _share_of,
    "kept_share": _kept_share,
    "largest": _largest,
    "total_of": _total_of,
    "words": lambda name: name.replace("_", " "),
}
