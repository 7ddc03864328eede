"""The live table of a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from ganrun.sweep.ledger import Ledger


class Monitor:
    """Stand-in."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.update()

    def update(self) -> None:
        self.ledger.refresh()

    @contextmanager
    def watch(self) -> Iterator[None]:
        yield
