"""Pictures that enter a pyramid of generators between two scales (Rott Shaham et al., *SinGAN*, ICCV 2019)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_dilation, gaussian_filter
from torch import Tensor
from torch.nn.functional import interpolate

from ganrun.core.errors import RunError
from ganrun.data.base import normalise
from ganrun.data.decode import open_image


def read_picture(path: str, option: str) -> Tensor:
    """A colour picture from a file, ``[1, 3, H, W]`` in [-1, 1].

    Args:
        path: of any format that Pillow reads.
        option: that named the file, for the message.

    Raises:
        RunError: the file is not there or cannot be decoded.
    """
    try:
        picture = open_image(Path(path).expanduser().read_bytes()).convert("RGB")
    except Exception as error:  # Pillow raises many kinds
        raise RunError(f"{option}={path} cannot be read as a picture ({error}). Name an image file.") from error
    return normalise(torch.from_numpy(np.array(picture))[None])


def read_mask(path: str, size: tuple[int, int], radius: float, sigma: float) -> Tensor:
    """A mask from a file: the bright pixels, widened and with soft edges.

    Args:
        path: of a picture whose bright pixels mark what was changed.
        size: height and width in pixels to which it is brought first.
        radius: of the disk that it is dilated by, in pixels.
        sigma: of the Gaussian that it is blurred by, in pixels; the most covered pixel counts as 1 again.

    Returns:
        ``[1, 1, *size]`` in [0, 1].

    Raises:
        RunError: the file cannot be read, or nothing in it is bright.
    """
    grey = interpolate(read_picture(path, "mask").mean(1, keepdim=True), size=size, mode="area")
    marked = (grey[0, 0] > 0).numpy()
    if not marked.any():
        raise RunError(f"mask={path} is dark everywhere. Paint white what was changed.")
    soft = gaussian_filter(binary_dilation(marked, disk(radius)).astype(np.float32), sigma)
    return torch.from_numpy(soft / soft.max())[None, None]


def disk(radius: float) -> np.ndarray:
    """All pixels whose centre is within ``radius`` of the middle one, a boolean square."""
    reach = np.arange(-int(radius), int(radius) + 1)
    return reach[:, None] ** 2 + reach**2 <= radius**2


def repaint(painting: Tensor, picture: Tensor, colours: int, seed: int) -> Tensor:
    """The painting in a few colours of the picture, so that its flat areas look like places that the generators know.

    The picture's pixels are clustered by k-means; those of the painting from these centres on. Every cluster of the
    painting takes the colour of the picture's cluster that it began with.

    Args:
        painting: ``[1, C, h, w]``.
        picture: ``[1, C, H, W]``.
        colours: k.
        seed: of k-means.
    """
    from sklearn.cluster import KMeans  # slow to import

    flat = [image[0].flatten(1).T.cpu().double().numpy() for image in (painting, picture)]
    centres = KMeans(colours, n_init=10, random_state=seed).fit(flat[1]).cluster_centers_
    nearest = KMeans(colours, init=centres, n_init=1).fit_predict(flat[0])
    repainted = torch.from_numpy(centres[nearest]).to(painting)
    return repainted.T.reshape(painting.shape)
