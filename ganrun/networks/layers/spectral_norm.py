"""Spectral normalisation (Miyato et al., *Spectral Normalization for GANs*, ICLR 2018, arXiv 1802.05957)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

from ganrun.core.tensors import full_precision

_EPS = 1e-12


class SpectralNorm(nn.Module):
    """``W / σ(W)`` with σ from one power iteration per training forward (Miyato et al., Algorithm 1).

    The kernel counts as a matrix (out, rest), whose norm is not that of the convolution: that may be up to
    ``sqrt(height · width)`` of the kernel times larger. Only u is remembered, and it need not have norm 1: a moving
    average of it, as weight averaging makes, still gives ``σ = |W v|`` with ``v = Wᵀu / |Wᵀu|``. In evaluation u rests.

    Args:
        weight: the weight to be normalised; u is brought close to its first left singular vector.
        dim: dimension of the output channels.

    Shapes: any weight -> the same shape.
    """

    u: Tensor

    def __init__(self, weight: Tensor, dim: int) -> None:
        super().__init__()
        self.dim = dim
        with torch.no_grad():
            matrix = self._matrix(weight)
            u = torch.randn(len(matrix), dtype=matrix.dtype, device=matrix.device)
            for _ in range(15):
                u = normalize(matrix @ normalize(matrix.T @ u, dim=0, eps=_EPS), dim=0, eps=_EPS)
        self.register_buffer("u", u)

    def forward(self, weight: Tensor) -> Tensor:
        with full_precision(weight):
            matrix = self._matrix(weight)
            with torch.no_grad():  # no gradient through u and v: dσ/dW = u vᵀ
                v = normalize(matrix.T @ self.u, dim=0, eps=_EPS)
                u = normalize(matrix @ v, dim=0, eps=_EPS)
                if self.training:
                    self.u.copy_(u)
            return weight / torch.dot(u, matrix @ v).clamp_min(_EPS)

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.transpose(0, self.dim).flatten(1)


def spectral_normalise(network: nn.Module) -> None:
    """Normalise the weights of all (transposed) convolutions, linear layers and embeddings, in place.

    Biases and the gains of normalisation layers are left alone. Within one move of a game every pass sees the same
    weights, for the objective caches parametrisations; elsewhere u moves on from pass to pass.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
            dim = 1 if isinstance(module, nn.ConvTranspose2d) else 0
            parametrize.register_parametrization(module, "weight", SpectralNorm(module.weight, dim))
