"""What a sweep asks of its command line and of its runs: a folder, GPUs, and when they do not start."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from ganrun.config.paths import OUTPUTS
from ganrun.sweep.leases import leased
from ganrun.sweep.ledger import Ledger
from ganrun.sweep.naming import path_safe, sweep_name


def is_sweep(multirun: bool, overrides: list[Override]) -> bool:
    """Whether a command line asks for a sweep: by ``-m``, or by ``hydra.mode=MULTIRUN``."""
    return multirun or any(o.key_or_group == "hydra.mode" and o.value() == "MULTIRUN" for o in overrides)


def with_sweep_folder(arguments: list[str]) -> list[str]:
    """The command line of a sweep with its folder named; any other as it is.

    Args:
        arguments: that have passed the preflight.
    """
    options = get_args(arguments)
    overrides = OverridesParser.create().parse_overrides(options.overrides)
    typed = {override.key_or_group: override for override in overrides}
    if not is_sweep(options.multirun, overrides) or "sweep.folder" in typed:
        return arguments
    if "name" in typed:
        label = path_safe(typed["name"].value())
    else:
        swept = [override.key_or_group for override in overrides if override.is_sweep_override()]
        label = sweep_name(options.overrides, swept)
    beside = arguments.index(options.overrides[-1]) + 1 if options.overrides else len(arguments)
    return [*arguments[:beside], f"sweep.folder='{OUTPUTS}/sweeps/{label}'", *arguments[beside:]]  # options may follow


def gpus_for(config: dict[str, Any]) -> AbstractContextManager[object]:
    """What a run of a sweep enters before CUDA is touched: it waits there for GPUs of its own.

    Args:
        config: final configuration of the run.
    """
    trainer, sweep = config["trainer"], config["sweep"]
    if sweep["folder"] is None or trainer["device"] == "cpu":
        return nullcontext()
    return leased(trainer["devices"], sweep["jobs_per_gpu"])


def is_held_back(settings: dict[str, Any]) -> bool:
    """Whether a run of a sweep may not start because another one has failed.

    Args:
        settings: the section ``sweep`` of its configuration.
    """
    return settings["folder"] is not None and Ledger(Path(settings["folder"])).holds_back(settings["on_error"])
