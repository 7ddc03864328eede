"""``ganrun sample``: pictures from a checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ganrun.config.load import load_data
from ganrun.config.trained import BATCH, Trained, load_run
from ganrun.core.errors import RunError
from ganrun.core.types import Dataset, Grid, Scatter
from ganrun.engine.folder import RunFolder
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
    trained = load_run(folder.path, settings["step"], "ema")
    asked = {key: settings[key] for key in ("count", "seed", "truncation")}
    asked |= {key: settings[key] for key in OPTIONS if settings[key] is not None}
    dataset = needed_data(trained, in_picture=settings["files"] == "grid")
    if trained.game.translates:
        assert dataset is not None
        asked["condition"] = dataset.examples(settings["count"]).real
    output = settings["output"] and Path(settings["output"])
    name = file_name(trained.step, settings)
    if settings["files"] == "single":
        where = output or folder.samples / name
        write_single_files(trained, asked, where)
    else:
        where = output or folder.samples / f"{name}.png"
        draw_one_picture(trained, asked, dataset, where)
    log.info("%d samples of step %d -> %s", settings["count"], trained.step, where)
    return where


def file_name(step: int, settings: dict[str, Any]) -> str:
    """Unlike settings make unlike names, so that no earlier picture is lost."""
    given = {key: settings[key] for key in ("count", "seed", "truncation", *OPTIONS) if settings[key] is not None}
    return "_".join([f"step_{step:08d}", *(f"{key}_{value}" for key, value in given.items())])


def needed_data(trained: Trained, in_picture: bool) -> Dataset | None:
    """The data set, if the game translates it, or a picture shows its points."""
    needed = trained.game.translates or (in_picture and trained.facts.kind == "points")
    return load_data(trained.config["dataset"], trained.facts) if needed else None


def write_single_files(trained: Trained, asked: dict[str, Any], where: Path) -> None:
    """Write every sample as a file of its own.

    Raises:
        RunError: the samples are points.
    """
    if trained.facts.kind != "images":
        raise RunError("files=single writes images, and this run makes points. Use files=grid.")
    batches = trained.batches(**asked)
    write_images(lambda size: next(batches), asked["count"], batch_size=BATCH, folder=where, progress=True)


def draw_one_picture(trained: Trained, asked: dict[str, Any], dataset: Dataset | None, where: Path) -> None:
    """Draw all samples as one picture."""
    samples = trained.sample(**asked)
    if samples.ndim == 2:
        assert dataset is not None
        save(draw(Scatter(samples, dataset.examples(len(samples)).real)), where)
    else:
        save(draw(Grid(samples, trained.game.columns(len(samples)))), where)
