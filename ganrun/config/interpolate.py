"""``ganrun interpolate``: samples on the way from one latent to another."""

from __future__ import annotations

import logging
import zlib
from pathlib import Path
from typing import Any

import torch

from ganrun.config.texts import vectors_of
from ganrun.config.trained import Trained, load_run
from ganrun.core.errors import RunError
from ganrun.core.types import Grid
from ganrun.engine.folder import RunFolder
from ganrun.engine.seeding import fixed_seed
from ganrun.games.adversarial import LatentGame
from ganrun.games.stackgan import StackGAN
from ganrun.latents.interpolation import interpolate as points_between
from ganrun.latents.normal import Normal
from ganrun.sampling.pictures import draw, save

log = logging.getLogger(__name__)


def interpolate(settings: dict[str, Any]) -> Path:
    """Draw a row of samples for every pair of latents, or of texts; a row of a conditional game keeps one class.

    Args:
        settings: values of ``conf/interpolate.yaml``.

    Returns:
        The picture.

    Raises:
        RunError: no such checkpoint, or a game without a latent or without images.
    """
    folder = RunFolder(Path(settings["run"]))
    trained = load_run(folder.path, settings["step"], settings["weights"])
    if trained.game.needs == "texts" or settings["from_text"] is not None or settings["to_text"] is not None:
        return between_texts(trained, settings, folder)
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


def between_texts(trained: Trained, settings: dict[str, Any], folder: RunFolder) -> Path:
    """Draw ways from one text to another, a latent per row.

    Raises:
        RunError: one of the texts is missing or cannot be read, or the game draws none.
    """
    texts, rows, columns = [settings["from_text"], settings["to_text"]], settings["rows"], settings["columns"]
    if None in texts:
        raise RunError("A way between texts has two ends. Give from_text and to_text.")
    first, last = vectors_of(texts, trained.game, trained.config, trained.facts).to(trained.game.device)
    assert isinstance(trained.game, StackGAN)  # the only game that draws texts
    with torch.no_grad(), fixed_seed("sample", settings["seed"]):
        samples = trained.game.between(first.expand(rows, -1), last.expand(rows, -1), columns)
    title = " > ".join(texts)
    name = f"interpolation_{zlib.crc32(title.encode()):08x}_step_{trained.step:08d}_seed_{settings['seed']}.png"
    where = Path(settings["output"] or folder.samples / name)
    save(draw(Grid(samples, columns, captions=(*[""] * (rows - 1), title))), where)
    log.info("%d ways %s of step %d -> %s", rows, title, trained.step, where)
    return where
