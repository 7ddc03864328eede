"""One picture, for models of a single image (Shaham et al., *SinGAN*, ICCV 2019, arXiv 1905.01164)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ganrun.core.arguments import PositiveInt
from ganrun.core.errors import DataError
from ganrun.data.base import Images, normalise
from ganrun.data.cache import Decoded
from ganrun.data.decode import Filter, open_image
from ganrun.data.shipped import shipped
from ganrun.data.source import missing


class SingleImage(Images):
    """One colour picture, never enlarged.

    Attributes:
        image: the picture, ``[1, 3, H, W]`` in [-1, 1], on the CPU.

    Args:
        path: an image file; ``None`` takes scikit-learn's photograph of a Chinese temple.
        max_size: longest side in pixels after shrinking.
        filter: resampling filter.

    Raises:
        DataError: the file does not exist or cannot be decoded.
    """

    provides = ("images", "single_image")

    def __init__(
        self,
        path: str | None,
        max_size: PositiveInt,
        filter: Filter,
    ) -> None:
        name, picture = _temple() if path is None else _open(Path(path).expanduser())
        scale = min(1.0, max_size / max(picture.size))
        width, height = (max(1, round(side * scale)) for side in picture.size)
        pixels = np.array(picture.resize((width, height), Image.Resampling[filter.upper()]))[None]
        self.image = normalise(torch.from_numpy(pixels)).contiguous()
        super().__init__(name, [Decoded.of(pixels, None)], 0, filter if scale < 1 else "own size", flip=False)


def _temple() -> tuple[str, Image.Image]:
    return "china", open_image(shipped("images/china.jpg").read_bytes())


def _open(path: Path) -> tuple[str, Image.Image]:
    if not path.exists():
        raise DataError(missing(path, "dataset.path"))
    try:
        return path.stem, open_image(path.read_bytes()).convert("RGB")
    except Exception as error:  # Pillow raises many kinds
        raise DataError(f"{path} cannot be decoded ({error}). Point dataset.path at one image file.") from error
