"""A checkpoint and its data, loaded for what comes after training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

from ganrun.config.build import build
from ganrun.config.launch import make_game, the_image
from ganrun.core.errors import DataError, RunError
from ganrun.core.facts import Facts
from ganrun.core.types import Dataset
from ganrun.engine import precision, stages, standing
from ganrun.engine.settings import TrainerSettings
from ganrun.engine.trainer import resolve_device
from ganrun.games.adversarial import LatentGame
from ganrun.games.base import Game
from ganrun.sampling.truncation import truncate, truncate_styles

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
    """The game of a checkpoint, in evaluation mode on the device, ready to be sampled as during training.

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
    standing.accumulate(game, TrainerSettings(**config["trainer"]), config["seed"])
    return game


@contextmanager
def truncated(game: Game, bound: float | None, config: dict[str, Any]) -> Iterator[None]:
    """Let the game draw truncated latents inside the block, or styles where its generator has some.

    Standing statistics, where the run has them, are then those of truncated samples.

    Args:
        game: of a run.
        bound: of normal latents in standard deviations, or ψ of styles; ``None`` changes nothing.
        config: of the run; an exported generator's has no trainer, and keeps the statistics that it was exported with.

    Raises:
        RunError: its latents cannot be truncated.
    """
    if bound is None:
        yield
        return
    if not isinstance(game, LatentGame):
        raise RunError(f"truncation needs a latent, and {type(game).__name__} has none. Leave truncation out.")
    whole = game.latent
    if not truncate_styles(game, bound):
        game.latent = truncate(whole, bound)
    try:
        with _standing_statistics(game, config):
            yield
    finally:
        game.latent = whole
        truncate_styles(game, 1.0)


def _standing_statistics(game: Game, config: dict[str, Any]) -> AbstractContextManager[None]:
    if "trainer" not in config:
        return nullcontext()
    return standing.statistics(game, TrainerSettings(**config["trainer"]), config["seed"])


def shape(of: tuple[int, ...]) -> str:
    """``3x64x64``."""
    return "x".join(map(str, of))
