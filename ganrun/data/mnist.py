"""MNIST (LeCun, Cortes & Burges, *The MNIST database of handwritten digits*, 1998)."""

from __future__ import annotations

from ganrun.data.idx import IdxImages


class Mnist(IdxImages):
    """60,000 handwritten digits; the files may also lie directly in ``root``."""

    name = "MNIST"
    in_root = True
