"""GauGAN (Park et al., *Semantic Image Synthesis with Spatially-Adaptive Normalization*, CVPR 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from ganrun.core.arguments import NonNegative
from ganrun.core.errors import RunError
from ganrun.core.types import Batch, Grid, Move, Picture, Terms
from ganrun.games.adversarial import Latent
from ganrun.games.aligned import beside, coloured, visible
from ganrun.games.base import Game, Stream
from ganrun.latents.posterior import Posterior
from ganrun.losses.base import Comparison
from ganrun.losses.objective import Objective
from ganrun.networks.vgg import PerceptualDistance

STYLES = 4


class GauGAN(Game):
    """Images of a layout (label maps, or source images), before a discriminator that sees both.

    The generator moves first, then the discriminator on the same layouts, whose images are made anew. With an encoder,
    which the generator's player owns, the style of an image is ``z ~ q(z|x)`` in training and ``z ~ N(0, I)`` in
    sampling, and that player minimises beside the objective's terms (arXiv 1903.07291, appendix A)::

        kl_weight · ∑ KL(q(z|x) ‖ N(0, I))                  summed over the batch, as published
        perceptual_weight · ∑_i w_i mean |φ_i(y) - φ_i(x)|  where weights of VGG-19 are at hand

    Feature matching is a term of the loss (:class:`~ganrun.losses.terms.layer_matching.LayerMatching`). Logs
    ``divergence/per_image``, in nats.

    Args:
        generator: ``generator(layout, z)`` -> images.
        encoder: ``encoder(images)`` -> means, then logarithms of variances, ``[B, 2 · size]``; ``None``: no styles.
        discriminator: ``discriminator(images, layout)``.
        latent: of styles; ``None`` without an encoder.
        objective: what both sides minimise.
        kl_weight: of the encoder's divergence from the latent's law.
        perceptual: file with the state of VGG-19 as torchvision saves it; ``None``: no such term.
        perceptual_weight: of that term.
        palette: colours of the classes of label maps; empty where the layouts are images.

    Raises:
        ValueError: there is one of ``encoder`` and ``latent`` without the other.
    """

    requires = ("images", "aligned")
    provides = ("answers",)
    alone = ("generator", "encoder", "latent")

    def __init__(
        self,
        generator: nn.Module,
        encoder: nn.Module | None,
        discriminator: nn.Module,
        latent: Latent | None,
        objective: Objective,
        kl_weight: NonNegative,
        perceptual: str | None,
        perceptual_weight: NonNegative,
        palette: tuple[tuple[str, int, int, int], ...],
    ) -> None:
        super().__init__()
        if (encoder is None) != (latent is None):
            raise ValueError("styles need an encoder and a latent; without styles both are null")
        self.generator = generator
        self.encoder = encoder
        self.discriminator = discriminator
        self.latent = latent
        self.objective = objective
        self.kl_weight = kl_weight
        self.perceptual = None if perceptual is None else PerceptualDistance(Path(perceptual))
        self.perceptual_weight = perceptual_weight
        self.palette = palette
        self.needs = "maps" if palette else "images"
        objective.attach(discriminator, generator)

    def players(self) -> dict[str, list[nn.Module]]:
        encoder = [] if self.encoder is None else [self.encoder]
        return {"generator": [self.generator, *encoder], "discriminator": [self.discriminator]}

    def play(self, stream: Stream) -> Iterator[Move]:
        batch = next(stream)
        yield {"generator": self.generator_terms(batch)}
        yield {"discriminator": self.discriminator_terms(batch)}
        for _ in range(self.objective.critic_steps - 1):
            yield {"discriminator": self.discriminator_terms(next(stream))}

    def generator_terms(self, batch: Batch) -> Terms:
        """What generator and encoder minimise."""
        fake, posterior = self.answer(batch)
        comparison = self.compare(batch, fake)
        terms = self.objective.generator_terms(comparison)
        self.report_generator(self.objective, comparison, terms)
        if posterior is not None:
            divergence = posterior.divergence()
            terms["divergence"] = self.kl_weight * divergence.sum()
            self.statistics.report("divergence/per_image", divergence.mean())
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual_weight * self.perceptual(fake, batch.real)
        return terms

    def discriminator_terms(self, batch: Batch) -> Terms:
        """What the discriminator minimises; the fakes carry no graph."""
        with torch.no_grad():
            fake, _ = self.answer(batch)
        comparison = self.compare(batch, fake)
        terms = self.objective.discriminator_terms(comparison)
        self.report_discriminator(self.objective, comparison, terms)
        return terms

    def answer(self, batch: Batch) -> tuple[Tensor, Posterior | None]:
        """Images for the layouts of ``batch``, in the styles of its images, and what the encoder says of these."""
        if self.encoder is None:
            return self.generator(batch.condition), None
        posterior = Posterior.read(self.encoder(batch.real))
        return self.generator(batch.condition, posterior.draw()), posterior

    def compare(self, batch: Batch, fake: Tensor) -> Comparison:
        """Both with their layout before the discriminator, as the objective wants them seen."""
        return self.objective.compare(self.discriminator, batch.real, fake, batch.condition, self.moment)

    @torch.no_grad()
    def sample(self, count: int, condition: Tensor | None = None, style: Tensor | None = None) -> Tensor:
        """Images for ``condition``, ``count`` layouts.

        Args:
            count: how many.
            condition: label maps or source images.
            style: images ``[count, C, H, W]`` whose styles are taken, or one ``[1, C, H, W]`` for all; ``None``: styles
                are drawn.

        Raises:
            RunError: the game has no styles.
        """
        assert condition is not None
        if self.latent is None or self.encoder is None:
            if style is not None:
                raise RunError("This GauGAN was trained without styles (model=gaugan_style has them). Leave style out.")
            return self.generator(condition)
        if style is None:
            return self.generator(condition, self.latent(count, self.device))
        return self.generator(condition, Posterior.read(self.encoder(style)).mean.expand(count, -1))

    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        """One row per example: layout, what is made of it, and the truth; and layouts in the styles of images."""
        shown = max(1, round(count**0.5))
        assert examples.condition is not None
        condition, real = examples.condition[:shown], examples.real[:shown]
        pictures: dict[str, Picture] = {
            "generated": beside(condition, self.palette, self.sample(len(real), condition), real)
        }
        if self.encoder is not None:
            pictures["styles"] = self.styles(condition, real)
        return pictures

    def styles(self, condition: Tensor, real: Tensor) -> Grid:
        """A row of images, and below it every layout in their styles; the first column holds the layouts."""
        givers = real[:STYLES]
        blank = torch.zeros_like(coloured(real[:1]))
        rows = [torch.cat([blank, coloured(givers)])]
        for layout in condition.split(1):
            made = self.sample(len(givers), layout.expand(len(givers), *layout.shape[1:]), givers)
            rows.append(torch.cat([visible(layout, self.palette), coloured(made)]))
        return Grid(torch.cat(rows), columns=1 + len(givers))
