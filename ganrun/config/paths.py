"""Where the configuration lies, and what run folders are called."""

from __future__ import annotations

from pathlib import Path, PurePath

from omegaconf import OmegaConf

from ganrun.sweep.naming import path_safe

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


def register_resolvers() -> None:
    """Make the folder names above available to the YAML files."""
    OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
    OmegaConf.register_new_resolver("last_part", lambda path: PurePath(str(path)).name, replace=True)
