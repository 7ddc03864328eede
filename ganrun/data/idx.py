"""Sets in MNIST's idx files, read in place and fetched by torchvision when they are not there."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.core.errors import DataError
from ganrun.data.base import Images, Split, choose
from ganrun.data.cache import Block, cached, locked
from ganrun.data.decode import Filter, Shaping, resize_arrays
from ganrun.data.source import missing

_PREFIX = {"train": "train", "test": "t10k"}


class IdxImages(Images):
    """Grey 28x28 images of 10 classes, resized: 60,000 for training or 10,000 for testing.

    Args:
        root: folder of the data; the files, packed or not, lie in ``<root>/<name>/raw``, where torchvision puts them.
        download: fetch the data when they are not there.
        split: training or test images.
        size: side in pixels after resizing.
        filter: resampling filter.
        subset: a count, a fraction or ``None`` for all; balanced by class.
        subset_seed: which samples a subset takes.
        flip: mirror half of the images.

    Raises:
        DataError: the files are not there, cannot be fetched or are damaged.
    """

    provides = ("images", "labels")

    name: str
    """torchvision's name of the data set."""

    in_root: bool
    """Whether the files may also lie directly in ``root``."""

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
        files = self._files(Path(root).expanduser(), download, split)
        settings = {
            "files": [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files],
            "size": size,
            "filter": filter,
            "subset": subset,
            "seed": subset_seed,
        }

        def produce() -> list[Block]:
            images, labels = (_read(file) for file in files)
            labels = labels.astype(np.int64)
            chosen = choose(len(labels), labels, subset, subset_seed)
            shaped = resize_arrays(images[chosen], Shaping(size, "none", filter))
            return [(shaped, labels[chosen])]

        name = self.name if split == "train" else f"{self.name} ({split})"
        super().__init__(name, [cached(self.name.lower(), settings, produce)], 10, filter, flip)

    def _files(self, root: Path, download: bool, split: Split) -> list[Path]:
        folders = [root / self.name / "raw", *([root] if self.in_root else [])]
        stems = [f"{_PREFIX[split]}-{part}-ubyte" for part in ("images-idx3", "labels-idx1")]
        found = _find(folders, stems)
        if not found and download:
            fetch(self.name, root)
            found = _find(folders, stems)
        if not found and not root.exists():
            raise DataError(f"{missing(root, 'dataset.root')} or fetch the data with dataset.download=true")
        if not found:
            places = " or ".join(str(folder) for folder in folders)
            raise DataError(
                f"{self.name} was not found: there are no {stems[0]}.gz and {stems[1]}.gz in {places}. "
                "Set dataset.root=... to where they are, or fetch them with dataset.download=true"
            )
        return found


def fetch(name: str, root: Path) -> None:
    """Let torchvision download its data set ``name`` to ``root``, one process at a time.

    Raises:
        DataError: it could not.
    """
    with locked(f"download-{name.lower()}"):
        try:
            from torchvision import datasets  # slow to import

            getattr(datasets, name)(str(root), download=True)
        except (OSError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise DataError(
                f"{name} is not in {root} and could not be fetched ({reason}). Go online once, set dataset.root=... "
                "to a folder that has it, or take dataset=digits, which needs no download."
            ) from error


def _find(folders: list[Path], stems: list[str]) -> list[Path]:
    for folder in folders:
        images, labels = ([file for file in (folder / stem, folder / f"{stem}.gz") if file.is_file()] for stem in stems)
        if images and labels:
            return [images[0], labels[0]]
    return []


def _read(path: Path) -> np.ndarray:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zeros, kind, axes = struct.unpack(">HBB", data[:4])
        shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
        if zeros != 0 or kind != 8:
            raise ValueError("it does not begin like an idx file of bytes")
        return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise DataError(f"{path} is damaged ({error}). Remove it and fetch it again.") from error
