"""Truncation of latents or of styles: less variety for better samples.

Of latents: Brock, Donahue & Simonyan, *Large Scale GAN Training*, ICLR 2019, arXiv 1809.11096, section 3.1; of styles:
Karras, Laine & Aila, *A Style-Based Generator Architecture*, CVPR 2019, arXiv 1812.04948, appendix B.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganrun.core.errors import RunError
from ganrun.latents.normal import Normal
from ganrun.networks import stylegan2


class TruncatedNormal:
    """``z ~ N(0, I)`` given ``|z_i| <= bound`` in every coordinate, by drawing again what falls outside.

    Trades variety for fidelity. It is for sampling a trained generator, never for training.

    Args:
        size: dimensions of a latent.
        bound: the largest absolute value, above 0.

    Raises:
        ValueError: ``bound`` is not above 0.
    """

    def __init__(self, size: int, bound: float) -> None:
        if not bound > 0:
            raise ValueError(f"the bound must be above 0, got {bound}")
        self.size = size
        self.bound = bound

    def __call__(self, count: int, device: torch.device) -> Tensor:
        """Draw ``[count, size]``."""
        z = torch.randn(count, self.size, device=device)
        while (outside := z.abs() > self.bound).any():
            z[outside] = torch.randn(int(outside.sum()), device=device)
        return z


def truncate(latent: object, bound: float) -> TruncatedNormal:
    """The truncated version of a game's latent.

    Args:
        latent: the game's latent distribution.
        bound: the largest absolute value, above 0.

    Raises:
        RunError: the latent is not normal, or the bound not above 0.
    """
    if not isinstance(latent, Normal):
        raise RunError(
            f"Truncation draws normal latents again, and this run's are of kind {type(latent).__name__}. "
            "Leave truncation out."
        )
    if not bound > 0:
        raise RunError(f"truncation={bound} leaves no latents. Give a bound above 0; 0.5 to 2 are usual.")
    return TruncatedNormal(latent.size, bound)


def truncate_styles(generator: nn.Module, psi: float) -> bool:
    """Let the networks with styles in ``generator`` draw them towards their mean: ``w̄ + ψ (w - w̄)``.

    Args:
        generator: a game's generator, or several.
        psi: 1 changes nothing, 0 leaves one image.

    Returns:
        Whether there are such networks.
    """
    styled = [network for network in generator.modules() if isinstance(network, stylegan2.Generator)]
    for network in styled:
        network.psi = psi
    return bool(styled)
