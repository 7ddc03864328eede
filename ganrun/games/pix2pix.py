"""pix2pix (Isola et al., *Image-to-Image Translation with Conditional Adversarial Networks*, CVPR 2017)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from ganrun.core.arguments import NonNegative
from ganrun.core.tensors import exact
from ganrun.core.types import Batch, Move, Picture, Terms
from ganrun.games.aligned import beside
from ganrun.games.base import Game, Stream
from ganrun.losses.base import Comparison
from ganrun.losses.objective import Objective


class Pix2Pix(Game):
    """Makes the image that belongs to a source image or label map, before a discriminator that sees both.

    Equation 4 (arXiv 1611.07004): the objective of ``D(x, y)`` and ``D(x, G(x))``, and for the generator
    ``λ · mean |y - G(x)|``. The discriminator moves first. There is no latent: noise is what the generator makes itself
    (dropout).

    Args:
        generator: ``generator(source)`` -> images.
        discriminator: ``discriminator(images, source)``.
        objective: what both minimise.
        discriminator_factor: of the discriminator's terms; the paper halves them (section 3.3).
        l1_weight: λ.
        palette: colours of the classes of label maps; empty where the sources are images.
    """

    requires = ("images", "aligned")
    provides = ("answers",)
    alone = ("generator",)

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        discriminator_factor: NonNegative,
        l1_weight: NonNegative,
        palette: tuple[tuple[str, int, int, int], ...],
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.objective = objective
        self.discriminator_factor = discriminator_factor
        self.l1_weight = l1_weight
        self.palette = palette
        self.needs = "maps" if palette else "images"
        objective.attach(discriminator, generator)

    def players(self) -> dict[str, list[nn.Module]]:
        return {"discriminator": [self.discriminator], "generator": [self.generator]}

    def play(self, stream: Stream) -> Iterator[Move]:
        for turn in range(1, self.objective.critic_steps + 1):
            batch = next(stream)
            with torch.set_grad_enabled(turn == self.objective.critic_steps):  # the last fakes are the generator's, too
                fake = self.generator(batch.condition)
            yield {"discriminator": self.discriminator_terms(batch, fake.detach())}
        yield {"generator": self.generator_terms(batch, fake)}

    def discriminator_terms(self, batch: Batch, fake: Tensor) -> Terms:
        """What the discriminator minimises."""
        comparison = self.compare(batch, fake)
        terms = self.objective.discriminator_terms(comparison)
        self.report_discriminator(self.objective, comparison, terms)
        return {name: self.discriminator_factor * term for name, term in terms.items()}

    def generator_terms(self, batch: Batch, fake: Tensor) -> Terms:
        """What the generator minimises."""
        comparison = self.compare(batch, fake)
        terms = self.objective.generator_terms(comparison)
        self.report_generator(self.objective, comparison, terms)
        return terms | {"l1": self.l1_weight * l1_loss(exact(fake), batch.real)}

    def compare(self, batch: Batch, fake: Tensor) -> Comparison:
        """Both with their source before the discriminator, as the objective wants them seen."""
        return self.objective.compare(self.discriminator, batch.real, fake, batch.condition, self.moment)

    @torch.no_grad()
    def sample(self, count: int, condition: Tensor | None = None) -> Tensor:
        """Images for ``condition``, ``count`` source images or label maps."""
        assert condition is not None
        return self.generator(condition)

    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        """One row per example: source, what is made of it, and the truth."""
        shown = max(1, round(count**0.5))
        condition, real = examples.condition, examples.real[:shown]
        assert condition is not None
        made = self.sample(len(real), condition[:shown])
        return {"generated": beside(condition[:shown], self.palette, made, real)}
