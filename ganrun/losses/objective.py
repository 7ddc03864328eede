"""An objective: an adversarial loss, the terms that join it, and how often the critic moves."""

from __future__ import annotations

from torch import nn

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import Terms
from ganrun.losses.base import AdversarialLoss, Comparison, Term


class Objective(nn.Module):
    """What discriminator and generator minimise.

    Args:
        adversarial: the adversarial loss.
        discriminator_terms: name -> further term of the discriminator (penalties, auxiliary losses).
        generator_terms: name -> further term of the generator.
        critic_steps: discriminator moves per generator move, at least 1.

    Raises:
        ValueError: ``critic_steps`` is below 1.
    """

    def __init__(
        self,
        adversarial: AdversarialLoss,
        discriminator_terms: dict[str, Term],
        generator_terms: dict[str, Term],
        critic_steps: PositiveInt,
    ) -> None:
        super().__init__()
        if critic_steps < 1:
            raise ValueError(f"critic_steps must be at least 1, got {critic_steps}")
        self.adversarial = adversarial
        self.discriminator_extra = nn.ModuleDict(discriminator_terms)
        self.generator_extra = nn.ModuleDict(generator_terms)
        self.critic_steps = critic_steps

    def discriminator_terms(self, comparison: Comparison) -> Terms:
        """Everything the discriminator minimises."""
        terms = self.adversarial.discriminator_terms(comparison)
        return terms | {name: term(comparison) for name, term in self.discriminator_extra.items()}

    def generator_terms(self, comparison: Comparison) -> Terms:
        """Everything the generator minimises."""
        terms = self.adversarial.generator_terms(comparison)
        return terms | {name: term(comparison) for name, term in self.generator_extra.items()}
