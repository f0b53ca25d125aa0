"""Near-identical photos: a perceptual hash per photo, and the pairs whose hashes nearly agree.

The hash is the sign pattern of a photo's 16 × 16 lowest cosine frequencies, 255 bits without the
mean (Zauner, *Implementation and Benchmarking of Perceptual Image Hash Functions*, 2010, with more
frequencies than there): the same photo at another size, compression or brightness, or cut by a few
per cent at the edges, differs in few bits, different photos in about half. Must not know of groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from curation.corpus import Corpus
from curation.images import ImageStep, Prepared
from uniqa.containers import exists
from uniqa.photos import Photo

METHOD = "dct-16x16-v1"
"""Stored with every hash: another method, other hashes."""

BITS = 255

MOST_DIFFERENT = 56
"""Bits in which two hashes of near-identical photos differ at most (22 %).

Different photos differ in 50 % with a standard deviation of 3.2 %, so that even among 10¹² pairs
none comes this near by chance.
"""

_SIDE, _FREQUENCIES, _FLAT = 64, 16, 2.0
_READ_SIDE = 128
_WINDOW = 256

EXHAUSTIVE = 3000
"""So many hashes at most are compared each with each; more by random bits that agree."""

_TABLES, _LOW, _MOST_IN_A_ROW = 40, 8, 400

Hashes = NDArray[np.uint8]


def look(photo: Photo) -> bytes | None:
    """A photo's hash, 32 bytes; None for a photo without anything in it."""
    grey = Image.fromarray(photo.pixels).convert("L")
    small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float64)
    if small.std() < _FLAT:
        return None
    waves = dctn(small, norm="ortho")[:_FREQUENCIES, :_FREQUENCIES].ravel()[1:]
    return np.packbits(waves > np.median(waves)).tobytes()


def hash_photos(
    corpus: Corpus,
    *,
    workers: int | None = None,
    on_start: Callable[[int], None] = lambda _photos: None,
    on_done: Callable[[int], None] = lambda _photos: None,
) -> None:
    """Look at every photo of the corpus that was not looked at yet and is there.

    Args:
        corpus: open for writing.
        workers: processes that read photos; one per processor when not given.
        on_start: told how many photos are to be read.
        on_done: told how many more were read.
    """
    unread = dict(
        corpus.rows(
            "SELECT path, image_id FROM files "
            "SEMI JOIN images USING (image_id) ANTI JOIN image_hashes USING (image_id) "
            "ORDER BY image_id, path"
        )
    )
    paths = _first_that_exists(unread)
    on_start(len(paths))
    if not paths:
        return
    batches = (paths[at : at + _WINDOW] for at in range(0, len(paths), _WINDOW))
    with ImageStep(look, _READ_SIDE, workers) as step:
        for items in step.windows(batches):
            rows = [
                {"image_id": item.image_id, "method": METHOD, "hash": item.payload}
                for item in items
                # Bytes that changed meanwhile are another photo, which is not in the corpus.
                if isinstance(item, Prepared) and item.image_id == unread[item.path]
            ]
            with corpus.transaction():
                corpus.put("image_hashes", rows)
            on_done(len(items))


def _first_that_exists(paths: dict[str, str]) -> list[str]:
    found: dict[str, str] = {}
    for path, image_id in paths.items():
        if image_id not in found and exists(path):
            found[image_id] = path
    return list(found.values())


def read_pairs(corpus: Corpus) -> list[tuple[str, str]]:
    """The pairs of image ids that are near-identical, as far as photos have been looked at."""
    table = corpus.table(
        "SELECT image_id, hash FROM image_hashes WHERE hash IS NOT NULL AND method = "
        f"'{METHOD}' ORDER BY image_id"
    )
    ids = table["image_id"].to_pylist()
    if not ids:
        return []
    packed = b"".join(table["hash"].to_pylist())
    hashes = np.frombuffer(packed, dtype=np.uint8).reshape(len(ids), -1)
    return [(ids[a], ids[b]) for a, b in near_pairs(hashes)]


def near_pairs(hashes: Hashes, most: int = MOST_DIFFERENT) -> list[tuple[int, int]]:
    """Pairs of rows that differ in `most` bits or fewer.

    Args:
        hashes: shape (photos, 32), as `look` makes them.
        most: bits.

    Returns:
        Pairs (a, b) with a < b, sorted. Rows with the very same hash are paired with the first of
        them only. Up to `EXHAUSTIVE` different hashes no pair is missed; beyond, pairs are found
        by samples of the low frequencies' bits in which both agree (Indyk & Motwani 1998): few
        pairs far below the limit are missed, some near it are.
    """
    if not len(hashes):
        return []
    distinct, first, same = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    same = same.ravel()
    pairs = {(int(first[group]), row) for row, group in enumerate(same) if first[group] != row}
    words = distinct.view(np.uint64)
    candidates = _all_pairs(words) if len(words) <= EXHAUSTIVE else _agreeing(distinct)
    for left, right in candidates:
        near = np.bitwise_count(words[left] ^ words[right]).sum(axis=1, dtype=np.int64) <= most
        for a, b in zip(first[left[near]], first[right[near]], strict=True):
            pairs.add((int(min(a, b)), int(max(a, b))))
    return sorted(pairs)


Candidates = Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]


def _all_pairs(words: NDArray[np.uint64]) -> Candidates:
    for row in range(len(words) - 1):
        right = np.arange(row + 1, len(words))
        yield np.full(len(right), row), right


def _agreeing(hashes: Hashes) -> Candidates:
    """Pairs that agree in all bits of a sample, for one sample of low frequencies after another."""
    bits = np.unpackbits(hashes, axis=1)[:, _low_bits()]
    # One more bit halves the pairs that agree by chance; more photos make four times as many.
    size = int(np.clip(np.ceil(np.log2(len(hashes))), 14, 20))
    generator = np.random.default_rng(0)
    for _ in range(_TABLES):
        sample = generator.permutation(bits.shape[1])[:size]
        keys = bits[:, sample].astype(np.int64) @ (1 << np.arange(size, dtype=np.int64))
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        alive, apart = np.arange(len(keys)), 1
        while apart <= _MOST_IN_A_ROW:
            alive = alive[alive + apart < len(keys)]
            alive = alive[keys[alive + apart] == keys[alive]]
            if not len(alive):
                break
            yield order[alive], order[alive + apart]
            apart += 1


def _low_bits() -> Sequence[int]:
    places = (row * _FREQUENCIES + column - 1 for row in range(_LOW) for column in range(_LOW))
    return [place for place in places if place >= 0]
