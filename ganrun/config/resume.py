"""The configuration of a new run, or of one that goes on: the run's own, with the few changes that it can bear."""

from __future__ import annotations

import re
from copy import deepcopy
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from ganrun.config import compatibility
from ganrun.config.paths import conf_folder
from ganrun.config.validate import check, plain
from ganrun.core.errors import RunError

MAY_CHANGE = (
    "run",
    "name",
    "trainer.steps",
    "trainer.device",
    "trainer.devices",
    "trainer.capture",
    "trainer.threads",
    "trainer.log_every_steps",
    "trainer.picture_every_steps",
    "trainer.standing_*",
    "trainer.checkpoint_every_steps",
    "trainer.keep_checkpoints",
    "evaluation.*",
    "watchdog.*",
    "sweep.*",
    "dataset.root",
    "dataset.path",
    "dataset.captions",
    "dataset.encoder.path",
    "dataset.download",
)
"""What a run that goes on may change without becoming another run; the data's fingerprint is compared apart."""

_LEFT_BY_A_FAILED_START = {"run.log", ".lock", "status.json"}


def resolve(config: DictConfig, overrides: list[str]) -> dict[str, Any]:
    """The final configuration: ``config``, or the existing run's with only ``overrides`` applied.

    Args:
        config: composed from the YAML files and all overrides.
        overrides: what was typed.

    Raises:
        ConfigError: an interpolation leads nowhere.
        RunError: ``run`` holds something else, or was made by another configuration.
    """
    composed = plain(config)
    saved = read_run(composed.get("run"))
    if saved is None:
        return composed
    asked = _apply(saved, composed, overrides)
    asked |= {"run": composed["run"], "sweep": composed["sweep"]}
    _refuse_changes(saved, asked, Path(composed["run"]))
    return asked


def read_run(run: object) -> dict[str, Any] | None:
    """Configuration of the run in the folder ``run``; ``None`` if there is none yet.

    Raises:
        RunError: the folder holds something that is no run.
    """
    folder = Path(str(run))
    if run is None or not folder.exists():
        return None
    remedy = "Give run=PATH a new folder, or one that ganrun made."
    if not folder.is_dir():
        raise RunError(f"{folder} is a file, not a run folder. {remedy}")
    config = folder / "config.yaml"
    if config.is_file():
        try:
            saved = OmegaConf.load(config)
        except (YAMLError, OSError) as error:
            raise RunError(f"{config} is damaged ({str(error).splitlines()[0]}). {remedy}") from None
        if isinstance(saved, DictConfig) and "trainer" in saved:
            return plain(saved)
    if {entry.name for entry in folder.iterdir()} <= _LEFT_BY_A_FAILED_START:
        return None
    raise RunError(f"{folder} is not empty and holds no run. {remedy}")


def _apply(saved: dict[str, Any], composed: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """The saved configuration with the overridden parts of the composed one."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    if any(_is_group(override) and _keys(override)[0] not in composed for override in parsed):
        return composed  # an experiment or a technique reaches everywhere: all of it was asked for
    asked = deepcopy(saved)
    for override in parsed:
        if not override.is_hydra_override():
            _copy(composed, asked, _keys(override))
    return asked


def _keys(override: Override) -> list[str]:
    return re.split(r"[./]", override.key_or_group)  # the group evaluation/features fills evaluation.features


def _is_group(override: Override) -> bool:
    return (conf_folder() / override.key_or_group).is_dir() and not override.is_hydra_override()


def _copy(source: dict[str, Any], goal: dict[str, Any], keys: list[str]) -> None:
    head, *rest = keys
    if head not in source:
        goal.pop(head, None)
    elif rest and isinstance(source[head], dict) and isinstance(goal.get(head), dict):
        _copy(source[head], goal[head], rest)
    else:
        goal[head] = deepcopy(source[head])


def _refuse_changes(saved: dict[str, Any], asked: dict[str, Any], folder: Path) -> None:
    flat_saved, flat_asked = _flat(_settled(saved)), _flat(_settled(asked))
    changes = [
        f"  - {key}: the run has {flat_saved.get(key)}, you asked for {flat_asked.get(key)}"
        for key in sorted(flat_saved | flat_asked)
        if flat_saved.get(key) != flat_asked.get(key) and not any(fnmatch(key, free) for free in MAY_CHANGE)
    ]
    if changes:
        lines = "\n".join(changes)
        raise RunError(
            f"{folder} was made by another configuration.\n{lines}\n"
            "Leave these out to go on with that run, or start another one in a new folder: run=PATH."
        )


def _settled(config: dict[str, Any]) -> dict[str, Any]:
    """A copy in which equal settings are written equally."""
    copy = deepcopy(config)
    check(copy, "RunConfig")  # converts numbers; what is wrong is reported elsewhere
    compatibility.resolve_auto(copy)
    return copy


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {
        key: item
        for name, inner in value.items()
        for key, item in _flat(inner, f"{path}.{name}" if path else str(name)).items()
    }
