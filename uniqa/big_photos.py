"""Photos of many megapixels, shrunk strip by strip right after decoding.

Turning, colours and a white background each copy a whole image; done before shrinking they make a
100-megapixel photo take two gigabytes. Here only the decoded pixels are whole: every strip becomes
RGB and is averaged in blocks before the next is looked at. An upright RGB photo gets exactly the
pixels of Pillow's own ``resize(…, LANCZOS, reducing_gap=3)``. Must not know files.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from PIL import Image

BIG_PIXELS = 24_000_000
"""From here on; smaller photos take the usual way."""

ONE_AT_A_TIME = Lock()
"""Threads that read big photos take turns: memory does not grow with their number."""

_STRIP_PIXELS = 2_000_000
_ORIENTATION = 0x0112
_KEPT = frozenset(("RGB", "L", "CMYK"))
"""Modes that can be averaged as they are; others become RGB first."""


def is_big(image: Image.Image, max_side: int | None) -> bool:
    """Whether an opened, not yet decoded, image is to be shrunk here.

    32-bit modes are not: what their brightest pixel is must be known first.
    """
    many = image.width * image.height > BIG_PIXELS
    return bool(max_side) and many and image.mode not in ("I", "F")


def shrink_by_strips(
    image: Image.Image, max_side: int, to_rgb: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Decode and shrink to `max_side`; the result keeps orientation and colour profile.

    Args:
        image: opened, `is_big`.
        max_side: longer side of the result, in pixels.
        to_rgb: for modes that cannot be averaged.

    Raises:
        whatever decoding raises.
    """
    image.load()
    width, height = image.size
    scale = max_side / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Pillow's factors for reducing_gap=3: what is left to LANCZOS is at least three times as large.
    across, down = (max(1, int(f / s / 3.0)) for f, s in zip(image.size, size, strict=True))
    rows = max(1, _STRIP_PIXELS // width // down) * down
    plain = image.mode in _KEPT and "transparency" not in image.info
    mode = image.mode if plain else "RGB"
    small = Image.new(mode, (-(-width // across), -(-height // down)))
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        if strip.mode != mode or "transparency" in strip.info:
            strip = to_rgb(strip)
        small.paste(strip.reduce((across, down)), (0, top // down))
    box = (0.0, 0.0, width / across, height / down)
    shrunk = small.resize(size, Image.Resampling.LANCZOS, box=box)
    if "icc_profile" in image.info:
        shrunk.info["icc_profile"] = image.info["icc_profile"]
    _keep_orientation(image, shrunk)
    return shrunk


def _keep_orientation(image: Image.Image, shrunk: Image.Image) -> None:
    try:
        told = image.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001
        # Whatever a parser of broken EXIF raises: nobody then says that the pixels lie.
        return
    if told:
        shrunk.getexif()[_ORIENTATION] = told
