"""``ganrun reconstruct``: images above what a trained run makes of them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import mse_loss

from ganrun.config.load import load_data
from ganrun.config.trained import load_run
from ganrun.core.errors import RunError
from ganrun.engine.folder import RunFolder
from ganrun.games.base import beneath
from ganrun.sampling.pictures import draw, save

log = logging.getLogger(__name__)


@torch.no_grad()
def reconstruct(settings: dict[str, Any]) -> Path:
    """Draw rows of images, each above the row of their reconstructions, and tell the error.

    Args:
        settings: values of ``conf/reconstruct.yaml``.

    Returns:
        The picture.

    Raises:
        RunError: no such checkpoint, or a game that reads no images.
    """
    folder = RunFolder(Path(settings["run"]))
    trained = load_run(folder.path, settings["step"], settings["weights"])
    dataset, game = load_data(settings["dataset"], trained.facts), trained.game
    if dataset.facts.kind != "images":
        raise RunError("ganrun reconstruct draws images, and this run is about points. See its own pictures.")
    examples = dataset.examples(settings["count"])
    reconstructed = game.reconstructions(examples.real, examples.condition)
    if reconstructed is None:
        raise RunError(
            f"{type(game).__name__} with these networks has no encoder, so it reconstructs nothing. The models "
            "vaegan, bigan, bigan_dcgan, ali, ebgan and began do."
        )
    split = settings["dataset"].get("split")
    where = Path(settings["output"] or folder.samples / f"{_name(split)}_step_{trained.step:08d}.png")
    save(draw(beneath(examples.real, reconstructed, settings["columns"])), where)
    error, spread = mse_loss(reconstructed, examples.real), examples.real.var(0, correction=0).mean()
    log.info(
        "%d images, each row above its reconstructions by step %d: mean square error %.4f per pixel in [-1, 1] "
        "(their mean image: %.4f) -> %s",
        len(reconstructed),
        trained.step,
        error,
        spread,
        where,
    )
    return where


def _name(split: str | None) -> str:
    return "reconstructions" if split is None else f"reconstructions_{split}"
