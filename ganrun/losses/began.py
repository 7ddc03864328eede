"""Boundary equilibrium GAN (Berthelot, Schumm & Metz, *BEGAN*, 2017, arXiv 1703.10717, sections 3.3 and 3.4)."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.distributed as dist
from torch import Tensor

from ganrun.core.arguments import NonNegative
from ganrun.core.types import Terms
from ganrun.losses.base import AdversarialLoss, Comparison, average


class BoundaryEquilibrium(AdversarialLoss):
    """``L(x) - k_t L(y)`` against ``L(y)``, where a score is minus an energy L, and k keeps ``E L(y) = γ E L(x)``.

    After every move of the discriminator ``k_{t+1} = k_t + λ_k (γ L(x) - L(y))``, within [0, 1] and from 0: the
    discriminator learns to tell fakes from reals only as far as it reconstructs reals well. ``began/k`` is k and
    ``began/convergence`` the measure ``M = L(x) + |γ L(x) - L(y)|``, which falls as training succeeds.

    Differs from the paper: k follows the fakes that the discriminator has just seen instead of those of the
    generator's move, so that one place knows both energies. With several processes the energies are averaged over them,
    so that all have the same k.

    Args:
        gamma: γ, the diversity ratio: 0.3 to 0.7 in the paper; lower means sharper and less diverse samples.
        k_rate: λ_k, the step of k per move (with accumulation: per micro-batch); 0.001 in the paper.
    """

    requires = ("energy",)
    provides = ()

    k: Tensor
    convergence: Tensor

    def __init__(self, gamma: Annotated[float, "> 0", "<= 1"], k_rate: NonNegative) -> None:
        super().__init__()
        self.gamma = gamma
        self.k_rate = k_rate
        self.register_buffer("k", torch.zeros(()))
        self.register_buffer("convergence", torch.zeros(()))

    def discriminator_terms(self, comparison: Comparison) -> Terms:
        real = -average(lambda score: score, comparison.real_output.scores)
        fake = -average(lambda score: score, comparison.fake_output.scores)
        terms = {"real": real, "fake": -self.k.clone() * fake}  # this move's k
        self.balance(real, fake)
        return terms

    def generator_terms(self, comparison: Comparison) -> Terms:
        return {"adversarial": -average(lambda score: score, comparison.fake_output.scores)}

    @torch.no_grad()
    def balance(self, real: Tensor, fake: Tensor) -> None:
        """Move k by the mean energies L(x) and L(y) of one batch, and keep the measure of convergence."""
        energies = torch.stack([real.detach(), fake.detach()])
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(energies)
            energies /= dist.get_world_size()
        lead = self.gamma * energies[0] - energies[1]
        self.convergence.copy_(energies[0] + lead.abs())
        self.k.add_(self.k_rate * lead).clamp_(0, 1)

    def statistics(self) -> dict[str, Tensor]:
        return {"began/k": self.k, "began/convergence": self.convergence}
