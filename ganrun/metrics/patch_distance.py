"""Distance between the patches of images, without any network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize, unfold

from ganrun.core.arguments import PositiveInt
from ganrun.metrics.base import Metric, Samples, Spread, Unavailable
from ganrun.metrics.single_image_fid import real_image, spread


class PatchDistance(Metric):
    """Sliced Wasserstein distance between all patches of a sample and all of the image, in units of [-1, 1].

    ``mean over directions w, ‖w‖ = 1, of W₁(w·patches of the sample, w·patches of the image)``, as Karras et al.
    (*Progressive Growing of GANs*, ICLR 2018, section 5) compare sets of images. Mean over samples, and deviation.
    It is 0 between an image and itself, or any image with the same patches. A patch is one of ``patch · reduction``
    pixels of the image.

    Differs from that paper: plain smaller images for levels of a Laplacian pyramid, nothing is normalised.

    Args:
        patch: side of a patch in pixels.
        reduction: images are averaged over squares of so many pixels first; 1: not.
        directions: random ones, the same for all samples.
    """

    requires = ("single_image",)
    lower_is_better = True

    def __init__(self, patch: PositiveInt, reduction: PositiveInt, directions: PositiveInt) -> None:
        self.patch = patch
        self.reduction = reduction
        self.directions = directions

    def evaluate(self, samples: Samples) -> Spread:
        real = self._patches(real_image(samples))
        directions = normalize(torch.randn(real.shape[1], self.directions), dim=0)
        sorted_real = (real @ directions).sort(0).values
        scores = []
        for image in samples.generated:
            projected = (self._patches(image) @ directions).sort(0).values
            scores.append(float((projected - sorted_real).abs().mean()))
        return spread(scores)

    def _patches(self, image: Tensor) -> Tensor:
        """``[patches, C · patch²]`` of a uint8 image, in [-1, 1]."""
        pixels = avg_pool2d(image[None].float() / 127.5 - 1, self.reduction)
        if min(pixels.shape[2:]) < self.patch:
            raise Unavailable(f"images of {image.shape[2]}x{image.shape[1]} pixels hold no such patches")
        return unfold(pixels, self.patch)[0].T
