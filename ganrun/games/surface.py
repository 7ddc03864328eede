"""The discriminator of a game on 2-D points as a landscape, and the direction in which it drives the generator."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ganrun.core.types import Scatter, Surface
from ganrun.losses.base import Comparison
from ganrun.losses.objective import Objective

SCORES = 96
"""Places along either axis where the score is shown."""

ARROWS = 19
"""Places along either axis where the force is shown."""


def surface(points: Scatter, compare: Callable[[Tensor, Tensor], Comparison], objective: Objective) -> Surface:
    """Scores over the frame of ``points``, and the force on a fake at the places of a coarser lattice.

    Args:
        points: real and generated.
        compare: ``compare(real, fake)`` before the discriminator.
        objective: what the generator minimises.
    """
    everywhere = _lattice(points, SCORES)
    places = _lattice(points, ARROWS + 2).unflatten(0, (ARROWS + 2, -1))[1:-1, 1:-1].flatten(0, 1)  # none at the edges
    with torch.no_grad():
        scores = compare(points.real, points.generated).judge(everywhere).score
    return Surface(
        generated=points.generated,
        real=points.real,
        score=scores.reshape(SCORES, SCORES),
        places=places,
        force=force(points, places, compare, objective),
    )


def force(
    points: Scatter, places: Tensor, compare: Callable[[Tensor, Tensor], Comparison], objective: Objective
) -> Tensor:
    """Minus the gradient of the generator's loss of one fake with respect to its position, ``[K, 2]``.

    A fake is put at every place, among the generated points, so that losses that compare it with the other fakes or
    with the real points see what they would see in training.

    Args:
        points: real and generated.
        places: ``[K, 2]``.
        compare: ``compare(real, fake)`` before the discriminator.
        objective: what the generator minimises.
    """
    kept = {name: buffer.clone() for name, buffer in objective.named_buffers()}
    with torch.enable_grad():
        places = places.detach().clone().requires_grad_()
        fake = torch.cat([places, points.generated.detach()])
        real = points.real[torch.arange(len(fake), device=fake.device) % len(points.real)]
        loss = torch.stack(list(objective.generator_terms(compare(real, fake)).values())).sum()
        (gradient,) = torch.autograd.grad(loss, places, allow_unused=True)
    for name, buffer in objective.named_buffers():  # terms may remember what they have seen
        buffer.copy_(kept[name])
    return torch.zeros_like(places) if gradient is None else -len(fake) * gradient  # losses are means over the fakes


def _lattice(points: Scatter, count: int) -> Tensor:
    """``[count², 2]``: evenly spaced places of the frame, edges included, row by row from the bottom."""
    horizontal, vertical = (torch.linspace(*limits, count, device=points.real.device) for limits in points.frame)
    rows, columns = torch.meshgrid(vertical, horizontal, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], dim=1)
