"""Schedules: functions of a stage's progress in [0, 1] that multiply a base value."""

from __future__ import annotations

import math
from collections.abc import Callable

from ganrun.core.arguments import Fraction, NonNegative

Schedule = Callable[[float], float]


def constant() -> Schedule:
    """Always 1."""
    return lambda progress: 1.0


def linear(begin: Fraction, end: Fraction, final: NonNegative) -> Schedule:
    """1 until ``begin``, then a straight line to ``final`` at ``end``, and ``final`` from there on.

    Args:
        begin: progress in [0, 1] at which the decay begins.
        end: progress in [0, 1] at which it ends.
        final: factor at ``end``.

    Raises:
        ValueError: ``end`` is before ``begin``.
    """
    if end < begin:
        raise ValueError(f"a schedule cannot end at {end} before it begins at {begin}")

    def factor(progress: float) -> float:
        done = max(0.0, progress - begin) / max(end - begin, 1e-12)
        return 1.0 + (final - 1.0) * min(done, 1.0)

    return factor


def cosine(begin: Fraction, final: NonNegative) -> Schedule:
    """1 until ``begin``, then half a cosine down to ``final`` at the end of the stage.

    Args:
        begin: progress in [0, 1] at which the decay begins.
        final: factor at progress 1.
    """

    def factor(progress: float) -> float:
        done = min(max(0.0, progress - begin) / max(1.0 - begin, 1e-12), 1.0)
        return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done))

    return factor


def step(at: Fraction, factor: NonNegative) -> Schedule:
    """1 before progress ``at``, ``factor`` from there on.

    Args:
        at: progress in [0, 1].
        factor: the value afterwards.
    """
    return lambda progress: factor if progress >= at else 1.0
