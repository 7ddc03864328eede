"""GAN-QP (Su, *A Novel GAN Framework without Gradient Vanishing and Lipschitz Constraint*, 2018, arXiv 1811.07296)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from ganrun.core.arguments import Positive
from ganrun.core.tensors import exact
from ganrun.core.types import Terms
from ganrun.losses.base import AdversarialLoss, Comparison


class QuadraticPotential(AdversarialLoss):
    """``-Δ + Δ² / (2 λ d(x, y))`` with ``Δ = r - f`` of paired samples, against ``Δ``.

    The optimal Δ is within ±λ d(x, y), a Lipschitz condition that needs no constraint; it never saturates: two points
    at distance d have the value λ d / 2. The quadratic term is not the generator's, whom it would teach distances of
    pixels. At equilibrium both losses are 0.

    Differs from the paper: T has one argument, Δ = T(x) - T(y), as in the author's experiments.

    Args:
        scale: λ, which only rescales the discriminator.
        distance: d: ``"l1"``: mean of the absolute differences over all dimensions, ``"l2"``: root of their mean
            square.
    """

    forbids = ("patch_scores", "pairs", "wrong_pairs")
    provides = ("pairwise",)

    def __init__(self, scale: Positive, distance: Literal["l1", "l2"]) -> None:
        super().__init__()
        self.scale = scale
        self.distance = distance

    def discriminator_terms(self, comparison: Comparison) -> Terms:
        lead = _lead(comparison)
        apart = exact((comparison.real - comparison.fake).detach().flatten(1))
        distance = apart.abs().mean(1) if self.distance == "l1" else apart.square().mean(1).sqrt()
        return {"lead": -lead.mean(), "quadratic": (lead**2 / (2 * self.scale * (distance + 1e-12))).mean()}

    def generator_terms(self, comparison: Comparison) -> Terms:
        return {"adversarial": _lead(comparison).mean()}

    def equilibrium(self) -> dict[str, float]:
        return {"discriminator": 0.0, "generator": 0.0}

    def certificate(self, discriminator_loss: Tensor) -> dict[str, Tensor]:
        """``quadratic_potential`` is (λ/2) ∑ d (A - B)² / (A + B) over pairs, A = p(x) p_g(y), B = p(y) p_g(x)."""
        return {"quadratic_potential": -discriminator_loss}


def _lead(comparison: Comparison) -> Tensor:
    """Δ of the i-th real and the i-th fake, ``[B]``."""
    return exact(comparison.real_output.score) - exact(comparison.fake_output.score)
