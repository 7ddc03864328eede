"""How samples are scored: generated once, quantised once, pushed once through one shared feature extractor."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from ganrun import __version__
from ganrun.core.types import Dataset, LatentSpace
from ganrun.data.one_domain import OneDomain
from ganrun.metrics.cache import remember
from ganrun.metrics.protocol import Stamp

log = logging.getLogger(__name__)

SEED = 0  # of the choice of real samples and of everything random inside a metric: scores are comparable over time

CHUNK = 4096  # feature vectors handled at once: bounds what is held in float64


class Unavailable(Exception):  # noqa: N818  (not an error: training goes on without the score)
    """A score cannot be had here; the message says why and what would help."""


class Features(NamedTuple):
    """What an extractor sees in images.

    Args:
        pooled: ``[N, dimensions]``, the penultimate layer.
        logits: ``[N, classes]``; ``None`` from a network that knows no classes.
    """

    pooled: Tensor
    logits: Tensor | None


class FeatureExtractor(Protocol):
    """A fixed network on uint8 images; it follows the images to their device."""

    name: str
    """Suffix of the tags of the scores; empty for the Inception network that published numbers use."""

    identity: str
    """Hash of the weights; part of the key under which statistics are cached."""

    resize: str
    """How images reach the network's resolution."""

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


class Reference(NamedTuple):
    """What is known of the real images; computed once, kept on disk.

    Args:
        moments: of the features of all real images that the evaluation compares with.
        pooled: features ``[n, d]`` of the first ``n`` of them, as many as any metric wants.
        condition: their labels ``[n]``, or ``None``.
    """

    moments: Moments
    pooled: Tensor
    condition: Tensor | None


Draw = Callable[[int], Tensor | tuple[Tensor, Tensor]]
"""Count -> samples without gradients: images ``[count, C, H, W]`` in [-1, 1] or points ``[count, 2]``; or a pair of
these and the conditions that they were asked for."""


@dataclass(frozen=True)
class Supply:
    """Where the samples that are scored come from, and what is known of them.

    Args:
        draw: makes them.
        domain: of the data, by its number, that they are compared with.
        available: so many differ; more are not drawn; ``None``: no end.
        space: the latents behind them, for metrics that walk through these.
        truths: numbers ``[n]`` of samples, in the order in which they are drawn -> for each the image of the data that
            its condition belongs to; ``None``: there are no such images.
        cycles: likewise -> the images that were translated, and what comes back of them; ``None``: there is no way
            back.
    """

    draw: Draw
    domain: int = 0
    available: int | None = None
    space: LatentSpace | None = None
    truths: Callable[[Tensor], Tensor] | None = None
    cycles: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None


@dataclass(frozen=True)
class Samples:
    """What a metric sees; all tensors on the CPU.

    Args:
        generated: uint8 images ``[N, C, H, W]``, or points ``[N, 2]``; empty when every metric looks at features only.
        features: of the generated images; ``None`` when no metric of the evaluation needs them.
        condition: class labels ``[N]`` (int64), label maps ``[N, H, W]`` (uint8) or vectors of texts ``[N, D]`` that
            the samples were asked for; ``None`` from an unconditional generator and from translators of images.
        reference: features of the real images.
        dataset: the real data; of several domains the one that is compared with.
        space: the latents that the samples come from, if there are any and one can walk through them.
        truths: of :class:`Supply`; on any device.
        cycles: likewise.
    """

    generated: Tensor
    features: Features | None
    condition: Tensor | None
    reference: Callable[[], Reference]
    dataset: Dataset
    space: LatentSpace | None = None
    truths: Callable[[Tensor], Tensor] | None = None
    cycles: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    _shared: dict[object, Any] = field(default_factory=dict)

    def share(self, key: object, make: Callable[[], Any]) -> Any:
        """What ``make`` returned when a metric first asked for ``key``; for costly things that several metrics need."""
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]


class Spread(NamedTuple):
    """A score that is a mean over parts of the samples.

    Args:
        mean: the score.
        std: its deviation between the parts, or its standard error; reported under a tag of its own.
    """

    mean: float
    std: float


class Metric:
    """One number that says how good samples are."""

    requires: tuple[str, ...] = ()
    """Traits of the data without which the metric makes no sense."""

    lower_is_better: bool

    on_features: bool = False
    """Whether it looks at ``Samples.features`` and not at the samples; its tag then names the extractor."""

    real_features: int | None = 0
    """Of how many real images it wants the features, not only their moments; ``None``: of all."""

    def evaluate(self, samples: Samples) -> float | Spread:
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


def moments(parts: Iterable[Tensor]) -> Moments:
    """Float64 sums over parts ``[n, d]`` of a set of feature vectors, none of which is copied as a whole."""
    samples, total, outer = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for part in parts:
        for chunk in part.split(CHUNK):
            exact = chunk.double()
            samples += len(exact)
            total = total + exact.sum(0)
            outer = outer + exact.T @ exact
    return Moments(torch.tensor(samples), total, outer)


class Evaluation:
    """Scores a generator against a data set by several metrics that share samples, features and real statistics.

    Where several things are scored, such as both directions of a translator, each has scores of its own, under tags
    that end in its name, and their mean stands under the tag without.

    Args:
        metrics: name -> metric.
        features: source of the extractor that the image metrics share, or ``None``.
        dataset: the real data.
        samples: generated samples per evaluation.
        real: real images to compare with; ``None``: the whole data set.
        batch_size: samples generated, and images pushed through the extractor, at once.
        progress: whether to show progress bars on a terminal.
        split: part of the data that ``dataset`` is; for the stamp, like everything below.
        weights: ``ema`` or ``raw`` weights of the generator; ``unknown`` for images made elsewhere.
        truncation: of the latents, in standard deviations, or ψ of styles; ``None``: none.
        seed: of the latents; ``None``: unknown.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        features: FeatureSource | None,
        dataset: Dataset,
        samples: int,
        real: int | None,
        batch_size: int,
        progress: bool,
        split: str,
        weights: str,
        truncation: float | None,
        seed: int | None,
    ) -> None:
        self.metrics = dict(metrics)
        self.features = features
        self.dataset = dataset
        self.samples = samples
        self.real = real
        self.batch_size = batch_size
        self.progress = progress
        self.split = split
        self.weights = weights
        self.truncation = truncation
        self.seed = seed
        self._scored: Mapping[str, Supply] = {}
        self._references: dict[int, Reference] = {}
        self._warned: set[str] = set()

    def prepare(self) -> None:
        """Load or train the feature extractor now rather than at the first evaluation.

        Raises:
            DataError: the configuration names weights that are not there or not the right ones.
        """
        if any(metric.on_features for metric in self.metrics.values()):
            _ = self._extractor

    def tag(self, name: str, part: str = "", of: str = "") -> str:
        """Under which tag (a part of) metric ``name`` is reported: ``fid_classifier`` from features of a classifier.

        Args:
            name: of the metric.
            part: of the score, such as its deviation.
            of: which of several things is scored.
        """
        extractor = self._extractor if self.metrics[name].on_features else None
        words = [f"{name}{part}", extractor.name if extractor else "", of]
        return "_".join(word for word in words if word)

    def directions(self) -> dict[str, bool]:
        """Tag -> whether lower scores are better, of what was scored last."""
        return {
            self.tag(name, of=of): metric.lower_is_better for name, metric in self.metrics.items() for of in self._names
        }

    def stamp(self) -> Stamp:
        """The protocol of the last scores; loads the extractor if a metric needs it."""
        self.prepare()
        needed = any(metric.on_features for metric in self.metrics.values())
        extractor = self._extractor if needed else None
        domains = [self._domain(number) for number in range(self.dataset.facts.domains)]
        return Stamp(
            extractor=(extractor.name or "inception") if extractor else "none",
            extractor_identity=extractor.identity if extractor else "",
            resize=extractor.resize if extractor else "",
            real=max(map(self._real_count, domains)),
            generated=max(map(self._sample_count, self._scored.values()), default=self.samples),
            split=self.split,
            quantised="uint8" if self.dataset.facts.kind == "images" else "no",
            weights=self.weights,
            truncation=self.truncation,
            seed=self.seed,
            data=self.dataset.facts.fingerprint,
            version=__version__,
            settings=tuple(
                sorted(
                    (self.tag(name, of=of), settings(metric))
                    for name, metric in self.metrics.items()
                    for of in self._names
                )
            ),
        )

    def run(self, draw: Draw, space: LatentSpace | None = None) -> dict[str, float]:
        """Draw samples and score them against the first domain; see :meth:`run_all`."""
        return self.run_all({"": Supply(draw, space=space)})

    def run_all(self, supplies: Mapping[str, Supply]) -> dict[str, float]:
        """Draw samples and score them; torch's generators are left as they were found.

        Args:
            supplies: name -> what is scored; a single one may have an empty name.

        Returns:
            Tag -> finite score; a score that cannot be had is left out, and the log says once why.

        Raises:
            DataError: the configuration names weights that are not there or not the right ones.
        """
        self._scored = supplies
        with private_randomness(), torch.no_grad():
            self.prepare()
            wanted = [name for name, metric in self.metrics.items() if not metric.on_features or self._extractor]
            if not wanted:
                return {}
            scores: dict[str, float] = {}
            for of, supply in supplies.items():
                samples = self._draw(supply)
                for name in wanted:
                    scores |= self._score(name, samples, of)
        return scores if "" in supplies else self._means(scores) | scores

    @property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(["", *self._scored]))

    def _means(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Of the metrics that scored everything."""
        found = {}
        for name in self.metrics:
            parts = [scores[tag] for of in self._scored if (tag := self.tag(name, of=of)) in scores]
            if len(parts) == len(self._scored):
                found[self.tag(name)] = sum(parts) / len(parts)
        return found

    def _score(self, name: str, samples: Samples, of: str) -> dict[str, float]:
        try:
            with private_randomness(SEED):
                score = self.metrics[name].evaluate(samples)
        except Unavailable as reason:
            self._warn(f"no {name}: {reason}")
            return {}
        tag = self.tag(name, of=of)
        found = {tag: score.mean, self.tag(name, "_std", of): score.std} if isinstance(score, Spread) else {tag: score}
        if not math.isfinite(found[tag]):
            self._warn(f"no {name}: it came out as {found[tag]}")
            return {}
        return {tag: value for tag, value in found.items() if math.isfinite(value)}  # one part has no deviation

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            log.warning(message)
            self._warned.add(message)

    def _draw(self, supply: Supply) -> Samples:
        extract = any(metric.on_features for metric in self.metrics.values())
        keep = not all(metric.on_features for metric in self.metrics.values())
        generated, features, conditions = [torch.empty(0)], [], []
        count = self._sample_count(supply)
        with self._bar("evaluating", count) as bar:
            for start in range(0, count, self.batch_size):
                drawn = supply.draw(min(self.batch_size, count - start))
                batch, condition = drawn if isinstance(drawn, tuple) else (drawn, None)
                if self.dataset.facts.kind == "images":
                    batch = quantise(batch)
                    if extract and self._extractor:
                        features.append(self._extract(batch))
                if keep:
                    generated.append(batch.cpu())
                if condition is not None:
                    conditions.append(_small(condition).cpu())
                bar.update(len(batch))
        return Samples(
            generated=torch.cat(generated[1:] or generated),
            features=_joined(features) if features else None,
            condition=torch.cat(conditions) if conditions else None,
            reference=lambda: self._reference(supply.domain),
            dataset=self._domain(supply.domain),
            space=supply.space,
            truths=supply.truths,
            cycles=supply.cycles,
        )

    def _bar(self, title: str, total: int) -> tqdm:
        return tqdm(total=total, desc=title, unit="img", leave=False, disable=None if self.progress else True)

    def _extract(self, images: Tensor) -> Features:
        assert self._extractor is not None
        features = self._extractor(images)
        return Features(features.pooled.cpu(), None if features.logits is None else features.logits.cpu())

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

    def _domain(self, number: int) -> Dataset:
        return self.dataset if self.dataset.facts.domains == 1 else OneDomain(self.dataset, number)

    def _sample_count(self, supply: Supply) -> int:
        return self.samples if supply.available is None else min(self.samples, supply.available)

    def _real_count(self, dataset: Dataset) -> int:
        available = dataset.facts.count[0]
        return available if self.real is None else min(self.real, available)

    def _reference(self, domain: int) -> Reference:
        if domain not in self._references:
            assert self._extractor is not None
            dataset = self._domain(domain)
            count = self._real_count(dataset)
            wishes = [metric.real_features for metric in self.metrics.values()]
            kept = max(count if wish is None else min(wish, count) for wish in wishes)
            key = ("reference", dataset.facts.fingerprint, self._extractor.identity, count, kept)
            found = remember(key, lambda: self._measure(dataset, count, kept))
            self._references[domain] = Reference(Moments(*found["moments"]), found["pooled"], found["condition"])
        return self._references[domain]

    def _measure(self, dataset: Dataset, count: int, kept: int) -> dict[str, Any]:
        pooled, conditions = [], []

        def features() -> Iterator[Tensor]:
            room = kept
            with self._bar("real images", count) as bar:
                for images, condition in real_images(dataset, count, self.batch_size):
                    part = self._extract(images).pooled
                    pooled.append(part[:room])
                    if condition is not None and condition.ndim == 1:  # other conditions are as large as images
                        conditions.append(condition[:room].cpu())
                    room -= len(pooled[-1])
                    bar.update(len(images))
                    yield part

        measured = moments(features())
        labels = torch.cat(conditions) if conditions else None
        return {"moments": tuple(measured), "pooled": torch.cat(pooled), "condition": labels}


def settings(metric: object) -> str:
    """A metric's settings as one word for the stamp: ``splits=10``."""
    return " ".join(f"{name}={_word(value)}" for name, value in sorted(vars(metric).items()) if name != "real_features")


def _word(value: Any) -> str:
    return f"{type(value).__name__}({settings(value)})" if hasattr(value, "__dict__") else str(value)


def _small(condition: Tensor) -> Tensor:
    """Label maps in one byte per pixel."""
    return condition.to(torch.uint8) if condition.ndim == 3 else condition


def _joined(parts: Sequence[Features]) -> Features:
    logits = [part.logits for part in parts if part.logits is not None]
    return Features(torch.cat([part.pooled for part in parts]), torch.cat(logits) if logits else None)
