"""CIFAR-10 (Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.core.errors import DataError
from ganrun.data.base import Images, Split, choose
from ganrun.data.cache import Block, cached
from ganrun.data.decode import Filter, Shaping, resize_arrays
from ganrun.data.idx import fetch
from ganrun.data.source import missing


class Cifar10(Images):
    """Colour 32x32 photographs of 10 classes, the lossless original: 50,000 for training or 10,000 for testing.

    Args:
        root: folder that has ``cifar-10-batches-py``.
        download: fetch the data when they are not there.
        split: training or test images.
        size: side in pixels; 32 leaves the images as they are.
        filter: resampling filter.
        subset: a count, a fraction or ``None`` for all; balanced by class.
        subset_seed: which samples a subset takes.
        flip: mirror half of the images.
    """

    provides = ("images", "labels")
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def __init__(
        self,
        root: str,
        download: bool,
        split: Split,
        size: PositiveInt,
        filter: Filter,
        subset: int | float | None,
        subset_seed: NonNegativeInt,
        flip: bool,
    ) -> None:
        folder = Path(root).expanduser()
        batches = _batches(folder, download, split)
        settings = {
            "files": [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in batches],
            "size": size,
            "filter": filter,
            "subset": subset,
            "seed": subset_seed,
        }

        def produce() -> list[Block]:
            images, labels = _read(folder, split)
            chosen = choose(len(labels), labels, subset, subset_seed)
            return [(resize_arrays(images[chosen], Shaping(size, "none", filter)), labels[chosen])]

        decoded = cached("cifar10", settings, produce)
        name = "cifar10" if split == "train" else f"cifar10 ({split})"
        super().__init__(name, [decoded], 10, "not resized" if size == 32 else filter, flip)


def _batches(root: Path, download: bool, split: Split) -> list[Path]:
    names = [f"data_batch_{number}" for number in range(1, 6)] if split == "train" else ["test_batch"]
    files = [root / "cifar-10-batches-py" / name for name in names]
    if all(file.is_file() for file in files):
        return files
    if not download and not root.exists():
        raise DataError(f"{missing(root, 'dataset.root')} or fetch the data with dataset.download=true")
    if not download:
        raise DataError(
            f"CIFAR-10 was not found: {files[0].parent} does not have {', '.join(names)}. "
            "Set dataset.root=... to the folder that holds cifar-10-batches-py, or dataset.download=true"
        )
    fetch("CIFAR10", root)
    return files


def _read(root: Path, split: Split) -> tuple[np.ndarray, np.ndarray]:
    from torchvision.datasets import CIFAR10  # slow to import

    try:
        data = CIFAR10(str(root), train=split == "train")  # checks the published hashes before it unpickles
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{root / 'cifar-10-batches-py'} is incomplete or damaged. Remove it and set dataset.download=true"
        ) from error
    return data.data, np.asarray(data.targets, dtype=np.int64)
