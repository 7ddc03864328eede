"""What a demonstration hands back."""

from __future__ import annotations

from typing import NamedTuple

from ganrun.sampling.pictures import Pixels


class Demonstration(NamedTuple):
    """A table and a picture.

    Args:
        header: of the table's columns.
        rows: of the table.
        picture: uint8 ``[height, width, 3]``.
    """

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    picture: Pixels
