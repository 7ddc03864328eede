"""BiGAN and ALI: a generator and an encoder against a judge of pairs.

Donahue, Krähenbühl & Darrell, *Adversarial Feature Learning*, ICLR 2017, arXiv 1605.09782; Dumoulin et al.,
*Adversarially Learned Inference*, ICLR 2017, arXiv 1606.00704.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ganrun.core.modules import evaluation_mode
from ganrun.core.types import Batch, Move, Picture, Terms
from ganrun.games.adversarial import AdversarialGame, Latent
from ganrun.games.base import Game, Stream
from ganrun.games.simultaneous import simultaneously
from ganrun.latents.posterior import Posterior
from ganrun.losses.objective import Objective

PROBES = 16
"""Samples of a batch whose reconstruction is measured."""


class BiGAN(AdversarialGame):
    """The two-player game of ``(x, E(x))`` against ``(G(z), z)``; generator and encoder are one player (equation 3).

    A real pair is the encoder's doing, so the player also minimises the objective's loss of real pairs: it makes them
    look generated. Where the discriminator cannot tell the two kinds apart, E inverts G (theorem 2). Nothing compares
    an image with its reconstruction: ``reconstruction/mse`` (per number, in [-1, 1]) and ``reconstruction/latent_mse``
    (``‖z - E(G(z))‖²`` per dimension) only measure, in every generator's move, on a few samples, with the networks in
    evaluation mode.

    Args:
        generator: ``generator(z, condition)`` -> samples.
        encoder: ``encoder(samples, condition)`` -> latents, or means and logarithms of variances where ``stochastic``.
        discriminator: ``discriminator(pairs, condition)``; a pair is the flattened sample and the latent, one vector.
        latent: ``latent(count, device)`` -> ``[count, size]``.
        objective: what both sides minimise; penalties and normalisers see whole pairs.
        conditional: whether class labels are handed to all three networks.
        stochastic: whether the encoder draws z from a normal distribution of its making (ALI).
        update: ``alternating``: the generator's side moves after the discriminator; ``simultaneous``: together with its
            last move, as in the published code.
        classes: classes of the data; used when ``conditional``.
    """

    def __init__(
        self,
        generator: nn.Module,
        encoder: nn.Module,
        discriminator: nn.Module,
        latent: Latent,
        objective: Objective,
        conditional: bool,
        stochastic: bool,
        update: Literal["alternating", "simultaneous"],
        classes: int,
    ) -> None:
        super().__init__(generator, discriminator, latent, objective, conditional, classes)
        self.encoder = encoder
        self.stochastic = stochastic
        self.update = update

    def players(self) -> dict[str, list[nn.Module]]:
        return {"discriminator": [self.discriminator], "generator": [self.generator, self.encoder]}

    def play(self, stream: Stream) -> Iterator[Move]:
        yield from super().play(stream) if self.update == "alternating" else simultaneously(self, stream)

    def discriminator_terms(self, batch: Batch, z: Tensor, fake: Tensor) -> Terms:
        with torch.no_grad():
            real, fake = self.pairs(batch, z, fake)
        return super().discriminator_terms(replace(batch, domains=(real,)), z, fake)

    def generator_terms(self, batch: Batch) -> Terms:
        condition = self.condition_of(batch)
        z = self.latent(len(batch), self.device)
        real, fake = self.pairs(batch, z, self.generator(z, condition))
        comparison = self.compare(real, fake, condition)
        terms = self.objective.generator_terms(comparison)
        of_fakes = {name: term for name, term in terms.items() if name != "encoder"}  # values known at equilibrium
        self.report_generator(self.objective, comparison, of_fakes)
        self.report_reconstruction(batch.real, z, condition)
        return terms

    def pairs(self, batch: Batch, z: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """``(x, E(x))`` and ``(G(z), z)``, flattened: ``[B, numbers + size]`` each."""
        output = self.encoder(batch.real, self.condition_of(batch))
        inferred = Posterior.read(output).draw() if self.stochastic else output
        return torch.cat([batch.real.flatten(1), inferred], dim=1), torch.cat([fake.flatten(1), z], dim=1)

    def infer(self, samples: Tensor, condition: Tensor | None) -> Tensor:
        """The latent of every sample; of a stochastic encoder the mean."""
        output = self.encoder(samples, condition)
        return Posterior.read(output).mean if self.stochastic else output

    @torch.no_grad()
    def reconstructions(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        condition = condition if self.classes else None
        return self.generator(self.infer(samples, condition), condition)

    @torch.no_grad()
    def report_reconstruction(self, real: Tensor, z: Tensor, condition: Tensor | None) -> None:
        """How well encoder and generator undo each other, at a few samples of a batch."""
        real, z = real[:PROBES], z[:PROBES]
        condition = None if condition is None else condition[:PROBES]
        with evaluation_mode(self):
            self.statistics.report("reconstruction/mse", mse_loss(self.reconstructions(real, condition), real))
            recovered = self.infer(self.generator(z, condition), condition)
            self.statistics.report("reconstruction/latent_mse", mse_loss(recovered, z))

    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        return Game.pictures(self, examples, count)  # the discriminator is no function of a place in the plane
