"""A small classifier of the data set's own labels: features for data, or machines, without Inception weights."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganrun.core.arguments import Positive, PositiveInt
from ganrun.core.facts import Facts
from ganrun.core.types import Dataset
from ganrun.metrics.base import SEED, Features, Unavailable, private_randomness, real_images
from ganrun.metrics.cache import remember
from ganrun.metrics.fitting import fit

log = logging.getLogger(__name__)


class Classifier:
    """Trained once on labelled real images, then kept on disk under the data's fingerprint and these settings.

    Training is seeded and runs on the CPU, so that a machine with and one without a GPU get the same scores. It stops
    when the accuracy on held-out images has not risen for ``patience`` epochs; the best weights are kept.

    Args:
        resolution: side in pixels to which images are averaged (or repeated) before the network.
        widths: channels of the convolutions; each halves the resolution.
        dimensions: features in the penultimate layer.
        images: at most so many images are used.
        held_out: share of them that accuracy is measured on, in (0, 1).
        epochs: at most so many passes.
        patience: epochs without a gain after which training stops.
        batch_size: images per step.
        lr: learning rate of Adam.
    """

    def __init__(
        self,
        resolution: PositiveInt,
        widths: Sequence[int],
        dimensions: PositiveInt,
        images: PositiveInt,
        held_out: Annotated[float, "> 0", "< 1"],
        epochs: PositiveInt,
        patience: PositiveInt,
        batch_size: PositiveInt,
        lr: Positive,
    ) -> None:
        self.resolution = resolution
        self.widths = tuple(widths)
        self.dimensions = dimensions
        self.images = images
        self.held_out = held_out
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.lr = lr

    def extractor(self, dataset: Dataset) -> ClassifierExtractor:
        """Load the classifier of this data set, or train it.

        Raises:
            Unavailable: the data carry no labels.
        """
        facts = dataset.facts
        if facts.classes < 2:
            raise Unavailable("the data set has no labels to train a classifier on")
        with private_randomness(SEED):
            network = self.network(facts)
            key = ("classifier", facts.fingerprint, sorted(vars(self).items()), str(network))
            kept = remember(key, lambda: self._train(network, dataset))
        network.load_state_dict(kept["weights"])
        log.info(
            "features: a classifier of %d classes, right on %.1f %% of %d held-out images",
            facts.classes,
            100 * kept["accuracy"],
            kept["held_out"],
        )
        return ClassifierExtractor(network)

    def network(self, facts: Facts) -> Network:
        """An untrained network for such data, initialised by torch's default generator."""
        return Network(facts.channels, self.widths, self.dimensions, facts.classes, self.resolution)

    def _train(self, network: Network, dataset: Dataset) -> dict[str, Any]:
        log.info("training a classifier of the data set's labels, once")
        return self.fit(network, *labelled(dataset, self.images))

    def fit(self, network: Network, images: Tensor, labels: Tensor) -> dict[str, Any]:
        """Train ``network``, with torch's default generator.

        Args:
            network: on the CPU, like everything here.
            images: uint8 ``[N, C, H, W]``; the first are held out.
            labels: int64 ``[N]``.

        Returns:
            The best ``weights``, their ``accuracy`` on so many images ``held_out``.
        """
        held_out = max(1, round(self.held_out * len(images)))
        shown, classes = images[held_out:], labels[held_out:]
        weights, accuracy = fit(
            "classifier",
            network,
            len(shown),
            lambda indices: functional.cross_entropy(network(shown[indices]).logits, classes[indices]),
            lambda: self.accuracy(network, images[:held_out], labels[:held_out]),
            self.epochs,
            self.patience,
            self.batch_size,
            self.lr,
        )
        return {"weights": weights, "accuracy": accuracy, "held_out": held_out}

    def accuracy(self, network: Network, images: Tensor, labels: Tensor) -> float:
        """Share of ``images`` whose label ``network`` finds."""
        network.eval()
        with torch.no_grad():
            logits = torch.cat([network(part).logits for part in images.split(self.batch_size)])
        return float((logits.argmax(1) == labels).double().mean())


class Network(nn.Module):
    """Strided convolutions and two linear layers.

    Args:
        channels: image channels.
        widths: channels of the convolutions; each halves the resolution.
        dimensions: features in the penultimate layer.
        classes: number of classes.
        resolution: side to which images are brought, a multiple of ``2^len(widths)``.

    Shapes: uint8 ``[N, channels, H, W]`` -> :class:`~ganrun.metrics.base.Features`.

    Raises:
        ValueError: ``resolution`` cannot be halved so often.
    """

    def __init__(self, channels: int, widths: Sequence[int], dimensions: int, classes: int, resolution: int) -> None:
        super().__init__()
        if resolution % 2 ** len(widths):
            raise ValueError(
                f"{len(widths)} convolutions need a multiple of {2 ** len(widths)}, got {resolution} pixels"
            )
        self.resolution = resolution
        layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(resolution)]
        for narrow, wide in zip([channels, *widths], widths, strict=False):
            layers += [nn.Conv2d(narrow, wide, 3, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        area = (resolution // 2 ** len(widths)) ** 2
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * area, dimensions), nn.ReLU())
        self.head = nn.Linear(dimensions, classes)

    def forward(self, images: Tensor) -> Features:
        """Features of uint8 images."""
        pooled = self.body(images.float() / 127.5 - 1)
        return Features(pooled, self.head(pooled))


class ClassifierExtractor:
    """The trained network.

    Args:
        network: in any mode; it is put into evaluation mode.
    """

    name = "classifier"

    def __init__(self, network: Network) -> None:
        self.resize = f"averaged to {network.resolution} pixels"
        self.network = network.eval().requires_grad_(False)
        digest = hashlib.sha256()
        for tensor in network.state_dict().values():
            digest.update(tensor.numpy().tobytes())
        self.identity = f"classifier_{digest.hexdigest()}"

    def __call__(self, images: Tensor) -> Features:
        """Features of ``[N, C, H, W]`` uint8 images."""
        return self.network.to(images.device)(images)


def labelled(dataset: Dataset, count: int | None) -> tuple[Tensor, Tensor]:
    """``count`` (all) real uint8 images and their labels."""
    images, labels = [], []
    for some, condition in real_images(dataset, count, batch_size=1000):
        assert condition is not None
        images.append(some.cpu())
        labels.append(condition.cpu())
    return torch.cat(images), torch.cat(labels)
