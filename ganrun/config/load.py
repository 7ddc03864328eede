"""A checkpoint and its data, loaded for what comes after training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from ganrun.config.build import build
from ganrun.config.launch import make_game, the_image
from ganrun.core.errors import DataError, RunError
from ganrun.core.facts import Facts
from ganrun.core.types import Dataset
from ganrun.engine import precision, stages
from ganrun.engine.trainer import resolve_device
from ganrun.games.adversarial import AdversarialGame
from ganrun.games.base import Game
from ganrun.sampling.truncation import truncate

Weights = Literal["ema", "raw"]
"""``ema``: moving averages where the run keeps them; ``raw``: the weights that were trained last."""


def load_data(node: dict[str, Any], facts: Facts | None, device: str = "auto") -> Dataset:
    """A data set on the device.

    Args:
        node: its configuration.
        facts: of the data that a run was trained on, which must be of the same kind; ``None``: there is no run.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        DataError: the data cannot be read, or are not of the same kind.
    """
    dataset: Dataset = build(node)
    found = dataset.facts
    if facts is not None and (found.kind, found.shape) != (facts.kind, facts.shape):
        raise DataError(
            f"The run makes {facts.kind} of shape {shape(facts.shape)}, and the data are {found.description}. "
            "Use the run's own data: leave out what begins with dataset."
        )
    dataset.place(str(resolve_device(device)))
    return dataset


def load_game(state: dict[str, Any], dataset: Dataset | None, weights: Weights, device: str = "auto") -> Game:
    """The game of a checkpoint, in evaluation mode on the device.

    Args:
        state: a checkpoint.
        dataset: the data; only games on a single image need it.
        weights: which of the generator's.
        device: ``auto``, ``cpu`` or ``cuda``.
    """
    config = state["config"]
    where = resolve_device(device)
    game = make_game(config, Facts(**state["facts"]), None if dataset is None else the_image(dataset))
    how = precision.resolve_precision(config["trainer"]["precision"], where)
    stages.restore(
        game, state, config["seed"], weights == "ema", lambda stage: precision.prepare(stage.game, where, how)
    )
    return game


@contextmanager
def truncated(game: Game, bound: float | None) -> Iterator[None]:
    """Let the game draw truncated latents inside the block; ``None`` changes nothing.

    Raises:
        RunError: its latents cannot be truncated.
    """
    if bound is None:
        yield
        return
    if not isinstance(game, AdversarialGame):
        raise RunError(f"truncation needs a latent, and {type(game).__name__} has none. Leave truncation out.")
    whole = game.latent
    game.latent = truncate(whole, bound)
    try:
        yield
    finally:
        game.latent = whole


def shape(of: tuple[int, ...]) -> str:
    """``3x64x64``."""
    return "x".join(map(str, of))
