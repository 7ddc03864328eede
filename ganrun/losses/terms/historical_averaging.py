"""Historical averaging (Salimans et al., *Improved Techniques for Training GANs*, NeurIPS 2016, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganrun.core.arguments import NonNegative
from ganrun.losses.base import Comparison, Term


class HistoricalAveraging(Term):
    """``weight · ‖θ - mean of all θ so far‖²`` over the mover's parameters.

    The mean takes in the current parameters and is a constant to the gradient. It costs a copy of the parameters, which
    lies in the checkpoints.

    Args:
        weight: factor; the paper names none.
    """

    provides = ("on_weights",)

    moves: Tensor

    def __init__(self, weight: NonNegative) -> None:
        super().__init__()
        self.weight = weight
        self._current: tuple[nn.Parameter, ...] = ()

    def attach(self, network: nn.Module) -> None:
        """Begin the history of the trainable parameters of ``network``."""
        self._current = tuple(parameter for parameter in network.parameters() if parameter.requires_grad)
        self.register_buffer("moves", torch.zeros(()))
        for index, parameter in enumerate(self._current):
            self.register_buffer(f"mean_{index}", torch.zeros_like(parameter))

    def forward(self, comparison: Comparison) -> Tensor:
        means = [self.get_buffer(f"mean_{index}") for index in range(len(self._current))]
        with torch.no_grad():
            self.moves += 1
            steps = torch._foreach_sub(self._current, means)
            torch._foreach_mul_(steps, 1 / self.moves)
            torch._foreach_add_(means, steps)
        return (
            self.weight
            * torch.stack([(p - mean).square().sum() for p, mean in zip(self._current, means, strict=True)]).sum()
        )
