"""What a game and the trainer report every step, kept on the device until the next tick."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganrun.core.errors import RunError


class Statistics:
    """Scalars reported since the last tick, and the newest samples of distributions.

    Nothing here waits for the device until :meth:`flush`.
    """

    def __init__(self) -> None:
        self.step = 0
        self.newest: dict[str, Tensor] = {}
        self._values: dict[str, list[tuple[int, Tensor]]] = {}

    def report(self, tag: str, value: Tensor) -> None:
        """Note a scalar tensor under ``tag``; its mean over the tick is logged."""
        self._values.setdefault(tag, []).append((self.step, value.detach()))

    def keep(self, tag: str, values: Tensor) -> None:
        """Note ``values`` as the newest sample of the distribution ``tag``, which histograms show."""
        self.newest[tag] = values.detach()

    def flush(self) -> dict[str, float]:
        """Mean of every tag since the last flush.

        Raises:
            RunError: a value was not finite; the message names the first such step and its tag.
        """
        taken, self._values = self._values, {}
        if not taken:
            return {}
        reported = [(tag, step) for tag, entries in taken.items() for step, _ in entries]
        values = torch.stack([value.float() for entries in taken.values() for _, value in entries]).tolist()
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
