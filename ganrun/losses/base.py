"""What a loss sees (:class:`Comparison`), and what a loss and a term are."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ganrun.core.types import DiscriminatorOutput, Terms

_couples_samples: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def couples_samples(network: nn.Module) -> bool:
    """Whether one sample's output depends on the other samples of its batch (batch norm, minibatch layers)."""
    if network not in _couples_samples:
        _couples_samples[network] = any(
            isinstance(module, nn.modules.batchnorm._BatchNorm) or getattr(module, "couples_samples", False)
            for module in network.modules()
        )
    return _couples_samples[network]


class Comparison:
    """Real and fake samples before one discriminator; its outputs are computed once, when first asked for.

    This is the one place that decides whether real and fake share a forward pass: they do when both are wanted
    and no layer mixes the samples of a batch.

    Args:
        discriminator: called as ``discriminator(samples, condition)``.
        real: real samples ``[B, ...]``.
        fake: generated samples of the same shape; detached in a discriminator's move.
        condition: condition of both, or ``None``.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        real: Tensor,
        fake: Tensor,
        condition: Tensor | None = None,
    ) -> None:
        self.discriminator = discriminator
        self.real = real
        self.fake = fake
        self.condition = condition

    def judge(self, samples: Tensor) -> DiscriminatorOutput:
        """The discriminator's output for other samples of the same conditions (interpolates, perturbed reals)."""
        output: DiscriminatorOutput = self.discriminator(samples, self.condition)
        return output

    @cached_property
    def real_output(self) -> DiscriminatorOutput:
        """Output for the real samples. Who asks for it wants the fakes' too: both go in one pass where they may."""
        fake_known = "fake_output" in self.__dict__
        if fake_known or self.real.shape != self.fake.shape or couples_samples(self.discriminator):
            return self.judge(self.real)
        condition = None if self.condition is None else torch.cat([self.condition, self.condition])
        both = self.discriminator(torch.cat([self.real, self.fake]), condition)
        real, self.__dict__["fake_output"] = _halves(both)
        return real

    @cached_property
    def fake_output(self) -> DiscriminatorOutput:
        """Output for the fake samples."""
        return self.judge(self.fake)


def _halves(both: DiscriminatorOutput) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
    halves: list[DiscriminatorOutput] = []
    for half in (0, 1):

        def part(tensor: Tensor | None, half: int = half) -> Tensor | None:
            return None if tensor is None else tensor.chunk(2)[half]

        halves.append(
            DiscriminatorOutput(
                scores=tuple(score.chunk(2)[half] for score in both.scores),
                features=tuple(feature.chunk(2)[half] for feature in both.features),
                class_logits=part(both.class_logits),
                code=part(both.code),
                reconstruction=part(both.reconstruction),
            )
        )
    return halves[0], halves[1]


def average(formula: Callable[[Tensor], Tensor], scores: tuple[Tensor, ...]) -> Tensor:
    """Apply an element-wise formula to every score map, average each map, then average over the maps."""
    return torch.stack(
        [formula(score.float() if score.dtype != torch.float64 else score).mean() for score in scores]
    ).mean()


class AdversarialLoss(nn.Module):
    """What the two sides of an adversarial game minimise, read off a :class:`Comparison`.

    A loss that is two or three element-wise formulas on scores overrides ``discriminator_real``,
    ``discriminator_fake`` and ``generator_fake``; one that needs pairs or images overrides ``discriminator_terms``
    and ``generator_terms`` instead.
    """

    def discriminator_real(self, score: Tensor) -> Tensor:
        """Discriminator's loss of one real score."""
        raise NotImplementedError

    def discriminator_fake(self, score: Tensor) -> Tensor:
        """Discriminator's loss of one fake score."""
        raise NotImplementedError

    def generator_fake(self, score: Tensor) -> Tensor:
        """Generator's loss of one fake score."""
        raise NotImplementedError

    def discriminator_terms(self, comparison: Comparison) -> Terms:
        """Terms that the discriminator minimises; their sum is the published loss."""
        return {
            "real": average(self.discriminator_real, comparison.real_output.scores),
            "fake": average(self.discriminator_fake, comparison.fake_output.scores),
        }

    def generator_terms(self, comparison: Comparison) -> Terms:
        """Terms that the generator minimises."""
        return {"adversarial": average(self.generator_fake, comparison.fake_output.scores)}


class Term(nn.Module):
    """One more scalar that a player minimises beside the adversarial loss.

    Subclasses take ``weight`` and return the **weighted** scalar from ``forward(comparison)``. State (moving
    averages, anchors) lives in buffers, so that checkpoints carry it.
    """

    forbids: tuple[str, ...] = ()
    """Traits of the discriminator under which the term is meaningless."""

    def forward(self, comparison: Comparison) -> Tensor:
        """The weighted scalar."""
        raise NotImplementedError
