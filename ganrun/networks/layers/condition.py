"""Class labels in networks: concatenation, conditional normalisation, projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from ganrun.core.tensors import one_hot


def append_to_latent(z: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """``[B, n]`` and labels ``[B]`` -> ``[B, n + classes]``; unchanged when ``classes`` is 0.

    Mirza & Osindero, *Conditional Generative Adversarial Nets*, 2014, arXiv 1411.1784.

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
    return one_hot(given(labels), classes, like.dtype)


def given(labels: Tensor | None) -> Tensor:
    """The labels of a conditional network.

    Raises:
        ValueError: there are none.
    """
    if labels is None:
        raise ValueError("a conditional network was given no labels")
    return labels


class ConditionalNorm(nn.Module):
    """A normalisation with gains and biases per class: 1 and 0 in the beginning.

    Dumoulin et al., ICLR 2017, arXiv 1610.07629; on batch norm, for GANs: Miyato & Koyama, ICLR 2018, arXiv 1802.05637.

    Args:
        normalise: without gains and biases of its own.
        channels: of the input.
        classes: number of classes.

    Shapes: ``[B, channels, *positions]`` and labels ``[B]`` -> ``[B, channels, *positions]``.
    """

    takes_labels = True

    def __init__(self, normalise: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.normalise = normalise
        self.gain = nn.Parameter(torch.ones(classes, channels))
        self.bias = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, hidden: Tensor, labels: Tensor | None) -> Tensor:
        labels = given(labels)
        ones = [1] * (hidden.ndim - 2)
        gain, bias = (embedding(labels, table).unflatten(1, (-1, *ones)) for table in (self.gain, self.bias))
        return gain * self.normalise(hidden) + bias


class VectorConditionalNorm(nn.Module):
    """A normalisation whose gains ``1 + W_g c`` and biases ``W_b c`` are linear maps of a condition c.

    Brock et al., *Large Scale GAN Training*, ICLR 2019, arXiv 1809.11096, section 3 and appendix B: c is a class
    embedding that all layers share, beside a part of the latent.

    Args:
        normalise: without gains and biases of its own.
        channels: of the input.
        condition_size: dimensions of c.

    Shapes: ``[B, channels, *positions]`` and c ``[B, condition_size]`` -> ``[B, channels, *positions]``.
    """

    takes_labels = True

    def __init__(self, normalise: nn.Module, channels: int, condition_size: int) -> None:
        super().__init__()
        self.normalise = normalise
        self.gain = nn.Linear(condition_size, channels, bias=False)
        self.bias = nn.Linear(condition_size, channels, bias=False)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        ones = [1] * (hidden.ndim - 2)
        gain, bias = (layer(condition).unflatten(1, (-1, *ones)) for layer in (self.gain, self.bias))
        return (1 + gain) * self.normalise(hidden) + bias


class Conditioned(nn.Sequential):
    """Layers in a row, of which those with ``takes_labels`` are given the labels (or another condition) too."""

    takes_labels = True

    def forward(self, hidden: Tensor, labels: Tensor | None = None) -> Tensor:
        for layer in self:
            hidden = layer(hidden, labels) if getattr(layer, "takes_labels", False) else layer(hidden)
        return hidden


class Projection(nn.Module):
    """``<v_y, φ>``, to be added to a score.

    Miyato & Koyama, *cGANs with Projection Discriminator*, ICLR 2018, arXiv 1802.05637, section 3.

    Args:
        classes: number of classes.
        features: dimensions of φ.

    Shapes: ``[B, features, *positions]``, summed over positions, and labels ``[B]`` -> ``[B]``.
    """

    def __init__(self, classes: int, features: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, features)

    def forward(self, hidden: Tensor, labels: Tensor | None) -> Tensor:
        pooled = hidden if hidden.ndim == 2 else hidden.flatten(2).sum(2)
        return (self.embedding(given(labels)) * pooled).sum(1)
