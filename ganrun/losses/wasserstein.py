"""Wasserstein GAN (Arjovsky, Chintala & Bottou, *Wasserstein GAN*, ICML 2017, equation 3)."""

from __future__ import annotations

from torch import Tensor

from ganrun.losses.base import AdversarialLoss


class Wasserstein(AdversarialLoss):
    """``-r + f`` against ``-f``.

    The critic must be kept Lipschitz: weight clipping (``loss=wgan``), a gradient penalty (``loss=wgan_gp``) or
    spectral normalisation. Minus the sum of the critic's two terms estimates the Wasserstein distance times the
    critic's Lipschitz constant.
    """

    provides = ("element_wise", "unbounded")

    def discriminator_real(self, score: Tensor) -> Tensor:
        return -score

    def discriminator_fake(self, score: Tensor) -> Tensor:
        return score

    def generator_fake(self, score: Tensor) -> Tensor:
        return -score

    def equilibrium(self) -> dict[str, float]:
        return {"discriminator": 0.0}

    def certificate(self, discriminator_loss: Tensor) -> dict[str, Tensor]:
        """``wasserstein`` is a bound of W1 times the critic's Lipschitz constant, which nobody knows."""
        return {"wasserstein": -discriminator_loss}
