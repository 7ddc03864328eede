"""Generators outside their runs: a description as JSON, from which they are made again, and weights as safetensors."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ganrun import __version__
from ganrun.config.build import build, data_context
from ganrun.config.runs import DESCRIPTION
from ganrun.core.errors import RunError
from ganrun.core.facts import Facts
from ganrun.engine import precision
from ganrun.engine.trainer import resolve_device
from ganrun.games.adversarial import AdversarialGame
from ganrun.games.base import Game
from ganrun.games.exported import KINDS, Alone

FORMAT = 1
WEIGHTS = "generator.safetensors"


def describe(game: Game, config: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """All that is needed to make the generator of a run again and to draw its latents.

    Args:
        game: of the run.
        config: of the run.
        facts: of the data that it was trained on.

    Raises:
        RunError: the game has no generator that could stand by itself.
    """
    if game.alone not in KINDS:
        raise RunError(
            f"{type(game).__name__} has no single generator that could be exported. In Python, "
            "ganrun.load(RUN).sample(...) draws from it."
        )
    kept = {key: config["model"][key] for key in game.alone}
    if isinstance(game, AdversarialGame):
        kept["conditional"] = game.classes > 0
    return {
        "format": FORMAT,
        "ganrun": __version__,
        "precision": config["trainer"]["precision"],
        "facts": asdict(facts),
        "model": {"_target_": f"ganrun.games.exported.{KINDS[game.alone].__name__}"} | kept,
    }


def rebuild(description: dict[str, Any]) -> Alone:
    """The game of a description, in evaluation mode on the CPU, with weights of its own.

    Raises:
        RunError: the networks of this version of ganrun are made in another way.
    """
    facts = facts_of(description)
    try:
        game: Alone = build(description["model"], data_context(facts), path="model")
    except TypeError as error:
        raise RunError(
            f"The generator was exported by ganrun {description['ganrun']}, and this is {__version__}, whose networks "
            f"take other arguments ({error}). Export it again."
        ) from error
    game.class_names = facts.class_names
    return game.eval()


def facts_of(description: dict[str, Any]) -> Facts:
    """Facts of the data that an exported generator was trained on."""
    facts: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in description["facts"].items()
    }
    return Facts(**facts)


def load_exported(path: Path, device: str) -> tuple[Alone, dict[str, Any]]:
    """A generator and its description, from the folder or the file that ``ganrun export`` wrote as safetensors.

    Raises:
        RunError: a file is missing, damaged, or of another kind.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_file() and path.name not in (DESCRIPTION, WEIGHTS):
        raise RunError(f"{path} is not read here. Give the folder of {WEIGHTS}, or that file (format=safetensors).")
    for file in (folder / DESCRIPTION, folder / WEIGHTS):
        if not file.is_file():
            raise RunError(f"{folder} has no {file.name}. Export the run with format=safetensors.")
    description = _read_description(folder / DESCRIPTION)
    game = rebuild(description)
    _read_weights(game, folder / WEIGHTS)
    where = resolve_device(device)
    precision.prepare(game, where, precision.resolve_precision(description["precision"], where))
    return game, description


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description: dict[str, Any] = json.loads(path.read_text())
        missing = {"format", "ganrun", "step", "weights", "precision", "facts", "model"} - description.keys()
    except (ValueError, AttributeError):
        missing = {"JSON"}
    if missing:
        raise RunError(f"{path} is not as ganrun wrote it: there is no {', '.join(sorted(missing))}. Export it again.")
    if description["format"] > FORMAT:
        raise RunError(f"{path} was written by a newer ganrun ({description['ganrun']}). Update ganrun.")
    return description


def _read_weights(game: Alone, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        game.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise RunError(f"{path} is damaged, or does not belong to {DESCRIPTION} ({reason}). Export it again.") from None
