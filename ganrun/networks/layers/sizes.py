"""Layouts that depend on the size of the images."""

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
