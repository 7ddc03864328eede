"""Weight initialisation; always before spectral normalisation is applied, which starts from the weights it finds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)


def normal_init(network: nn.Module, std: float = 0.02) -> None:
    """Weights of (transposed) convolutions ~ N(0, std²), gains of batch norm ~ N(1, std²), biases 0 (DCGAN)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, _NORMALISATIONS) and module.affine:
            nn.init.normal_(module.weight, 1.0, std)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def initialise(network: nn.Module, scheme: str, gain: float = 1.0) -> None:
    """Draw the weights of all (transposed) convolutions, linear layers and embeddings anew; biases become 0.

    Args:
        network: initialised in place.
        scheme: ``default``: as PyTorch made them; ``normal``: N(0, 0.02²), gains of batch norm N(1, 0.02²) (DCGAN);
            ``orthogonal``: every kernel as a matrix (out, rest) has orthonormal rows, or columns where it is tall
            (Brock et al., ICLR 2019, arXiv 1809.11096); ``xavier``: Glorot & Bengio's uniform law (AISTATS 2010).
        gain: factor on the weights of ``orthogonal`` and ``xavier``.

    Raises:
        ValueError: an unknown scheme.
    """
    if scheme == "default":
        return
    if scheme not in ("normal", "orthogonal", "xavier"):
        raise ValueError(f"unknown initialisation {scheme!r}; choose default, normal, orthogonal or xavier")
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
            _draw(module.weight, scheme, gain, transposed=isinstance(module, nn.ConvTranspose2d))
        elif isinstance(module, _NORMALISATIONS) and module.affine and scheme == "normal":
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if not isinstance(module, nn.Embedding) and module.bias is not None:
            nn.init.zeros_(module.bias)


@torch.no_grad()
def _draw(weight: Tensor, scheme: str, gain: float, transposed: bool) -> None:
    if scheme == "normal":
        nn.init.normal_(weight, 0.0, 0.02)
    elif scheme == "xavier":
        nn.init.xavier_uniform_(weight, gain)
    else:
        kernel = weight.transpose(0, 1) if transposed else weight  # (out, in, h, w)
        kernel.copy_(nn.init.orthogonal_(torch.empty(kernel.shape, device=kernel.device), gain))
