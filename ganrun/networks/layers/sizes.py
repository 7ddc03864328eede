"""What depends on the size of the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Entry = TypeVar("Entry")


def for_size(table: Mapping[str, Entry], size: int, name: str) -> Entry:
    """The entry of a table by image side.

    Args:
        table: from the side in pixels, as text, to what applies there.
        size: side in pixels.
        name: of the table, for the message.

    Raises:
        ValueError: there is none for ``size``.
    """
    if str(size) not in table:
        raise ValueError(f"{name} holds layouts for {', '.join(table)} pixels; got {size}: add {name}.{size}")
    return table[str(size)]


def doublings(size: int, maker: str) -> int:
    """How often 4x4 is doubled to reach ``size``.

    Args:
        size: side in pixels.
        maker: of the images, for the message.

    Raises:
        ValueError: ``size`` is not 4·2^k with k >= 1.
    """
    count = (size // 4).bit_length() - 1
    if count < 1 or 4 * 2**count != size:
        raise ValueError(f"{maker} makes square images of 8, 16, 32, 64, 128, ... pixels; got {size}")
    return count
