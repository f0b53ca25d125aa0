"""Demo photos with ratings, made from photographs that installed packages bring along.

Nothing is downloaded: scikit-image and scikit-learn ship a handful of free photographs inside
their wheels. Crops of them are degraded by known distortions of known severity, and the rating
follows from the severity. Good for a first run and for tests; no substitute for people's ratings.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from curation.demo.distort import KINDS, distort, jpeg_bytes, rating
from uniqa.errors import InputError
from uniqa.levels import LEVELS, Scale, level_of
from uniqa.photos import PhotoError, Pixels, read_photo
from uniqa.splits import seeded_key

COLUMNS = ("image", "mos", "group", "distortion", "severity")
PER_SOURCE = 13
SIDE = 512
SCALE = Scale(1, 5)

_EDITION = 1  # Raise when the same seed makes other photos.


@dataclass(frozen=True, slots=True)
class Source:
    """A photograph in an installed package: where it lies, whose it is, on which terms."""

    name: str
    package: str
    file: str
    credit: str
    grey: bool = False


# Credits as the packages state them: the docstrings of skimage.data, sklearn's README.txt.
SOURCES = (
    Source("astronaut", "skimage", "data/astronaut.png",
           "Eileen Collins, NASA Great Images database. No known copyright restrictions, "
           "released into the public domain."),
    Source("chelsea", "skimage", "data/chelsea.png",
           "Chelsea the cat. No copyright restrictions, CC0 by the photographer "
           "(Stefan van der Walt)."),
    Source("coffee", "skimage", "data/coffee.png",
           "Coffee cup, courtesy of Pikolo Espresso Bar. No copyright restrictions, CC0 by the "
           "photographer (Rachel Michetti)."),
    Source("rocket", "skimage", "data/rocket.jpg",
           "Launch of DSCOVR on Falcon 9, SpaceX Photos. Released in the public domain."),
    Source("motorcycle", "skimage", "data/motorcycle_left.png",
           "Left image of a stereo pair of the Middlebury 2014 stereo benchmark "
           "(D. Scharstein et al., GCPR 2014); the package states no licence."),
    Source("retina", "skimage", "data/retina.jpg",
           "Fundus photograph, Mikael Häggström, Wikimedia Commons. CC0 1.0 Universal Public "
           "Domain Dedication."),
    Source("hubble", "skimage", "data/hubble_deep_field.jpg",
           "Hubble eXtreme Deep Field, NASA, HubbleSite. May be freely used in the public "
           "domain."),
    Source("ihc", "skimage", "data/ihc.png",
           "Immunohistochemical staining, Center for Microscopy And Molecular Imaging (CMMI). "
           "No known copyright restrictions."),
    Source("camera", "skimage", "data/camera.png",
           "Man with a camera. No copyright restrictions, CC0 by the photographer "
           "(Lav Varshney).", grey=True),
    Source("brick", "skimage", "data/brick.png",
           "Brick wall, CC0Textures. CC0.", grey=True),
    Source("grass", "skimage", "data/grass.png",
           "Grass, linolafett on DeviantArt. CC0.", grey=True),
    Source("gravel", "skimage", "data/gravel.png",
           "Gravel, CC0Textures. CC0.", grey=True),
    Source("coins", "skimage", "data/coins.png",
           "Greek coins from Pompeii, Brooklyn Museum Collection. No known copyright "
           "restrictions.", grey=True),
    Source("moon", "skimage", "data/moon.png",
           "Surface of the moon; the package states neither source nor licence.", grey=True),
    Source("china", "sklearn", "datasets/images/china.jpg",
           "Some rights reserved by danielbuechele (flickr.com/photos/danielbuechele), "
           "CC BY 2.0 (creativecommons.org/licenses/by/2.0). Cropped and degraded here."),
    Source("flower", "sklearn", "datasets/images/flower.jpg",
           "Some rights reserved by vultilion (flickr.com/photos/vultilion), "
           "CC BY 2.0 (creativecommons.org/licenses/by/2.0). Cropped and degraded here."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoPhoto:
    """One photo to write: which crop of which source, distorted how."""

    source: Source
    crop: int
    kind: str
    severity: int

    @property
    def file(self) -> str:
        """Path relative to the table."""
        state = f"{self.kind}_{self.severity}" if self.severity else "clean"
        return f"images/{self.source.name}_{self.crop + 1}_{state}.jpg"

    @property
    def mos(self) -> float:
        """Rating from 1 to 5, derived from the severity."""
        return rating(self.kind, self.severity) if self.severity else 5.0

    @property
    def level(self) -> str:
        """The level that the rating falls into."""
        return level_of(float(SCALE.unify(self.mos)))


def make_demo_photos(folder: Path, seed: int = 0) -> Path:
    """Write about 200 degraded photos, their ratings and a README into a folder.

    A folder that already holds the complete set of this seed is left alone; an interrupted one
    is completed.

    Args:
        folder: made if needed.
        seed: another seed, another choice of distortions and noise; same seed, same bytes.

    Returns:
        The ratings table, ``folder/ratings.csv``: `image` (relative to the table), `mos` on a
        scale from 1 to 5, `group` (the source photograph), `distortion`, `severity` (0 = clean).

    Raises:
        InputError: no source photograph is installed, or the folder holds something else.
    """
    table, readme = folder / "ratings.csv", folder / "README.txt"
    sources = [source for source in SOURCES if _installed(source) is not None]
    if not sources:
        raise InputError("no demo photograph is installed", "Install scikit-image")
    text = _readme(sources, seed)
    if readme.exists() and readme.read_text("utf-8") != text:
        raise InputError(f"{folder} holds another set of photos", "Delete it or name a new folder")
    if _complete(folder, readme, table):
        return table
    if table.exists() and not readme.exists():
        raise InputError(f"{table} is not ours to replace", "Name a new folder")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    readme.write_text(text, "utf-8")
    crops = {source.name: _crops(_read(source)) for source in sources}
    photos = plan(sources, {name: len(cut) for name, cut in crops.items()}, seed)
    for photo in photos:
        data = _encode(crops[photo.source.name][photo.crop], photo, seed)
        (folder / photo.file).write_bytes(data)
    # The table comes last and at once: where it is, the set is complete.
    draft = folder / "ratings.csv.part"
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for photo in photos:
            kind = photo.kind if photo.severity else "none"
            writer.writerow([photo.file, photo.mos, photo.source.name, kind, photo.severity])
    draft.replace(table)
    return table


def plan(sources: list[Source], crops: dict[str, int], seed: int) -> list[DemoPhoto]:
    """Deal distortions out so that levels, and kinds within a level, come equally often.

    Args:
        sources: in the order in which they are dealt to.
        crops: source name → number of crops, at least 1.
        seed: decides which of several equally rare choices is taken.

    Returns:
        `PER_SOURCE` photos per source, none twice. Greyscale sources get no colour distortions,
        which would leave them as they are.
    """
    photos: list[DemoPhoto] = []
    levels: Counter[str] = Counter()
    used: Counter[tuple[str, str]] = Counter()
    for source in sources:
        chosen: list[DemoPhoto] = []
        for _ in range(PER_SOURCE):
            # Every source is there once as it came, as what its other photos are compared with.
            level = min(LEVELS, key=lambda name: levels[name]) if chosen else LEVELS[-1]
            taken = Counter(photo.crop for photo in chosen)
            best = min(
                (
                    option
                    for option in _options(source, crops[source.name])
                    if option.level == level
                    and option not in chosen
                    and (chosen or not option.severity)
                ),
                key=lambda option: (
                    used[option.level, option.kind],
                    taken[option.crop],
                    seeded_key(seed, option.file),
                ),
            )
            levels[level] += 1
            used[level, best.kind] += 1
            chosen.append(best)
        photos += chosen
    return sorted(photos, key=lambda photo: photo.file)


def _options(source: Source, crops: int) -> Iterator[DemoPhoto]:
    for crop in range(crops):
        yield DemoPhoto(source, crop, "clean", 0)
        for kind in KINDS:
            if source.grey and kind in ("desaturation", "colour_cast"):
                continue
            for severity in (1, 2, 3, 4, 5):
                yield DemoPhoto(source, crop, kind, severity)


def _encode(crop: Pixels, photo: DemoPhoto, seed: int) -> bytes:
    # Compression is stored as what it is; everything else at a quality that adds nothing to see.
    if photo.kind == "jpeg":
        return jpeg_bytes(crop, photo.severity)
    own_seed = int(seeded_key(seed, f"{photo.source.name}/{photo.crop}")[:8], 16)
    pixels = distort(crop, photo.kind, photo.severity, own_seed) if photo.severity else crop
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def colour_crops() -> list[Pixels]:
    """The undamaged crops of the sources that have colours, in the order of `SOURCES`."""
    sources = [source for source in SOURCES if not source.grey and _installed(source) is not None]
    return [crop for source in sources for crop in _crops(_read(source))]


def _crops(pixels: Pixels) -> list[Pixels]:
    """Up to four crops of at most `SIDE` pixels, those with the most contrast first."""
    height, width = pixels.shape[:2]
    tops, lefts = _starts(height), _starts(width)
    cut = [pixels[top : top + SIDE, left : left + SIDE] for top in tops for left in lefts]
    return sorted(cut, key=lambda crop: -float(crop.std()))[:4]


def _starts(length: int) -> list[int]:
    if length <= SIDE * 1.2:
        return [max(0, (length - SIDE) // 2)]
    count = -(-length // SIDE)
    return [round(number * (length - SIDE) / (count - 1)) for number in range(count)]


def _installed(source: Source) -> Path | None:
    """The photograph's file; found without importing the package, which may want to download."""
    spec = importlib.util.find_spec(source.package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / source.file
    return path if path.is_file() else None


def _read(source: Source) -> Pixels:
    path = _installed(source)
    if path is None:
        raise InputError(f"{source.file} is no longer in {source.package}")
    try:
        return read_photo(path).pixels
    except PhotoError as error:
        raise InputError(str(error), f"Install {source.package} again") from error


def _complete(folder: Path, readme: Path, table: Path) -> bool:
    if not (readme.exists() and table.exists()):
        return False
    with table.open(newline="", encoding="utf-8") as file:
        return all((folder / row["image"]).is_file() for row in csv.DictReader(file))


def _readme(sources: list[Source], seed: int) -> str:
    packages = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
    lines = [
        "UniQA demo photos",
        "",
        "Crops of real photographs, degraded by known distortions. The ratings in ratings.csv",
        "are derived from the known severity, not from people: 5 is the photograph as it came,",
        "less follows from the kind and severity of the distortion (curation/demo/distort.py).",
        "They serve to try things out; they say nothing about what people see.",
        "",
        f"Seed {seed}, edition {_EDITION}.",
        "",
        "Photographs, with their terms as the packages that bring them state them:",
        "",
    ]
    for source in sources:
        lines.append(f"{source.name} ({packages[source.package]}, {source.file})")
        lines += textwrap.wrap(source.credit, 88, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines) + "\n"
