"""The sections of a configuration; read from this source by the validator, never instantiated.

A class whose name ends in ``Config`` or ``Settings`` is a section with fixed keys, everything else a component.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ganrun.core.arguments import NonNegativeInt, Positive, PositiveInt

if TYPE_CHECKING:
    from ganrun.core.types import Dataset
    from ganrun.engine.settings import EvaluationSettings, PlayerSettings, TrainerSettings
    from ganrun.games.base import Game
    from ganrun.losses.objective import Objective


@dataclass
class RunConfig:
    """What ``ganrun`` trains.

    Args:
        run: run folder: made when new, resumed when it exists; ``None``: a new one.
        name: label in the folder's name.
        seed: decides everything random.
        player: player -> what is done around its optimizer.
        trainer: how long, where, how often.
        optimizer: player -> its optimizer.
        evaluation: scores.
        loss: what the players minimise.
        model: the game and its networks.
        dataset: what it is played on.
    """

    run: str | None
    name: str | None
    seed: NonNegativeInt
    player: dict[str, PlayerSettings]
    trainer: TrainerSettings
    optimizer: dict[str, Callable[..., Any]]
    evaluation: EvaluationSettings
    loss: Objective
    model: Game
    dataset: Dataset


@dataclass
class SampleConfig:
    """What ``ganrun sample`` makes.

    Args:
        run: folder of a trained run.
        count: how many samples.
        seed: of the latents.
        truncation: latents beyond this many standard deviations are drawn again; ``None``: none are.
        files: one grid, or a file per sample.
        step: checkpoint: the newest, the best or the one of a step.
        output: folder or file to write; ``None``: inside the run folder.
        height: of SinGAN's samples, relative to its image's.
        width: likewise.
        start_scale: first scale of SinGAN that gets noise.
    """

    run: str
    count: PositiveInt
    seed: NonNegativeInt
    truncation: Positive | None
    files: Literal["grid", "single"]
    step: Literal["last", "best"] | NonNegativeInt
    output: str | None
    height: Positive | None
    width: Positive | None
    start_scale: NonNegativeInt | None
