"""Photos of every kind come out upright, RGB, 8-bit and on white; the rest is refused clearly."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from uniqa import photos
from uniqa.photos import PhotoError, find_photos, image_id_of, read_photo, search, size_of

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corners() -> np.ndarray:
    """A 40×20 picture whose four corners can be told apart."""
    pixels = np.zeros((20, 40, 3), dtype=np.uint8)
    pixels[:10, :20], pixels[:10, 20:] = RED, GREEN
    pixels[10:, :20], pixels[10:, 20:] = BLUE, WHITE
    return pixels


# How a camera must have turned the upright picture for each EXIF orientation.
STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_every_exif_orientation_comes_out_upright(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](corners())))
    path = tmp_path / f"turned{suffix}"
    stored.save(path, exif=exif, **({"quality": 95, "subsampling": 0} if suffix == ".jpg" else {}))
    photo = read_photo(path)
    assert (photo.width, photo.height) == (40, 20)
    assert (photo.full_width, photo.full_height) == (40, 20)
    for (row, column), colour in {
        (4, 4): RED, (4, 35): GREEN, (15, 4): BLUE, (15, 35): WHITE
    }.items():  # fmt: skip
        assert np.abs(photo.pixels[row, column].astype(int) - colour).max() < 12


def test_16_bit_is_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 16384, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    photo = read_photo(tmp_path / "deep.png")
    assert photo.pixels.shape == (1, 4, 3)
    np.testing.assert_allclose(photo.pixels[0, :, 0], [0, 64, 128, 255], atol=1)


def test_a_dark_16_bit_photo_stays_dark(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 200, dtype=np.uint16)).save(tmp_path / "dark.png")
    assert read_photo(tmp_path / "dark.png").pixels.max() <= 1


def test_cmyk_becomes_the_colours_people_see(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (200, 40, 40)).convert("CMYK").save(
        tmp_path / "print.jpg", quality=98
    )
    photo = read_photo(tmp_path / "print.jpg")
    assert photo.mode == "CMYK"
    np.testing.assert_allclose(photo.pixels[8, 8], (200, 40, 40), atol=6)


def swapped_profile() -> bytes:
    """A profile whose red is blue and whose blue is red."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
    profile = profile.replace(b"rXYZ", b"tmp ").replace(b"bXYZ", b"rXYZ")
    return profile.replace(b"tmp ", b"bXYZ")


@pytest.mark.parametrize("max_side", [None, 8])
def test_colours_are_what_the_profile_means(tmp_path: Path, max_side: int | None) -> None:
    for mode in ("RGB", "RGBA"):
        path = tmp_path / f"{mode}.png"
        Image.new(mode, (16, 16), RED).save(path, icc_profile=swapped_profile())
        assert np.abs(read_photo(path, max_side=max_side).pixels.astype(int) - BLUE).max() < 3
    Image.new("RGB", (16, 16), (200, 40, 90)).save(
        tmp_path / "usual.png",
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    )
    assert tuple(read_photo(tmp_path / "usual.png").pixels[0, 0]) == (200, 40, 90)


def test_a_broken_profile_changes_nothing(tmp_path: Path) -> None:
    for number, profile in enumerate((b"no profile", swapped_profile()[:300], bytes(128))):
        for mode, colour in (("RGB", RED), ("CMYK", (0, 255, 255, 0))):
            path = tmp_path / f"{number}{mode}.jpg"
            Image.new(mode, (16, 16), colour).save(path, quality=95, icc_profile=profile)
            assert np.abs(read_photo(path).pixels.astype(int) - RED).max() < 6


def test_broken_exif_leaves_a_photo_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(corners()).save(tmp_path / "a.png", exif=b"Exif\0\0no exif at all")
    assert tuple(read_photo(tmp_path / "a.png").pixels[0, 0]) == RED


def test_transparency_goes_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((2, 3, 4), dtype=np.uint8)
    rgba[:, 1] = (255, 0, 0, 255)
    rgba[:, 2] = (0, 0, 0, 128)
    Image.fromarray(rgba).save(tmp_path / "glass.png")
    row = read_photo(tmp_path / "glass.png").pixels[0]
    assert tuple(row[0]) == WHITE
    assert tuple(row[1]) == RED
    assert np.abs(row[2].astype(int) - 127).max() <= 1


def test_palette_transparency_goes_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 0, 0, 255])
    image.putpixel((3, 3), 1)
    image.save(tmp_path / "sticker.png", transparency=0)
    pixels = read_photo(tmp_path / "sticker.png").pixels
    assert tuple(pixels[0, 0]) == WHITE
    assert tuple(pixels[3, 3]) == BLUE


@pytest.mark.parametrize("mode", ["L", "1", "LA", "P", "I", "F", "YCbCr", "LAB"])
def test_other_pixel_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(corners()).convert("L" if mode in "IF" else "RGB").convert(mode)
    path = tmp_path / "odd.tif"
    image.save(path)
    photo = read_photo(path)
    assert photo.pixels.shape == (20, 40, 3)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels[15, 35].min() > 240  # white stays white


def test_an_animated_gif_is_its_first_frame(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (5, 4), RED), Image.new("RGB", (5, 4), BLUE)
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second, first])
    assert tuple(read_photo(tmp_path / "moving.gif").pixels[0, 0]) == RED


def test_extreme_shapes(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), GREEN).save(tmp_path / "dot.png")
    assert read_photo(tmp_path / "dot.png", max_side=64).pixels.tolist() == [[list(GREEN)]]
    Image.new("RGB", (3000, 10), GREEN).save(tmp_path / "strip.jpg")
    strip = read_photo(tmp_path / "strip.jpg", max_side=100)
    assert (strip.width, strip.height) == (100, 1)
    assert (strip.full_width, strip.full_height) == (3000, 10)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_max_side_shrinks_and_never_enlarges(
    tmp_path: Path, make_photo: Callable[..., Path], suffix: str
) -> None:
    path = make_photo(tmp_path / f"photo{suffix}", size=(300, 200))
    shrunk = read_photo(path, max_side=75)
    assert (shrunk.width, shrunk.height) == (75, 50)
    assert (shrunk.full_width, shrunk.full_height) == (300, 200)
    same = read_photo(path, max_side=301)
    assert (same.width, same.height) == (300, 200)
    assert shrunk.image_id == same.image_id == hashlib.sha256(path.read_bytes()).hexdigest()
    # Shrinking early while decoding must not change what is seen.
    expected = np.asarray(Image.fromarray(same.pixels).resize((75, 50), Image.Resampling.LANCZOS))
    assert np.abs(expected.astype(int) - shrunk.pixels).mean() < 2


def test_identity_is_the_bytes_not_the_name(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    one, two = make_photo(tmp_path / "a.png"), make_photo(tmp_path / "ü b.png")
    assert read_photo(one).image_id == read_photo(two).image_id == image_id_of(one)
    assert image_id_of(make_photo(tmp_path / "c.png", seed=1)) != image_id_of(one)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_truncated_photos_are_refused(
    tmp_path: Path, make_photo: Callable[..., Path], keep: float, suffix: str
) -> None:
    path = make_photo(tmp_path / f"cut{suffix}", size=(200, 150))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(PhotoError, match=r"damaged or truncated|not an image") as caught:
        read_photo(path, max_side=64)
    assert caught.value.kind in {"damaged", "not_an_image"}
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("letter.jpg", b"Dear reader, this is no photo.\n" * 20, "not_an_image"),
        ("nothing.png", b"", "empty"),
        ("zeros.jpg", bytes(5000), "not_an_image"),
        ("half.jpg", b"\xff\xd8\xff\xe0" + bytes(50), "not_an_image"),
    ],
)
def test_what_is_no_photo_is_refused(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PhotoError) as caught:
        read_photo(path)
    assert caught.value.kind == kind
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_unreadable(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.jpg", tmp_path):
        for read in (read_photo, image_id_of):
            with pytest.raises(PhotoError) as caught:
                read(path)
            assert caught.value.kind == "unreadable"


def test_bombs_are_refused_before_they_are_decoded(
    tmp_path: Path, make_photo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_photo(tmp_path / "big.png", size=(60, 50))
    monkeypatch.setattr(photos, "MAX_PIXELS", 2999)
    with pytest.raises(PhotoError, match="60×50 pixels, more than 2,999") as caught:
        read_photo(path)
    assert caught.value.kind == "too_large"
    monkeypatch.setattr(photos, "MAX_PIXELS", 3000)
    assert read_photo(path).width == 60


def claim(path: Path, width: int, height: int) -> Path:
    """A PNG of a few bytes that claims to be huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


@pytest.mark.parametrize("side", [13_400, 14_000, 60_000])
def test_the_limit_named_is_the_limit_that_holds(tmp_path: Path, side: int) -> None:
    with pytest.raises(PhotoError) as caught:
        read_photo(claim(tmp_path / "bomb.png", side, side))
    assert caught.value.kind == "too_large"
    assert side * side > photos.MAX_PIXELS
    assert f"more than {photos.MAX_PIXELS:,}" in caught.value.message


def test_photo_errors_survive_process_pools(tmp_path: Path) -> None:
    error = PhotoError(tmp_path / "a.jpg", "damaged", "cut off")
    again = pickle.loads(pickle.dumps(error))
    assert (again.path, again.kind, again.message) == (tmp_path / "a.jpg", "damaged", "cut off")
    assert str(again) == str(error)


def test_errors_are_one_line_whatever_the_name_is(tmp_path: Path) -> None:
    with pytest.raises(PhotoError) as caught:
        read_photo(tmp_path / "two\nlines \x1b[31m ü.jpg")
    assert "/two\\nlines \\x1b[31m ü.jpg: " in str(caught.value)


def test_find_photos_sorts_and_leaves_out_hidden_files(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    for name in ("b.png", "a.JPG", "sub/deep/c.webp", ".hidden.jpg", ".cache/d.png", "ü x.jpeg"):
        make_photo(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "folder.jpg").mkdir()
    found = [str(path.relative_to(tmp_path)) for path in find_photos(tmp_path)]
    assert found == ["a.JPG", "b.png", "sub/deep/c.webp", "ü x.jpeg"]


def test_a_hidden_folder_named_by_the_user_is_searched(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    photo = make_photo(tmp_path / ".private" / "a.png")
    assert find_photos(tmp_path / ".private") == [photo]


def test_what_only_looks_like_a_photo_is_listed_and_says_what_it_is(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    make_photo(tmp_path / "in" / "a.png")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "linked.png").symlink_to(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    found = search(tmp_path)
    names = ["gone.jpg", "in/a.png", "linked.png", "loop.jpg", "pipe.jpg"]
    assert found.photos == [str(tmp_path / name) for name in names]
    assert read_photo(tmp_path / "linked.png").width == 48
    with pytest.raises(PhotoError, match="not a regular file"):
        read_photo(tmp_path / "pipe.jpg")


def test_names_that_are_no_text_are_spelled_out(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff.jpg", "wb"):  # noqa: PTH123
        pass
    (path,) = find_photos(tmp_path)
    assert path == tmp_path / "\\xff.jpg"
    str(path).encode("utf-8")
    with pytest.raises(PhotoError, match="name is not UTF-8"):
        read_photo(path)


def test_sizes_come_from_the_header(tmp_path: Path, make_photo: Callable[..., Path]) -> None:
    assert size_of(make_photo(tmp_path / "a.png", size=(31, 17))) == (31, 17)
    assert size_of(claim(tmp_path / "claim.png", 9_000, 8_000)) == (9_000, 8_000)
    (tmp_path / "text.jpg").write_text("no photo")
    assert size_of(tmp_path / "text.jpg") == size_of(tmp_path / "gone.jpg") == (0, 0)
