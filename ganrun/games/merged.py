"""Both players learn from one forward and one backward pass."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils.parametrize import cached

from ganrun.core.arguments import Positive
from ganrun.core.types import Move
from ganrun.games.adversarial import AdversarialGame, Latent
from ganrun.games.base import Stream
from ganrun.losses.objective import Objective


class MergedGame(AdversarialGame):
    """``L_D(D, sg[y]) + λ (ℓ_G(D(y)) - ℓ_G(D(sg[y])))`` with ``y = G(z)`` and the stop-gradient sg.

    The bracket is 0, and its gradient is not: D's two contributions cancel and G keeps its own, so one backward pass
    serves both players. The update is simultaneous, on one batch of fakes. D must be the same function in both passes,
    and ℓ_G must reach the generator through the fakes: augmentations, which draw afresh, terms on the generator's
    weights and several critic steps are refused. λ is the ratio of learning rates under plain gradient descent only;
    Adam does not see the scale of a gradient.

    Args:
        generator: ``generator(z, condition)`` -> samples; a list of generators plays as an ensemble.
        discriminator: ``discriminator(samples, condition)`` -> scores.
        latent: ``latent(count, device)`` -> ``[count, size]``.
        objective: what both minimise.
        conditional: whether class labels are handed to both networks.
        generator_factor: λ.
        classes: classes of the data; used when ``conditional``.
    """

    provides = ("samples", "joint_update", "one_pass")

    def __init__(
        self,
        generator: nn.Module | list[nn.Module],
        discriminator: nn.Module,
        latent: Latent,
        objective: Objective,
        conditional: bool,
        generator_factor: Positive,
        classes: int,
    ) -> None:
        super().__init__(generator, discriminator, latent, objective, conditional, classes)
        self.generator_factor = generator_factor

    def play(self, stream: Stream) -> Iterator[Move]:
        batch = next(stream)
        condition = self.condition_of(batch)
        fake = self.generator(self.latent(len(batch), self.device), condition)
        attached = self.compare(batch.real, fake, condition)
        detached = self.compare(batch.real, fake.detach(), condition)
        with cached():
            terms = self.objective.discriminator_terms(detached)
            attached.real_output = detached.real_output  # what comes of the reals cancels as well
            mine = self.objective.generator_terms(attached)
            shadow = self.objective.generator_terms(detached)
        for name, term in mine.items():
            self.statistics.report(f"loss/generator/{name}", term)
        self.report_discriminator(self.objective, detached, terms)
        self.report_generator(self.objective, attached, mine)
        bracket = torch.stack(list(mine.values())).sum() - torch.stack(list(shadow.values())).sum()
        yield {("discriminator", "generator"): terms | {"bracket": self.generator_factor * bracket}}
