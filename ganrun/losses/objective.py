"""An objective: an adversarial loss, the terms that join it, what the discriminator sees, and how often it moves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn
from torch.nn.utils.parametrize import cached

from ganrun.core.arguments import PositiveInt
from ganrun.core.schedules import Schedule
from ganrun.core.types import DiscriminatorOutput, Moment, Terms
from ganrun.losses.base import AdversarialLoss, Comparison, Term
from ganrun.losses.normalisers.base import Normaliser


class Objective(nn.Module):
    """What discriminator and generator minimise.

    Args:
        adversarial: the adversarial loss.
        normaliser: replaces the discriminator's score by a normalised one, for both sides; ``None``: the plain score.
        discriminator_terms: name -> further term of the discriminator (penalties, auxiliary losses).
        generator_terms: name -> further term of the generator.
        critic_steps: discriminator moves per generator move, at least 1.
        top_k: share of the fakes, those with the highest scores, that the generator learns from, as a function of
            progress (Sinha et al., *Top-k Training of GANs*, NeurIPS 2020, arXiv 2002.06224); ``None``: all.
        augment: name -> augmentation of everything that the discriminator sees, applied in this order.

    Raises:
        ValueError: ``critic_steps`` is below 1.
    """

    def __init__(
        self,
        adversarial: AdversarialLoss,
        normaliser: Normaliser | None,
        discriminator_terms: dict[str, Term],
        generator_terms: dict[str, Term],
        critic_steps: PositiveInt,
        top_k: Schedule | None,
        augment: Mapping[str, nn.Module],
    ) -> None:
        super().__init__()
        if critic_steps < 1:
            raise ValueError(f"critic_steps must be at least 1, got {critic_steps}")
        self.adversarial = adversarial
        self.normaliser = normaliser
        self.discriminator_extra = nn.ModuleDict(discriminator_terms)
        self.generator_extra = nn.ModuleDict(generator_terms)
        self.critic_steps = critic_steps
        self.top_k = top_k
        self.augment = nn.ModuleDict(augment)

    def attach(self, discriminator: nn.Module, generator: nn.Module) -> None:
        """Tell every term whose player minimises it."""
        for terms, network in ((self.discriminator_extra, discriminator), (self.generator_extra, generator)):
            for term in terms.values():
                term.attach(network)  # type: ignore[operator]

    def compare(
        self, discriminator: nn.Module, real: Tensor, fake: Tensor, condition: Tensor | None, moment: Moment
    ) -> Comparison:
        """Real and fake samples, as the discriminator is to see and to score them."""
        judge = partial(self._judge, discriminator, moment)
        return Comparison(discriminator, real, fake, condition, moment, judge)

    def _judge(
        self, discriminator: nn.Module, moment: Moment, samples: Tensor, condition: Tensor | None
    ) -> DiscriminatorOutput:
        def see(samples: Tensor) -> DiscriminatorOutput:
            for augment in self.augment.values():
                samples = augment(samples, moment)
            output: DiscriminatorOutput = discriminator(samples, condition)
            return output

        return see(samples) if self.normaliser is None else self.normaliser(see, samples)

    def discriminator_terms(self, comparison: Comparison) -> Terms:
        """Everything the discriminator minimises."""
        with cached():  # spectral normalisation: one power iteration, and one weight, per move
            terms = self.adversarial.discriminator_terms(comparison) | _evaluate(self.discriminator_extra, comparison)
        for augment in self.augment.values():
            augment.observe(comparison)  # type: ignore[operator]
        return terms

    def generator_terms(self, comparison: Comparison) -> Terms:
        """Everything the generator minimises."""
        comparison.reals_are_constant = not comparison.real.requires_grad
        with cached():
            if self.top_k is not None:
                count = comparison.moment.decide(partial(_share_of, len(comparison.fake), self.top_k))
                comparison = comparison.best_fakes(count)
            return self.adversarial.generator_terms(comparison) | _evaluate(self.generator_extra, comparison)


def _share_of(count: int, share: Schedule, moment: Moment) -> int:
    return max(1, round(share(moment.progress) * count))


def _evaluate(terms: nn.ModuleDict, comparison: Comparison) -> Terms:
    """Values of the terms that have something to say at this moment."""
    values = {name: term(comparison) for name, term in terms.items()}
    return {name: value for name, value in values.items() if value is not None}
