"""Samples in any number, with the labels that they were asked for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ganrun.games.base import Game


def generator_of(game: Game) -> Callable[[int], Tensor | tuple[Tensor, Tensor]]:
    """What an evaluation draws from: samples, with the labels they were asked for if the game is conditional."""
    if not game.classes:
        return game.sample

    drawn = 0

    def labelled(count: int) -> tuple[Tensor, Tensor]:
        nonlocal drawn  # goes on where the last batch ended, so that every class gets as many samples
        condition = torch.arange(drawn, drawn + count, device=game.device) % game.classes
        drawn += count
        return game.sample(count, condition), condition

    return labelled
