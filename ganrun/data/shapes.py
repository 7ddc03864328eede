"""Scenes of coloured shapes, drawn rather than read: no files, and whatever may go with images is exactly known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.core.errors import DataError
from ganrun.data.base import Images
from ganrun.data.cache import Decoded
from ganrun.data.captions import Captions
from ganrun.data.palette import Palette
from ganrun.data.text import Encoder

KINDS = ("circle", "square", "triangle")
COLOURS = {"red": (213, 62, 30), "green": (0, 158, 115), "blue": (0, 114, 178), "yellow": (236, 212, 50)}
PALETTE: Palette = (
    ("background", 0, 0, 0),
    ("circle", 230, 159, 0),
    ("square", 86, 180, 233),
    ("triangle", 204, 121, 167),
)

NOISE = 4.0  # deviation of the noise, in levels of 0 to 255
SHADE = 0.25  # how much darker a shape is at one end than at the other
SIDE = np.sqrt(0.75)

GoesWith = Literal["labels", "images", "maps", "texts", "another_domain"]
"""What there is besides images: the kind of the shapes; outlines; label maps; captions; images with other shapes."""


class Shape(NamedTuple):
    """One shape of a scene; lengths are shares of the image's side.

    Args:
        kind: number in :data:`KINDS`.
        colour: key in :data:`COLOURS`.
        row: of its centre.
        column: of its centre.
        radius: of the circle around it.
        cell: row and column of the quarter that it lies in.
    """

    kind: int
    colour: str
    row: float
    column: float
    radius: float
    cell: tuple[int, int]


class Shapes(Images):
    """One to three circles, squares and triangles on a plain background, slightly shaded and noisy.

    With ``labels``, all shapes of an image are of one kind, its class. With ``another_domain``, one domain has circles
    and the other squares, independently. ``images`` are the shapes' outlines on white, in their colours; the classes of
    ``maps`` are the background and the kinds; ``texts`` name kinds, colours and places in three ways.

    Args:
        goes_with: what there is besides images.
        size: side in pixels.
        count: number of images, in each domain.
        seed: the same seed draws the same scenes.
        encoder: of the captions; used with ``texts``.
        flip: mirror half of the images.

    Raises:
        DataError: ``flip`` with ``texts``, which would be wrong about left and right.
    """

    provides = ("images", "labels", "two_domains", "aligned", "label_maps", "captions")

    def __init__(
        self,
        goes_with: GoesWith,
        size: Annotated[int, ">= 16"],
        count: PositiveInt,
        seed: NonNegativeInt,
        encoder: Encoder,
        flip: bool,
    ) -> None:
        if flip and goes_with == "texts":
            raise DataError("The captions of shapes say what is left and right of what. Use dataset.flip=false")
        random = np.random.default_rng(seed)
        kinds = {"labels": [[0], [1], [2]], "another_domain": [[0]]}.get(goes_with, [[0, 1, 2]])
        scenes = [draw_scene(random, kinds[index % len(kinds)]) for index in range(count)]
        labels = np.arange(count, dtype=np.int64) % len(KINDS) if goes_with == "labels" else None
        domains = [Decoded.of(_pictures(scenes, size, random), labels)]
        aligned, condition, described = None, dict[str, Any](), None
        if goes_with == "labels":
            self.class_names = KINDS
        elif goes_with == "another_domain":
            squares = [draw_scene(random, [1]) for _ in range(count)]
            domains.append(Decoded.of(_pictures(squares, size, random), None))
        elif goes_with == "images":
            aligned = np.stack([outlines(scene, size) for scene in scenes])
            condition = {"condition": "images", "condition_size": 3}
        elif goes_with == "maps":
            aligned = np.stack([label_map(scene, size)[..., None] for scene in scenes])
            condition = {"condition": "maps", "condition_size": len(PALETTE), "palette": PALETTE}
        else:
            described = Captions([captions(scene) for scene in scenes], encoder)
        beside = None if aligned is None else Decoded.of(aligned, None)
        classes = len(self.class_names)
        super().__init__("shapes", domains, classes, "drawn", flip, None, beside, condition, described)


def draw_scene(random: np.random.Generator, kinds: Sequence[int]) -> list[Shape]:
    """One to three shapes of some kinds, each in a quarter of its own."""
    cells = random.permutation(4)[: random.integers(1, 4)]
    scene = []
    for cell in cells:
        row, column = divmod(int(cell), 2)
        radius = random.uniform(0.15, 0.22)
        room = 0.24 - radius
        across, down = random.uniform(-room, room, 2)
        kind, colour = int(random.choice(kinds)), str(random.choice(list(COLOURS)))
        scene.append(Shape(kind, colour, 0.25 + row / 2 + down, 0.25 + column / 2 + across, radius, (row, column)))
    return scene


def render(scene: Sequence[Shape], size: int, random: np.random.Generator) -> np.ndarray:
    """A picture ``[size, size, 3]``, uint8."""
    image = np.full((size, size, 3), random.uniform(170, 230))
    for shape in scene:
        down, across = _from_centre(shape, size)
        angle = random.uniform(0, 2 * np.pi)
        slope = (down * np.sin(angle) + across * np.cos(angle)) / (2 * shape.radius * size)
        cover = np.clip(0.5 - outside(shape, size), 0, 1)[..., None]  # smooth edges
        colour = np.array(COLOURS[shape.colour]) * (1 - SHADE * (0.5 + slope))[..., None]
        image += cover * (colour - image)
    return np.clip(np.rint(image + random.normal(0, NOISE, image.shape)), 0, 255).astype(np.uint8)


def label_map(scene: Sequence[Shape], size: int) -> np.ndarray:
    """Classes ``[size, size]``, uint8: 0 is the background, then the kinds."""
    classes = np.zeros((size, size), dtype=np.uint8)
    for shape in scene:
        classes[outside(shape, size) < 0] = 1 + shape.kind
    return classes


def outlines(scene: Sequence[Shape], size: int) -> np.ndarray:
    """Lines around the shapes, in their colours on white, ``[size, size, 3]``, uint8."""
    image = np.full((size, size, 3), 255, dtype=np.uint8)
    for shape in scene:
        image[np.abs(outside(shape, size)) < max(1.0, size / 64)] = COLOURS[shape.colour]
    return image


def outside(shape: Shape, size: int) -> np.ndarray:
    """How far each pixel's centre is outside of a shape, in pixels, ``[size, size]``; negative within."""
    down, across = _from_centre(shape, size)
    radius = shape.radius * size
    if KINDS[shape.kind] == "circle":
        return np.hypot(down, across) - radius
    if KINDS[shape.kind] == "square":
        return np.maximum(np.abs(down), np.abs(across)) - 0.85 * radius
    sloping = SIDE * np.abs(across) - down / 2
    return np.maximum(down, sloping) - radius / 2


def captions(scene: Sequence[Shape]) -> tuple[str, ...]:
    """Three ways to say what there is."""
    names = [f"a {shape.colour} {KINDS[shape.kind]}" for shape in scene]
    if len(scene) == 1:
        return names[0], f"there is {names[0]}", f"{names[0]} on a plain background"
    first, second = scene[:2]
    there = f"{names[0]} {_relation(first, second)} {names[1]}"
    back = f"{names[1]} {_relation(second, first)} {names[0]}"
    rest = "".join(f", and {name}" for name in names[2:])
    return f"{there}{rest}", f"{back}{rest}", f"{', '.join(names[:-1])} and {names[-1]}"


def _relation(shape: Shape, other: Shape) -> str:
    (row, column), (other_row, other_column) = shape.cell, other.cell
    if row != other_row:
        return "above" if row < other_row else "below"
    return "left of" if column < other_column else "right of"


def _from_centre(shape: Shape, size: int) -> tuple[np.ndarray, np.ndarray]:
    """How far each pixel's centre is below and right of a shape's, in pixels."""
    down, across = np.mgrid[:size, :size] + 0.5
    return down - shape.row * size, across - shape.column * size


def _pictures(scenes: Sequence[Sequence[Shape]], size: int, random: np.random.Generator) -> np.ndarray:
    return np.stack([render(scene, size, random) for scene in scenes])
