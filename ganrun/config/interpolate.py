"""``ganrun interpolate``: samples on the way from one latent to another."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from ganrun.config.trained import load_run
from ganrun.core.errors import RunError
from ganrun.core.types import Grid
from ganrun.engine.folder import RunFolder
from ganrun.games.adversarial import LatentGame
from ganrun.latents.interpolation import interpolate as points_between
from ganrun.latents.normal import Normal
from ganrun.sampling.pictures import draw, save

log = logging.getLogger(__name__)


def interpolate(settings: dict[str, Any]) -> Path:
    """Draw a row of samples for every pair of latents; a row of a conditional game keeps one class.

    Args:
        settings: values of ``conf/interpolate.yaml``.

    Returns:
        The picture.

    Raises:
        RunError: no such checkpoint, or a game without a latent or without images.
    """
    folder = RunFolder(Path(settings["run"]))
    trained = load_run(folder.path, settings["step"], settings["weights"])
    game, rows, columns = trained.game, settings["rows"], settings["columns"]
    if not isinstance(game, LatentGame):
        raise RunError(f"{type(game).__name__} has no latent to go through. ganrun sample draws its pictures.")
    if trained.facts.kind != "images":
        raise RunError("ganrun interpolate draws images, and this run makes points. Use ganrun sample.")
    path = settings["path"]
    if path == "auto":
        path = "spherical" if isinstance(game.latent, Normal) else "linear"
    ends = trained.latents(2 * rows, settings["seed"], settings["truncation"])
    latents = points_between(ends[::2], ends[1::2], columns, path)
    classes = (torch.arange(rows) % game.classes).repeat_interleave(columns) if game.classes else None
    samples = trained.at(latents.flatten(0, 1), classes, settings["truncation"])
    name = f"interpolation_{path}_step_{trained.step:08d}_seed_{settings['seed']}.png"
    where = Path(settings["output"] or folder.samples / name)
    save(draw(Grid(samples, columns)), where)
    log.info("%d %s interpolations of step %d -> %s", rows, path, trained.step, where)
    return where
