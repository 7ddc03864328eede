"""A history of generated images for the discriminator.

Shrivastava et al., *Learning from Simulated and Unsupervised Images through Adversarial Training*, CVPR 2017,
section 2.3; in the form that CycleGAN gave it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Hands back older fakes half of the time.

    While the pool is not full, an image is stored and returned. Afterwards it is, with probability ½, exchanged for a
    random stored one, and otherwise returned and forgotten. Everything is in buffers, and the draws come from torch's
    default generator of the device; nothing waits for the device.

    Args:
        capacity: images that are kept; 0 turns the pool off.
        shape: shape of one image, ``(channels, height, width)``.

    Shapes: ``[B, *shape]`` -> ``[B, *shape]``, without a graph.
    """

    images: Tensor
    stored: Tensor

    def __init__(self, capacity: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.capacity = capacity
        self.register_buffer("images", torch.zeros(capacity, *shape))
        self.register_buffer("stored", torch.zeros(1, dtype=torch.long))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Exchange some of ``images`` for older ones, one after the other."""
        if self.capacity == 0:
            return images.detach()
        return torch.cat([self._exchange(image) for image in images.to(self.images.dtype).split(1)])

    def _exchange(self, new: Tensor) -> Tensor:
        full = self.stored == self.capacity
        exchange = full & (torch.rand(1, device=new.device) < 0.5)
        slot = torch.where(full, torch.randint(self.capacity, (1,), device=new.device), self.stored)
        old = self.images[slot]
        self.images[slot] = torch.where(exchange | ~full, new, old)
        self.stored += ~full
        return torch.where(exchange, old, new)
