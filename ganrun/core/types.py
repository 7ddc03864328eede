"""The nouns that pass between data, networks, losses, games and the trainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

from ganrun.core.facts import Facts
from ganrun.core.schedules import Schedule

Terms = dict[str, Tensor]
"""Name -> weighted scalar loss: logged apart, minimised as a sum."""

Players = str | tuple[str, ...]
"""A player, or several that minimise one sum together, from one backward pass."""

Move = dict[Players, Terms]
"""Who minimises what. All players named in one move are updated at the same moment."""


Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Moment:
    """How far training has come; what schedules and intervals are functions of.

    Who makes a number or a decision of it in a step asks :meth:`value` or :meth:`decide`. A step that was recorded can
    then be played again at another moment, with other numbers (see :mod:`ganrun.engine.capture`).

    Args:
        step: steps played before this one.
        progress: share of the stage that has been played, in [0, 1).
    """

    step: int
    progress: float

    def value(self, schedule: Schedule) -> float | Tensor:
        """The schedule's value now; a scalar tensor on the device where the step is recorded."""
        return schedule(self.progress)

    def decide(self, question: Callable[[Moment], Answer]) -> Answer:
        """The answer to a question on this moment, which decides how the step goes on.

        Args:
            question: a function of the moment alone; its answers can be compared.
        """
        return question(self)


START = Moment(step=0, progress=0.0)


@dataclass(frozen=True)
class Batch:
    """What a game draws from the stream.

    Args:
        domains: one tensor per domain, ``[B, C, H, W]`` in [-1, 1] or ``[B, 2]``.
        condition: what goes with the samples of the first domain: class labels ``[B]`` (int64), source images
            ``[B, K, H, W]`` in [-1, 1], label maps ``[B, H, W]`` (int64) or vectors of texts ``[B, D]``; ``None``:
            nothing (see :attr:`ganrun.core.facts.Facts.condition`).
        texts: captions of the samples; empty without, and in training, where nobody reads them.
    """

    domains: tuple[Tensor, ...]
    condition: Tensor | None = None
    texts: tuple[str, ...] = ()

    @property
    def real(self) -> Tensor:
        """Samples of the first (for most games, only) domain."""
        return self.domains[0]

    def __len__(self) -> int:
        return len(self.domains[0])


class DiscriminatorOutput(NamedTuple):
    """What a discriminator says of a batch.

    Args:
        scores: raw scores (no sigmoid, high = real), one tensor per scale: ``[B]`` or a patch map ``[B, 1, h, w]``.
        features: intermediate activations, shallow to deep.
        class_logits: ``[B, classes]`` of an auxiliary classifier.
        code: prediction of a latent code.
        reconstruction: output of an autoencoding discriminator.
        unconditional: how many of the last ``scores`` judge samples alone, whatever their condition.
    """

    scores: tuple[Tensor, ...]
    features: tuple[Tensor, ...] = ()
    class_logits: Tensor | None = None
    code: Tensor | None = None
    reconstruction: Tensor | None = None
    unconditional: int = 0

    @property
    def score(self) -> Tensor:
        """The first (for most discriminators, only) score."""
        return self.scores[0]


@dataclass(frozen=True)
class Grid:
    """A picture made of equally large images, filled row by row.

    Args:
        images: ``[N, C, H, W]`` in [-1, 1].
        columns: images per row.
        rows: what is written before each row.
        captions: what is written below each image; as many as there are rows: below each row.
    """

    images: Tensor
    columns: int
    rows: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scatter:
    """A picture of 2-D points over the real ones.

    Args:
        generated: ``[N, 2]``.
        real: ``[M, 2]``.
    """

    generated: Tensor
    real: Tensor

    @property
    def frame(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """What to show along either axis: a square around the real points, with a margin of 30 %."""
        low, high = self.real.amin(0).tolist(), self.real.amax(0).tolist()
        half = 1.3 * max(high[0] - low[0], high[1] - low[1], 2e-6) / 2
        horizontal, vertical = ((left + right) / 2 for left, right in zip(low, high, strict=True))
        return (horizontal - half, horizontal + half), (vertical - half, vertical + half)


@dataclass(frozen=True)
class Surface(Scatter):
    """A picture of a discriminator over the plane, and of where it drives the fakes.

    Args:
        score: ``[rows, columns]`` at evenly spaced places of the frame, edges included, the bottom row first.
        places: ``[K, 2]``.
        force: ``[K, 2]``: minus the gradient of the generator's loss of one fake there, with respect to its position.
    """

    score: Tensor
    places: Tensor
    force: Tensor


Picture = Grid | Scatter


class LatentSpace(NamedTuple):
    """Latents with a structure that one can use: a way from one to another, or codes.

    Args:
        draw: count -> latents ``[count, size]``.
        decode: latents -> samples, without gradients.
        path: the way between two latents that stays where the generator was trained; ``None``: there is none.
        codes: latents -> the value of every categorical code, ``[N, codes]``; ``None``: there are none.
    """

    draw: Callable[[int], Tensor]
    decode: Callable[[Tensor], Tensor]
    path: Literal["linear", "spherical"] | None
    codes: Callable[[Tensor], Tensor] | None = None


class Dataset(Protocol):
    """A decoded data set, ready to hand out batches; made by the modules of ``ganrun.data``."""

    facts: Facts

    def place(self, device: str) -> None:
        """Move the samples to ``device`` when they fit there; otherwise stream them."""

    def fetch(self, indices: tuple[Tensor, ...], augment: bool = True) -> Batch:
        """Samples at ``indices`` (one int64 CPU tensor per domain), normalised, on the device.

        Augmentation draws from torch's default generators.
        """

    def prefetch(self, indices: tuple[Tensor, ...]) -> None:
        """Announce the next ``fetch``, so that a streamed set can read ahead."""

    def examples(self, count: int) -> Batch:
        """``count`` fixed samples spread evenly over every domain, never augmented, on the device."""


def parameter_count(module: nn.Module) -> int:
    """Number of trainable scalars in ``module``."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
