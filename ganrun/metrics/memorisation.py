"""How many generated images are copies of training images."""

from __future__ import annotations

import torch

from ganrun.core.arguments import Fraction, PositiveInt
from ganrun.metrics.base import Metric, Samples, Unavailable, real_images
from ganrun.metrics.distances import TILE, nearest


class Copies(Metric):
    """Share of generated images that are far nearer to one real image than to any other.

    An image counts as a copy when its distance to the nearest real image, in pixels, is at most ``ratio`` times that to
    the second nearest (Yoon et al., *Diffusion Probabilistic Models Generalize when They Fail to Memorize*, 2023, with
    1/3). A copy that is not exact, of an image that the data set holds twice, is not seen.

    Args:
        ratio: of the two distances.
        images: at most so many generated images are looked at; cost grows with this times the size of the data set.
    """

    requires = ("images",)
    lower_is_better = True

    def __init__(self, ratio: Fraction, images: PositiveInt) -> None:
        self.ratio = ratio
        self.images = images

    def evaluate(self, samples: Samples) -> float:
        if samples.dataset.facts.count[0] < 2:
            raise Unavailable("the data set has no second image")
        generated = samples.generated[: self.images].flatten(1)
        found = torch.full((len(generated), 2), torch.inf, dtype=torch.float64)
        for images, _ in real_images(samples.dataset, None, batch_size=TILE):
            distances = nearest(generated, images.cpu().flatten(1), min(2, len(images)))
            found = torch.cat([found, distances], 1).topk(2, dim=1, largest=False).values
        first, second = found.sqrt().unbind(1)
        return float((first <= self.ratio * second).double().mean())
