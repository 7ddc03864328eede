"""Where the configuration lies, and what run folders are called."""

from __future__ import annotations

import re
from pathlib import Path

from omegaconf import OmegaConf

LONGEST_LABEL = 100  # file systems allow 255 bytes; paths stay readable below that
OUTPUTS = "outputs"


def conf_folder() -> Path:
    """The YAML files: inside an installed package, beside it in a checkout.

    Raises:
        FileNotFoundError: neither place has them.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"the configuration that belongs to {package} is missing; install ganrun again")


def path_safe(text: object) -> str:
    """``text`` as one short component of a path."""
    return re.sub(r"[^\w.,=+-]+", "-", str(text))[:LONGEST_LABEL].strip("-.") or "default"


def run_folder(run: str | None, name: str | None, model: str, loss: str, now: str) -> str:
    """``run`` itself, or a new folder under ``outputs/``.

    Args:
        run: folder that was asked for.
        name: label that was asked for.
        model: choice of the group, for the default label.
        loss: likewise.
        now: date and time, ``date/time``.
    """
    return str(run) if run is not None else f"{OUTPUTS}/{now}_{path_safe(name or f'{model}_{loss}')}"


def sweep_folder(name: str | None, now: str) -> str:
    """Folder of a sweep, under ``outputs/``."""
    return f"{OUTPUTS}/{now}_{path_safe(name)}_sweep" if name else f"{OUTPUTS}/{now}_sweep"


def register_resolvers() -> None:
    """Make the folder names above available to the YAML files."""
    OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
    OmegaConf.register_new_resolver("sweep_folder", sweep_folder, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("path_safe", path_safe, replace=True)
