"""Sweeps as real commands, in processes that can all be found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from ganrun.sweep.ledger import Ledger

RING = [
    "dataset=ring",
    "model=toy",
    "trainer.log_every_steps=2",
    "trainer.checkpoint_every_steps=5",
    "trainer.picture_every_steps=0",
    "evaluation=none",
]
"""The fastest training there is."""


def wait_until(condition: Callable[[], object], alive: Callable[[], bool] = lambda: True) -> None:
    """Wait for something to happen.

    Args:
        condition: what is waited for.
        alive: whether it still can happen.
    """
    end = time.monotonic() + 240
    while not condition():
        assert alive(), "its process has ended"
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


class Command:
    """A sweep that is being trained.

    Args:
        folder: of the sweep.
        arguments: what is typed.
        options: what is typed before it.
        environment: further variables.
    """

    def __init__(self, folder: Path, *arguments: str, options: Sequence[str] = (), **environment: str) -> None:
        self.folder = folder
        self.mark = f"GANRUN_TEST={uuid.uuid4()}"
        name, _, value = self.mark.partition("=")
        path = os.pathsep.join([str(Path(__file__).parents[2]), environment.pop("PYTHONPATH", "")])
        self.screen = folder.parent / f"{folder.name}.printed"
        with self.screen.open("w") as screen:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ganrun", "-m", *options, *RING, *arguments, f"sweep.folder={folder}"],
                env=os.environ | {name: value, "OMP_NUM_THREADS": "1", "PYTHONPATH": path} | environment,
                cwd=folder.parent,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=screen,
            )

    def printed(self) -> str:
        """What stands on the screen so far."""
        return self.screen.read_text()

    def finish(self) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(timeout=240)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to happen while the sweep goes on."""
        try:
            wait_until(condition, alive=lambda: self.process.poll() is None)
        except AssertionError as error:
            raise AssertionError(self.printed()) from error

    def wait_for_steps(self, *runs: str) -> None:
        """Wait until runs whose names begin so have saved a checkpoint."""
        self.wait_until(lambda: all(list(self.folder.glob(f"{run}*/checkpoints/step_*.pt")) for run in runs))

    def wait_for_process(self, words: str) -> int:
        """Number of the first process with ``words`` in its command line, once there is one."""
        self.wait_until(lambda: any(words in line for line in self.processes().values()))
        return min(number for number, line in self.processes().items() if words in line)

    def status(self) -> dict[str, str]:
        """What is swept of every run -> its status."""
        return {row.name.rpartition("_")[0]: row.status for row in Ledger(self.folder).rows()}

    def processes(self) -> dict[int, str]:
        """All processes of the sweep, with their command lines."""
        return {int(path.name): _read(path / "cmdline") for path in Path("/proc").glob("[0-9]*") if self._is_mine(path)}

    def trainer(self, run: str) -> int:
        """The process that trains a run: the one that holds its folder."""
        [lock] = self.folder.glob(f"{run}*/.lock")
        for line in Path("/proc/locks").read_text().splitlines():
            _, _, _, _, process, place, *_ = line.split()
            if int(place.rpartition(":")[2]) == lock.stat().st_ino:
                return int(process)
        raise AssertionError(f"nobody trains {run}")

    def kill(self) -> None:
        """End all that is left, at once."""
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in self.processes():
                os.kill(process, number)
        self.process.wait(timeout=60)

    def _is_mine(self, process: Path) -> bool:
        return self.mark in _read(process / "environ")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""
