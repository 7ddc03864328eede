"""A minimal trainer: what a game's contract promises, without the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import torch
from torch import nn

from ganrun.core.types import Batch
from ganrun.games.base import Game

Optimizers = dict[str, torch.optim.Optimizer]


def owned(modules: list[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]


def _play(
    game: Game,
    draw: Callable[[], Batch],
    steps: Iterable[int],
    lr: float = 1e-3,
    optimizers: Optimizers | None = None,
) -> Optimizers:
    """Train with Adam for ``steps``; all randomness of a step, its data included, is a function of its number."""
    if optimizers is None:
        optimizers = {
            name: torch.optim.Adam(owned(modules), lr=lr, betas=(0.5, 0.999))
            for name, modules in game.players().items()
        }
    players = {name: owned(modules) for name, modules in game.players().items()}
    for step in steps:
        torch.manual_seed(step)
        for move in game.play(iter(draw, None)):
            for name, terms in move.items():
                shared = name != list(move)[-1]  # entries of one move may share a graph
                torch.stack(list(terms.values())).sum().backward(inputs=players[name], retain_graph=shared)
            for name in move:
                optimizers[name].step()
                optimizers[name].zero_grad()
    return optimizers


@pytest.fixture
def play() -> Callable[..., Optimizers]:
    """``play(game, draw, steps, lr=1e-3, optimizers=None)`` -> the optimizers, to go on with."""
    return _play


@pytest.fixture
def assert_partition() -> Callable[[Game], None]:
    """Every trainable parameter of a game has exactly one player."""

    def check(game: Game) -> None:
        of_players = [id(parameter) for modules in game.players().values() for parameter in owned(modules)]
        assert sorted(of_players) == sorted(id(p) for p in game.parameters() if p.requires_grad)

    return check
