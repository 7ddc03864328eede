"""The run folder: who may write it, what state the run is in, what it was made from."""

from __future__ import annotations

import errno
import fcntl
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from omegaconf import OmegaConf

from ganrun import __version__
from ganrun.core.errors import RunError
from ganrun.core.facts import Facts
from ganrun.core.files import write_text

LOCK_ATTEMPTS = 20
"""How often a held folder is tried; a process that was killed may need a second to let go."""

DISK_TROUBLE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.ENOTDIR: "a file is where a folder should be",
    errno.EEXIST: "a file is where a folder should be",
    errno.EISDIR: "a folder is where a file should be",
}


class RunFolder:
    """Paths and small files of one run.

    Args:
        path: the folder; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.samples = path / "samples"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process.

        Raises:
            RunError: another process is training in it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            if not _try_lock(lock, attempts=LOCK_ATTEMPTS):
                raise RunError(
                    f"{self.path} is in use: another process is training in it. "
                    "Wait for it, stop it, or choose another folder with run=PATH."
                )
            yield

    def in_use(self) -> bool:
        """Whether a process holds the folder."""
        try:
            with (self.path / ".lock").open() as lock:
                return not _try_lock(lock, attempts=1)
        except FileNotFoundError:
            return False

    def list_checkpoints(self) -> list[Path]:
        """Checkpoints, oldest first."""
        return sorted(self.checkpoints.glob("step_*.pt"))

    def last_good(self) -> str:
        """One sentence naming the newest checkpoint, for error messages."""
        paths = self.list_checkpoints()
        return f"The last good checkpoint is {paths[-1]}." if paths else "There is no checkpoint yet."

    def write_status(self, status: str, step: int, reason: str = "", best: dict[str, Any] | None = None) -> None:
        """Record where the run stands.

        Args:
            status: ``waiting``, ``running``, ``finished``, ``stopped``, ``pruned`` or ``failed``.
            step: that has been reached.
            reason: why it stopped or failed.
            best: step, metric and value of the best score; ``None``: as recorded before.
        """
        state = {"status": status, "step": step, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        more = {"reason": reason, "best": best or self.state().get("best")}
        write_text(self.path / "status.json", json.dumps(state | {key: more[key] for key in more if more[key]}) + "\n")

    def state(self) -> dict[str, Any]:
        """What :meth:`write_status` recorded last; empty where nothing can be read."""
        return _read(self.path / "status.json")

    def environment(self) -> dict[str, Any]:
        """What :meth:`write_environment` recorded last; empty where nothing can be read."""
        return _read(self.path / "environment.json")

    def record_failure(self, reason: str) -> None:
        """Record ``failed`` for a run that could not do it itself, unless another process is training it."""
        state = self.state()
        if state.get("status", "waiting") in ("waiting", "running") and not self.in_use():
            self.write_status("failed", state.get("step", 0), reason)

    def write_config(self, config: dict[str, Any]) -> None:
        """Record the resolved configuration."""
        write_text(self.path / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))

    def write_environment(self, facts: Facts, device: str, origin: dict[str, Any]) -> None:
        """Record versions, hardware, code, data, ``origin``, and the command beside those of earlier sessions.

        Args:
            facts: of the data.
            device: what a person calls it.
            origin: what the configuration was made from.
        """
        environment = versions() | {
            "device": device,
            "platform": platform.platform(),
            "commands": [*self.commands(), sys.argv],
            **origin,
            "git": git_state(),
            "data": {"description": facts.description, "fingerprint": facts.fingerprint, "count": list(facts.count)},
        }
        write_text(self.path / "environment.json", json.dumps(environment, indent=2) + "\n")

    def commands(self) -> list[list[str]]:
        """Command lines of all sessions, oldest first."""
        commands: list[list[str]] = self.environment().get("commands", [])
        return commands


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _try_lock(file: IO[str], attempts: int) -> bool:
    """Whether the lock could be had: who looks whether a folder is in use holds it for a moment."""
    for attempt in range(attempts):
        if attempt:
            time.sleep(0.05)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        return True
    return False


def disk_trouble(error: Exception, remedy: str) -> RunError | None:
    """A full or read-only disk, told for the reader; ``None`` for any other error."""
    if not isinstance(error, OSError) or error.errno not in DISK_TROUBLE:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return RunError(f"cannot write {where}{DISK_TROUBLE[error.errno]}. {remedy}")


def versions() -> dict[str, str]:
    """Versions of everything that decides numbers."""
    import numpy
    import torch

    return {
        "ganrun": __version__,
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that ganrun runs from and whether it has uncommitted changes; ``None`` outside one."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid")), None)
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}
