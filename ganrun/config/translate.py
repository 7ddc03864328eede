"""``ganrun translate``: files turned into others by a trained run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ganrun.config.conditions import read_condition, visible
from ganrun.config.trained import Trained, load
from ganrun.core.errors import GanrunError, RunError
from ganrun.data.source import Source, open_input
from ganrun.engine.seeding import fixed_seed
from ganrun.metrics.base import quantise
from ganrun.sampling.pictures import save

log = logging.getLogger(__name__)

NAMED = 5
"""Files named in an error."""


def translate(settings: dict[str, Any]) -> Path:
    """Translate every file, and go on where one cannot be.

    Args:
        settings: values of ``conf/translate.yaml``.

    Returns:
        The folder of the outputs.

    Raises:
        GanrunError: no such checkpoint, direction or input; outputs would be among the inputs; or some file was not
            translated, while the others were.
    """
    trained = load(settings["run"], settings["step"], settings["weights"], settings["device"])
    direction = trained.direction(settings["direction"])
    source, output = open_input(settings["input"], "input"), Path(settings["output"]).expanduser()
    targets = target_names(source.stamps)
    refuse_inputs(source, output, targets, single=len(targets) == 1 and not Path(settings["input"]).is_dir())
    failed = []
    for name, target in tqdm(targets.items(), desc="translating", unit="img", disable=None, leave=False):
        try:
            save(translated(trained, source, name, direction, settings), output / target)
        except GanrunError as error:
            failed.append(name)
            log.warning("skipped %s: %s", name, error)
    log.info("%d images, %s by step %d -> %s", len(targets) - len(failed), direction, trained.step, output)
    if failed:
        more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
        raise RunError(
            f"{len(failed)} of {len(targets)} files were not translated (why is said above): "
            f"{', '.join(failed[:NAMED])}{more}."
        )
    return output


def target_names(names: Mapping[str, object]) -> dict[str, str]:
    """Name of every file -> the same that ends in ``.png``; behind its own ending where another has that name."""
    plain = {name: str(PurePosixPath(name).with_suffix(".png")) for name in names}
    often = Counter(plain.values())
    return {name: target if often[target] == 1 or name == target else f"{name}.png" for name, target in plain.items()}


def refuse_inputs(source: Source, output: Path, targets: Mapping[str, str], single: bool) -> None:
    """Keep inputs from being written over, and outputs from being read the next time.

    Args:
        source: the inputs.
        output: folder of the outputs.
        targets: name of an input -> name of its output.
        single: whether one file was named, not all in a folder.

    Raises:
        RunError: the output is a file, the input folder or in it, or has an input's name.
    """
    if output.is_file():
        raise RunError(f"{output} is a file. Give a folder with output=DIR.")
    place, folder = source.path.resolve(), output.resolve()
    inside = place.is_dir() and not single and folder.is_relative_to(place)
    inputs = {place / name for name in targets}
    if inside or any(folder / target in inputs for target in targets.values()):
        raise RunError(f"{output} is where the inputs are. Give another folder with output=DIR.")


def translated(
    trained: Trained, source: Source, name: str, direction: str, settings: Mapping[str, Any]
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Pixels ``[H, W, C]`` of a translated file; each has a seed of its own, so that it does not hang on the others.

    Raises:
        GanrunError: it cannot be read, or is too large.
    """
    images = read_condition(trained, source, name, settings["half"], settings["size"] == "training")
    try:
        with fixed_seed("translate", settings["seed"], name):
            answer = trained.translate(images, direction)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if "memory" not in str(error).lower() and not isinstance(error, MemoryError):
            raise
        height, width = images.shape[-2:]
        raise RunError(
            f"there is not enough memory for {width}x{height} pixels. Make it smaller, or use size=training."
        ) from None
    shown = beside(visible(images, trained), answer) if settings["side_by_side"] else answer
    pixels = quantise(shown)[0].permute(1, 2, 0).cpu().numpy()
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def beside(images: Tensor, answers: Tensor) -> Tensor:
    """Images left of what was made of them, ``[N, C, H, 2 W]``; in colour where either is."""
    channels = max(images.shape[1], answers.shape[1])
    return torch.cat([part.to(answers.device).expand(-1, channels, -1, -1) for part in (images, answers)], dim=3)
