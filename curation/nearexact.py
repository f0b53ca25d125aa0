"""Near-exact texts: the same wording but for a slip, an ending or something added.

Two texts are near-exact if their sets of letter 5-grams overlap enough (Jaccard index), they agree
on numbers and on what they deny, and no word stands in another's place: in a long text "sharp",
"blurry" and "not sharp" share almost every letter. The candidates come from MinHash with banded
lookup (the library rensa), so that nothing is compared with everything; each is then checked by its
true Jaccard index. MinHash may miss a pair: one with an index of 0.8 with a chance of 0.2 %, more
alike ones more rarely.

Broder, *On the resemblance and containment of documents*, 1997; for the bands see Leskovec,
Rajaraman & Ullman, *Mining of Massive Datasets*, section 3.4. Works on normalised texts; must not
know images, embeddings or who survives.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

GRAM = 5
"""Letters per gram; a shorter text is one gram."""

_BANDS, _ROWS = 21, 6
_PERMUTATIONS, _SEED = 128, 42
_CHUNK = 50_000
_DOUBT = 0.16
"""Four standard errors of the estimate by signatures: what is below by more is not looked at."""
_RESPELT = 0.75
_ALL_PAIRS = 32
_LEADS, _NEXT = 8, 4
_PRIME = np.uint64(0x100000001B3)
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))

_DENIALS = re.compile(
    r"\b(?:no|not|non|nor|never|none|nothing|neither|nobody|nowhere|without|cannot|lack\w*"
    r"|\w+n t|\w+n['’]t|dont|doesnt|isnt|wasnt|arent|cant|wont|didnt|hardly|barely)\b"
)
_NUMBERS = re.compile(r"\d+")

Pairs = NDArray[np.int64]
"""Pairs of indices, shape (pairs, 2): the earlier text first, sorted, each once."""


@dataclass(frozen=True, slots=True)
class NearExact:
    """Pairs of near-exact texts and their Jaccard index, in [threshold, 1]."""

    pairs: Pairs
    overlap: NDArray[np.float32]


def near_exact(
    texts: Sequence[str],
    threshold: float,
    groups: NDArray[np.int64] | None = None,
) -> NearExact:
    """Pairs of texts that say the same in nearly the same words.

    Args:
        texts: normalised and distinct, best-ranked first. Where very many look alike, each is
            compared with the first of them and with the ones just before it only.
        threshold: Jaccard index of the letter 5-grams, in (0, 1], from which a pair counts.
        groups: pairs are only looked for among texts of the same group; of shape (texts,).

    Raises:
        ValueError: `threshold` outside (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"a Jaccard index is in (0, 1], not {threshold}")
    if len(texts) < 2:
        return NearExact(np.empty((0, 2), np.int64), np.empty(0, np.float32))
    signatures = _signatures(texts)
    pairs = _candidates(signatures, groups)
    pairs = pairs[_estimates(signatures, pairs) >= threshold - _DOUBT]
    del signatures
    overlaps = _overlaps(texts, pairs)
    close = overlaps >= threshold
    pairs, overlaps = pairs[close], overlaps[close]
    agreeing = np.fromiter(
        (_agree(texts[first], texts[second]) for first, second in pairs.tolist()),
        dtype=bool,
        count=len(pairs),
    )
    return NearExact(pairs[agreeing], overlaps[agreeing].astype(np.float32))


def overlap(first: str, second: str) -> float:
    """Jaccard index of the letter 5-grams of two normalised texts, in [0, 1]."""
    return float(_overlaps([first, second], np.array([[0, 1]]))[0])


def _agree(first: str, second: str) -> bool:
    """Whether the same numbers are told, as often denied, and no word replaced by another."""
    ours, theirs = set(first.split()), set(second.split())
    return (
        _NUMBERS.findall(first) == _NUMBERS.findall(second)
        and len(_DENIALS.findall(first)) == len(_DENIALS.findall(second))
        and _respelt(ours - theirs, theirs - ours)
    )


def _respelt(ours: set[str], theirs: set[str]) -> bool:
    """Whether the words of the smaller set are spellings of some in the larger.

    A slip or an ending leaves the first letter alone; prefixes turn a meaning round.
    """
    few, many = sorted((ours, theirs), key=len)
    return all(
        any(
            word[0] == other[0] and SequenceMatcher(None, word, other).ratio() >= _RESPELT
            for other in many
        )
        for word in few
    )


def _grams(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Hashes of the grams of all texts, one after another, and where each text begins (n + 1)."""
    encoded = [text.encode("utf-32-le") for text in texts]
    lengths = np.array([len(text) // 4 for text in encoded], dtype=np.int64)
    letters = np.frombuffer(b"".join(encoded), dtype=np.uint32).astype(np.uint64)
    hashes = np.zeros(len(letters), dtype=np.uint64)
    for offset in range(GRAM):
        shifted = letters[offset:]
        hashes[: len(shifted)] = hashes[: len(shifted)] * _PRIME + shifted + np.uint64(1)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    counts = np.maximum(lengths - GRAM + 1, 1)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    where = np.arange(offsets[-1]) + np.repeat(starts[:-1] - offsets[:-1], counts)
    hashes = np.append(hashes, np.uint64(0))[np.minimum(where, len(hashes))]
    # After the end of a text shorter than a gram stands another text: it is hashed alone.
    for short in np.flatnonzero(lengths < GRAM).tolist():
        value = int(lengths[short])
        for letter in letters[starts[short] : starts[short + 1]].tolist():
            value = value * int(_PRIME) + letter + 1
        hashes[offsets[short]] = value % 2**64
    for factor in _MIX:
        hashes ^= hashes >> np.uint64(33)
        hashes *= factor
    return hashes ^ (hashes >> np.uint64(33)), offsets.astype(np.uint64)


def _signatures(texts: Sequence[str]) -> NDArray[np.uint32]:
    """MinHash signatures, shape (texts, permutations)."""
    from rensa import RMinHash

    found = np.empty((len(texts), _BANDS * _ROWS), dtype=np.uint32)
    for start in range(0, len(texts), _CHUNK):
        grams, offsets = _grams(texts[start : start + _CHUNK])
        rows = RMinHash.digest_matrix_from_flat_token_hashes(
            grams, offsets, _PERMUTATIONS, _SEED
        ).to_rows()
        found[start : start + _CHUNK] = np.asarray(rows, dtype=np.uint32)[:, : _BANDS * _ROWS]
    return found


def _candidates(signatures: NDArray[np.uint32], groups: NDArray[np.int64] | None) -> Pairs:
    """Pairs that agree on at least one whole band, the earlier text first."""
    found: list[NDArray[np.int64]] = []
    count = len(signatures)
    salt = np.zeros(count, np.uint64) if groups is None else groups.astype(np.uint64)
    for band in range(_BANDS):
        keys = salt.copy()
        for row in range(band * _ROWS, (band + 1) * _ROWS):
            keys = (keys ^ signatures[:, row]) * _MIX[0]
            keys ^= keys >> np.uint64(32)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        sizes = np.diff(np.append(starts, count))
        # Place within the bucket; the sort is stable, so better-ranked texts come first.
        place = np.arange(count) - np.repeat(starts, sizes)
        size, start = np.repeat(sizes, sizes), np.repeat(starts, sizes)
        for back in range(1, int(min(sizes.max(), _ALL_PAIRS))):
            if back <= _NEXT:
                later = np.flatnonzero(place >= back)
            else:
                later = np.flatnonzero((place >= back) & (size <= _ALL_PAIRS))
            found.append(_key(order[later - back], order[later], count))
        for lead in range(_LEADS):
            later = np.flatnonzero((size > _ALL_PAIRS) & (place > lead + _NEXT))
            found.append(_key(order[start[later] + lead], order[later], count))
        if len(found) > 200:
            found = [np.unique(np.concatenate(found))]
    keys_found = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
    pairs = np.stack([keys_found // count, keys_found % count], axis=1)
    if groups is not None:
        pairs = pairs[groups[pairs[:, 0]] == groups[pairs[:, 1]]]
    return pairs


def _estimates(signatures: NDArray[np.uint32], pairs: Pairs) -> NDArray[np.float64]:
    """Share of equal places of two signatures: the Jaccard index, give or take 0.04."""
    found = np.empty(len(pairs))
    for start in range(0, len(pairs), _CHUNK):
        first, second = pairs[start : start + _CHUNK].T
        found[start : start + _CHUNK] = (signatures[first] == signatures[second]).mean(axis=1)
    return found


def _key(first: NDArray[np.int64], second: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.asarray(first * count + second, dtype=np.int64)


def _overlaps(texts: Sequence[str], pairs: Pairs) -> NDArray[np.float64]:
    """True Jaccard index of each pair."""
    found = np.empty(len(pairs))
    for start in range(0, len(pairs), _CHUNK):
        part = pairs[start : start + _CHUNK]
        used, places = np.unique(part, return_inverse=True)
        places = places.reshape(part.shape)
        grams, offsets = _grams([texts[index] for index in used.tolist()])
        bounds = offsets.astype(np.int64)
        text_of = np.repeat(np.arange(len(used)), np.diff(bounds))
        order = np.lexsort((grams, text_of))
        grams, text_of = grams[order], text_of[order]
        new = np.ones(len(grams), dtype=bool)
        new[1:] = (grams[1:] != grams[:-1]) | (text_of[1:] != text_of[:-1])
        grams, sizes = grams[new], np.bincount(text_of[new], minlength=len(used))
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        shared = _shared(grams, bounds, places)
        total = sizes[places].sum(axis=1)
        found[start : start + _CHUNK] = shared / (total - shared)
    return found


def _shared(
    grams: NDArray[np.uint64], bounds: NDArray[np.int64], places: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many of their grams the two texts of each pair have in common."""
    sizes = np.diff(bounds)
    both = sizes[places].ravel()
    pair_of = np.repeat(np.repeat(np.arange(len(places)), 2), both)
    ends = np.concatenate([[0], np.cumsum(both)])
    where = np.arange(ends[-1]) + np.repeat(bounds[places.ravel()] - ends[:-1], both)
    values = grams[where]
    order = np.lexsort((values, pair_of))
    values, pair_of = values[order], pair_of[order]
    twice = (values[1:] == values[:-1]) & (pair_of[1:] == pair_of[:-1])
    return np.asarray(np.bincount(pair_of[1:][twice], minlength=len(places)), dtype=np.int64)
