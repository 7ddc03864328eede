"""InfoGAN (Chen et al., *InfoGAN: Interpretable Representation Learning ...*, NeurIPS 2016, arXiv 1606.03657)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ganrun.core.types import Batch, Grid, LatentSpace, Picture, Terms
from ganrun.games.adversarial import AdversarialGame
from ganrun.latents.coded import Coded
from ganrun.losses.base import Comparison
from ganrun.losses.objective import Objective

SWEEP_COLUMNS, SWEEP_EXTENT = 10, 2.0
"""Continuous codes are shown from -2 to 2, beyond the trained [-1, 1], as in the paper's figure 2."""


class InfoGAN(AdversarialGame):
    """The two-player game plus ``-λ L_I`` (equation 6), ``L_I = H(c) + E log Q(c|G(z, c)) ≤ I(c; G(z, c))``.

    The constant H(c) is left out of the loss; ``information/categorical`` logs the bound itself, in nats, and
    ``information/continuous`` the mean squared error of the continuous codes. Real images carry no codes.

    Args:
        generator: ``generator(z, condition)`` -> images.
        discriminator: has the parts ``trunk``, ``head`` and ``code_head``, and puts the latter's output into ``code``.
        latent: noise and codes.
        objective: what both minimise besides.
        categorical_weight: λ of the categorical codes' cross-entropy.
        continuous_weight: λ of the continuous codes' negative log-likelihood under N(μ, 1).
        information_update: ``both``: the code head belongs to the discriminator, and either player maximises L_I, as in
            the published code; ``generator``: the code head belongs to the generator, who alone maximises L_I.

    Raises:
        ValueError: the discriminator lacks one of the three parts.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: Coded,
        objective: Objective,
        categorical_weight: float,
        continuous_weight: float,
        information_update: Literal["both", "generator"],
    ) -> None:
        super().__init__(generator, discriminator, latent, objective, conditional=False, classes=0)
        if not all(hasattr(discriminator, part) for part in ("trunk", "head", "code_head")):
            raise ValueError(
                "InfoGAN's discriminator needs a trunk, a head and a code_head, as networks.infogan has them"
            )
        self.latent: Coded = latent
        self.categorical_weight = categorical_weight
        self.continuous_weight = continuous_weight
        self.information_update = information_update

    def players(self) -> dict[str, list[nn.Module]]:
        part = self.discriminator.get_submodule
        judge, reader = [part("trunk"), part("head")], part("code_head")
        if self.information_update == "both":
            return {"discriminator": [*judge, reader], "generator": [self.generator]}
        return {"discriminator": judge, "generator": [self.generator, reader]}

    def discriminator_terms(self, batch: Batch, z: Tensor, fake: Tensor) -> Terms:
        comparison = self.compare(batch.real, fake)
        terms = self.objective.discriminator_terms(comparison)
        self.report_discriminator(self.objective, comparison, terms)
        return terms | self.information_terms(z, comparison) if self.information_update == "both" else terms

    def generator_terms(self, batch: Batch) -> Terms:
        z = self.latent(len(batch), self.device)
        comparison = self.compare(batch.real, self.generator(z))
        terms = self.objective.generator_terms(comparison)
        self.report_generator(self.objective, comparison, terms)
        return terms | self.information_terms(z, comparison)

    def information_terms(self, z: Tensor, comparison: Comparison) -> Terms:
        """How badly the codes in ``z`` are read off the fakes, weighted."""
        terms, prediction = {}, comparison.fake_output.code
        assert prediction is not None
        if self.latent.categories:
            cross_entropy = self.latent.cross_entropy(z, prediction)
            self.statistics.report("information/categorical", self.latent.entropy - cross_entropy)
            terms["categorical"] = self.categorical_weight * cross_entropy
        if self.latent.continuous:
            self.statistics.report("information/continuous", self.latent.squared_error(z, prediction))
            terms["continuous"] = self.continuous_weight * self.latent.negative_log_likelihood(z, prediction)
        return terms

    def latent_space(self) -> LatentSpace | None:
        if not self.latent.categories:
            return None
        return LatentSpace(
            draw=lambda count: self.latent(count, self.device), decode=self.decode, path=None, codes=self.latent.codes
        )

    @torch.no_grad()
    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        rows = round(count**0.5)
        pictures = super().pictures(examples, count)
        for name, z in self.latent.traversals(rows, SWEEP_COLUMNS, SWEEP_EXTENT, self.device).items():
            pictures[name] = Grid(self.generator(z), columns=len(z) // rows)
        return pictures
