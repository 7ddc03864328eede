"""Samples of label maps that a user has painted."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganrun.config.conditions import read_condition, read_style, visible
from ganrun.config.trained import Trained
from ganrun.core.errors import RunError
from ganrun.core.types import Grid
from ganrun.data.source import open_input

MOST_COLUMNS = 8  # of samples of one layout


def picture_of_layouts(trained: Trained, settings: dict[str, Any]) -> Grid:
    """Rows of a layout, and ``count`` samples of it; where these are too many for a row, they go on in the next.

    Args:
        trained: the run.
        settings: values of ``conf/sample.yaml``.

    Raises:
        RunError: the game takes no label maps, they cannot be read, or something else was asked for beside them.
    """
    for key in ("condition", "text"):
        if settings[key] is not None:
            raise RunError(f"layout={settings['layout']} says what to draw. Leave {key} out.")
    layouts, count = read_layouts(trained, settings["layout"]), settings["count"]
    condition = layouts.repeat_interleave(count, 0)
    style = {} if settings["style"] is None else {"style": read_style(trained, settings["style"])}
    samples = trained.sample(len(condition), condition, settings["seed"], settings["truncation"], **style)
    columns = max(divisor for divisor in range(1, MOST_COLUMNS + 1) if count % divisor == 0)
    shown = visible(layouts.to(samples.device), trained).repeat_interleave(count // columns, 0)
    made = samples.expand(-1, 3, -1, -1).unflatten(0, (-1, columns))
    return Grid(torch.cat([shown[:, None], made], dim=1).flatten(0, 1), 1 + columns)


def read_layouts(trained: Trained, place: str) -> Tensor:
    """All label maps ``[N, H, W]`` of a directory or ZIP archive, or one.

    Raises:
        RunError: the game takes none, or one cannot be read or is of another size.
    """
    if trained.game.needs != "maps":
        raise RunError(f"{type(trained.game).__name__} takes no label maps. Leave layout out.")
    source = open_input(place, "layout")
    height, width = trained.source_shape
    maps = []
    for name in source.stamps:
        try:
            maps.append(read_condition(trained, source, name, None, as_in_training=False))
        except RunError as error:
            raise RunError(f"{name}: {error}") from None
        if maps[-1].shape[1:] != (height, width):
            raise RunError(
                f"{name} is {maps[-1].shape[2]}x{maps[-1].shape[1]}, and the run's label maps are {width}x{height}. "
                "Bring it to that size, or take ganrun translate, which has size=training for that."
            )
    return torch.cat(maps)
