"""Path length regularisation (Karras et al., *StyleGAN2*, CVPR 2020, arXiv 1912.04958, section 3.2)."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from ganrun.core.arguments import NonNegative, PositiveInt
from ganrun.core.tensors import exact, summed_over_processes
from ganrun.losses.base import Comparison, Term


class PathLength(Term):
    """``weight · E (‖Jᵀ y‖ - a)²``: steps in w change the image by the same amount everywhere (equation 4).

    J is the Jacobian of the synthesis network at random styles, ``y ~ N(0, I / pixels)`` a random image, and a the
    running mean of the lengths, the same in all processes and a constant to the gradient. Of a sample whose layers have
    styles of their own, the norm is the root mean square over the layers, as in the published code.

    Costs a pass and a double backward through the generator on 1 / ``share`` of the batch;
    :class:`ganrun.losses.terms.lazy.Lazy` spreads that over several steps.

    Args:
        weight: 2 in the published code, which is the paper's ``ln 2 / (r² (ln r - ln 2))`` with y so scaled.
        decay: of the running mean per call; 0.99 in the published code.
        share: one of so many samples is looked at; 2 in the published code.
    """

    requires = ("styles",)
    provides = ("on_weights",)

    mean_length: Tensor

    def __init__(self, weight: NonNegative, decay: Annotated[float, ">= 0", "< 1"], share: PositiveInt) -> None:
        super().__init__()
        self.weight = weight
        self.decay = decay
        self.share = share
        self._generator: tuple[nn.Module, ...] = ()  # a tuple, so that the network is not a part of the term
        self.register_buffer("mean_length", torch.zeros(()))

    def attach(self, network: nn.Module) -> None:
        """Remember the generator.

        Raises:
            ValueError: it has no styles.
        """
        if not hasattr(network, "styles"):
            raise ValueError(f"path lengths are of a generator with styles, and {type(network).__name__} has none")
        self._generator = (network,)

    def forward(self, comparison: Comparison) -> Tensor:
        count = math.ceil(len(comparison.fake) / self.share)
        condition = None if comparison.condition is None else comparison.condition[:count]
        lengths = self.lengths(count, condition, comparison.fake.device)
        return self.weight * (lengths - self.follow(lengths)).square().mean()

    def lengths(self, count: int, condition: Tensor | None, device: torch.device) -> Tensor:
        """``‖Jᵀ y‖`` at ``count`` random styles, as a function of the generator's weights."""
        generator: Any = self._generator[0]
        z = torch.randn(count, generator.latent_size, device=device)
        styles: Tensor = generator.styles(z, condition)
        images = generator(styles)
        y = torch.randn_like(images) / math.sqrt(images[0, 0].numel())
        (gradient,) = torch.autograd.grad((images * y).sum(), styles, create_graph=True)
        return exact(gradient).square().sum(2).mean(1).sqrt()

    @torch.no_grad()
    def follow(self, lengths: Tensor) -> Tensor:
        """Take in the lengths of one batch; the running mean."""
        total, count = summed_over_processes(torch.stack([lengths.sum(), torch.ones_like(lengths).sum()]))
        self.mean_length.lerp_((total / count).to(self.mean_length), 1 - self.decay)
        return self.mean_length.clone()
