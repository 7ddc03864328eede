"""Conditions by concatenation (Mirza & Osindero, *Conditional Generative Adversarial Nets*, 2014, arXiv 1411.1784)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def append_to_latent(z: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """``[B, n]`` and labels ``[B]`` -> ``[B, n + classes]``; unchanged when ``classes`` is 0.

    Raises:
        ValueError: the network is conditional and no labels were given.
    """
    return z if classes == 0 else torch.cat([z, _one_hot(labels, classes, z)], dim=1)


def append_planes(images: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """``[B, C, H, W]`` and labels ``[B]`` -> ``[B, C + classes, H, W]``: one constant plane per class.

    Raises:
        ValueError: the network is conditional and no labels were given.
    """
    if classes == 0:
        return images
    planes = _one_hot(labels, classes, images)[:, :, None, None].expand(-1, -1, *images.shape[2:])
    return torch.cat([images, planes], dim=1)


def _one_hot(labels: Tensor | None, classes: int, like: Tensor) -> Tensor:
    if labels is None:
        raise ValueError("a conditional network was given no labels")
    return one_hot(labels, classes).to(like.dtype)
