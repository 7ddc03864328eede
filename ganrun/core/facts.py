"""What a data set is, as far as networks and games need to know; read from the data and never written twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Facts:
    """Facts of a data set.

    Args:
        kind: ``"images"`` (float NCHW in [-1, 1] once fetched) or ``"points"`` (``[B, 2]``, unbounded).
        shape: shape of one sample, ``(channels, height, width)`` or ``(2,)``.
        count: samples per domain; 0 for an endless source.
        classes: number of classes; 0 when the data carry no labels.
        domains: number of independent domains (2 for unpaired translation).
        fingerprint: hash of the content and of the settings that shaped it.
        description: one readable line for the log and the run folder.
        class_names: of every class, where they are known.
    """

    kind: Literal["images", "points"]
    shape: tuple[int, ...]
    count: tuple[int, ...]
    classes: int = 0
    domains: int = 1
    fingerprint: str = ""
    description: str = ""
    class_names: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Image channels."""
        return self.shape[0]

    @property
    def size(self) -> int:
        """Side of a square image in pixels.

        Raises:
            ValueError: the images are not square.
        """
        if len(self.shape) != 3 or self.shape[1] != self.shape[2]:
            raise ValueError(f"samples of shape {self.shape} have no single side length")
        return self.shape[1]

    @property
    def provides(self) -> frozenset[str]:
        """Traits that a game's or network's ``requires`` is compared with."""
        traits: set[str] = {self.kind}
        if self.classes:
            traits.add("labels")
        if self.domains == 2:
            traits.add("two_domains")
        if self.count == (1,):
            traits.add("single_image")
        return frozenset(traits)
