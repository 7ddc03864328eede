"""Photographs with label maps, for semantic image synthesis (Park et al., *SPADE*, CVPR 2019, arXiv 1903.07291)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np
from PIL import Image

from ganrun.core.arguments import NonNegative, NonNegativeInt, PositiveInt
from ganrun.core.errors import DataError
from ganrun.data.base import Images, window_of
from ganrun.data.cache import Block, Decoded, cached
from ganrun.data.decode import Crop, Filter, Shaping, decode_each, decode_files, shape_image
from ganrun.data.paired import check_sides, find_pairs
from ganrun.data.palette import (
    Palette,
    check_numbers,
    is_numbers,
    nearest_numbers,
    numbered,
    open_map,
    read_palette,
)
from ganrun.data.unpaired import Domain, Layout, Place, name_of

Pixels = Literal["auto", "colours", "numbers"]
"""What those of a map are: colours of classes, or their numbers; ``auto``: colours where a file has three channels."""


class LabelMaps(Images):
    """Colour images and, as their condition, label maps: the class of every pixel.

    They lie where :class:`ganrun.data.paired.Paired` looks for A and B. What is cut out or mirrored is so in both;
    maps are resized by taking the nearest pixel.

    Args:
        path: directory or ZIP archive of both, or a list of two: of A and of B.
        split: start of the folders' names (``train`` -> ``trainA``, ``trainB``), or the folder of the pairs.
        layout: where A and B are.
        map_side: which of them are the maps.
        palette: classes and their colours: ``facades`` or a CSV file with the first line ``name,red,green,blue``;
            ``None``: the maps hold numbers, the largest of which is the last class.
        pixels: whether maps hold colours or numbers.
        tolerance: largest distance in RGB between a pixel and the colour of its class; ``None``: every pixel is of the
            class with the nearest colour, as maps saved as JPEG need it.
        size: side in pixels; ``None`` keeps the images' own, which must then agree.
        load_size: side to which images are brought before a random square of ``size`` is cut out of each pair;
            ``None``: they are brought to ``size``.
        crop: ``center``: the centred square; ``none``: the whole image, stretched to a square if ``size`` is given.
        filter: resampling filter of the photographs.
        subset: a count, a fraction or ``None`` for all.
        subset_seed: which pairs a subset takes.
        flip: mirror half of the pairs.

    Raises:
        DataError: no pairs are there, a partner is missing, a file is corrupt, sizes differ, or a map has a class that
            the palette has not.
    """

    provides = ("images", "aligned", "label_maps")

    def __init__(
        self,
        path: Place,
        split: str,
        layout: Layout,
        map_side: Literal["a", "b"],
        palette: str | None,
        pixels: Pixels,
        tolerance: NonNegative | None,
        size: PositiveInt | None,
        load_size: PositiveInt | None,
        crop: Crop,
        filter: Filter,
        subset: int | float | None,
        subset_seed: NonNegativeInt,
        flip: bool,
    ) -> None:
        window = window_of(size, load_size)
        known = None if palette is None else read_palette(palette)
        pairs = find_pairs(path, split, layout, subset, subset_seed)
        decoded = []
        for domain, side in zip(pairs, "ab", strict=True):
            shaping = Shaping(load_size or size, crop, filter, domain.half)
            if side == map_side:
                decoded.append(_decode_maps(domain, shaping, known, pixels, tolerance))
            else:
                decoded.append(decode_files(domain.source, domain.names, None, shaping, "stop", colour=True))
        check_sides(pairs, decoded)
        photos, maps = decoded if map_side == "b" else reversed(decoded)
        classes = known or numbered(int(maps.images.max()) + 1)
        resampling = filter if size is not None else "own size"
        condition = {"condition": "maps", "condition_size": len(classes), "palette": classes}
        super().__init__(name_of(pairs), [photos], 0, resampling, flip, window, maps, condition)


def _decode_maps(
    domain: Domain, shaping: Shaping, palette: Palette | None, pixels: Pixels, tolerance: float | None
) -> Decoded:
    """Numbers of classes ``[N, H, W, 1]``, from the cache if they were there before."""
    source, names, _ = domain
    settings: dict[str, Any] = asdict(replace(shaping, filter="nearest")) | {"source": source.digest(names)}
    settings |= {"palette": palette, "pixels": pixels, "tolerance": tolerance}

    def read(data: bytes) -> Image.Image:
        image = shape_image(open_map(data), replace(shaping, size=None))
        numbers = Image.fromarray(numbers_of(image, palette, pixels, tolerance))
        return shape_image(numbers, Shaping(shaping.size, "none", "nearest"))

    def produce() -> Iterator[Block]:
        return decode_each(source, names, None, read, "stop")

    return cached(f"{source.path.stem}-maps", settings, produce)


def numbers_of(image: Image.Image, palette: Palette | None, pixels: Pixels, tolerance: float | None) -> np.ndarray:
    """The class ``[H, W]`` (uint8) of every pixel.

    Args:
        image: as :func:`~ganrun.data.palette.open_map` opens it.
        palette: of the classes.
        pixels: whether they hold colours or numbers.
        tolerance: largest distance in RGB to the colour of a class; ``None``: any.

    Raises:
        DataError: a pixel is of no class; the message lacks its subject, the file.
    """
    if pixels == "numbers" or (pixels == "auto" and is_numbers(image)):
        if not is_numbers(image):
            raise DataError(f"has colours ({image.mode}), not numbers of classes. Set dataset.pixels=colours")
        return check_numbers(np.asarray(image).astype(np.int64), len(palette) if palette else 256)
    if palette is None:
        raise DataError(
            f"has colours ({image.mode}), and nothing says of which classes they are. Name a file with the first line "
            "name,red,green,blue, or facades, with dataset.palette=..."
        )
    return nearest_numbers(np.asarray(image.convert("RGB")), palette, tolerance)
