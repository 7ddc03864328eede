"""What a normaliser of scores is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganrun.core.tensors import exact
from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import map_output


class Normaliser(nn.Module):
    """Replaces the score ``D(x)`` by a function of it and of ``‖∇D(x)‖``, in both players' losses.

    The norm is part of the graph: both players' moves are differentiated twice, which costs about as much again.
    The bound on the slope holds where D is piecewise linear (ReLU, LeakyReLU, average pooling).
    """

    requires: tuple[str, ...] = ()
    forbids: tuple[str, ...] = ("batch_norm", "coupled_samples", "patch_scores", "no_biases")

    def formula(self, score: Tensor, slope: Tensor) -> Tensor:
        """The normalised score.

        Args:
            score: D(x), ``[B]``.
            slope: ``‖∇D(x)‖`` over all dimensions of a sample, ``[B]``.
        """
        raise NotImplementedError

    def forward(self, discriminator: Callable[[Tensor], DiscriminatorOutput], samples: Tensor) -> DiscriminatorOutput:
        """The discriminator's output for ``samples`` ``[B, ...]`` with its scores normalised.

        Raises:
            RuntimeError: the gradient carries no graph, so that it would be taken for a constant (a compiled
                discriminator on some versions of torch).
        """
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            if not samples.requires_grad:
                samples = samples.detach().requires_grad_()
            output = discriminator(samples)
            normalised = tuple(self._normalised(exact(score), samples, graph) for score in output.scores)
        output = output._replace(scores=normalised)
        return output if graph else map_output(output, Tensor.detach)

    def _normalised(self, score: Tensor, samples: Tensor, graph: bool) -> Tensor:
        """One score of several by its own slope."""
        (gradient,) = torch.autograd.grad(score.sum(), samples, create_graph=graph, retain_graph=True)
        if graph and not gradient.requires_grad:
            raise RuntimeError("the discriminator's input gradient carries no graph; do not compile the discriminator")
        return self.formula(score, torch.linalg.vector_norm(exact(gradient).flatten(1), dim=1))
