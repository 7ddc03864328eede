"""Handwritten digits that ship with scikit-learn: no download (Alpaydin & Kaynak, UCI repository, 1998)."""

from __future__ import annotations

import numpy as np

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.data.base import Images, choose
from ganrun.data.cache import Decoded
from ganrun.data.decode import Filter, Shaping, resize_arrays
from ganrun.data.shipped import shipped


class Digits(Images):
    """1,797 grey 8x8 digits of 10 classes, enlarged.

    Args:
        size: side in pixels after resizing.
        filter: resampling filter.
        subset: a count, a fraction or ``None`` for all; balanced by class.
        subset_seed: which samples a subset takes.
        flip: mirror half of the images (a mirrored digit is no digit).
    """

    provides = ("images", "labels")

    def __init__(
        self,
        size: PositiveInt,
        filter: Filter,
        subset: int | float | None,
        subset_seed: NonNegativeInt,
        flip: bool,
    ) -> None:
        table = _table()
        labels = table[:, -1].astype(np.int64)
        chosen = choose(len(labels), labels, subset, subset_seed)
        grey = np.rint(table[chosen, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        images = resize_arrays(grey, Shaping(size, "none", filter))
        super().__init__("digits", [Decoded.of(images, labels[chosen])], 10, filter, flip)


def _table() -> np.ndarray:
    """A row per digit: its 64 pixels from 0 to 16, and its class."""
    try:
        return np.loadtxt(shipped("data/digits.csv.gz"), delimiter=",")
    except FileNotFoundError:  # a version that keeps it elsewhere knows where
        from sklearn.datasets import load_digits

        digits = load_digits()
        return np.column_stack([digits.data, digits.target])
