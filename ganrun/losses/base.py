"""What a loss sees (:class:`Comparison`), and what a loss and a term are."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ganrun.core.tensors import exact
from ganrun.core.types import START, DiscriminatorOutput, Moment, Terms

Discriminator = Callable[[Tensor, Tensor | None], DiscriminatorOutput]

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

    This is the one place that decides what the discriminator is shown, and in how many passes: real and fake share a
    pass when both need a graph and no layer mixes the samples of a batch.

    Attributes:
        reals_are_constant: whether the reals are judged without a graph, as the objective asks for in a generator's
            move.

    Args:
        discriminator: the network.
        real: real samples ``[B, ...]``.
        fake: generated samples of the same shape; without a graph in a discriminator's move.
        condition: condition of both, or ``None``.
        moment: how far training has come.
        judge: how ``discriminator`` scores samples, if not by a plain call (augmentations, normalised scores):
            ``judge(samples, condition)``.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        real: Tensor,
        fake: Tensor,
        condition: Tensor | None = None,
        moment: Moment = START,
        judge: Discriminator | None = None,
    ) -> None:
        self.discriminator = discriminator
        self.real = real
        self.fake = fake
        self.condition = condition
        self.moment = moment
        self.reals_are_constant = False
        self._judge: Discriminator = judge or discriminator

    def judge(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        """The discriminator's output for other samples (interpolates, perturbed reals).

        Args:
            samples: ``[B, ...]``; a gradient with respect to them is that of what went in, before any augmentation.
            condition: of these samples; ``None``: the comparison's own.
        """
        return self._judge(samples, self.condition if condition is None else condition)

    @cached_property
    def real_output(self) -> DiscriminatorOutput:
        """Output for the real samples. Who asks for it wants the fakes' too: both go in one pass where they may."""
        if self.reals_are_constant:
            with torch.no_grad():
                return self.judge(self.real)
        if self.fakes_judged or self.real.shape != self.fake.shape or couples_samples(self.discriminator):
            return self.judge(self.real)
        condition = None if self.condition is None else torch.cat([self.condition, self.condition])
        both = self.judge(torch.cat([self.real, self.fake]), condition)
        self.__dict__["fake_output"] = map_output(both, lambda tensor: tensor.chunk(2)[1])
        return map_output(both, lambda tensor: tensor.chunk(2)[0])

    @cached_property
    def fake_output(self) -> DiscriminatorOutput:
        """Output for the fake samples."""
        return self.judge(self.fake)

    @property
    def fakes_judged(self) -> bool:
        """Whether :attr:`fake_output` is there without another pass."""
        return "fake_output" in self.__dict__

    def against(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Comparison:
        """The same comparison with other outputs in the places of the reals' and of the fakes'."""
        pair = Comparison(self.discriminator, self.real, self.fake, self.condition, self.moment, self._judge)
        pair.__dict__ |= {"real_output": real, "fake_output": fake}
        return pair

    def best_fakes(self, count: int) -> Comparison:
        """The ``count`` pairs whose fakes have the highest scores, with the outputs that are known already."""
        scores = torch.stack(
            [score.flatten(1).mean(1) if score.ndim > 1 else score for score in self.fake_output.scores]
        )
        best = scores.mean(0).topk(count).indices
        condition = None if self.condition is None else self.condition[best]
        pairs = Comparison(self.discriminator, self.real[best], self.fake[best], condition, self.moment, self._judge)
        pairs.reals_are_constant = self.reals_are_constant
        for name in ("real_output", "fake_output"):
            if name in self.__dict__:
                pairs.__dict__[name] = map_output(self.__dict__[name], lambda tensor: tensor[best])
        return pairs


def map_output(output: DiscriminatorOutput, change: Callable[[Tensor], Tensor]) -> DiscriminatorOutput:
    """Apply ``change`` to every tensor of ``output``."""
    return DiscriminatorOutput(
        scores=tuple(change(score) for score in output.scores),
        features=tuple(change(feature) for feature in output.features),
        class_logits=None if output.class_logits is None else change(output.class_logits),
        code=None if output.code is None else change(output.code),
        reconstruction=None if output.reconstruction is None else change(output.reconstruction),
        unconditional=output.unconditional,
    )


def average(formula: Callable[[Tensor], Tensor], scores: tuple[Tensor, ...]) -> Tensor:
    """Apply an element-wise formula to every score map, average each map, then average over the maps."""
    return torch.stack([formula(exact(score)).mean() for score in scores]).mean()


def average_of_both(
    formula: Callable[[Tensor, Tensor], Tensor], real_scores: tuple[Tensor, ...], fake_scores: tuple[Tensor, ...]
) -> Tensor:
    """As :func:`average`, for a formula of the real and the fake score map of one scale."""
    pairs = zip(real_scores, fake_scores, strict=True)
    return torch.stack([formula(exact(real), exact(fake)).mean() for real, fake in pairs]).mean()


class AdversarialLoss(nn.Module):
    """What the two sides of an adversarial game minimise, read off a :class:`Comparison`.

    A loss that is two or three element-wise formulas on scores overrides ``discriminator_real``,
    ``discriminator_fake`` and ``generator_fake``; one that needs pairs or images overrides ``discriminator_terms``
    and ``generator_terms`` instead, and says so in ``provides``. ``generator_real`` is for games whose generator's
    side makes something of the real samples, too (the encoder of a BiGAN).
    """

    requires: tuple[str, ...] = ()
    """Traits of data or networks without which the loss is meaningless."""

    forbids: tuple[str, ...] = ()
    """Traits beside which the loss is meaningless."""

    provides: tuple[str, ...] = ("element_wise",)
    """``element_wise``: formulas of one score; ``pairwise``: compares reals with fakes, one by one or with their mean;
    ``logistic``: has real and fake targets."""

    threshold: float | None = None
    """Score between the verdicts "real" and "generated"; ``None``: only differences of scores mean something."""

    def discriminator_real(self, score: Tensor) -> Tensor:
        """Discriminator's loss of one real score."""
        raise NotImplementedError

    def discriminator_fake(self, score: Tensor) -> Tensor:
        """Discriminator's loss of one fake score."""
        raise NotImplementedError

    def generator_fake(self, score: Tensor) -> Tensor:
        """Generator's loss of one fake score."""
        raise NotImplementedError

    def generator_real(self, score: Tensor) -> Tensor:
        """Generator's loss of one real score, where that is its doing: by default minus the discriminator's."""
        return -self.discriminator_real(score)

    def discriminator_terms(self, comparison: Comparison) -> Terms:
        """Terms that the discriminator minimises; their sum is the published loss."""
        return {
            "real": average(self.discriminator_real, comparison.real_output.scores),
            "fake": average(self.discriminator_fake, comparison.fake_output.scores),
        }

    def generator_terms(self, comparison: Comparison) -> Terms:
        """Terms that the generator minimises; ``encoder`` where the reals carry a graph of its own."""
        terms = {}
        if comparison.real.requires_grad:
            terms["encoder"] = average(self.generator_real, comparison.real_output.scores)
        return {"adversarial": average(self.generator_fake, comparison.fake_output.scores)} | terms

    def equilibrium(self) -> dict[str, float]:
        """Value of each side's loss where generated and real samples have one distribution and D is at its optimum.

        Returns:
            ``"discriminator"`` and ``"generator"`` -> value; a side whose value is not determined is left out.
        """
        return {}

    def certificate(self, discriminator_loss: Tensor) -> dict[str, Tensor]:
        """Lower bounds of divergences that a discriminator proves by its loss, whatever its quality.

        They hold in expectation over samples that the discriminator was not trained on.

        Args:
            discriminator_loss: sum of ``discriminator_terms``, without penalties.

        Returns:
            Name of the divergence -> bound.
        """
        return {}

    def statistics(self) -> dict[str, Tensor]:
        """Tag -> scalar worth logging after a discriminator's move, on the device."""
        return {}


class Term(nn.Module):
    """One more scalar that a player minimises beside the adversarial loss.

    Subclasses return the **weighted** scalar from ``forward(comparison)``; ``None`` where the term has nothing to say
    at this moment. State (moving averages, anchors) lives in buffers, so that checkpoints carry it.
    """

    requires: tuple[str, ...] = ()
    """Traits of data, networks or loss without which the term is meaningless."""

    forbids: tuple[str, ...] = ()
    """Traits beside which the term is meaningless."""

    provides: tuple[str, ...] = ()
    """``on_weights``: the term looks at the weights of the network that it is attached to, and not at samples."""

    def attach(self, network: nn.Module) -> None:
        """Told once, when a game is made, whose player minimises the term; terms on weights keep a reference."""

    def forward(self, comparison: Comparison) -> Tensor | None:
        """The weighted scalar."""
        raise NotImplementedError
