"""Sums of latents: man with glasses - man + woman (Radford, Metz & Chintala, *DCGAN*, ICLR 2016, section 6.3.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ganrun.latents.interpolation import Path

_TERM = re.compile(r"\s*([+-]?)\s*(\d+(?:\s*,\s*\d+)*)\s*")


class Term(NamedTuple):
    """A part of a sum.

    Args:
        sign: 1 or -1.
        numbers: of the latents whose mean it is.
    """

    sign: int
    numbers: tuple[int, ...]

    def __str__(self) -> str:
        return ("- " if self.sign < 0 else "+ ") + ",".join(map(str, self.numbers))


def parse(expression: str) -> list[Term]:
    """Read ``3,7,12 - 4,8 + 5``: the mean of latents 3, 7 and 12, less the mean of 4 and 8, plus latent 5.

    Raises:
        ValueError: it is no such sum.
    """
    terms: list[Term] = []
    position = 0
    while position < len(expression) or not terms:
        found = _TERM.match(expression, position)
        if found is None or (terms and not found[1]):
            raise ValueError(
                f"{expression!r} cannot be read from {expression[position:]!r} on. Write numbers of samples, commas "
                "between those whose mean is meant, and + or - between means, as in '3,7,12 - 4,8 + 5'"
            )
        terms.append(Term(-1 if found[1] == "-" else 1, tuple(int(number) for number in found[2].split(","))))
        position = found.end()
    return terms


def means(latents: Tensor, terms: Sequence[Term]) -> Tensor:
    """The mean of each term's latents, ``[terms, size]``."""
    return torch.stack([latents[list(term.numbers)].mean(0) for term in terms])


def total(of: Tensor, terms: Sequence[Term]) -> Tensor:
    """The signed sum of means, ``[size]``."""
    return torch.stack([term.sign * mean for term, mean in zip(terms, of, strict=True)]).sum(0)


def at_home(points: Tensor, latents: Tensor, path: Path) -> Tensor:
    """Points that are moved to where the generator was trained.

    ``spherical``: scaled to the mean length of ``latents``. Normal latents of many dimensions all have nearly the same
    length, √size; a mean of n of them is about √n times shorter, a sum of three longer, and of either the generator has
    never seen the like. ``linear``: clamped to [-1, 1], where uniform latents are.

    Args:
        points: ``[N, size]``.
        latents: as they are drawn, ``[M, size]``.
        path: of the latents' space.
    """
    if path == "linear":
        return points.clamp(-1, 1)
    length = points.norm(dim=1, keepdim=True)
    return points * latents.norm(dim=1).mean() / length.clamp(min=1e-12)


def around(point: Tensor, count: int, spread: float, path: Path) -> Tensor:
    """Draw ``count`` points near ``point`` ``[size]``.

    ``linear``: uniform noise of ±spread is added (the paper: 0.25), and the sum clamped. ``spherical``: ``√(1 - s²) z +
    s ε`` with ε ~ N(0, I), which is distributed as z is.

    Args:
        point: ``[size]``.
        count: how many.
        spread: s, in [0, 1].
        path: of the latents' space.
    """
    points = point.expand(count, -1)
    if path == "linear":
        return (points + spread * (2 * torch.rand_like(points) - 1)).clamp(-1, 1)
    return (1 - spread**2) ** 0.5 * points + spread * torch.randn_like(points)
