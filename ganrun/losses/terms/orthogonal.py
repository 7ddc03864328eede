"""Orthogonal regularisation of weights (Brock et al. 2017; Brock, Donahue & Simonyan 2019).

*Neural Photo Editing with Introspective Adversarial Networks*, ICLR 2017, arXiv 1609.07093; *Large Scale GAN Training
for High Fidelity Natural Image Synthesis* (BigGAN), ICLR 2019, arXiv 1809.11096, equation 3.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ganrun.core.arguments import NonNegative
from ganrun.core.tensors import exact
from ganrun.losses.base import Comparison, Term

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_WITH_MATRIX = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)


class Orthogonal(Term):
    """``weight · Σ ‖W Wᵀ ∘ (1 - I)‖²`` over the mover's weights W, each as a matrix (out, rest).

    Biases, gains and embeddings are left alone. Of a weight under spectral normalisation the trained one counts, before
    it is divided. The gradient is ``4 weight (W Wᵀ ∘ (1 - I)) W``; BigGAN's PyTorch code adds half of that.

    Args:
        weight: β of the papers.
        form: ``off_diagonal``: filters are to be orthogonal, of whatever norm (BigGAN); ``full``: ``‖W Wᵀ - I‖²``.
    """

    provides = ("on_weights",)

    def __init__(self, weight: NonNegative, form: Literal["off_diagonal", "full"]) -> None:
        super().__init__()
        self.weight = weight
        self.form = form
        self._network: tuple[nn.Module, ...] = ()  # a tuple, so that the network is not a part of the term

    def attach(self, network: nn.Module) -> None:
        """Remember whose weights count.

        Raises:
            ValueError: it has no linear layer and no convolution.
        """
        self._network = (network,)
        if not self.matrices():
            raise ValueError(f"{type(network).__name__} has no weights that could be orthogonal")

    def matrices(self) -> list[Tensor]:
        """The weights as matrices (out, rest)."""
        found = []
        for module in self._network[0].modules():
            if isinstance(module, _WITH_MATRIX):
                own = dict(module.named_parameters())
                weight = own["weight"] if "weight" in own else own["parametrizations.weight.original"]
                found.append(exact(weight.transpose(0, 1) if isinstance(module, _TRANSPOSED) else weight).flatten(1))
        return found

    def forward(self, comparison: Comparison) -> Tensor:
        return self.weight * torch.stack([self.distance(matrix) for matrix in self.matrices()]).sum()

    def distance(self, matrix: Tensor) -> Tensor:
        """The unweighted penalty of one matrix."""
        gram = matrix @ matrix.T
        aim = (
            gram.diag().diag()
            if self.form == "off_diagonal"
            else torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        )
        return (gram - aim).square().sum()
