"""Whether images show what their label maps say (Park et al., *SPADE*, CVPR 2019, arXiv 1903.07291, section 4)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganrun.core.arguments import Positive, PositiveInt
from ganrun.core.types import Dataset
from ganrun.metrics.base import SEED, Metric, Samples, Unavailable, private_randomness, real_images, settings
from ganrun.metrics.cache import remember
from ganrun.metrics.fitting import fit

log = logging.getLogger(__name__)


class Segmenter:
    """A small U-Net that tells the class of every pixel, trained on the real images and maps of the data themselves.

    It is trained once, then kept on disk under the data's fingerprint and these settings; on the CPU and from a seed,
    so that a machine with and one without a GPU get the same scores.

    Args:
        resolution: side in pixels to which larger images are averaged; maps take the nearest pixel.
        widths: channels at each resolution, each half of the one before.
        images: at most so many pairs are used.
        held_out: share of them that the agreement on real images is measured on, in (0, 1).
        epochs: at most so many passes.
        patience: epochs without a gain after which training stops.
        batch_size: images per step.
        lr: learning rate of Adam.
    """

    def __init__(
        self,
        resolution: PositiveInt,
        widths: Sequence[int],
        images: PositiveInt,
        held_out: Annotated[float, "> 0", "< 1"],
        epochs: PositiveInt,
        patience: PositiveInt,
        batch_size: PositiveInt,
        lr: Positive,
    ) -> None:
        self.resolution = resolution
        self.widths = tuple(widths)
        self.images = images
        self.held_out = held_out
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.lr = lr

    def network(self, dataset: Dataset) -> UNet:
        """Load the network of this data set, or train it; says how well it knows real images."""
        facts = dataset.facts
        with private_randomness(SEED):
            network = UNet(facts.channels, self.widths, facts.condition_size)
            key = ("segmenter", facts.fingerprint, facts.condition_size, sorted(vars(self).items()), str(network))
            kept = remember(key, lambda: self._train(network, dataset))
        network.load_state_dict(kept["weights"])
        log.info(
            "segmentation: a small network is right on %.1f %% of the pixels of %d real images that it has not seen, "
            "with a mean IoU of %.3f: the mark to reach",
            100 * pixel_accuracy(kept["confusion"]),
            kept["held_out"],
            mean_iou(kept["confusion"]),
        )
        return network.eval()

    def confusion(self, network: UNet, images: Tensor, maps: Tensor) -> Tensor:
        """How many pixels of each class (row) the network takes for each class (column), int64 ``[classes, classes]``.

        Args:
            network: in evaluation mode.
            images: uint8 ``[N, C, H, W]``.
            maps: what they should show, ``[N, H, W]``.
        """
        counts = torch.zeros(network.classes**2, dtype=torch.int64)
        with torch.no_grad():
            for some, classes in zip(images.split(self.batch_size), maps.split(self.batch_size), strict=True):
                small, wanted = shrink(some, classes, self.resolution)
                pairs = wanted.long() * network.classes + network(small).argmax(1)
                counts += pairs.flatten().bincount(minlength=len(counts))
        return counts.view(network.classes, network.classes)

    def _train(self, network: UNet, dataset: Dataset) -> dict[str, Any]:
        log.info("training a network on the data's images and label maps, once")
        images, maps = self._pairs(real_images(dataset, self.images, self.batch_size))
        held_out = max(1, round(self.held_out * len(images)))
        shown, wanted = images[held_out:], maps[held_out:]

        def confusion() -> Tensor:
            return self.confusion(network, images[:held_out], maps[:held_out])

        weights, _ = fit(
            "segmenter",
            network,
            len(shown),
            lambda indices: functional.cross_entropy(network(shown[indices]), wanted[indices].long()),
            lambda: pixel_accuracy(confusion()),
            self.epochs,
            self.patience,
            self.batch_size,
            self.lr,
        )
        network.load_state_dict(weights)
        return {"weights": weights, "confusion": confusion(), "held_out": held_out}

    def _pairs(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor]:
        images, maps = [], []
        for some, classes in batches:
            assert classes is not None
            small, wanted = shrink(some.cpu(), classes.cpu(), self.resolution)
            images.append(small)
            maps.append(wanted)
        return torch.cat(images), torch.cat(maps)


class UNet(nn.Module):
    """Pairs of convolutions at falling and, beside what was seen on the way, at rising resolution.

    Ronneberger et al., *U-Net*, MICCAI 2015, arXiv 1505.04597; few channels, means in place of maxima, batch norm.

    Args:
        channels: image channels.
        widths: channels at each resolution.
        classes: number of classes.

    Shapes: uint8 ``[N, channels, H, W]`` -> logits ``[N, classes, H, W]``.
    """

    def __init__(self, channels: int, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.down = nn.ModuleList(
            _convolutions(narrow, wide) for narrow, wide in zip([channels, *widths], widths, strict=False)
        )
        rising = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(_convolutions(wide + narrow, narrow) for wide, narrow in rising)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the class of every pixel."""
        hidden, seen = images.float() / 127.5 - 1, []
        for level, block in enumerate(self.down):
            hidden = block(functional.avg_pool2d(hidden, 2, ceil_mode=True) if level else hidden)
            seen.append(hidden)
        for block, beside in zip(self.up, seen[-2::-1], strict=True):
            hidden = block(torch.cat([functional.interpolate(hidden, size=beside.shape[2:]), beside], 1))
        return self.head(hidden)


class SegmentationAgreement(Metric):
    """Share of the pixels of generated images that a small network takes for what their label maps say.

    The network is trained on the real images and maps of the same data, and its own errors are part of the score: the
    log tells what it reaches on real images that it has not seen, which is the mark to reach.

    Differs from the paper: there, published networks segment.

    Args:
        segmenter: the network and its training.
    """

    requires = ("images", "label_maps")
    lower_is_better = False

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    def evaluate(self, samples: Samples) -> float:
        return pixel_accuracy(confusion_of(samples, self.segmenter))


class SegmentationIoU(Metric):
    """Mean over classes of the intersection over union of what label maps say and what a small network sees.

    As :class:`SegmentationAgreement`, but every class counts alike, however few its pixels.

    Args:
        segmenter: the network and its training; where it is the same, images are segmented once.
    """

    requires = ("images", "label_maps")
    lower_is_better = False

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    def evaluate(self, samples: Samples) -> float:
        return mean_iou(confusion_of(samples, self.segmenter))


def confusion_of(samples: Samples, segmenter: Segmenter) -> Tensor:
    """Classes that were asked for against classes that are seen, over all pixels of all samples; computed once.

    Raises:
        Unavailable: the samples were not made from label maps.
    """
    condition = samples.condition
    if condition is None or condition.ndim != 3:
        raise Unavailable("the generator is not given label maps")

    def measure() -> Tensor:
        return segmenter.confusion(segmenter.network(samples.dataset), samples.generated, condition)

    confusion: Tensor = samples.share(("segmentation", settings(segmenter)), measure)
    return confusion


def pixel_accuracy(confusion: Tensor) -> float:
    """Share of pixels on the diagonal."""
    return float(confusion.diagonal().sum() / confusion.sum())


def mean_iou(confusion: Tensor) -> float:
    """Mean, over the classes that occur, of pixels in both over pixels in either."""
    both = confusion.diagonal().double()
    either = confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    return float((both / either)[either > 0].mean())


def shrink(images: Tensor, maps: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """Images ``[N, C, H, W]`` averaged and maps ``[N, H, W]`` by the nearest pixel, both uint8, to a side at most."""
    height, width = (min(side, resolution) for side in images.shape[2:])
    if (height, width) != images.shape[2:]:
        images = functional.adaptive_avg_pool2d(images.float(), (height, width)).round().to(torch.uint8)
    if (height, width) != maps.shape[1:]:
        maps = functional.interpolate(maps[:, None].float(), size=(height, width), mode="nearest-exact")[:, 0]
    return images, maps.to(torch.uint8)


def _convolutions(narrow: int, wide: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (narrow, wide):
        layers += [nn.Conv2d(channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
