"""``ganrun interpolate``: samples on the way from one latent to another."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganrun.config.load import load_game
from ganrun.config.sample import needed_data
from ganrun.core.errors import RunError
from ganrun.core.types import Grid
from ganrun.engine import checkpoint
from ganrun.engine.folder import RunFolder
from ganrun.engine.seeding import fixed_seed
from ganrun.games.adversarial import AdversarialGame
from ganrun.latents.interpolation import interpolate as points_between
from ganrun.latents.normal import Normal
from ganrun.sampling.pictures import draw, save
from ganrun.sampling.truncation import TruncatedNormal

log = logging.getLogger(__name__)


def interpolate(settings: dict[str, Any]) -> Path:
    """Draw a row of samples for every pair of latents.

    Args:
        settings: values of ``conf/interpolate.yaml``.

    Returns:
        The picture.

    Raises:
        RunError: no such checkpoint, or a game without a latent or without images.
    """
    folder = RunFolder(Path(settings["run"]))
    state = checkpoint.choose(folder, settings["step"])
    game = load_game(state, needed_data(state, in_picture=False), settings["weights"], settings["truncation"])
    if not isinstance(game, AdversarialGame):
        raise RunError(f"{type(game).__name__} has no latent to go through. ganrun sample draws its pictures.")
    if state["facts"]["kind"] != "images":
        raise RunError("ganrun interpolate draws images, and this run makes points. Use ganrun sample.")
    path = settings["path"]
    if path == "auto":
        path = "spherical" if isinstance(game.latent, Normal | TruncatedNormal) else "linear"
    with torch.no_grad(), fixed_seed("interpolate", settings["seed"]):
        ends = game.latent(2 * settings["rows"], game.device)
        latents = points_between(ends[::2], ends[1::2], settings["columns"], path)
        samples = sample_at(game, latents)
    name = f"interpolation_{path}_step_{state['step']:08d}_seed_{settings['seed']}.png"
    where = Path(settings["output"] or folder.samples / name)
    save(draw(Grid(samples, settings["columns"])), where)
    log.info("%d %s interpolations of step %d -> %s", settings["rows"], path, state["step"], where)
    return where


def sample_at(game: AdversarialGame, latents: Tensor) -> Tensor:
    """Samples at given latents ``[rows, columns, size]``; a row of a conditional game keeps one class."""
    rows, columns, _ = latents.shape
    condition = None
    if game.classes:
        condition = (torch.arange(rows, device=game.device) % game.classes).repeat_interleave(columns)
    drawn, game.latent = game.latent, lambda count, device: latents.flatten(0, 1)
    try:
        return game.sample(rows * columns, condition)
    finally:
        game.latent = drawn
