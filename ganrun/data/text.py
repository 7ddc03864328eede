"""Vectors of texts, for games that make images of captions; all but one work without a network or trained weights.

The vectors are fixed: what a game learns of language, it learns in the layers that read them.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ganrun.core.arguments import PositiveInt
from ganrun.core.errors import DataError
from ganrun.data.source import missing

LENGTHS = (3, 4, 5)
"""Of the character n-grams."""


class Encoder:
    """From texts to vectors of length one."""

    @property
    def identity(self) -> str:
        """What the vectors depend on besides texts and vocabulary; part of the data's fingerprint."""
        return type(self).__name__

    def vocabulary(self, captions: Sequence[str]) -> tuple[str, ...]:
        """What of the training captions :meth:`encode` has to know; nothing for most encoders."""
        return ()

    def size(self, vocabulary: Sequence[str]) -> int:
        """Dimensions of the vectors."""
        raise NotImplementedError

    def encode(self, texts: Sequence[str], vocabulary: Sequence[str]) -> Tensor:
        """Vectors ``[len(texts), size]``, float32; of a text of which nothing is known, zeros.

        Raises:
            DataError: a text cannot be encoded.
        """
        raise NotImplementedError


class BagOfWords(Encoder):
    """How often each word of the training captions occurs; other words are not heard, and their order neither.

    Args:
        smallest_count: words that occur less often in the training captions are left out.
    """

    def __init__(self, smallest_count: PositiveInt) -> None:
        self.smallest_count = smallest_count

    def vocabulary(self, captions: Sequence[str]) -> tuple[str, ...]:
        """All words, sorted.

        Raises:
            DataError: no word is frequent enough.
        """
        counts = Counter(word for caption in captions for word in words(caption))
        known = tuple(sorted(word for word, count in counts.items() if count >= self.smallest_count))
        if not known:
            raise DataError(
                f"No word occurs {self.smallest_count} times in the captions. Lower dataset.encoder.smallest_count"
            )
        return known

    def size(self, vocabulary: Sequence[str]) -> int:
        """One dimension for each word."""
        return len(vocabulary)

    def encode(self, texts: Sequence[str], vocabulary: Sequence[str]) -> Tensor:
        """Counts, normalised."""
        number = {word: index for index, word in enumerate(vocabulary)}
        vectors = torch.zeros(len(texts), len(vocabulary))
        for vector, text in zip(vectors, texts, strict=True):
            for word, count in Counter(words(text)).items():
                if word in number:
                    vector[number[word]] = count
        return normalize(vectors)


class HashedNgrams(Encoder):
    """Runs of three to five characters, hashed with a sign (Weinberger et al., *Feature Hashing*, ICML 2009, eq. 2).

    Words with a common stem are near to each other, and so are texts with common phrases; a run that spans two words
    tells their order. It needs no vocabulary and hears every word, and the same text has the same vector everywhere.

    Args:
        size: dimensions; the fewer, the more runs share one.
    """

    def __init__(self, size: PositiveInt) -> None:
        self._size = size

    def size(self, vocabulary: Sequence[str]) -> int:
        """As many as were asked for."""
        return self._size

    def encode(self, texts: Sequence[str], vocabulary: Sequence[str]) -> Tensor:
        """Signed counts, normalised."""
        places: dict[str, tuple[int, float]] = {}
        vectors = np.zeros((len(texts), self._size), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for ngram in ngrams(text):
                if ngram not in places:
                    places[ngram] = self._place(ngram)
                index, sign = places[ngram]
                vector[index] += sign
        return normalize(torch.from_numpy(vectors))

    def _place(self, ngram: str) -> tuple[int, float]:
        """Dimension and sign of an n-gram; Python's own hash differs from process to process."""
        value = int.from_bytes(hashlib.blake2b(ngram.encode(), digest_size=8).digest(), "little")
        return (value >> 1) % self._size, 1.0 if value & 1 else -1.0


class FromFile(Encoder):
    """Vectors that another program made, looked up by the text.

    Args:
        path: an ``.npz`` file with ``captions`` (``[N]`` text) and ``vectors`` (``[N, size]`` numbers).

    Raises:
        DataError: the file is not there or holds something else.
    """

    def __init__(self, path: str) -> None:
        place = Path(path).expanduser()
        if not place.is_file():
            raise DataError(missing(place, "dataset.encoder.path"))
        try:
            with np.load(place) as arrays:
                texts, vectors = arrays["captions"], arrays["vectors"].astype(np.float32)
            if texts.dtype.kind != "U" or texts.ndim != 1 or vectors.ndim != 2 or len(texts) != len(vectors):
                raise ValueError(f"captions {texts.dtype} {texts.shape}, vectors {vectors.shape}")
        except (OSError, KeyError, ValueError) as error:
            raise DataError(
                f"{place} holds no vectors of captions ({error}). Save it by numpy.savez(path, captions=[N texts], "
                "vectors=[N, size numbers])."
            ) from error
        self.path = place
        self._digest = hashlib.sha256(vectors.tobytes()).hexdigest()
        self.vectors = torch.from_numpy(vectors)
        self.rows = {plain(str(text)): row for row, text in enumerate(texts)}

    @property
    def identity(self) -> str:
        """What the file holds."""
        return f"{super().identity} {self._digest}"

    def size(self, vocabulary: Sequence[str]) -> int:
        """Those of the file."""
        return self.vectors.shape[1]

    def encode(self, texts: Sequence[str], vocabulary: Sequence[str]) -> Tensor:
        """Rows of the file, normalised.

        Raises:
            DataError: the file lacks a text.
        """
        unknown = [text for text in texts if plain(text) not in self.rows]
        if unknown:
            raise DataError(
                f"{self.path} has no vector of {unknown[0]!r}{_more(unknown)}. Add it, or use an encoder that takes "
                "any text: dataset/encoder=hashed_ngrams"
            )
        return normalize(self.vectors[[self.rows[plain(text)] for text in texts]])


class SentenceEncoder(Encoder):
    """A pretrained network of the package sentence-transformers (Reimers & Gurevych, *Sentence-BERT*, EMNLP 2019).

    Args:
        model: name of a model that is on this machine, or its folder; nothing is fetched.

    Raises:
        DataError: when first used: the package or the model is not there.
    """

    def __init__(self, model: str) -> None:
        self.model = model

    @cached_property
    def _network(self) -> Any:
        instead = "use an encoder that needs nothing: dataset/encoder=hashed_ngrams"
        try:
            from sentence_transformers import SentenceTransformer  # slow to import, and seldom there
        except ImportError as error:
            raise DataError(
                f"SentenceEncoder needs a package that is not installed. pip install 'ganrun[sentences]', or {instead}"
            ) from error
        try:
            return SentenceTransformer(self.model, device="cpu", local_files_only=True)
        except (OSError, ValueError) as error:
            reason = str(error).strip().split("\n")[0]
            raise DataError(
                f"The model {self.model!r} is not on this machine ({reason}). Fetch it first, name its folder with "
                f"dataset.encoder.model=..., or {instead}"
            ) from error

    @property
    def identity(self) -> str:
        """Which network it is."""
        return f"{super().identity} {self.model}"

    def size(self, vocabulary: Sequence[str]) -> int:
        """Those of the network."""
        return int(self._network.get_sentence_embedding_dimension())

    def encode(self, texts: Sequence[str], vocabulary: Sequence[str]) -> Tensor:
        """The network's vectors, normalised."""
        vectors = self._network.encode(list(texts), convert_to_numpy=True, show_progress_bar=False)
        return normalize(torch.from_numpy(np.asarray(vectors, dtype=np.float32)))


def plain(text: str) -> str:
    """Small letters, and one space where there were several."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def words(text: str) -> list[str]:
    """Runs of letters and digits, in small letters."""
    return re.findall(r"[^\W_]+", plain(text))


def ngrams(text: str) -> Iterator[str]:
    """Runs of :data:`LENGTHS` characters of the words, with single spaces around and between them."""
    spaced = f" {' '.join(words(text))} "
    for length in LENGTHS:
        for start in range(len(spaced) - length + 1):
            yield spaced[start : start + length]


def _more(items: Sequence[object]) -> str:
    return f" and {len(items) - 1} more" if len(items) > 1 else ""
