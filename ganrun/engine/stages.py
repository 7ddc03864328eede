"""Walking through a game's stages: finished ones are loaded, the others handed out for training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ganrun.engine.player import use_averages
from ganrun.engine.seeding import reseed
from ganrun.games.base import Game, Stage


def walk(
    game: Game, seed: int, finished: list[dict[str, Any]], prepare: Callable[[Stage], None]
) -> Iterator[tuple[int, Stage]]:
    """Stages that still have to be trained, with their numbers.

    Args:
        game: freshly made.
        seed: of the weights that stages make.
        finished: states of the stages that have been trained; loaded before the next stage is made from them.
        prepare: called with every stage before anything else (device, precision).
    """
    finished = list(finished)
    stages = game.stages()
    index = 0
    while True:
        reseed("stage", seed, index)
        stage = next(stages, None)
        if stage is None:
            return
        prepare(stage)
        if index < len(finished):
            stage.game.load_state_dict(finished[index])
        else:
            yield index, stage
        index += 1


def restore(game: Game, state: dict[str, Any], seed: int, averages: bool, prepare: Callable[[Stage], None]) -> None:
    """Give a freshly made game the weights of a checkpoint, for sampling.

    Args:
        game: freshly made.
        state: a checkpoint.
        seed: the run's.
        averages: take moving averages where there are any, not the weights that were trained last.
        prepare: called with every stage before anything else (device, precision).
    """
    _, stage = next(walk(game, seed, state["finished"], prepare))
    stage.game.load_state_dict(state["game"])
    if averages:
        use_averages(stage.game, state["players"])
    game.eval()
