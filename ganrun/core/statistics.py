"""What a game and the trainer report every step, kept on the device until the next tick."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ganrun.core.errors import RunError

Row = tuple[int, tuple[str, ...], Tensor]
"""A step, some tags, and their values."""


class Statistics:
    """Scalars reported since the last tick, and the newest samples of distributions.

    Nothing here waits for the device until :meth:`flush`.
    """

    def __init__(self) -> None:
        self.step = 0
        self.newest: dict[str, Tensor] = {}
        self._rows: list[Row] = []

    def report(self, tag: str, value: Tensor) -> None:
        """Note a scalar tensor under ``tag``; its mean over the tick is logged."""
        self.add((tag,), value.detach().reshape(1))

    def add(self, tags: tuple[str, ...], values: Tensor) -> None:
        """Note a scalar under each of ``tags``: ``values`` ``[tags]``."""
        self._rows.append((self.step, tags, values))

    @contextmanager
    def apart(self) -> Iterator[list[Row]]:
        """What is noted inside the block goes into a list of its own."""
        rows, self._rows = self._rows, []
        try:
            yield self._rows
        finally:
            self._rows = rows

    def keep(self, tag: str, values: Tensor) -> None:
        """Note ``values`` as the newest sample of the distribution ``tag``, which histograms show."""
        self.newest[tag] = values.detach()

    def flush(self) -> dict[str, float]:
        """Mean of every tag since the last flush.

        Raises:
            RunError: a value was not finite; the message names the first such step and its tag.
        """
        taken, self._rows = self._rows, []
        reported = [(tag, step) for step, tags, _ in taken for tag in tags]
        values = joined(taken)[1].tolist()
        broken = [
            (step, tag, value) for (tag, step), value in zip(reported, values, strict=True) if not math.isfinite(value)
        ]
        if broken:
            step, tag, value = min(broken, key=lambda entry: entry[0])
            raise RunError(f"{tag} became {value} at step {step}")
        sums: dict[str, list[float]] = {}
        for (tag, _), value in zip(reported, values, strict=True):
            sums.setdefault(tag, []).append(value)
        return {tag: sum(entries) / len(entries) for tag, entries in sums.items()}


def joined(rows: list[Row]) -> tuple[tuple[str, ...], Tensor]:
    """Tags and values ``[tags]``, float32, of all rows together."""
    tags = tuple(tag for _, tags, _ in rows for tag in tags)
    return tags, torch.cat([values.float() for _, _, values in rows]) if rows else torch.empty(0)
