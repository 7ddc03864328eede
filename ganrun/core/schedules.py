"""Schedules: functions of a stage's progress in [0, 1] that multiply a base value."""

from __future__ import annotations

import math
from collections.abc import Callable

from ganrun.core.arguments import Fraction, NonNegative, Positive, PositiveInt

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
    done = _ramp(begin, end)
    return lambda progress: 1.0 + (final - 1.0) * done(progress)


def cosine(begin: Fraction, end: Fraction, final: NonNegative) -> Schedule:
    """1 until ``begin``, then half a cosine down to ``final`` at ``end``, and ``final`` from there on.

    Args:
        begin: progress in [0, 1] at which the decay begins.
        end: progress in [0, 1] at which it ends.
        final: factor at ``end``.

    Raises:
        ValueError: ``end`` is before ``begin``.
    """
    done = _ramp(begin, end)
    return lambda progress: final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done(progress)))


def exponential(begin: Fraction, end: Fraction, final: Positive) -> Schedule:
    """1 until ``begin``, then down by equal shares in equal times to ``final`` at ``end``, and ``final`` from there on.

    Args:
        begin: progress in [0, 1] at which the decay begins.
        end: progress in [0, 1] at which it ends.
        final: factor at ``end``.

    Raises:
        ValueError: ``end`` is before ``begin``.
    """
    done = _ramp(begin, end)
    return lambda progress: final ** done(progress)


def step(begin: Fraction, final: NonNegative) -> Schedule:
    """1 before progress ``begin``, ``final`` from there on.

    Args:
        begin: progress in [0, 1].
        final: the value afterwards.
    """
    return lambda progress: final if progress >= begin else 1.0


def staircase(parts: PositiveInt, factor: Positive) -> Schedule:
    """1 in the first of equally long parts, and ``factor`` times the value of the part before in each other one.

    Args:
        parts: how many.
        factor: from part to part.
    """
    return lambda progress: factor ** min(math.floor(parts * progress + 1e-9), parts - 1)


def _ramp(begin: float, end: float) -> Schedule:
    """0 until ``begin``, 1 from ``end`` on, straight in between."""
    if end < begin:
        raise ValueError(f"a schedule cannot end at {end} before it begins at {begin}")
    return lambda progress: min(max(0.0, progress - begin) / max(end - begin, 1e-12), 1.0)
