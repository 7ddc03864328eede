"""Samples in any number, with the conditions that they were asked for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ganrun.core.types import Batch, Dataset
from ganrun.games.base import Game

Draw = Callable[[int], Tensor | tuple[Tensor, Tensor]]
"""Count -> samples, or samples and their conditions."""

SEED = 1  # of the order of the data's conditions: another than that of the real images that samples are compared with


def generator_of(game: Game, dataset: Dataset | None = None) -> Draw:
    """What an evaluation draws from: samples, with the conditions they were asked for if the game is conditional.

    Args:
        game: its classes come in turn; what it :attr:`needs <ganrun.games.base.Game.needs>` is taken from the data.
        dataset: the data; only a game that needs something asks for them.
    """
    if game.needs:
        assert dataset is not None
        return _with_conditions_of(dataset, game)
    if not game.classes:
        return game.sample

    drawn = 0

    def labelled(count: int) -> tuple[Tensor, Tensor]:
        nonlocal drawn  # goes on where the last batch ended, so that every class gets as many samples
        condition = torch.arange(drawn, drawn + count, device=game.device) % game.classes
        drawn += count
        return game.sample(count, condition), condition

    return labelled


def needed(batch: Batch) -> Tensor:
    """What a game that needs conditions is given of a batch: the condition, or images of the first of two domains."""
    return batch.real if batch.condition is None else batch.condition


def _with_conditions_of(dataset: Dataset, game: Game) -> Draw:
    available = dataset.facts.count
    order = torch.randperm(available[0], generator=torch.Generator().manual_seed(SEED))
    drawn = 0

    def answer(count: int) -> tuple[Tensor, Tensor]:
        nonlocal drawn  # goes on where the last batch ended, so that every condition is used as often
        indices = order[torch.arange(drawn, drawn + count) % len(order)]
        drawn += count
        condition = needed(dataset.fetch(tuple(indices % number for number in available), augment=False))
        return game.sample(count, condition), condition

    return answer
