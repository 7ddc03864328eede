"""Scores of samples of a single image (Rott Shaham, Dekel & Michaeli, *SinGAN*, ICCV 2019, section 3)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ganrun.core.types import Dataset
from ganrun.metrics.base import Metric, Samples, Spread, Unavailable, moments, quantise
from ganrun.metrics.fid import frechet_distance, mean_and_covariance


class LocalExtractor(Protocol):
    """A network whose first layers see patches."""

    def local(self, images: Tensor) -> Tensor:
        """Features ``[N, d, h, w]`` of the patches of uint8 images ``[N, C, H, W]``, at their own resolution."""


class LocalSource(Protocol):
    """Where such a network comes from."""

    def extractor(self, dataset: Dataset) -> LocalExtractor:
        """Load the extractor.

        Raises:
            Unavailable: there is none for this data set on this machine.
        """


class SingleImageFID(Metric):
    """SIFID: Fréchet distance between the features of one sample and of the image, over their positions.

    Mean over samples, and deviation. The paper's 64 features are those after Inception's first pooling layer, 16 times
    fewer positions than pixels; with others the numbers are of another kind.

    Differs from the paper: the image is brought to the size of the samples, where theirs is another.

    Args:
        features: of patches.
    """

    requires = ("single_image",)
    lower_is_better = True

    def __init__(self, features: LocalSource) -> None:
        self.features = features

    def evaluate(self, samples: Samples) -> Spread:
        extractor = self.features.extractor(samples.dataset)

        def over_positions(image: Tensor) -> tuple[Tensor, Tensor]:
            features = extractor.local(image[None])[0].flatten(1).T
            if len(features) <= features.shape[1]:
                positions, size = len(features), f"{image.shape[2]}x{image.shape[1]}"
                raise Unavailable(
                    f"{positions} positions of {size} pixels are too few for {features.shape[1]} features"
                )
            return mean_and_covariance(moments([features]))

        real = over_positions(real_image(samples))
        return spread([frechet_distance(*over_positions(image), *real) for image in samples.generated])


class Diversity(Metric):
    """Deviation of a pixel's intensity over the samples, in deviations of the intensity within the image (section 3).

    Mean over pixels; 0 for one sample again and again. The paper has 0.5 from the coarsest scale on, 0.35 from the
    next.
    """

    requires = ("single_image",)
    lower_is_better = False

    def evaluate(self, samples: Samples) -> float:
        intensity = samples.generated.double().mean(1)
        if len(intensity) < 2:
            raise Unavailable("a single sample has no variety. Raise evaluation.samples.")
        return float(intensity.std(0).mean() / real_image(samples).double().mean(0).std())


def real_image(samples: Samples) -> Tensor:
    """The image that was learnt, uint8 ``[C, H, W]``, in the size of the samples."""
    real = samples.dataset.examples(1).real.cpu()
    size = samples.generated.shape[2:]
    if real.shape[2:] != size:
        real = interpolate(real, size=tuple(size), mode="bicubic", antialias=True)
    return quantise(real)[0]


def spread(scores: list[float]) -> Spread:
    """Mean and deviation of scores of single samples."""
    values = torch.tensor(scores, dtype=torch.float64)
    return Spread(float(values.mean()), float(values.std()) if len(values) > 1 else float("nan"))
