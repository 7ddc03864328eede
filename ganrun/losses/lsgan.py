"""Least-squares GAN (Mao et al., *Least Squares Generative Adversarial Networks*, ICCV 2017, equations 2 and 9)."""

from __future__ import annotations

from torch import Tensor

from ganrun.losses.base import AdversarialLoss


class LeastSquares(AdversarialLoss):
    """``½(r - b)² + ½(f - a)²`` against ``½(f - c)²``.

    The optimal discriminator is ``(b p + a p_g) / (p + p_g)``. With a, b, c = -1, 1, 0 the generator then minimises
    half of the Pearson χ² between ``p + p_g`` and ``2 p_g`` (theorem of section 3.2); with 0, 1, 1 it does not.

    Args:
        a: target of a fake score for the discriminator.
        b: target of a real score for the discriminator.
        c: target of a fake score for the generator.

    Raises:
        ValueError: ``a`` and ``b`` are equal.
    """

    def __init__(self, a: float, b: float, c: float) -> None:
        super().__init__()
        if a == b:
            raise ValueError(f"a and b must differ, got {a} for both")
        self.a, self.b, self.c = a, b, c
        self.threshold = (a + b) / 2

    def discriminator_real(self, score: Tensor) -> Tensor:
        return 0.5 * (score - self.b) ** 2

    def discriminator_fake(self, score: Tensor) -> Tensor:
        return 0.5 * (score - self.a) ** 2

    def generator_fake(self, score: Tensor) -> Tensor:
        return 0.5 * (score - self.c) ** 2

    def generator_real(self, score: Tensor) -> Tensor:
        """``½(r - (a + b - c))²``: c mirrored in the middle of a and b."""
        return 0.5 * (score - (self.a + self.b - self.c)) ** 2

    def equilibrium(self) -> dict[str, float]:
        middle = (self.a + self.b) / 2
        return {"discriminator": (self.b - self.a) ** 2 / 4, "generator": 0.5 * (middle - self.c) ** 2}

    def certificate(self, discriminator_loss: Tensor) -> dict[str, Tensor]:
        """``triangular`` is ∑ (p - p_g)² / (p + p_g), between 0 and 2."""
        return {"triangular": 2 - 8 * discriminator_loss / (self.b - self.a) ** 2}
