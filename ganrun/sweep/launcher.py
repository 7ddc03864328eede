"""The launcher of this machine, which trains every run of a sweep in a process of its own. Hydra calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ganrun.core.errors import RunError
from ganrun.sweep.ledger import Row
from ganrun.sweep.naming import key_of
from ganrun.sweep.processes import Job, train_all
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
        self.hydra = config.hydra

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
        shared = [*self._search_path(), *self.hydra.overrides.hydra]
        mine = [o for o in shared if key_of(o) not in ("hydra.mode", "hydra.run.dir")]
        begun: dict[Path, Planned] = {}

        def jobs() -> Iterator[Job]:
            for run in runs:
                begun[run.row.folder] = run
                yield Job(run.row.folder, [*mine, *run.overrides])

        train_all(jobs(), self.jobs, ENTRY, monitor.update, lambda job: ended(begun.pop(job.folder)))

    def _search_path(self) -> list[str]:
        """``--config-dir``, as it was typed for the sweep."""
        sources = self.hydra.runtime.config_sources
        return [part for s in sources if s.provider == "command-line" for part in ("--config-dir", s.path)]
