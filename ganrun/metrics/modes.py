"""Mode coverage on mixtures of Gaussians whose centres are known.

Lin et al., *PacGAN: The power of two samples in generative adversarial networks*, NeurIPS 2018, section 4.1.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ganrun.core.arguments import Positive
from ganrun.metrics.base import Metric, Samples, Unavailable


class Modes(Metric):
    """Number of centres that have at least one sample near them.

    Args:
        radius: how near; the convention is 3 standard deviations.
        unit: ``std``: the radius is in standard deviations of one Gaussian; ``data``: in units of the data.
    """

    requires = ("points",)
    lower_is_better = False

    def __init__(self, radius: Positive, unit: Literal["std", "data"]) -> None:
        self.radius = radius
        self.unit = unit

    def evaluate(self, samples: Samples) -> float:
        near, nearest = _nearness(samples, self.radius, self.unit)
        return float(len(nearest[near].unique()))


class HighQuality(Metric):
    """Share of samples that are near a centre; the mixture itself has ``1 − exp(−k²/2)`` within k deviations.

    Args:
        radius: how near; the convention is 3 standard deviations.
        unit: ``std``: the radius is in standard deviations of one Gaussian; ``data``: in units of the data.
    """

    requires = ("points",)
    lower_is_better = False

    def __init__(self, radius: Positive, unit: Literal["std", "data"]) -> None:
        self.radius = radius
        self.unit = unit

    def evaluate(self, samples: Samples) -> float:
        near, _ = _nearness(samples, self.radius, self.unit)
        return float(near.double().mean())


class ModesKL(Metric):
    """``KL(h ‖ uniform)`` in nats, h being the shares of the modes among the samples that are near a centre.

    0 when every mode has equally many, log(K/m) when m of K modes share all; n samples of the mixture itself have about
    ``(K − 1) / 2n``. Samples that are near no centre do not count: read it beside :class:`HighQuality`.

    Args:
        radius: how near; the convention is 3 standard deviations.
        unit: ``std``: the radius is in standard deviations of one Gaussian; ``data``: in units of the data.
    """

    requires = ("points",)
    lower_is_better = True

    def __init__(self, radius: Positive, unit: Literal["std", "data"]) -> None:
        self.radius = radius
        self.unit = unit

    def evaluate(self, samples: Samples) -> float:
        near, nearest = _nearness(samples, self.radius, self.unit)
        if not near.any():
            raise Unavailable("no sample is near a mode")
        return kl_from_uniform(nearest[near], len(samples.dataset.centres))  # type: ignore[attr-defined]


def kl_from_uniform(labels: Tensor, classes: int) -> float:
    """``Σ p log(K p)`` in nats over the shares p of K ``classes`` among ``labels``, int64 ``[n]`` with n at least 1."""
    share = torch.bincount(labels, minlength=classes).double() / len(labels)
    return float(torch.special.xlogy(share, classes * share).sum())


def _nearness(samples: Samples, radius: float, unit: Literal["std", "data"]) -> tuple[Tensor, Tensor]:
    """Whether each sample is within the radius of its nearest centre, and which one that is."""
    centres = getattr(samples.dataset, "centres", None)
    if centres is None:
        raise Unavailable("the data set has no known centres")
    deviation = float(samples.dataset.std) if unit == "std" else 1.0  # type: ignore[attr-defined]  # comes with centres
    centres = torch.as_tensor(centres).cpu().double()
    distance, nearest = torch.cdist(samples.generated.double(), centres).min(dim=1)
    return distance <= radius * deviation, nearest
