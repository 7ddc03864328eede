"""The launcher of this machine, which trains every run of a sweep in a process of its own. Hydra calls it."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hydra.conf import HydraConf
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ganrun.core.errors import RunError
from ganrun.engine.folder import RunFolder
from ganrun.sweep.ledger import Row
from ganrun.sweep.naming import key_of
from ganrun.sweep.processes import LOOK_EVERY_SECONDS, Job, train_all

if TYPE_CHECKING:
    from ganrun.sweep.table import Monitor

ENTRY = "ganrun.cli:run"
"""What trains a run in a process of its own, given a command line."""


class Planned(NamedTuple):
    """A run that is to be trained.

    Args:
        row: its row of the ledger.
        overrides: all that were typed for it, ``run=`` included.
    """

    row: Row
    overrides: list[str]


class LocalLauncher(Launcher):
    """Runs on this machine, each in a process of its own.

    Args:
        jobs: how many at a time; CPU threads are divided among them.
    """

    def __init__(self, jobs: int) -> None:
        if jobs < 1:
            raise RunError(f"hydra.launcher.jobs={jobs} would train nothing. Use 1 or more.")
        self.jobs = jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before anything is launched."""
        self.hydra: HydraConf = config.hydra

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hydra's way, for sweepers that know nothing of folders."""
        raise RunError("hydra/launcher=local goes with ganrun's own sweepers. Choose hydra/sweeper=grid or optuna.")

    def train(self, runs: Iterable[Planned], ended: Callable[[Planned], object], monitor: Monitor) -> None:
        """Train runs, asked for when there is room.

        Args:
            runs: what to train.
            ended: called when a run has ended.
            monitor: kept up to date.
        """
        begun: dict[Path, Planned] = {}

        def jobs() -> Iterator[Job]:
            for run in runs:
                begun[run.row.folder] = run
                yield Job(run.row.folder, command_line(self.hydra, run.overrides))

        train_all(jobs(), self.jobs, ENTRY, monitor.update, lambda job: ended(begun.pop(job.folder)))


def train_for_another_launcher(hydra: HydraConf, folder: Path) -> float | None:
    """Train one run of a sweep inside a job of a launcher that is not ours.

    It has a process of its own there, too: a run that is killed, for want of memory or else, hurts neither the pool nor
    the queue that its job belongs to.

    Args:
        hydra: Hydra's part of the job's configuration.
        folder: the run folder.

    Returns:
        The best value of the selecting metric, for sweepers that are not ours either; ``None`` without one.

    Raises:
        RunError: the run failed or was stopped by the watchdog; with the reason that stands in its folder.
    """
    if mp.get_start_method(allow_none=True) == "loky":  # joblib's; no other process can be started by it
        mp.set_start_method("forkserver", force=True)
    _stop_without_parent()
    job = Job(folder, command_line(hydra, hydra.overrides.task))
    train_all([job], 1, ENTRY, look=lambda: None, ended=lambda job: None)
    state = RunFolder(folder).state()
    if state.get("reason") and state["status"] != "pruned":
        raise RunError(state["reason"])
    best: float | None = state.get("best", {}).get("value")
    return best


@cache
def _stop_without_parent() -> None:
    """Ask this process to stop when the one that started it is gone; joblib's workers would go on without a sweep."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def command_line(hydra: HydraConf, overrides: Iterable[str]) -> list[str]:
    """What is typed to train one run of a sweep, after ``ganrun``.

    Args:
        hydra: Hydra's part of the sweep's configuration.
        overrides: of the run, ``run=`` included.
    """
    searched = [s.path for s in hydra.runtime.config_sources if s.provider == "command-line"]
    shared = [o for o in hydra.overrides.hydra if key_of(o) not in ("hydra.mode", "hydra.run.dir")]
    to_the_log = "hydra.job_logging.root.handlers=[file]"  # what is said on the screen goes there, too
    return [*(part for path in searched for part in ("--config-dir", path)), to_the_log, *shared, *overrides]
