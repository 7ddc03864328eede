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
        condition: what else goes with every sample of the first domain: ``"images"``: a source image of the same size;
            ``"maps"``: a label map of the same size; ``"texts"``: captions as vectors; empty: nothing.
        condition_size: channels of the source images, classes of the label maps, or dimensions of the vectors.
        palette: name, red, green and blue (0 to 255) of every class of the label maps.
        vocabulary: words that the vectors of captions count; empty where they need none.
    """

    kind: Literal["images", "points"]
    shape: tuple[int, ...]
    count: tuple[int, ...]
    classes: int = 0
    domains: int = 1
    fingerprint: str = ""
    description: str = ""
    class_names: tuple[str, ...] = ()
    condition: Literal["", "images", "maps", "texts"] = ""
    condition_size: int = 0
    palette: tuple[tuple[str, int, int, int], ...] = ()
    vocabulary: tuple[str, ...] = ()

    @property
    def condition_shape(self) -> tuple[int, ...]:
        """Shape of one source image, label map or vector."""
        sides = self.shape[1:]
        return {"": (), "images": (self.condition_size, *sides), "maps": sides, "texts": (self.condition_size,)}[
            self.condition
        ]

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
        if self.condition in ("images", "maps"):
            traits.add("aligned")
        if self.condition == "maps":
            traits.add("label_maps")
        if self.condition == "texts":
            traits.add("captions")
        return frozenset(traits)
