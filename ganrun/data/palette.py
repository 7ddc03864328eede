"""Classes of label maps: their names, their colours, and the numbers of pixels."""

from __future__ import annotations

import colorsys
import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ganrun.core.errors import DataError

Palette = tuple[tuple[str, int, int, int], ...]
"""Name, red, green and blue (0 to 255) of every class."""

_HEADER = ["name", "red", "green", "blue"]
_NUMBERS = ("1", "L", "P", "I", "I;16", "I;16B")
"""Pillow's modes of files whose pixels are one number."""


def read_palette(name: str) -> Palette:
    """One that comes with ganrun, by its name, or a CSV file.

    Raises:
        DataError: there is none, or a line is malformed.
    """
    own = Path(__file__).with_name("palettes") / f"{name}.csv"
    path = own if own.is_file() else Path(name).expanduser()
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in own.parent.glob("*.csv")))
        raise DataError(
            f"There is no palette {name}: no such file, and with ganrun come {shipped}. Set dataset.palette=..."
        )
    rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
    if [entry.strip().lower() for entry in next(rows, [])] != _HEADER:
        raise DataError(f"{path}, line 1: the first line of a palette must be {','.join(_HEADER)}. Add it.")
    palette: list[tuple[str, int, int, int]] = []
    for row in filter(None, rows):
        try:
            title, red, green, blue = row[0].strip(), *map(int, row[1:])
            if not all(0 <= level <= 255 for level in (red, green, blue)):
                raise ValueError
        except ValueError:
            raise DataError(
                f"{path}, line {rows.line_num}: {','.join(row)!r} is not a name and three numbers from 0 to 255. "
                "Correct it."
            ) from None
        if any((red, green, blue) == tuple(colour) for _, *colour in palette):
            raise DataError(f"{path}, line {rows.line_num}: another class has this colour. Change one of them.")
        palette.append((title, red, green, blue))
    if not 1 <= len(palette) <= 256:
        raise DataError(f"{path} has {len(palette)} classes. A palette has 1 to 256.")
    return tuple(palette)


def numbered(count: int) -> Palette:
    """Classes without names, in colours that are far apart: hues at the golden angle, in three levels."""
    palette = []
    for number in range(count):
        rgb = colorsys.hsv_to_rgb(number * 0.381966 % 1, 0.75, (0.9, 0.65, 0.4)[number % 3])
        red, green, blue = (round(255 * level) for level in rgb)
        palette.append((str(number), red, green, blue))
    return tuple(palette)


def is_numbers(image: Image.Image) -> bool:
    """Whether pixels of a file are numbers (a palette PNG's too) and no colours."""
    return image.mode in _NUMBERS


def open_map(data: bytes) -> Image.Image:
    """A file as it is, upright by its EXIF tag.

    Raises:
        Exception: Pillow raises many kinds for a damaged file.
    """
    image: Image.Image = Image.open(io.BytesIO(data))
    ImageOps.exif_transpose(image, in_place=True)
    return image


def check_numbers(numbers: np.ndarray, classes: int) -> np.ndarray:
    """Numbers of classes ``[H, W]`` as uint8.

    Raises:
        DataError: one is too large; the message lacks its subject, the file.
    """
    wrong = (numbers < 0) | (numbers >= classes)
    if wrong.any():
        worst = numbers[wrong].max()
        known = f"the palette has the classes 0 to {classes - 1}" if classes < 256 else "maps hold 0 to 255"
        raise DataError(
            f"has the class {worst}, and {known} ({int(wrong.sum()):,} of {wrong.size:,} pixels are beyond). "
            "Correct the map or dataset.palette."
        )
    return numbers.astype(np.uint8)


def nearest_numbers(pixels: np.ndarray, palette: Palette, tolerance: float | None) -> np.ndarray:
    """The class ``[H, W]`` (uint8) whose colour is nearest to each pixel of ``[H, W, 3]``.

    Args:
        pixels: uint8 colours.
        palette: of the classes.
        tolerance: largest distance in RGB; ``None``: any.

    Raises:
        DataError: a pixel is farther from all colours; the message lacks its subject, the file.
    """
    packed = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
    found, where, counts = np.unique(packed, return_inverse=True, return_counts=True)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1)
    known = np.array([colour for _, *colour in palette], dtype=np.int32)
    squares = ((colours[:, None] - known) ** 2).sum(2)
    nearest = squares.argmin(1)
    if tolerance is not None:
        far = squares.min(1) > tolerance**2
        if far.any():
            _refuse(colours, np.where(far, counts, 0), squares, palette, tolerance)
    return nearest.astype(np.uint8)[where].reshape(pixels.shape[:2])


def _refuse(
    colours: np.ndarray,
    counts: np.ndarray,
    squares: np.ndarray,
    palette: Palette,
    limit: float,
) -> None:
    """Say which unknown colour has most pixels."""
    worst, total = int(counts.argmax()), int(counts.sum())
    others = int((counts > 0).sum()) - 1
    more = f" and {others:,} more unknown colours, {total:,} pixels in all" if others else ""
    name, *near = palette[int(squares[worst].argmin())]
    raise DataError(
        f"has the colour {tuple(colours[worst].tolist())} ({int(counts[worst]):,} pixels){more}; the nearest of the "
        f"palette is {name} {tuple(near)} at a distance of {squares[worst].min() ** 0.5:.0f}, above "
        f"dataset.tolerance={limit:g}. Add the colour to dataset.palette, or let every pixel be of the nearest class "
        "(maps that were saved as JPEG have blurred borders) with dataset.tolerance=null"
    )
