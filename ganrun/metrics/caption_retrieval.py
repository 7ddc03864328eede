"""Whether images show what their captions say (Xu et al., *AttnGAN*, CVPR 2018, arXiv 1711.10485: R-precision)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganrun.core.arguments import Positive, PositiveInt
from ganrun.core.types import Dataset
from ganrun.metrics.base import SEED, Metric, Samples, Unavailable, private_randomness, quantise
from ganrun.metrics.cache import remember
from ganrun.metrics.fitting import fit

log = logging.getLogger(__name__)

CHUNK = 1000
"""Images whose captions are looked for at once."""


class Matcher:
    """A small network for images and a linear map of caption vectors, trained to bring what belongs together together.

    The loss is the symmetric cross-entropy over the pairs of a batch (Radford et al., *CLIP*, ICML 2021, figure 3). It
    is trained once, on the real images and captions of the data themselves, with a random caption of each image in
    every epoch, then kept on disk under the data's fingerprint and these settings.

    Args:
        resolution: side in pixels to which images are averaged (or repeated).
        widths: channels of the convolutions; each halves the resolution.
        dimensions: of the space in which images and captions meet.
        temperature: cosines are divided by it.
        images: at most so many images are used.
        held_out: share of them that retrieval of real images is measured on, in (0, 1).
        epochs: at most so many passes.
        patience: epochs without a gain after which training stops.
        batch_size: pairs per step.
        lr: learning rate of Adam.
    """

    def __init__(
        self,
        resolution: PositiveInt,
        widths: Sequence[int],
        dimensions: PositiveInt,
        temperature: Positive,
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
        self.temperature = temperature
        self.images = images
        self.held_out = held_out
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.lr = lr

    def network(self, dataset: Dataset, candidates: int) -> Towers:
        """Load the network of this data set, or train it; says how well it knows real images.

        Args:
            dataset: images with captions.
            candidates: among how many captions the right one is looked for.
        """
        facts = dataset.facts
        with private_randomness(SEED):
            network = Towers(facts.channels, facts.condition_size, self.resolution, self.widths, self.dimensions)
            key = ("matcher", facts.fingerprint, candidates, sorted(vars(self).items()), str(network))
            kept = remember(key, lambda: self._train(network, dataset, candidates))
        network.load_state_dict(kept["weights"])
        log.info(
            "captions: among %d, a small network finds that of %.1f %% of %d real images that it has not seen "
            "(by chance %.1f %%): the mark to reach",
            candidates,
            100 * kept["retrieval"],
            kept["held_out"],
            100 / candidates,
        )
        return network.eval()

    def _train(self, network: Towers, dataset: Dataset, candidates: int) -> dict[str, Any]:
        log.info("training a network on the data's images and captions, once")
        count = dataset.facts.count[0]
        order = torch.randperm(count, generator=torch.Generator().manual_seed(SEED))[: self.images]
        held_out = max(candidates, round(self.held_out * len(order)))
        if len(order) - held_out < 2:
            raise Unavailable(f"{count} images are too few to learn which caption belongs to which")
        unseen, shown = order[:held_out], order[held_out:]
        images, vectors = _pairs(dataset, unseen, augment=False)

        def loss(indices: Tensor) -> Tensor:
            some, captions = network(*_pairs(dataset, shown[indices], augment=True))
            cosines = some @ captions.T / self.temperature
            right = torch.arange(len(indices))
            return (functional.cross_entropy(cosines, right) + functional.cross_entropy(cosines.T, right)) / 2

        def retrieved() -> float:
            some, captions = network(images, vectors)
            return retrieval(some, captions, vectors, candidates)

        weights, reached = fit(
            "matcher", network, len(shown), loss, retrieved, self.epochs, self.patience, self.batch_size, self.lr
        )
        return {"weights": weights, "retrieval": reached, "held_out": held_out}


class Towers(nn.Module):
    """Strided convolutions for images, a linear map for vectors of captions, both onto the unit sphere.

    Args:
        channels: image channels.
        text_size: dimensions of the vectors.
        resolution: side to which images are brought.
        widths: channels of the convolutions.
        dimensions: of the sphere's space.

    Shapes: uint8 ``[N, channels, H, W]``, ``[N, text_size]`` -> ``[N, dimensions]`` twice.
    """

    def __init__(self, channels: int, text_size: int, resolution: int, widths: Sequence[int], dimensions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(resolution)]
        for narrow, wide in zip([channels, *widths], widths, strict=False):
            layers += [nn.Conv2d(narrow, wide, 3, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        side = math.ceil(resolution / 2 ** len(widths))
        self.images = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * side**2, dimensions))
        self.texts = nn.Linear(text_size, dimensions)

    def forward(self, images: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Where images and captions are on the sphere."""
        seen = self.images(images.float() / 127.5 - 1)
        return functional.normalize(seen), functional.normalize(self.texts(vectors))


class CaptionRetrieval(Metric):
    """Share of generated images whose own caption, among others, is the one that a small network finds nearest.

    By chance it is one in ``candidates``, a little more where images share a caption: equal captions do not compete.
    The network is trained on the real images and captions of the same data, and its own errors are part of the score:
    the log tells what it reaches on real images that it has not seen, which is the mark to reach. A generator that
    copies training images may pass it.

    Differs from the paper: there, the networks have learnt from more; 100 candidates.

    Args:
        matcher: the network and its training.
        candidates: captions that each image is compared with.
    """

    requires = ("images", "captions")
    lower_is_better = False

    def __init__(self, matcher: Matcher, candidates: Annotated[int, ">= 2"]) -> None:
        self.matcher = matcher
        self.candidates = candidates

    def evaluate(self, samples: Samples) -> float:
        vectors = samples.condition
        if vectors is None or vectors.ndim != 2:
            raise Unavailable("the generator is not given captions")
        if len(vectors) < self.candidates:
            raise Unavailable(f"{len(vectors)} samples are too few for {self.candidates} candidates")
        network = self.matcher.network(samples.dataset, self.candidates)
        size = self.matcher.batch_size
        with torch.no_grad():
            parts = [network(*pair) for pair in zip(samples.generated.split(size), vectors.split(size), strict=True)]
        images, captions = (torch.cat(part) for part in zip(*parts, strict=True))
        return retrieval(images, captions, vectors, self.candidates)


def retrieval(images: Tensor, captions: Tensor, vectors: Tensor, candidates: int) -> float:
    """Share of images that are nearer to their own caption than to those of the images that come next.

    Args:
        images: on the unit sphere, ``[N, D]``.
        captions: likewise, the i-th belongs to the i-th image.
        vectors: of the captions ``[N, S]``, which tell which are equal and so do not compete.
        candidates: captions that each image is compared with; after the last comes the first.
    """
    numbers = torch.arange(len(images))
    compared = (numbers[:, None] + torch.arange(candidates)) % len(images)
    alike = vectors.unique(dim=0, return_inverse=True)[1]
    right = []
    for some in numbers.split(CHUNK):
        cosines = (images[some, None] * captions[compared[some]]).sum(2)
        equal = alike[compared[some]] == alike[some, None]
        others = cosines.masked_fill(equal, float("-inf")).amax(1)
        right.append(cosines[:, 0] > others)
    return float(torch.cat(right).double().mean())


def _pairs(dataset: Dataset, indices: Tensor, augment: bool) -> tuple[Tensor, Tensor]:
    """uint8 images and a vector of a caption of each, on the CPU."""
    batch = dataset.fetch((indices,), augment=augment)
    assert batch.condition is not None
    return quantise(batch.real).cpu(), batch.condition.cpu()
