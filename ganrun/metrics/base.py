"""How samples are scored: generated once, quantised once, pushed once through one shared feature extractor."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from ganrun.core.types import Dataset
from ganrun.metrics.cache import remember

log = logging.getLogger(__name__)

SEED = 0  # of the choice of real samples and of everything random inside a metric: scores are comparable over time


class Unavailable(Exception):  # noqa: N818  (not an error: training goes on without the score)
    """A score cannot be had here; the message says why and what would help."""


class Features(NamedTuple):
    """What an extractor sees in images.

    Args:
        pooled: ``[N, dimensions]``, the penultimate layer.
        logits: ``[N, classes]``.
    """

    pooled: Tensor
    logits: Tensor


class FeatureExtractor(Protocol):
    """A fixed network on uint8 images; it follows the images to their device."""

    name: str
    """Suffix of the tags of the scores; empty for the Inception network that published numbers use."""

    identity: str
    """Hash of the weights; part of the key under which statistics are cached."""

    def __call__(self, images: Tensor) -> Features:
        """Features of ``[N, C, H, W]`` uint8 images."""


class FeatureSource(Protocol):
    """Where the extractor of a data set comes from; made from the configuration, loads nothing until asked."""

    def extractor(self, dataset: Dataset) -> FeatureExtractor:
        """Load or train the extractor.

        Raises:
            Unavailable: there is none for this data set on this machine.
        """


class Moments(NamedTuple):
    """Float64 sums over feature vectors, from which mean and covariance follow.

    Args:
        samples: number of vectors, an int64 scalar.
        total: their sum ``[d]``.
        outer: sum of their outer products ``[d, d]``.
    """

    samples: Tensor
    total: Tensor
    outer: Tensor


@dataclass(frozen=True)
class Samples:
    """What a metric sees; all tensors on the CPU.

    Args:
        generated: uint8 images ``[N, C, H, W]``, or points ``[N, 2]``.
        features: of the generated images; ``None`` when no metric of the evaluation needs them.
        real_moments: of the features of so many real images (``None``: of all), the same ones every time.
        dataset: the real data.
    """

    generated: Tensor
    features: Features | None
    real_moments: Callable[[int | None], Moments]
    dataset: Dataset


class Metric:
    """One number that says how good samples are."""

    requires: tuple[str, ...] = ()
    """Traits of the data without which the metric makes no sense."""

    lower_is_better: bool

    on_features: bool = False
    """Whether it looks at ``Samples.features``; its tag then names the extractor."""

    def evaluate(self, samples: Samples) -> float:
        """The score.

        Raises:
            Unavailable: it would be meaningless for these samples.
        """
        raise NotImplementedError


def quantise(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8, rounded to the nearest of 256 levels; values outside are clamped."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


@contextmanager
def private_randomness(seed: int | None = None) -> Iterator[None]:
    """Put torch's generators back afterwards; inside they start from ``seed`` or, without one, go on as they were."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            torch.manual_seed(seed)
        yield


def real_images(dataset: Dataset, count: int | None, batch_size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Batches of real uint8 images of the first domain and their labels, the same ``count`` (all) in every call."""
    order = torch.randperm(dataset.facts.count[0], generator=torch.Generator().manual_seed(SEED))
    for indices in order[:count].split(batch_size):
        batch = dataset.fetch(tuple(indices % available for available in dataset.facts.count), augment=False)
        yield quantise(batch.real), batch.condition


class Evaluation:
    """Scores a generator against a data set by several metrics that share samples, features and real statistics.

    Args:
        metrics: name -> metric.
        features: source of the extractor that the image metrics share, or ``None``.
        dataset: the real data.
        samples: generated samples per evaluation.
        batch_size: samples generated, and images pushed through the extractor, at once.
        progress: whether to show progress bars on a terminal.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        features: FeatureSource | None,
        dataset: Dataset,
        samples: int,
        batch_size: int,
        progress: bool,
    ) -> None:
        self.metrics = dict(metrics)
        self.features = features
        self.dataset = dataset
        self.samples = samples
        self.batch_size = batch_size
        self.progress = progress
        self._moments: dict[int, Moments] = {}
        self._warned: set[str] = set()

    def prepare(self) -> None:
        """Load or train the feature extractor now rather than at the first evaluation.

        Raises:
            DataError: the configuration names weights that are not there or not the right ones.
        """
        if any(metric.on_features for metric in self.metrics.values()):
            _ = self._extractor

    def tag(self, name: str) -> str:
        """Under which tag metric ``name`` is reported: ``fid_classifier`` when the extractor is a classifier."""
        extractor = self._extractor if self.metrics[name].on_features else None
        return f"{name}_{extractor.name}" if extractor and extractor.name else name

    def run(self, generate: Callable[[int], Tensor]) -> dict[str, float]:
        """Draw samples and score them; torch's generators are left as they were found.

        Args:
            generate: count -> images ``[count, C, H, W]`` in [-1, 1] or points ``[count, 2]``, without gradients.

        Returns:
            Tag -> finite score; a score that cannot be had is left out, and the log says once why.

        Raises:
            DataError: the configuration names weights that are not there or not the right ones.
        """
        with private_randomness(), torch.no_grad():
            self.prepare()
            wanted = [name for name, metric in self.metrics.items() if not metric.on_features or self._extractor]
            if not wanted:
                return {}
            samples = self._draw(generate)
            return {self.tag(name): score for name in wanted if (score := self._score(name, samples)) is not None}

    def _score(self, name: str, samples: Samples) -> float | None:
        try:
            with private_randomness(SEED):
                score = self.metrics[name].evaluate(samples)
        except Unavailable as reason:
            self._warn(f"no {name}: {reason}")
            return None
        if not math.isfinite(score):
            self._warn(f"no {name}: it came out as {score}")
            return None
        return score

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            log.warning(message)
            self._warned.add(message)

    def _draw(self, generate: Callable[[int], Tensor]) -> Samples:
        generated, features = [], []
        with self._bar("evaluating", self.samples) as bar:
            for start in range(0, self.samples, self.batch_size):
                batch = generate(min(self.batch_size, self.samples - start))
                if self.dataset.facts.kind == "images":
                    batch = quantise(batch)
                    if any(metric.on_features for metric in self.metrics.values()) and self._extractor:
                        features.append(Features(*(part.cpu() for part in self._extractor(batch))))
                generated.append(batch.cpu())
                bar.update(len(batch))
        joined = Features(*(torch.cat(part) for part in zip(*features, strict=True))) if features else None
        return Samples(torch.cat(generated), joined, self._real_moments, self.dataset)

    def _bar(self, title: str, total: int) -> tqdm:
        return tqdm(total=total, desc=title, unit="img", leave=False, disable=None if self.progress else True)

    @cached_property
    def _extractor(self) -> FeatureExtractor | None:
        if self.features is None:
            return None
        try:
            with private_randomness():
                return self.features.extractor(self.dataset)
        except Unavailable as reason:
            names = ", ".join(name for name, metric in self.metrics.items() if metric.on_features)
            self._warn(f"no {names}: {reason}")
            return None

    def _real_moments(self, count: int | None) -> Moments:
        available = self.dataset.facts.count[0]
        count = available if count is None else min(count, available)
        if count not in self._moments:
            self._moments[count] = self._remembered_moments(count)
        return self._moments[count]

    def _remembered_moments(self, count: int) -> Moments:
        assert self._extractor is not None
        key = ("moments", self.dataset.facts.fingerprint, self._extractor.identity, count)
        return Moments(**remember(key, lambda: self._measure(count)))

    def _measure(self, count: int) -> dict[str, Tensor]:
        assert self._extractor is not None
        total = outer = torch.zeros((), dtype=torch.float64)
        with self._bar("real images", count) as bar:
            for images, _ in real_images(self.dataset, count, self.batch_size):
                pooled = self._extractor(images).pooled.cpu().double()
                total = total + pooled.sum(0)
                outer = outer + pooled.T @ pooled
                bar.update(len(images))
        return {"samples": torch.tensor(count), "total": total, "outer": outer}
