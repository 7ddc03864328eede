"""Mixtures of 2-D Gaussians: endless, with a known density, so that lost modes can be counted."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from ganrun.core.facts import Facts
from ganrun.core.types import Batch


class GaussianMixture:
    """Equally likely isotropic Gaussians in the plane.

    Attributes:
        centres: ``[modes, 2]`` float32, on the device.
        std: standard deviation of every mode.

    Args:
        name: shown in the description.
        centres: ``[modes, 2]``.
        std: standard deviation.
    """

    provides: tuple[str, ...] = ("points",)
    """Traits that the data have; read without importing torch."""

    def __init__(self, name: str, centres: Tensor, std: float) -> None:
        self.centres = centres.float()
        self.std = std
        fingerprint = hashlib.sha256(repr((self.centres.tolist(), std)).encode()).hexdigest()
        self.facts = Facts(
            kind="points",
            shape=(2,),
            count=(0,),
            fingerprint=fingerprint,
            description=f"{name}: {len(centres)} Gaussians in the plane, std {std:g}, sha256 {fingerprint[:8]}",
        )

    def place(self, device: str) -> None:
        """Draw on ``device`` from now on."""
        self.centres = self.centres.to(device)

    def prefetch(self, indices: tuple[Tensor, ...]) -> None:
        """Nothing to read ahead."""

    def fetch(self, indices: tuple[Tensor, ...], augment: bool = True) -> Batch:
        """Fresh points, as many as there are indices, from torch's default generator of the device."""
        count, device = len(indices[0]), self.centres.device
        modes = torch.randint(len(self.centres), (count,), device=device)
        return Batch((self.centres[modes] + self.std * torch.randn(count, 2, device=device),))

    def examples(self, count: int) -> Batch:
        """The same ``count`` points at every call."""
        generator = torch.Generator().manual_seed(0)
        modes = torch.randint(len(self.centres), (count,), generator=generator)
        noise = torch.randn(count, 2, generator=generator)
        return Batch(((self.centres.cpu()[modes] + self.std * noise).to(self.centres.device),))
