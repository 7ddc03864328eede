"""Which losses, techniques and models go together: writes ``docs/combinations.md`` from the code.

    python scripts/combinations.py

Verdicts are those of the check that every run passes before training. Patches of techniques are merged as Hydra merges
them, since composing thousands of configurations through Hydra would take minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from ganrun.config.compatibility import resolve_auto
from ganrun.config.paths import conf_folder, register_resolvers
from ganrun.config.validate import find_problems, plain
from ganrun.core.errors import Problem

CONF = conf_folder()
PAGE = Path(__file__).parents[1] / "docs" / "combinations.md"
OWN_DATA = {
    "toy": "ring",
    "ebgan_toy": "ring",
    "cyclegan": "unpaired",
    "ganilla": "unpaired",
    "gaugan": "label_maps",
    "gaugan_style": "label_maps",
    "nicegan": "unpaired",
    "pix2pix": "paired",
    "singan": "single_image",
    "stackgan": "captioned",
}
"""Models that bring data of their own kind; all others get labelled images."""

NEEDED_MODEL = {"ebgan": "ebgan", "began": "ebgan", "matching_aware": "cgan", "path_length": "stylegan2"}
"""Losses and techniques that do not go with a plain DCGAN."""


def options(group: str) -> list[str]:
    """The options of a group, in alphabetical order."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@cache
def composed(*overrides: str) -> DictConfig:
    """What Hydra composes from a command line."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", list(overrides))
    OmegaConf.set_struct(config, False)
    return config


@cache
def patch(technique: str) -> DictConfig:
    """The values that a technique changes."""
    found = OmegaConf.load(CONF / "technique" / f"{technique}.yaml")
    assert isinstance(found, DictConfig)
    assert "defaults" not in found, f"{technique} brings defaults along, which only Hydra can merge"
    return found


def combine(overrides: Sequence[str], *techniques: str) -> dict[str, Any]:
    """The plain configuration of a command line with techniques."""
    config = OmegaConf.merge(composed(*overrides), *(patch(name) for name in techniques))
    assert isinstance(config, DictConfig)
    return plain(config)


def model_for(choice: str) -> str:
    """A plain model of images that goes with a loss or a technique."""
    return NEEDED_MODEL.get(choice, "dcgan")


def verdict(config: dict[str, Any]) -> list[Problem]:
    """Why a combination is refused; nothing if it trains."""
    resolve_auto(config)
    return find_problems(config, "RunConfig")


def page() -> str:
    """The page, as Markdown."""
    losses, techniques, models = options("loss"), options("technique"), options("model")
    reasons: dict[str, int] = {}

    def cell(config: dict[str, Any]) -> str:
        problems = verdict(config)
        numbers = [str(reasons.setdefault(problem.cause, len(reasons) + 1)) for problem in problems[:1]]
        return numbers[0] if numbers else "+"

    def on(model: str) -> list[str]:
        return [f"dataset={OWN_DATA.get(model, 'digits')}", f"model={model}", "evaluation=none"]

    parts = [
        INTRODUCTION,
        "## Techniques and losses\n",
        "On `model=dcgan` with labelled images; `ebgan` on its own, `matching_aware` on `cgan`.\n",
        _table(losses, techniques, lambda loss, name: cell(combine([*on(model_for(loss)), f"loss={loss}"], name))),
        "## Models and losses\n",
        _table(losses, models, lambda loss, model: cell(combine([*on(model), f"loss={loss}"]))),
        "## Models and techniques\n\nWith the loss that the model brings.\n",
        _table(models, techniques, lambda model, name: cell(combine(on(model), name))),
        "## Reasons\n",
        "\n".join(f"{number}. {reason}." for reason, number in reasons.items()) + "\n",
    ]
    return "\n".join(parts)


INTRODUCTION = """# What goes with what

Written by `python scripts/combinations.py` from the checks that every run passes before training: `+` trains, a number
is the reason at the end of the page why `ganrun` refuses. A test plays all of them for two steps.
"""


def _table(columns: list[str], rows: list[str], cell: Any) -> str:
    lines = [f"| | {' | '.join(f'`{name}`' for name in columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| `{row}` | {' | '.join(cell(column, row) for column in columns)} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE}: {PAGE.stat().st_size} bytes", file=sys.stderr)
