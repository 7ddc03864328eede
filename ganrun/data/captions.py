"""Captions of images: read from CSV or JSON lines, and as vectors that batches are made of."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from ganrun.core.errors import DataError
from ganrun.data.source import Source, missing
from ganrun.data.text import Encoder

Line = tuple[int, str, str]
"""Number of the line, name of an image, and a caption of it."""

_LAYOUTS = 'image,caption in the first line of a CSV file, {"image": ..., "caption": ...} in each line of JSON lines'


class Captions:
    """The captions of every image, and their vectors.

    Args:
        texts: of every image, one or more.
        encoder: from captions to vectors.
    """

    def __init__(self, texts: Sequence[Sequence[str]], encoder: Encoder) -> None:
        self.texts = [tuple(captions) for captions in texts]
        every = [caption for captions in self.texts for caption in captions]
        vocabulary = encoder.vocabulary(every)
        self.vectors = encoder.encode(every, vocabulary)
        self.counts = torch.tensor([len(captions) for captions in self.texts])
        self.starts = self.counts.cumsum(0) - self.counts
        self.facts: dict[str, Any] = {
            "condition": "texts",
            "condition_size": encoder.size(vocabulary),
            "vocabulary": vocabulary,
        }
        content = [self.texts, encoder.identity, self.facts]
        self.digest = hashlib.sha256(repr(content).encode()).hexdigest()

    def __str__(self) -> str:
        return f"{len(self.vectors):,} captions as {self.vectors.shape[1]} numbers"

    def place(self, device: torch.device) -> None:
        """Move the vectors to ``device``."""
        self.vectors, self.counts, self.starts = (
            tensor.to(device) for tensor in (self.vectors, self.counts, self.starts)
        )

    def vectors_of(self, indices: Tensor, at_random: bool) -> Tensor:
        """The vector ``[len(indices), size]`` of a caption of each image: of a random one, or of the first.

        Args:
            indices: int64, where the vectors are.
            at_random: whether any caption of an image may be taken.
        """
        chosen = self.starts[indices]
        if at_random:
            chosen = chosen + torch.randint(2**31, (len(indices),), device=indices.device) % self.counts[indices]
        return self.vectors[chosen]

    def first_of(self, indices: Tensor) -> tuple[str, ...]:
        """The first caption of each image."""
        return tuple(self.texts[index][0] for index in indices.tolist())


def captions_of(source: Source, path: str | None) -> dict[str, list[str]]:
    """The captions of every image of ``source``, in the order of its names.

    Args:
        source: the images.
        path: file of the captions; ``None``: the one that lies among the images, or beside them.

    Raises:
        DataError: there is none or several; a line is malformed or empty; an image has no caption; or a caption belongs
            to no image.
    """
    where, data = _find(source, path)
    found: dict[str, list[str]] = {name: [] for name in source.stamps}
    known = _by_any_name(source)
    strangers = []
    for number, image, caption in _lines(where, data):
        if not caption.strip():
            raise DataError(f"{where}, line {number}: the caption of {image} is empty. Write one, or remove the line.")
        names = known.get(image.removeprefix("./"), [])
        if len(names) > 1:
            raise DataError(f"{where}, line {number}: {image} may be {' or '.join(names)}. Write the folder, too.")
        if names:
            found[names[0]].append(" ".join(caption.split()))
        else:
            strangers.append(f"{image} (line {number})")
    if strangers:
        raise DataError(
            f"{where} has captions of {_count(strangers, 'image')} that {source.path} does not have. "
            "Add the images or remove the lines."
        )
    without = [name for name, captions in found.items() if not captions]
    if without:
        raise DataError(
            f"{where} has no caption of {_count(without, 'image')} of {source.path}. Add captions or remove the images."
        )
    return found


def _count(names: Sequence[str], noun: str) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names):,} {noun}{'s' if len(names) > 1 else ''} ({shown})"


def _find(source: Source, path: str | None) -> tuple[str, bytes]:
    if path is not None:
        place = Path(path).expanduser()
        if not place.is_file():
            raise DataError(missing(place, "dataset.captions"))
        return str(place), place.read_bytes()
    called = [name for name in source.tables if PurePosixPath(name).stem == "captions"]
    inside = called or list(source.tables)
    if len(inside) == 1:
        return f"{source.path}/{inside[0]}", source.read(inside[0])
    beside = [source.path.parent / f"captions{ending}" for ending in (".csv", ".jsonl")]
    there = [place for place in beside if place.is_file()]
    if not inside and len(there) == 1:
        return str(there[0]), there[0].read_bytes()
    if inside or there:
        several = ", ".join(inside or map(str, there))
        raise DataError(f"{source.path} has several files of captions: {several}. Name one with dataset.captions=...")
    raise DataError(
        f"{source.path} has no captions. Put captions.csv or captions.jsonl beside the images, or name the file with "
        f"dataset.captions=...; its layout: {_LAYOUTS}"
    )


def _by_any_name(source: Source) -> dict[str, list[str]]:
    """Full name, or any part of it that begins after a slash -> names of images."""
    known: dict[str, list[str]] = {}
    for name in source.stamps:
        parts = name.split("/")
        for start in range(len(parts)):
            known.setdefault("/".join(parts[start:]), []).append(name)
    return known | {name: [name] for name in source.stamps}


def _lines(where: str, data: bytes) -> Iterator[Line]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{where}, line {line}: this is not UTF-8. Save the file in that encoding.") from error
    lines = _csv_lines(where, text) if where.lower().endswith(".csv") else _json_lines(where, text)
    first = next(lines, None)
    if first is None:
        raise DataError(f"{where} holds no captions. Its layout: {_LAYOUTS}")
    yield first
    yield from lines


def _csv_lines(where: str, text: str) -> Iterator[Line]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        if not {"image", "caption"} <= set(header):
            raise DataError(
                f"{where}, line 1: the first line must name the columns image,caption, and is "
                f"{','.join(header)[:60]!r}. Add it."
            )
        image, caption = header.index("image"), header.index("caption")
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{where}, line {rows.line_num}: {len(row)} values for {len(header)} columns. "
                    'Put captions with commas into quotes ("...").'
                )
            yield rows.line_num, row[image].strip(), row[caption]
    except csv.Error as error:
        raise DataError(f"{where}, line {rows.line_num}: this is no CSV ({error}). Correct the line.") from error


def _json_lines(where: str, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            image = entry["image"]
            captions = entry["captions"] if "captions" in entry else [entry["caption"]]
            if not isinstance(image, str) or not isinstance(captions, list) or not all(map(_is_text, captions)):
                raise TypeError("image and captions must be texts")
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f'{where}, line {number}: this is not {{"image": ..., "caption": ...}} nor {{"image": ..., '
                f'"captions": [...]}} ({error}). Correct the line.'
            ) from error
        for caption in captions:
            yield number, image, caption


def _is_text(value: object) -> bool:
    return isinstance(value, str)
