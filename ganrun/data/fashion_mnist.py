"""Fashion-MNIST (Xiao, Rasul & Vollgraf, 2017, arXiv 1708.07747)."""

from __future__ import annotations

from ganrun.data.idx import IdxImages


class FashionMnist(IdxImages):
    """60,000 pictures of clothes; not read from ``root`` itself, because MNIST's files have the same names."""

    name = "FashionMNIST"
    class_names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    in_root = False
