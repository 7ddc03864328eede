"""Virtual batch normalisation (Salimans et al., *Improved Techniques for Training GANs*, NeurIPS 2016, section 3.5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganrun.core.tensors import exact


class VirtualBatchNorm(nn.Module):
    """Every sample is normalised by the statistics of a reference batch and of itself, not by its companions.

    The reference samples come first in the batch (see :class:`ReferenceBatch`) and are normalised by their own
    statistics alone.

    Args:
        channels: of the input.
        reference: number of reference samples.
        affine: whether gains and biases are learned.

    Shapes: ``[reference + B, channels, *positions]`` -> the same.
    """

    def __init__(self, channels: int, reference: int, affine: bool = True) -> None:
        super().__init__()
        self.reference = reference
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, hidden: Tensor) -> Tensor:
        count = self.reference
        samples = hidden.unsqueeze(2) if hidden.ndim == 2 else hidden.flatten(2)  # [count + B, channels, positions]
        samples = exact(samples)
        reference_variance, reference_mean = torch.var_mean(samples[:count], (0, 2), correction=0, keepdim=True)
        variance, mean = torch.var_mean(samples[count:], 2, correction=0, keepdim=True)
        # a mixture of two groups: the reference batch with weight count / (count + 1), and the sample
        between = (mean - reference_mean) ** 2 * count / (count + 1) ** 2
        variance = torch.cat(
            [reference_variance.expand(count, -1, -1), (count * reference_variance + variance) / (count + 1) + between]
        )
        mean = torch.cat([reference_mean.expand(count, -1, -1), (count * reference_mean + mean) / (count + 1)])
        normalised = (samples - mean) * torch.rsqrt(variance + 1e-5)
        if self.weight is not None and self.bias is not None:
            normalised = normalised * self.weight[:, None] + self.bias[:, None]
        return normalised.reshape(hidden.shape).to(hidden.dtype)


class ReferenceBatch(nn.Module):
    """The fixed latents whose activations are the reference: drawn once from N(0, I), kept in buffers.

    Args:
        count: reference samples.
        latent_size: dimensions of z.
        classes: classes in turn, for a conditional network; 0: no labels.
    """

    latents: Tensor
    labels: Tensor | None

    def __init__(self, count: int, latent_size: int, classes: int) -> None:
        super().__init__()
        self.count = count
        self.register_buffer("latents", torch.randn(count, latent_size))
        self.register_buffer("labels", torch.arange(count) % classes if classes else None)

    def prepend(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The reference samples before those of a batch."""
        if self.labels is not None and labels is not None:
            labels = torch.cat([self.labels, labels])
        return torch.cat([self.latents.to(z.dtype), z]), labels

    def drop(self, samples: Tensor) -> Tensor:
        """The samples of the batch alone."""
        return samples[self.count :]
