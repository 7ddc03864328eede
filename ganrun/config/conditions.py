"""Files of the kind that a run turns into images: images, or label maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ganrun.config.trained import Trained
from ganrun.core.errors import DataError, RunError
from ganrun.core.tensors import paint
from ganrun.data.base import normalise
from ganrun.data.decode import Resampling, Shaping, open_image, shape_image
from ganrun.data.label_maps import numbers_of
from ganrun.data.palette import open_map
from ganrun.data.source import Source, open_input

TOLERANCE = 32.0
"""Largest distance in RGB between a pixel and the colour of its class, where the run's data say nothing of it."""

TOLD = 16
"""Classes that a message names."""


def read_condition(
    trained: Trained, source: Source, name: str, half: Literal["left", "right"] | None, as_in_training: bool
) -> Tensor:
    """A file as the run takes it: an image ``[1, C, H, W]``, or a label map ``[1, H, W]``.

    Args:
        trained: the run.
        source: where the file is.
        name: its name there.
        half: use only this half.
        as_in_training: bring it to the size of the training images, in the way in which they were.

    Raises:
        RunError: it cannot be decoded, or a pixel of a label map is of no class; the message lacks the file's name.
    """
    data = source.read(name)
    if trained.game.needs == "maps":
        return _map(trained, data, half, as_in_training)
    return _image(trained, data, half, as_in_training, trained.source_shape[0])


def read_style(trained: Trained, place: str) -> Tensor:
    """An image ``[1, C, H, W]`` like those that the run was trained on, for its style.

    Raises:
        RunError: there is not one, or it cannot be decoded.
    """
    source = open_input(place, "style")
    if len(source.stamps) != 1:
        raise RunError(f"style={place} holds {len(source.stamps)} images. Name one of them.")
    (name,) = source.stamps
    try:
        return _image(trained, source.read(name), None, True, trained.facts.channels)
    except RunError as error:
        raise RunError(f"{name}: {error}") from None


def visible(condition: Tensor, trained: Trained) -> Tensor:
    """Images as they are, label maps in the colours of their classes."""
    return paint(condition, trained.facts.palette) if trained.game.needs == "maps" else condition


def _image(
    trained: Trained, data: bytes, half: Literal["left", "right"] | None, as_in_training: bool, channels: int
) -> Tensor:
    image = _opened(open_image, data).convert("L" if channels == 1 else "RGB")
    image = _halved(image, half)
    if as_in_training:
        image = _in_training_size(image, trained, trained.config.get("dataset", {}).get("filter", "bicubic"))
    pixels = np.array(image).reshape(image.height, image.width, channels)
    return normalise(torch.from_numpy(pixels)[None])


def _map(trained: Trained, data: bytes, half: Literal["left", "right"] | None, as_in_training: bool) -> Tensor:
    dataset, palette = trained.config.get("dataset", {}), trained.facts.palette
    image = _halved(_opened(open_map, data), half)
    try:
        numbers = numbers_of(image, palette, dataset.get("pixels", "auto"), dataset.get("tolerance", TOLERANCE))
    except DataError as error:
        cause, _, _ = str(error).rpartition(". ")  # its remedies are for training
        known = ", ".join(f"{number} {name} {tuple(rgb)}" for number, (name, *rgb) in enumerate(palette[:TOLD]))
        more = f" and {len(palette) - TOLD} more" if len(palette) > TOLD else ""
        raise RunError(f"it {cause}. The run's classes and their colours: {known}{more}.") from None
    if as_in_training:
        numbers = np.array(_in_training_size(Image.fromarray(numbers), trained, "nearest"))
    return torch.from_numpy(numbers.astype(np.int64))[None]


def _opened(how: Callable[[bytes], Image.Image], data: bytes) -> Image.Image:
    try:
        image = how(data)
        image.load()
    except UnidentifiedImageError:
        raise RunError("it holds no image.") from None
    except Exception as error:  # Pillow raises many kinds for a damaged file
        raise RunError(f"it cannot be decoded ({error}).") from None
    return image


def _halved(image: Image.Image, half: Literal["left", "right"] | None) -> Image.Image:
    return shape_image(image, Shaping(None, "none", "nearest", half))


def _in_training_size(image: Image.Image, trained: Trained, filter: Resampling) -> Image.Image:
    height, width = trained.source_shape[-2:]
    if height == width:
        return shape_image(image, Shaping(height, trained.config.get("dataset", {}).get("crop", "center"), filter))
    return image.resize((width, height), Image.Resampling[filter.upper()])
