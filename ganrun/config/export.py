"""``ganrun export``: the generator alone, for ganrun or for other programs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganrun.config.exported import WEIGHTS, describe, rebuild
from ganrun.config.runs import DESCRIPTION
from ganrun.config.trained import Trained, load_run
from ganrun.core.errors import RunError
from ganrun.core.files import write_atomically, write_text
from ganrun.engine.folder import RunFolder
from ganrun.engine.seeding import fixed_seed
from ganrun.games.adversarial import LatentGame
from ganrun.games.base import Game
from ganrun.sampling.graphs import Inputs, save_onnx, save_program

log = logging.getLogger(__name__)

GRAPHS: dict[str, tuple[str, Callable[[nn.Module, Inputs, Path], Callable[..., Tensor]]]] = {
    "torch_export": (".pt2", save_program),
    "onnx": (".onnx", save_onnx),
}
"""Format -> ending, and what writes it."""

TOLERANCE = 1e-3
"""By how much a number of a sample, in [-1, 1], may differ before an exported file is refused."""


def export(settings: dict[str, Any]) -> list[Path]:
    """Write the generator of a trained run, read it back, and compare what both make of the same latents.

    Args:
        settings: values of ``conf/export.yaml``.

    Returns:
        The files.

    Raises:
        RunError: no such checkpoint, a game that has no generator by itself, a missing package, or a file that makes
            other samples.
    """
    folder = RunFolder(Path(settings["run"]))
    trained = load_run(folder.path, settings["step"], settings["weights"], "cpu")
    where = Path(settings["output"] or folder.path / "exported" / f"step_{trained.step:08d}")
    description = describe(trained.game, trained.config, trained.facts)
    description |= {"step": trained.step, "weights": trained.weights}
    game = rebuild(description)
    game.load_state_dict({name: trained.game.state_dict()[name] for name in game.state_dict()})
    where.mkdir(parents=True, exist_ok=True)
    write_text(where / DESCRIPTION, json.dumps(description, indent=2) + "\n")
    if settings["format"] == "safetensors":
        files = [_save_weights(game, where / WEIGHTS)]
    else:
        ending, save = GRAPHS[settings["format"]]
        files = [
            _save_graph(network, game, trained, where / f"{name}{ending}", save)
            for name, network in game.graphs().items()
        ]
    for file in files:
        log.info("step %d -> %s (%.1f MB)", trained.step, file, file.stat().st_size / 1e6)
    return files


def _save_weights(game: Game, path: Path) -> Path:
    from safetensors.torch import save

    tensors = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in game.state_dict().items()}
    write_atomically(path, lambda file: file.write(save(tensors)))
    return path


def _save_graph(
    network: nn.Module, game: Game, trained: Trained, path: Path, save: Callable[..., Callable[..., Tensor]]
) -> Path:
    read = save(network, _inputs(game, trained, 2), path)
    others = _inputs(game, trained, 3).values()
    made = []
    for one in (read, network):
        with torch.no_grad(), fixed_seed("export"):  # of networks that draw noise
            made.append(one(*others))
    difference = float((made[0] - made[1]).abs().max())
    if difference > TOLERANCE:
        path.unlink()
        raise RunError(
            f"{path} made other samples than the run (by up to {difference:.2g}) and was removed. "
            "Use format=safetensors."
        )
    log.info("the largest difference to the run's own samples is %.1g", difference)
    return path


def _inputs(game: Game, trained: Trained, count: int) -> Inputs:
    if isinstance(game, LatentGame):
        latents = {"latents": game.latent(count, torch.device("cpu"))}
        return latents | {"classes": torch.arange(count) % game.classes} if game.classes else latents
    sources = torch.rand(count, *trained.source_shape) * 2 - 1
    if game.needs == "maps":
        sources = torch.randint(trained.facts.condition_size, (count, *trained.source_shape))
    latent = getattr(game, "latent", None)
    return {"sources": sources} | ({} if latent is None else {"latents": latent(count, torch.device("cpu"))})
