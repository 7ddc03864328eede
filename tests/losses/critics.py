"""Small discriminators whose gradients are known or smooth, in float64."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganrun.core.types import DiscriminatorOutput


class LinearCritic(nn.Module):
    """``D(x) = w·x``, whose gradient is w."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(weights, dtype=torch.float64))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(scores=(samples @ self.w,))


class Bowl(nn.Module):
    """``D(x) = scale ‖x‖²/2`` with scale 1, whose gradient is x."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(scores=(self.scale * samples.square().sum(1) / 2,))


class Smooth(nn.Module):
    """A smooth network with features, class logits and, if asked for, a layer of choice in between."""

    def __init__(self, between: nn.Module | None = None, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.trunk = nn.Sequential(nn.Linear(2, 6), between or nn.Identity(), nn.Tanh(), nn.Linear(6, 5), nn.Tanh())
        self.head = nn.Linear(5, 1)
        self.class_head = nn.Linear(5, 3)
        self.double()

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = self.trunk(samples)
        score = self.head(features).flatten()
        return DiscriminatorOutput(scores=(score,), features=(features,), class_logits=self.class_head(features))


class Given(nn.Module):
    """The samples themselves as scores (one column), features and class logits."""

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(scores=(samples[:, 0],), features=(samples,), class_logits=samples)


REAL = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
FAKE = torch.tensor([[0.0, 0.0], [-1.0, 1.0], [2.0, -2.0]], dtype=torch.float64)
POSITION = torch.tensor([[0.25], [0.5], [1.0]], dtype=torch.float64)
"""On the lines from fakes to reals."""


def points(count: int = 3) -> Tensor:
    return torch.randn(count, 2, dtype=torch.float64)
