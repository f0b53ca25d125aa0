"""Builds a folder of files that image readers fear, and says of each what must become of it.

Every file is made by hand or by Pillow, none is fetched. `build` returns the cases; a case knows
either what colour the upright photo has where, or which kinds of failure are right.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, features

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
CORNERS = (RED, GREEN, BLUE, WHITE)
"""Upper left, upper right, lower left, lower right of the test picture."""

ANY = ("damaged", "not_an_image", "too_large", "empty", "unreadable")


@dataclass(frozen=True)
class Case:
    """One hostile file.

    `size` (width, height) and `corners` are what the photo must look like, None where anything
    goes; `kinds` are the failures that are right. A case with both may end either way.
    """

    path: Path
    kinds: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    corners: tuple[tuple[int, int, int], ...] | None = None
    tolerance: int = 12
    either: bool = False

    @property
    def may_be_taken(self) -> bool:
        """Whether pixels are a right end."""
        return not self.kinds or self.size is not None or self.either


def picture(width: int = 40, height: int = 20) -> Image.Image:
    """Four quarters of red, green, blue and white."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = RED, GREEN
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = BLUE, WHITE
    return Image.fromarray(pixels)


def noise(width: int = 200, height: int = 150) -> Image.Image:
    """A photo that does not compress, so that cutting it cuts pixels."""
    return Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    )


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    """The image as bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def scrap(length: int) -> bytes:
    """Bytes without meaning, always the same."""
    return np.random.default_rng(length).bytes(length)


def chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    """One PNG chunk."""
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", crc or zlib.crc32(body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    """A PNG from raw rows, with chunks of one's own before its pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + b"".join(more) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def with_chunk(data: bytes, *more: bytes) -> bytes:
    """A PNG with chunks put in after its header."""
    return data[:33] + b"".join(more) + data[33:]


def tiff(entries: list[tuple[int, int, int, int]], after: int = 0, tail: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory: (tag, type, count, value) each."""
    body = struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack("<HHI", tag, kind, count)
        body += (
            struct.pack("<HH", value, 0) if kind == 3 and count == 1 else struct.pack("<I", value)
        )
    return b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", after) + tail


def grey_tiff(width: int, height: int, bits: int, form: int, data: bytes, after: int = 0) -> bytes:
    """A grey TIFF whose pixels follow its directory."""
    offset = 8 + 2 + 10 * 12 + 4
    return tiff(
        [
            (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, 1),
            (262, 3, 1, 1), (273, 4, 1, offset), (277, 3, 1, 1), (278, 4, 1, height),
            (279, 4, 1, len(data)), (339, 3, 1, form),
        ],
        after,
        data,
    )  # fmt: skip


def bmp(width: int, height: int, rows: bytes) -> bytes:
    """A 24-bit BMP; a negative height means top row first."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# How a camera must have turned the upright picture for each EXIF orientation.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}


def build(folder: Path) -> list[Case]:
    """Write every hostile file into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    makers = (_cut, _bombs, _no_images, _deep, _colours, _moving, _turned, _shapes, _odd_png)
    makers += (_odd_jpeg, _odd_tiff, _odd_others, _names, _no_files)
    cases = [case for make in makers for case in make(folder)]
    assert len({case.path for case in cases}) == len(cases)
    return cases


def _put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _cut(folder: Path) -> Iterator[Case]:
    forms = {
        "jpg": ("JPEG", {"quality": 90}), "png": ("PNG", {}), "gif": ("GIF", {}),
        "tif": ("TIFF", {}), "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}), "webp": ("WEBP", {}),
        "bmp": ("BMP", {}), "ppm": ("PPM", {}),
    }  # fmt: skip
    for ending, (form, options) in forms.items():
        whole = encoded(noise(), form, **options)
        path = _put(folder, f"cut.{ending}", whole[: len(whole) // 2])
        yield Case(path, ("damaged", "not_an_image"))
    progressive = encoded(noise(), "JPEG", progressive=True)
    yield Case(
        _put(folder, "half_progressive.jpg", progressive[: len(progressive) // 2]), ("damaged",)
    )
    # As copied by a tool that reserved the space first.
    half = len(progressive) // 2
    filled = progressive[:half] + bytes(len(progressive) - half)
    yield Case(_put(folder, "zero_filled.jpg", filled), ("damaged",))
    yield Case(
        _put(folder, "header_only.jpg", encoded(noise(), "JPEG")[:200]), ("damaged", "not_an_image")
    )


def _bombs(folder: Path) -> Iterator[Case]:
    side = 30_000
    rows = zlib.compressobj(9)
    packed = b"".join(rows.compress(bytes(1 + side // 8)) for _ in range(side)) + rows.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )
    yield Case(_put(folder, "bomb.png", data), ("too_large",))
    jpeg = bytearray(encoded(picture(), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 65_500, 65_500)
    yield Case(_put(folder, "bomb.jpg", bytes(jpeg)), ("too_large",))
    text = chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(200_000_000), 9))
    bomb = with_chunk(encoded(picture(), "PNG"), text)
    yield Case(_put(folder, "text_bomb.png", bomb), ("damaged",))
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(200_000_000), 9))
    yield _may(_put(folder, "profile_bomb.png", with_chunk(encoded(picture(), "PNG"), profile)))
    yield Case(_put(folder, "bomb.gif", b"GIF89a" + struct.pack("<HH", 65_535, 65_535)
                    + b"\0\0\0" + b"," + struct.pack("<HHHH", 0, 0, 65_535, 65_535)
                    + b"\x80" + bytes(6) + b"\2\1\0\0;"), ("too_large",))  # fmt: skip
    yield Case(_put(folder, "bomb.bmp", bmp(60_000, 60_000, bytes(10))), ("too_large",))
    yield Case(_put(folder, "bomb.tif", grey_tiff(70_000, 70_000, 8, 1, bytes(10))), ("too_large",))


def _no_images(folder: Path) -> Iterator[Case]:
    contents = {
        "text.jpg": b"Dear reader, this is no photo.\n" * 20,
        "page.png": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>',
        "zeros.jpg": bytes(5000),
        "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n0 0 moveto\n",
        "letter.png": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "program.jpg": b"\x7fELF" + bytes(200),
        "one_byte.jpg": b"\xff",
        "magic_only.png": b"\x89PNG\r\n\x1a\n",
    }
    for name, data in contents.items():
        yield Case(_put(folder, name, data), ("not_an_image", "damaged"))
    yield Case(_put(folder, "nothing.jpg", b""), ("empty",))


def _deep(folder: Path) -> Iterator[Case]:
    steps = np.repeat(np.array([[0, 16384], [32768, 65535]], dtype=np.uint16), 10, 0).repeat(20, 1)
    greys = ((0,) * 3, (64,) * 3, (128,) * 3, (255,) * 3)
    whole: dict[str, bytes] = {
        "deep_grey.png": encoded(Image.fromarray(steps), "PNG"),
        "deep_grey.tif": encoded(Image.fromarray(steps), "TIFF"),
        "deep_big_endian.tif": b"MM\0*" + _big_endian(steps),
        "unit_float.tif": encoded(Image.fromarray((steps / 65535).astype(np.float32)), "TIFF"),
        "int32.tif": encoded(Image.fromarray(steps.astype(np.int32)), "TIFF"),
    }
    for name, data in whole.items():
        yield Case(_put(folder, name, data), (), (40, 20), greys, 2)
    odd = (steps / 65535).astype(np.float32)
    odd[0, 20] = np.nan
    odd[10, 1] = np.inf
    yield Case(_put(folder, "nan.tif", encoded(Image.fromarray(odd), "TIFF")), (), (40, 20))
    empty = np.full((20, 40), np.nan, dtype=np.float32)
    yield Case(_put(folder, "all_nan.tif", encoded(Image.fromarray(empty), "TIFF")), (), (40, 20))
    rgb = np.asarray(picture()).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in rgb)
    yield Case(_put(folder, "deep_colour.png", png(40, 20, 16, 2, rows)), (), (40, 20), CORNERS)
    yield _may(_put(folder, "deep_colour.tif", _rgb16_tiff()))


def _big_endian(pixels: np.ndarray) -> bytes:
    height, width = pixels.shape
    offset = 8 + 2 + 9 * 12 + 4
    data = pixels.astype(">u2").tobytes()
    entries = [
        (256, 4, width), (257, 4, height), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, offset),
        (277, 3, 1), (278, 4, height), (279, 4, len(data)),
    ]  # fmt: skip
    body = struct.pack(">H", len(entries))
    for tag, kind, value in entries:
        body += struct.pack(">HHI", tag, kind, 1)
        body += struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
    return struct.pack(">I", 8) + body + struct.pack(">I", 0) + data


def _rgb16_tiff() -> bytes:
    data = (np.asarray(picture()).astype("<u2") * 257).tobytes()
    bits = 8 + 2 + 10 * 12 + 4
    return tiff(
        [
            (256, 4, 1, 40), (257, 4, 1, 20), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2),
            (273, 4, 1, bits + 6), (277, 3, 1, 3), (278, 4, 1, 20), (279, 4, 1, len(data)),
            (284, 3, 1, 1),
        ],
        0,
        struct.pack("<HHH", 16, 16, 16) + data,
    )  # fmt: skip


def _colours(folder: Path) -> Iterator[Case]:
    whole = picture()
    cmyk = encoded(whole.convert("CMYK"), "JPEG", quality=95, subsampling=0)
    yield Case(_put(folder, "cmyk.jpg", cmyk), (), (40, 20), CORNERS, 40)
    # The same with the marker that says: YCCK. Colours are then another matter.
    at = cmyk.index(b"Adobe\0d")
    ycck = bytearray(cmyk)
    ycck[at + 11] = 2
    yield _may(_put(folder, "ycck.jpg", bytes(ycck)))
    yield Case(
        _put(folder, "cmyk.tif", encoded(whole.convert("CMYK"), "TIFF")), (), (40, 20), CORNERS
    )
    lab = ImageCms.profileToProfile(
        whole, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    yield Case(_put(folder, "lab.tif", encoded(lab, "TIFF")), (), (40, 20), CORNERS, 60)
    yield Case(
        _put(folder, "ycbcr.tif", encoded(whole.convert("YCbCr"), "TIFF")), (), (40, 20), CORNERS
    )
    palette = Image.new("P", (40, 20), 0)
    palette.putpalette([10, 20, 30, *BLUE])
    palette.paste(1, (0, 10, 20, 20))
    yield Case(_put(folder, "glass_palette.png", encoded(palette, "PNG", transparency=0)), (),
               (40, 20), (WHITE, WHITE, BLUE, WHITE))  # fmt: skip
    glass = whole.convert("RGBA")
    glass.paste((0, 0, 0, 0), (0, 0, 20, 10))
    yield Case(
        _put(folder, "glass.png", encoded(glass, "PNG")), (), (40, 20), (WHITE, *CORNERS[1:])
    )
    yield Case(_put(folder, "glass.webp", encoded(glass, "WEBP", lossless=True)), (), (40, 20),
               (WHITE, *CORNERS[1:]))  # fmt: skip
    grey = Image.new("LA", (40, 20), (0, 0))
    yield Case(_put(folder, "glass_grey.png", encoded(grey, "PNG")), (), (40, 20), (WHITE,) * 4)
    bits = Image.new("1", (40, 20), 0)
    bits.paste(1, (20, 0, 40, 20))
    black = (0, 0, 0)
    for ending, form in (("png", "PNG"), ("tif", "TIFF"), ("bmp", "BMP")):
        yield Case(_put(folder, f"bits.{ending}", encoded(bits, form)), (), (40, 20),
                   (black, WHITE, black, WHITE))  # fmt: skip
    huge = encoded(whole, "JPEG", quality=95, subsampling=0, icc_profile=scrap(3_000_000))
    yield Case(_put(folder, "huge_profile.jpg", huge), (), (40, 20), CORNERS)
    broken = encoded(whole, "PNG", icc_profile=b"no profile")
    yield Case(_put(folder, "broken_profile.png", broken), (), (40, 20), CORNERS)


def _moving(folder: Path) -> Iterator[Case]:
    frames = [Image.new("RGB", (40, 20), colour) for colour in (RED, GREEN, BLUE)]
    for ending, form in (("gif", "GIF"), ("webp", "WEBP"), ("png", "PNG"), ("tif", "TIFF")):
        options = {"lossless": True} if form == "WEBP" else {}
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
        yield Case(_put(folder, f"moving.{ending}", data), (), (40, 20), (RED,) * 4, 3)
    data = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    yield Case(_put(folder, "stereo.mpo", data), (), (40, 20), (RED,) * 4)
    cut = encoded(noise(), "GIF", save_all=True, append_images=[picture(200, 150)] * 3)
    yield _may(_put(folder, "cut_moving.gif", cut[: len(cut) * 9 // 10]))


def _turned(folder: Path) -> Iterator[Case]:
    upright = np.asarray(picture())
    for orientation, turn in STORED.items():
        stored = Image.fromarray(np.ascontiguousarray(turn(upright)))
        data = encoded(stored, "JPEG", exif=oriented(orientation), quality=95, subsampling=0)
        yield Case(_put(folder, f"turned_{orientation}.jpg", data), (), (40, 20), CORNERS)
        data = encoded(stored, "WEBP", exif=oriented(orientation), lossless=True)
        yield Case(_put(folder, f"turned_{orientation}.webp", data), (), (40, 20), CORNERS)
    for orientation in (0, 9, 99, 65_535):
        data = encoded(picture(), "JPEG", exif=oriented(orientation), quality=95, subsampling=0)
        yield Case(_put(folder, f"turned_{orientation}.jpg", data), (), (40, 20), CORNERS)
    exifs = {
        "garbage": b"Exif\0\0" + scrap(500),
        "empty": b"Exif\0\0",
        "short": b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        "looping": b"Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "text_orientation": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\2\0\5\0\0\0\x1a"
        + bytes(7)
        + b"left\0",
        "far_offset": b"Exif\0\0II*\0\xff\xff\xff\x7f",
    }
    for name, exif in exifs.items():
        data = encoded(picture(), "JPEG", exif=exif, quality=95, subsampling=0)
        yield Case(_put(folder, f"exif_{name}.jpg", data), (), (40, 20), CORNERS)
        yield Case(_put(folder, f"exif_{name}.png", with_chunk(encoded(picture(), "PNG"),
                   chunk(b"eXIf", exif[6:]))), (), (40, 20), CORNERS)  # fmt: skip


def _shapes(folder: Path) -> Iterator[Case]:
    for width, height in ((1, 1), (1, 2), (3000, 10), (10, 3000), (1, 5000), (2, 2), (3, 3)):
        data = encoded(Image.new("RGB", (width, height), GREEN), "PNG")
        yield Case(_put(folder, f"{width}x{height}.png", data), (), (width, height), (GREEN,) * 4)
    for colour in ("black", "white", "grey"):
        data = encoded(Image.new("RGB", (64, 64), colour), "JPEG")
        yield Case(_put(folder, f"flat_{colour}.jpg", data), (), (64, 64))


def _odd_png(folder: Path) -> Iterator[Case]:
    whole = encoded(picture(), "PNG")
    at = whole.index(b"IDAT")
    wrong = bytearray(whole)
    wrong[at + 10] ^= 0xFF
    yield Case(_put(folder, "wrong_crc.png", bytes(wrong)), ("damaged",))
    yield Case(_put(folder, "wrong_text_crc.png", with_chunk(whole, chunk(b"tEXt", b"a\0b", 7))),
               ("damaged", "not_an_image"), (40, 20), CORNERS)  # fmt: skip
    yield Case(_put(folder, "empty_chunks.png", with_chunk(whole, *[chunk(b"tEXt", b"")] * 9)),
               (), (40, 20), CORNERS)  # fmt: skip
    empty = whole[: at - 4] + chunk(b"IDAT", b"") + whole[at - 4 :]
    yield _may(_put(folder, "empty_idat.png", empty), (40, 20), CORNERS)
    yield Case(
        _put(folder, "no_pixels.png", png(0, 0, 8, 2, b"")), ("empty", "damaged", "not_an_image")
    )
    # A whole stream of too few rows, which no broken copy makes: the decoder leaves the rest black.
    yield _may(_put(folder, "few_rows.png", png(40, 20, 8, 2, bytes(121 * 5))))
    yield Case(_put(folder, "no_rows.png", png(40, 20, 8, 2, b"")), ("damaged",))
    yield Case(_put(folder, "odd_depth.png", png(40, 20, 7, 2, bytes(121 * 20))), ANY)
    yield Case(_put(folder, "no_palette.png", png(4, 4, 8, 3, bytes(5 * 4))), ANY, (4, 4))
    yield Case(_put(folder, "no_end.png", whole[:-12]), ("damaged",), (40, 20), CORNERS)
    lies = whole[:8] + struct.pack(">I", 0x7FFFFFFF) + whole[12:]
    yield Case(_put(folder, "long_chunk.png", lies), ANY)
    glass = chunk(b"tRNS", bytes(3))
    yield _may(_put(folder, "odd_transparency.png", with_chunk(whole, glass)))
    yield _may(_put(folder, "trailing.png", whole + b"garbage" * 100), (40, 20), CORNERS)


def _odd_jpeg(folder: Path) -> Iterator[Case]:
    whole = encoded(picture(), "JPEG", quality=95, subsampling=0)
    cases = {
        "trailing.jpg": whole + b"\0garbage" * 1000,
        "two_starts.jpg": whole[:2] + whole,
        "fill_bytes.jpg": whole[:2] + b"\xff" * 50 + whole[2:],
        "long_comment.jpg": whole[:2] + b"\xff\xfe\xff\xff" + b"c" * 65_533 + whole[2:],
        "empty_comment.jpg": whole[:2] + b"\xff\xfe\0\2" + whole[2:],
        "short_segment.jpg": whole[:2] + b"\xff\xe1\0\0" + whole[2:],
        "twice.jpg": whole + whole,
        "no_end.jpg": whole[:-2],
        "named_as.png": whole,
    }
    for name, data in cases.items():
        yield _may(_put(folder, name, data), (40, 20), CORNERS)
    at = whole.index(b"\xff\xc0")
    for name, patch in {
        "no_height.jpg": (at + 5, b"\0\0"),
        "no_width.jpg": (at + 7, b"\0\0"),
        "deep_12_bit.jpg": (at + 4, b"\x0c"),
        "arithmetic.jpg": (at + 1, b"\xc9"),
        "lossless.jpg": (at + 1, b"\xc3"),
        "nine_channels.jpg": (at + 9, b"\x09"),
    }.items():
        data = bytearray(whole)
        data[patch[0] : patch[0] + len(patch[1])] = patch[1]
        yield _may(_put(folder, name, bytes(data)))
    no_tables = whole.replace(b"\xff\xc4", b"\xff\xe9")
    yield _may(_put(folder, "no_huffman.jpg", no_tables))
    swapped = encoded(noise(), "JPEG")
    damaged = bytearray(swapped)
    damaged[len(damaged) // 2 : len(damaged) // 2 + 500] = scrap(500)
    yield _may(_put(folder, "scrambled.jpg", bytes(damaged)))


def _odd_tiff(folder: Path) -> Iterator[Case]:
    grey = np.full((20, 40), 128, dtype=np.uint8).tobytes()
    middle = ((128,) * 3,) * 4
    yield Case(
        _put(folder, "looping.tif", grey_tiff(40, 20, 8, 1, grey, after=8)), ANY, (40, 20), middle
    )
    yield Case(_put(folder, "far_page.tif", grey_tiff(40, 20, 8, 1, grey, after=2**31)), ANY,
               (40, 20), middle)  # fmt: skip
    yield Case(_put(folder, "no_tags.tif", tiff([])), ANY)
    yield Case(_put(folder, "nested.tif", tiff([(330, 13, 1, 8), (34665, 13, 1, 8)])), ANY)
    yield Case(_put(folder, "far_strip.tif", grey_tiff(40, 20, 8, 1, b"")), ANY)
    yield Case(_put(folder, "odd_bits.tif", grey_tiff(40, 20, 13, 1, grey)), ANY)
    yield Case(_put(folder, "many_tags.tif", b"II*\0\x08\0\0\0\xff\xff" + scrap(4000)), ANY)
    yield Case(_put(folder, "complex.tif", grey_tiff(4, 4, 64, 6, bytes(128))), ANY, (4, 4))
    for name, compression in (("tiff_deflate", "d"), ("jpeg", "j"), ("group4", "g"), ("zstd", "z")):
        mode = "1" if name == "group4" else "RGB"
        try:
            whole = encoded(noise().convert(mode), "TIFF", compression=name)
        except (OSError, ValueError, RuntimeError):
            continue
        data = bytearray(whole)
        data[200 : len(data) // 2] = scrap(len(data) // 2 - 200)
        yield _may(_put(folder, f"scrambled_{compression}.tif", bytes(data)))


def _odd_others(folder: Path) -> Iterator[Case]:
    # From the bottom up, blue first; upside down when the height is negative.
    stored = np.asarray(picture())[:, :, ::-1]
    yield Case(_put(folder, "top_down.bmp", bmp(40, -20, stored.tobytes())), (), (40, 20), CORNERS)
    yield Case(
        _put(folder, "bottom_up.bmp", bmp(40, 20, stored[::-1].tobytes())), (), (40, 20), CORNERS
    )
    yield Case(_put(folder, "negative_width.bmp", bmp(-40, 20, stored.tobytes())), ANY)
    yield Case(_put(folder, "lowest_height.bmp", bmp(40, -(2**31), bytes(10))), ANY)
    icon = encoded(picture(32, 32), "ICO", sizes=[(32, 32)])
    yield Case(_put(folder, "icon.png", icon), ANY, (32, 32), CORNERS)
    yield _may(_put(folder, "cursor.jpg", icon[:2] + b"\2\0" + icon[4:]))
    screen = bytearray(encoded(picture(), "GIF"))
    screen[6:10] = bytes(4)
    yield _may(_put(folder, "no_screen.gif", bytes(screen)))
    yield Case(_put(folder, "no_frame.gif", b"GIF89a\x0a\0\x0a\0\0\0\0;"), ANY)
    yield Case(_put(folder, "no_size.ppm", b"P6\n0 0\n255\n"), ANY)
    yield Case(_put(folder, "long_number.ppm", b"P6\n" + b"9" * 5000 + b" 1\n255\n"), ANY)
    yield Case(_put(folder, "negative.pgm", b"P5\n-4 4\n255\n" + bytes(16)), ANY)
    yield _may(_put(folder, "deep.pgm", b"P5\n4 4\n65535\n" + bytes(32)))
    webp = encoded(picture(), "WEBP", lossless=True)
    lies = webp[:4] + struct.pack("<I", 2**31) + webp[8:]
    yield _may(_put(folder, "long_riff.webp", lies))
    if features.check("jpg_2000"):
        data = encoded(picture(), "JPEG2000")
        yield Case(_put(folder, "fine.jp2", data), (), (40, 20), CORNERS)
        # This decoder takes what is there of a cut file: pixels are allowed, a crash is not.
        cut = encoded(noise(), "JPEG2000")
        yield _may(_put(folder, "cut.jp2", cut[: len(cut) // 2]))
    if features.check("avif"):
        data = encoded(picture(), "AVIF", quality=95, subsampling="4:4:4")
        yield Case(_put(folder, "fine.avif", data), (), (40, 20), CORNERS, 20)
        cut = encoded(noise(), "AVIF")
        yield Case(_put(folder, "cut.avif", cut[: len(cut) // 2]), ANY)


def _names(folder: Path) -> Iterator[Case]:
    data = encoded(picture(), "PNG")
    names = [
        "new\nline.png", " spaces  around .png", "Übergröße 写真 📷.png",
        "it's \"quoted\" `$(x)`.png",
        "a::b.png", "shard.tar::b.png", "%s{0}.png", "[bold]red.png", "tab\t.png", "-o.png",
        "semi;colon,comma.png", "n" * 200 + ".png", "back\\slash.png", "e\u0301\u202e.png",
    ]  # fmt: skip
    for number, name in enumerate(names):
        # Each its own pixels, or all are one image.
        rows = encoded(Image.new("RGB", (8, 8), (number, 0, 0)), "PNG")
        yield Case(_put(folder, name, rows), (), (8, 8), ((number, 0, 0),) * 4)
    raw = os.fsencode(folder) + b"/not_utf8_\xff.png"
    try:
        with open(raw, "wb") as file:  # noqa: PTH123
            file.write(data)
    except OSError:  # a file system that wants UTF-8
        return
    # Listed with the odd byte spelled out, which no path is.
    yield Case(folder / "not_utf8_\\xff.png", ("unreadable",))


def _no_files(folder: Path) -> Iterator[Case]:
    (folder / "folder.jpg").mkdir()
    yield Case(folder / "folder.jpg", ("unreadable",))
    (folder / "dangling.jpg").symlink_to(folder / "gone")
    yield Case(folder / "dangling.jpg", ("unreadable",))
    (folder / "loop_a.jpg").symlink_to(folder / "loop_b.jpg")
    (folder / "loop_b.jpg").symlink_to(folder / "loop_a.jpg")
    yield Case(folder / "loop_a.jpg", ("unreadable",))
    (folder / "upwards.jpg").symlink_to(folder)
    yield Case(folder / "upwards.jpg", ("unreadable",))
    if Path("/dev/zero").exists():
        (folder / "endless.jpg").symlink_to("/dev/zero")
        yield Case(folder / "endless.jpg", ("unreadable",))
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.jpg")
        yield Case(folder / "pipe.jpg", ("unreadable",))
    locked = _put(folder, "locked.png", encoded(Image.new("RGB", (9, 9), BLUE), "PNG"))
    locked.chmod(0)
    # The superuser reads it all the same.
    yield Case(locked, ("unreadable",), (9, 9), (BLUE,) * 4)
    if hasattr(socket, "AF_UNIX"):
        listener = socket.socket(socket.AF_UNIX)
        here = Path.cwd()
        try:
            # By a short name: the path of a socket may have a hundred bytes only.
            os.chdir(folder)
            listener.bind("socket.jpg")
        finally:
            os.chdir(here)
            listener.close()
        yield Case(folder / "socket.jpg", ("unreadable",))


def _may(
    path: Path,
    size: tuple[int, int] | None = None,
    corners: tuple[tuple[int, int, int], ...] | None = None,
) -> Case:
    """A file that may be taken or refused: tolerance differs between versions of the decoders."""
    return Case(path, ANY[:4], size, corners, either=True)
