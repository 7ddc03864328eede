"""From image files to uint8 arrays of one shape, in parallel."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from ganrun.core.cores import usable_cores
from ganrun.core.errors import DataError
from ganrun.data.cache import Block, Decoded, cached
from ganrun.data.source import Source

log = logging.getLogger(__name__)

Filter = Literal["box", "bilinear", "bicubic", "lanczos"]
"""Pillow's resampling filters, antialiased when they shrink."""

Resampling = Filter | Literal["nearest"]
"""Those, and the nearest pixel, for what has no mean."""

Crop = Literal["center", "none"]
"""``center``: the centred square; ``none``: the whole image, stretched to a square if a size is given."""

OnCorrupt = Literal["stop", "skip"]
"""At a file that cannot be decoded: stop with an error, or skip it with a warning."""

_CHUNK = 16  # files per task: large enough to hide a task's overhead, small enough not to fill the memory
_MOST_THREADS = 16  # threads, because Pillow works without the interpreter lock, and processes may not be allowed
_GREY = ("1", "L", "LA", "I", "I;16", "I;16B")


@dataclass(frozen=True)
class Shaping:
    """How an image gets its final shape.

    Args:
        size: side in pixels; ``None`` keeps the image's own.
        crop: what of the image is used.
        filter: how it is resized.
        half: use only this half of a side-by-side pair.
    """

    size: int | None
    crop: Crop
    filter: Resampling
    half: Literal["left", "right"] | None = None


def open_image(data: bytes) -> Image.Image:
    """An 8-bit ``L`` or ``RGB`` image, upright by its EXIF tag; transparency is laid over white.

    Raises:
        Exception: Pillow raises many kinds for a damaged file.
    """
    image: Image.Image = Image.open(io.BytesIO(data))
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of Pillow's mode {image.mode} have no known range")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def shape_image(image: Image.Image, shaping: Shaping) -> Image.Image:
    """Halve, crop and resize an image as ``shaping`` says."""
    width, height = image.size
    left, top, right, bottom = 0, 0, width, height
    if shaping.half is not None:
        left, right = (0, width // 2) if shaping.half == "left" else (width - width // 2, width)
    if shaping.crop == "center":
        side = min(right - left, height)
        left += (right - left - side) // 2
        top = (height - side) // 2
        right, bottom = left + side, top + side
    image = image.crop((left, top, right, bottom))  # apart from resizing, whose filter would reach beyond a box
    if shaping.size is None or image.size == (shaping.size, shaping.size):
        return image
    return image.resize((shaping.size, shaping.size), Image.Resampling[shaping.filter.upper()])


def decode_files(
    source: Source,
    names: Sequence[str],
    labels: np.ndarray | None,
    shaping: Shaping,
    on_corrupt: OnCorrupt,
    colour: bool = False,
) -> Decoded:
    """Decode files of ``source``, or take them from the cache.

    Args:
        source: where the files are.
        names: which files, in this order.
        labels: ``[len(names)]`` int64, or ``None``.
        shaping: how each gets its final shape.
        on_corrupt: what to do at a file that cannot be decoded.
        colour: three channels even if all images are grey.

    Raises:
        DataError: a file is corrupt, none is readable, or the shapes differ.
    """
    settings = asdict(shaping) | {"source": source.digest(names), "on_corrupt": on_corrupt, "colour": colour}
    settings["labels"] = None if labels is None else labels.tolist()

    def produce() -> Iterator[Block]:
        mode = "L" if not colour and all(_is_grey(source, name) for name in names) else "RGB"

        def read(data: bytes) -> Image.Image:
            return shape_image(open_image(data).convert(mode), shaping)

        return decode_each(source, names, labels, read, on_corrupt)

    return cached(source.path.stem, settings, produce)


def resize_arrays(images: np.ndarray, shaping: Shaping) -> np.ndarray:
    """Shape ``[N, H, W]`` or ``[N, H, W, C]`` uint8 into ``[N, h, w, C]``, several at a time."""

    def shape(part: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(shape_image(Image.fromarray(image), shaping)) for image in part])

    workers = _workers()
    with ThreadPoolExecutor(workers) as pool:
        shaped = np.concatenate(list(pool.map(shape, np.array_split(images, min(len(images), 4 * workers)))))
    return shaped[..., None] if shaped.ndim == 3 else shaped


def _workers() -> int:
    return min(_MOST_THREADS, usable_cores())


def _is_grey(source: Source, name: str) -> bool:
    try:
        return Image.open(io.BytesIO(source.read(name))).mode in _GREY
    except Exception:  # left to the decoder, which reports it by name
        return True


def decode_each(
    source: Source,
    names: Sequence[str],
    labels: np.ndarray | None,
    read: Callable[[bytes], Image.Image],
    on_corrupt: OnCorrupt,
) -> Iterator[Block]:
    """Blocks of what ``read`` makes of the content of each file, several at a time.

    Raises:
        DataError: ``read`` raises one, or anything else while ``on_corrupt`` is ``stop``; or the shapes differ.
    """

    def attempt(index: int) -> np.ndarray | Exception:
        try:
            pixels = np.asarray(read(source.read(names[index])))
            return pixels[..., None] if pixels.ndim == 2 else pixels
        except Exception as error:
            return error

    begin, skipped = time.monotonic(), 0
    first: tuple[str, np.ndarray] | None = None
    workers = _workers()
    log.info("decoding %s images of %s", f"{len(names):,}", source.path)
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(names), desc="decoding", unit="img", disable=None, leave=False) as bar,
    ):
        for start in range(0, len(names), _CHUNK * workers):
            here = range(start, min(start + _CHUNK * workers, len(names)))
            chunks = [here[offset : offset + _CHUNK] for offset in range(0, len(here), _CHUNK)]
            kept: list[int] = []
            images: list[np.ndarray] = []
            for chunk, results in zip(chunks, pool.map(lambda chunk: [attempt(i) for i in chunk], chunks), strict=True):
                for index, result in zip(chunk, results, strict=True):
                    if isinstance(result, Exception):
                        _report_corrupt(source, names[index], result, on_corrupt)
                        skipped += 1
                        continue
                    first = first or (names[index], result)
                    _check_same_size(source, first, names[index], result)
                    kept.append(index)
                    images.append(result)
                bar.update(len(chunk))
            if images:
                yield np.stack(images), None if labels is None else labels[kept]
    seconds = max(time.monotonic() - begin, 1e-6)
    log.info("decoded in %.1f s, %s images/s, %d skipped", seconds, f"{len(names) / seconds:,.0f}", skipped)


def _report_corrupt(source: Source, name: str, error: Exception, on_corrupt: OnCorrupt) -> None:
    if isinstance(error, DataError):
        raise DataError(f"{name} in {source.path} {error}") from None
    reason = str(error).replace("\n", " ") or type(error).__name__
    if on_corrupt == "stop":
        raise DataError(
            f"{name} in {source.path} cannot be decoded ({reason}). "
            "Repair or remove it, or leave such files out with dataset.on_corrupt=skip"
        ) from error
    log.warning("skipped %s in %s, which cannot be decoded (%s)", name, source.path, reason)


def _check_same_size(source: Source, first: tuple[str, np.ndarray], name: str, image: np.ndarray) -> None:
    known, expected = first
    if image.shape != expected.shape:
        raise DataError(
            f"The images of {source.path} differ in size: {known} is {expected.shape[1]}x{expected.shape[0]}, "
            f"{name} is {image.shape[1]}x{image.shape[0]}. Bring them to one size with dataset.size=64 (or another)."
        )
