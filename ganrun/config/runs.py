"""Trained runs as the verbs after training name them; what a run was trained with becomes an option of its groups."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from ganrun.config import compatibility
from ganrun.config.resume import read_run
from ganrun.config.validate import check
from ganrun.config.words import listing
from ganrun.core.errors import Problem, RunError

SAVED = "saved"
"""Option of a group: what the run was trained with."""

DESCRIPTION = "generator.json"
"""Name of the file that describes an exported generator."""

SUBJECTS = ("run", "runs", "generated")
"""What ``ganrun evaluate`` may be given."""


def saved_config(run: object) -> dict[str, Any]:
    """Configuration of the trained run in the folder ``run``.

    Raises:
        RunError: there is none.
    """
    saved = read_run(run)
    if saved is None:
        raise RunError(f"{run} holds no run. Give run=PATH the folder of a trained one.")
    return saved


def is_exported(path: Path) -> bool:
    """Whether ``path`` may be meant as an exported generator, not as a run folder."""
    return path.is_file() or (path / DESCRIPTION).is_file()


def find_runs(where: str | Iterable[str]) -> list[Path]:
    """Folders of runs that have a checkpoint: the named ones, and any below them; a name may be a pattern.

    Raises:
        RunError: a name leads to no such run.
    """
    found: dict[Path, None] = {}
    for name in [where] if isinstance(where, str) else where:
        paths = [Path(path) for path in sorted(glob.glob(str(Path(name).expanduser())))] or [Path(name).expanduser()]  # noqa: PTH207  (patterns may be absolute)
        here = [run for path in paths for run in _runs_below(path)]
        if not here:
            raise RunError(f"{name} holds no trained run, nor does any folder below it. Give runs=PATH another one.")
        found |= dict.fromkeys(here)
    return list(found)


def _runs_below(path: Path) -> Iterator[Path]:
    for checkpoints in sorted(path.glob("**/checkpoints")):
        if (checkpoints.parent / "config.yaml").is_file() and any(checkpoints.glob("step_*.pt")):
            yield checkpoints.parent


def with_saved(arguments: list[str], groups: Iterable[str]) -> list[str]:
    """A command line that starts from what the run was trained with.

    Args:
        arguments: what was typed; of several runs the first is taken.
        groups: groups that take the run's own option unless another was typed.

    Raises:
        RunError: there is no such run.
    """
    typed = typed_values(arguments)
    run = typed.get("run")
    if run is None and typed.get("runs") is not None:
        run = find_runs(typed["runs"])[0]
    if run is None:
        return arguments
    offer_saved(run, groups, typed)
    return [*(f"{group}={SAVED}" for group in groups if group not in typed), *arguments]


def offer_saved(run: object, groups: Iterable[str], typed: Iterable[str]) -> None:
    """Make what ``run`` was trained with an option of ``groups``.

    Args:
        run: folder of a trained run.
        groups: of the configuration.
        typed: keys on the command line; ``evaluation/features`` replaces that part of the run's own evaluation.
    """
    saved = saved_config(run)
    for group in groups:
        parts = [key.partition("/")[2] for key in typed if key.startswith(f"{group}/")]
        node = {key: value for key, value in saved[group].items() if key not in parts}
        defaults = {"defaults": [*({part: None} for part in parts), "_self_"]}
        ConfigStore.instance().store(name=SAVED, node=defaults | node, group=group)


def typed_values(arguments: list[str]) -> dict[str, Any]:
    """Key -> value of the overrides that can be read; the others are reported elsewhere."""
    parser, values = OverridesParser.create(), {}
    for argument in arguments:
        try:
            override = parser.parse_overrides([argument])[0]
        except HydraException:
            continue
        if not override.is_sweep_override():
            values[override.key_or_group] = override.value()
    return values


def check_verb(settings: dict[str, Any], schema: str) -> list[Problem]:
    """What is wrong with the settings of a verb other than ``train``; numbers are converted in place.

    Raises:
        RunError: the folder holds no run.
    """
    problems = check(settings, schema)
    if problems:
        return problems
    if schema == "EvaluateConfig":
        problems = _check_subject(settings)
    if schema == "TranslateConfig" and is_exported(Path(settings["run"]).expanduser()):
        return []
    model = None if settings.get("run") is None else saved_config(settings["run"])["model"]
    parts = {key: settings[key] for key in ("dataset", "evaluation") if settings.get(key) is not None}
    if schema in ("EvaluateConfig", "TruncationConfig") and parts.get("dataset"):
        problems += compatibility.check(parts | {"model": model})
    return problems


def _check_subject(settings: dict[str, Any]) -> list[Problem]:
    given = [name for name in SUBJECTS if settings[name] is not None]
    if len(given) != 1:
        cause = f"{listing(given)} were given together" if given else "nothing to score was given"
        return [Problem("run", cause, "Give one of run=FOLDER, runs=FOLDER and generated=FOLDER_OR_ZIP.")]
    if settings["dataset"] is None:
        return [Problem("dataset", "the real images are missing", "Choose them with dataset=NAME.")]
    if given == ["generated"]:
        foreign = [
            name
            for name, none in (("truncation", None), ("seed", None), ("step", "last"), ("weights", "ema"))
            if settings[name] != none
        ]
        return [Problem(name, "images that are there already have none", "Leave it out.") for name in foreign]
    return []
