"""Samples as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from ganrun.metrics.base import quantise


def write_images(generate: Callable[[int], Tensor], count: int, batch_size: int, folder: Path, progress: bool) -> None:
    """Write single images as ``00000.png``, ``00001.png``, ...; files of the same name are replaced.

    Args:
        generate: count -> images ``[count, C, H, W]`` in [-1, 1] with 1 or 3 channels.
        count: how many images.
        batch_size: images generated at once.
        folder: is made when it is not there.
        progress: whether to show a progress bar on a terminal.
    """
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    digits = max(5, len(str(count - 1)))
    with tqdm(total=count, desc="writing", unit="img", leave=False, disable=None if progress else True) as bar:
        for start in range(0, count, batch_size):
            images = quantise(generate(min(batch_size, count - start)).detach()).permute(0, 2, 3, 1).cpu().numpy()
            for number, image in enumerate(images, start):
                pixels = image[:, :, 0] if image.shape[2] == 1 else image
                Image.fromarray(pixels).save(folder / f"{number:0{digits}d}.png")
                bar.update()
