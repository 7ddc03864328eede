"""Launchers that other packages bring, and what is said where they are not installed."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

from ganrun.core.errors import Problem

EXTRAS = {
    "hydra/launcher": {
        "joblib": ("joblib", "hydra_plugins.hydra_joblib_launcher"),
        "slurm": ("slurm", "hydra_plugins.hydra_submitit_launcher"),
        "slurm_local": ("slurm", "hydra_plugins.hydra_submitit_launcher"),
        "ray": ("ray", "hydra_plugins.hydra_ray_launcher"),
    }
}
"""Group -> option -> the extra of ganrun that installs it, and the module that must be there."""


def find_missing(group: str, option: object) -> Problem | None:
    """What is wrong with choosing ``option``: a package that is not installed."""
    extra, module = EXTRAS.get(group, {}).get(str(option), ("", ""))
    if not module or find_spec(module):
        return None
    return Problem(
        f"{group}={option}", "it belongs to a package that is not installed", f"pip install 'ganrun[{extra}]'"
    )


def ignore_schema_warnings() -> None:
    """Our options that have the name of a plugin's are meant to be checked against its schema; Hydra warns of that."""
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema", UserWarning)
