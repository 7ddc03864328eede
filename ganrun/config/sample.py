"""``ganrun sample``: pictures from a checkpoint."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganrun.config.load import load_data, load_game
from ganrun.core.errors import RunError
from ganrun.core.facts import Facts
from ganrun.core.types import Batch, Dataset, Grid, Scatter
from ganrun.engine import checkpoint
from ganrun.engine.folder import RunFolder
from ganrun.engine.seeding import fixed_seed
from ganrun.games.base import Game
from ganrun.sampling.pictures import draw, save
from ganrun.sampling.write import write_images

log = logging.getLogger(__name__)

OPTIONS = ("height", "width", "start_scale")
"""Settings that only some games' ``sample`` understands."""


def sample(settings: dict[str, Any]) -> Path:
    """Draw samples from a trained run and write them as one picture or as single files.

    Args:
        settings: values of ``conf/sample.yaml``.

    Returns:
        The picture, or the folder of pictures.

    Raises:
        RunError: no such checkpoint, or an option that the game does not have.
    """
    folder = RunFolder(Path(settings["run"]))
    state = checkpoint.choose(folder, settings["step"])
    dataset = needed_data(state, in_picture=settings["files"] == "grid")
    game = load_game(state, dataset, "ema", settings["truncation"])
    options = game_options(game, settings)
    if game.translates:
        assert dataset is not None
        real = dataset.examples(settings["count"]).real
        options["condition"] = real[torch.arange(settings["count"]) % len(real)]
    name = file_name(state["step"], settings)
    output = settings["output"] and Path(settings["output"])
    with torch.no_grad(), fixed_seed("sample", settings["seed"]):
        if settings["files"] == "single":
            where = output or folder.samples / name
            write_single_files(game, settings["count"], options, where)
        else:
            where = output or folder.samples / f"{name}.png"
            draw_one_picture(game, settings["count"], options, dataset, where)
    log.info("%d samples of step %d -> %s", settings["count"], state["step"], where)
    return where


def file_name(step: int, settings: dict[str, Any]) -> str:
    """Unlike settings make unlike names, so that no earlier picture is lost."""
    given = {key: settings[key] for key in ("count", "seed", "truncation", *OPTIONS) if settings[key] is not None}
    return "_".join([f"step_{step:08d}", *(f"{key}_{value}" for key, value in given.items())])


def needed_data(state: dict[str, Any], in_picture: bool) -> Dataset | None:
    """The data set, if the game of a checkpoint or a picture of its points cannot do without one."""
    facts = Facts(**state["facts"])
    needed = bool({"single_image", "two_domains"} & facts.provides) or (in_picture and facts.kind == "points")
    return load_data(state["config"]["dataset"], facts) if needed else None


def game_options(game: Game, settings: dict[str, Any]) -> dict[str, Any]:
    """The given options of :data:`OPTIONS`.

    Raises:
        RunError: the game's ``sample`` has no such option.
    """
    options = {name: settings[name] for name in OPTIONS if settings[name] is not None}
    if unknown := sorted(options.keys() - inspect.signature(game.sample).parameters.keys()):
        raise RunError(f"{type(game).__name__} cannot be sampled with {', '.join(unknown)}. Leave that out.")
    return options


def write_single_files(game: Game, count: int, options: dict[str, Any], where: Path) -> None:
    """Write every sample as a file of its own.

    Raises:
        RunError: the samples are points.
    """
    condition: Tensor | None = options.pop("condition", None)
    if game.sample(1, **options if condition is None else options | {"condition": condition[:1]}).ndim != 4:
        raise RunError("files=single writes images, and this run makes points. Use files=grid.")
    done = 0

    def generate(size: int) -> Tensor:
        nonlocal done
        part = {} if condition is None else {"condition": condition[done : done + size]}
        done += size
        return game.sample(size, **options, **part)

    write_images(generate, count, batch_size=64, folder=where, progress=True)


def draw_one_picture(game: Game, count: int, options: dict[str, Any], dataset: Dataset | None, where: Path) -> None:
    """Draw all samples as one picture."""
    samples = game.sample(count, **options)
    examples: Batch | None = dataset.examples(count) if dataset is not None else None
    if samples.ndim == 2:
        assert examples is not None
        save(draw(Scatter(samples, examples.real)), where)
    else:
        save(draw(Grid(samples, game.columns(count))), where)
