"""Ways from one latent to another, for pictures of what lies between."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

PARALLEL = 1e-4  # rad; below it, and as near to opposite directions, the arc is not determined by its ends

Path = Literal["linear", "spherical"]


def interpolate(start: Tensor, end: Tensor, points: int, path: Path) -> Tensor:
    """Latents at equal distances on the way from ``start`` to ``end``, both included.

    Args:
        start: ``[N, size]``.
        end: ``[N, size]``.
        points: on each way, at least 2.
        path: straight line or arc.

    Returns:
        ``[N, points, size]``.

    Raises:
        ValueError: fewer than 2 points.
    """
    if points < 2:
        raise ValueError(f"a way has at least its two ends, got {points} points")
    return along(start, end, torch.linspace(0, 1, points, dtype=torch.float64, device=start.device)[None], path)


def along(start: Tensor, end: Tensor, t: Tensor, path: Path) -> Tensor:
    """Latents at positions ``t`` on the way from ``start`` to ``end``.

    ``linear``: ``(1 − t) z₁ + t z₂``. ``spherical``: ``sin((1 − t) Ω)/sin Ω · z₁ + sin(t Ω)/sin Ω · z₂`` with the angle
    Ω between the two (Shoemake, SIGGRAPH 1985; for generators: White, *Sampling Generative Networks*, arXiv 1609.04468,
    section 2). The middle of a straight line between normal latents is shorter than almost every latent that the
    generator was trained on; on the arc, lengths stay as they were.

    Args:
        start: ``[N, size]``.
        end: ``[N, size]``.
        t: positions, 0 at the start and 1 at the end, ``[N or 1, points]``.
        path: straight line or arc.

    Returns:
        ``[N, points, size]``.
    """
    t = t.double()[:, :, None]
    first, last = start.double()[:, None], end.double()[:, None]
    weights = (1 - t, t)
    if path == "spherical":
        weights = _on_the_arc(first, last, t)
    return (weights[0] * first + weights[1] * last).to(start.dtype)


def _on_the_arc(first: Tensor, last: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of both ends; those of the straight line where the ends determine no arc."""
    lengths = first.norm(dim=2, keepdim=True) * last.norm(dim=2, keepdim=True)
    cosine = (first * last).sum(2, keepdim=True) / lengths.clamp(min=1e-12)
    angle = cosine.clamp(-1, 1).acos()
    arc = (angle.sin() > PARALLEL) & (lengths > 0)
    sine = torch.where(arc, angle.sin(), 1.0)
    return (
        torch.where(arc, ((1 - t) * angle).sin() / sine, 1 - t),
        torch.where(arc, (t * angle).sin() / sine, t),
    )
