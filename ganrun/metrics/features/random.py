"""A fixed random network: features for data without labels on machines without weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.core.types import Dataset
from ganrun.metrics.base import Features
from ganrun.metrics.features.classifier import Network

LAYERS_PER_CONVOLUTION = 3  # itself, batch norm at rest, rectifier


class Random:
    """Convolutions with random weights, drawn once from a seed.

    Random embeddings rank models of data that are unlike photographs at least as well as trained ones (Naeem et al.,
    *Reliable Fidelity and Diversity Metrics for Generative Models*, ICML 2020, section 5). They see shapes and colours
    rather than objects: compare models with them, not papers. They know no classes, so there is no Inception Score.

    Args:
        resolution: side in pixels to which images are averaged (or repeated) before the network.
        widths: channels of the convolutions; each halves the resolution.
        dimensions: features.
        seed: of the weights.
    """

    def __init__(
        self, resolution: PositiveInt, widths: Sequence[int], dimensions: PositiveInt, seed: NonNegativeInt
    ) -> None:
        self.resolution = resolution
        self.widths = tuple(widths)
        self.dimensions = dimensions
        self.seed = seed

    def extractor(self, dataset: Dataset) -> RandomExtractor:
        """Draw the weights."""
        network = Network(dataset.facts.channels, self.widths, self.dimensions, 1, self.resolution).body
        generator = torch.Generator().manual_seed(self.seed)
        for layer in network:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, generator=generator)
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.bias)
        return RandomExtractor(network, f"averaged to {self.resolution} pixels")


class RandomExtractor:
    """The drawn network.

    Args:
        network: float images -> ``[N, dimensions]``.
        resize: what it does to images first.
    """

    name = "random"

    def __init__(self, network: nn.Sequential, resize: str) -> None:
        self.network = network[:-1].eval().requires_grad_(False)  # not the last rectifier: half of it would be dead
        self.resize = resize
        digest = hashlib.sha256()
        for parameter in network.parameters():
            digest.update(parameter.numpy().tobytes())
        self.identity = f"random_{digest.hexdigest()}"

    def __call__(self, images: Tensor) -> Features:
        """Features of ``[N, C, H, W]`` uint8 images."""
        return Features(self.network.to(images.device)(images.float() / 127.5 - 1), None)

    def local(self, images: Tensor) -> Tensor:
        """What up to two convolutions see at every position of ``[N, C, H, W]`` uint8 images, not resized."""
        _, *layers = self.network  # the first one resizes
        end = min(2, sum(isinstance(layer, nn.Conv2d) for layer in layers)) * LAYERS_PER_CONVOLUTION
        return self.network[1 : 1 + end].to(images.device)(images.float() / 127.5 - 1)
