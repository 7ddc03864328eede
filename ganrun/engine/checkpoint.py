"""Checkpoints: atomic, self-describing, loadable without running code, the newest few and the best kept."""

from __future__ import annotations

import contextlib
import logging
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from ganrun.core.errors import RunError
from ganrun.core.files import write_atomically
from ganrun.engine.folder import DISK_TROUBLE, RunFolder, versions
from ganrun.engine.logbook import Logbook
from ganrun.engine.trainer import Trainer

log = logging.getLogger(__name__)

FORMAT = 1
UNREADABLE = (OSError, RuntimeError, EOFError, KeyError, ValueError, zipfile.BadZipFile, pickle.UnpicklingError)


class DamagedError(RunError):
    """A checkpoint that cannot be read."""


class Checkpoints:
    """Helper that saves the trainer's state, in the background.

    Args:
        folder: the run folder.
        every_steps: between two checkpoints; 0: only at the end.
        keep: how many of the newest stay; the best stays besides.
        config: resolved configuration, stored in every checkpoint.
        logbook: its tick is closed first, so that a state with a broken loss is never saved; its background writes.
    """

    def __init__(
        self, folder: RunFolder, every_steps: int, keep: int, config: dict[str, Any], logbook: Logbook
    ) -> None:
        self.folder = folder
        self.every_steps = every_steps
        self.keep = keep
        self.config = config
        self.logbook = logbook
        self._saved = 0

    def begin(self, trainer: Trainer) -> None:
        """Nothing: there is no need to save the start."""

    def after_step(self, trainer: Trainer) -> None:
        """Save when it is time, or when this step is the best so far."""
        due = self.every_steps and trainer.step % self.every_steps == 0
        if due or trainer.best.get("step") == trainer.step:
            self.save(trainer)

    def finish(self, trainer: Trainer) -> None:
        """Save the last state, and see it written.

        Raises:
            RunError: a file could not be written (disk full, no permission); earlier checkpoints are intact.
        """
        self.save(trainer)
        self.logbook.background.wait()

    def save(self, trainer: Trainer) -> None:
        """Copy the state, to be written to ``step_XXXXXXXX.pt``; then the oldest ones are removed.

        Raises:
            RunError: an earlier file could not be written.
        """
        self.logbook.tick(trainer)
        self.logbook.background.wait(self._saved)  # one copy at a time is held
        state = trainer.state_dict() | {
            "format": FORMAT,
            "config": self.config,
            "versions": versions(),
        }
        self._saved = self.logbook.background.submit(lambda: self._write(state))

    def _write(self, state: dict[str, Any]) -> None:
        path = self.folder.checkpoints / f"step_{state['step']:08d}.pt"
        try:
            write_atomically(path, lambda file: torch.save(state, file))
        except OSError as error:
            cause = DISK_TROUBLE.get(error.errno or 0) or error.strerror or error
            raise RunError(
                f"cannot write {path}: {cause}. {self.folder.last_good()} "
                f"Mend that and go on with: ganrun run={self.folder.path}"
            ) from None
        self._prune(state["best"].get("step"))

    def _prune(self, best: int | None) -> None:
        for path in self.folder.list_checkpoints()[: -self.keep]:
            if step_of(path) != best:
                path.unlink()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint to the CPU without running code from it.

    Raises:
        RunError: the file is damaged or was written by a newer ganrun.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (broken := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"{broken} fails its checksum")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state["format"] > FORMAT:
            raise RunError(f"{path} was written by a newer ganrun ({state['versions']['ganrun']}). Update ganrun.")
    except UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].split(". ")[0]
        raise DamagedError(f"{path} is damaged ({reason}). Use an earlier step.") from None
    return state


def step_of(path: Path) -> int:
    """The step in a checkpoint's file name."""
    return int(path.stem.removeprefix("step_"))


def newest(folder: RunFolder) -> dict[str, Any] | None:
    """The newest checkpoint that can be read; damaged ones are passed over with a warning. ``None``: there is none.

    Raises:
        RunError: there are checkpoints, and none of them can be read.
    """
    paths = folder.list_checkpoints()
    damaged: list[Path] = []
    for path in reversed(paths):
        try:
            state = read_checkpoint(path)
        except DamagedError as error:
            log.warning("%s Falling back to the one before it.", error)
            damaged.append(path)
            continue
        for other in damaged:  # set aside, so that they are neither counted nor lost
            with contextlib.suppress(OSError):
                other.rename(other.with_suffix(".damaged"))
        return state
    if paths:
        raise RunError(
            f"none of the {len(paths)} checkpoints in {folder.checkpoints} can be read. Start again in a new folder."
        )
    return None


def choose(folder: RunFolder, step: str | int) -> dict[str, Any]:
    """A checkpoint by step number, ``"last"`` or ``"best"``.

    Raises:
        RunError: there is no such checkpoint.
    """
    paths = {step_of(path): path for path in folder.list_checkpoints()}
    if step == "last":
        state = newest(folder)
    elif step == "best":
        newest_state = newest(folder)
        best = (newest_state or {}).get("best", {}).get("step")
        if newest_state is not None and best not in paths:
            raise RunError("the run has no best checkpoint (no metric selected one). Use step=last.")
        state = newest_state and read_checkpoint(paths[best])
    else:
        state = read_checkpoint(paths[int(step)]) if int(step) in paths else None
    if state is None:
        have = ", ".join(str(number) for number in paths) or "none"
        raise RunError(f"{folder.path} has no checkpoint of step {step}; there are: {have}.")
    return state
