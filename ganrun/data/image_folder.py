"""Any images: a directory or a ZIP archive, with or without one folder per class."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.core.errors import DataError
from ganrun.data.base import Images, choose
from ganrun.data.decode import Crop, Filter, OnCorrupt, Shaping, decode_files
from ganrun.data.source import Source, open_source

_SPLIT = re.compile(r"(train(ing)?|test(ing)?|val|valid(ation)?)[AB]?", re.IGNORECASE)


class ImageFolder(Images):
    """The image files below a directory or in a ZIP archive, read in place and decoded once.

    Where all images lie in two or more folders beside each other, each folder is a class, in alphabetical order;
    otherwise the images have no labels. They are grey if all files are.

    Args:
        path: the directory or archive.
        subfolder: use only what is below this folder, such as ``train``.
        size: side in pixels; ``None`` keeps the images' own, which must then agree.
        crop: ``center``: the centred square; ``none``: the whole image, stretched to a square if ``size`` is given.
        filter: resampling filter.
        on_corrupt: ``stop`` at a file that cannot be decoded, or ``skip`` it with a warning.
        subset: a count, a fraction or ``None`` for all; balanced by class. Only the chosen files are decoded.
        subset_seed: which samples a subset takes.
        flip: mirror half of the images.

    Raises:
        DataError: nothing is there, a file is corrupt or sizes differ.
    """

    provides = ("images", "labels")

    def __init__(
        self,
        path: str | None,
        subfolder: str | None,
        size: PositiveInt | None,
        crop: Crop,
        filter: Filter,
        on_corrupt: OnCorrupt,
        subset: int | float | None,
        subset_seed: NonNegativeInt,
        flip: bool,
    ) -> None:
        source = open_source(path)
        names = list(source.stamps) if subfolder is None else source.below(subfolder)
        labels, self.class_names = _labels(source, names)
        chosen = choose(len(names), labels, subset, subset_seed)
        taken = [names[index] for index in chosen]
        taken_labels = None if labels is None else labels[chosen]
        decoded = decode_files(source, taken, taken_labels, Shaping(size, crop, filter), on_corrupt)
        classes = len(self.class_names)
        super().__init__(source.path.stem, [decoded], classes, filter if size is not None else "own size", flip)


def _labels(source: Source, names: Sequence[str]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Class labels from the first folders that differ, and the names of these; ``None`` where there are none."""
    folders = [name.split("/")[:-1] for name in names]
    levels = enumerate(zip(*folders, strict=False))  # as deep as the shallowest image lies
    depth = next((level for level, parts in levels if len(set(parts)) > 1), None)
    if depth is None:
        return None, ()
    classes = sorted({parts[depth] for parts in folders})
    if all(_SPLIT.fullmatch(name) for name in classes):
        raise DataError(
            f"{source.path} holds splits of the data ({', '.join(classes)}), not classes. "
            f"Choose one with dataset.subfolder={'/'.join([*folders[0][:depth], classes[0]])}"
        )
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[parts[depth]] for parts in folders], dtype=np.int64), tuple(classes)
