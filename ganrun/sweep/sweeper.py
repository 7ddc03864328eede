"""Sweepers: which runs a sweep has, and which of them are to be trained now. Hydra calls them."""

from __future__ import annotations

import logging
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ganrun.core.errors import GanrunError, RunError
from ganrun.engine.folder import RunFolder
from ganrun.sweep.launcher import LocalLauncher, Planned
from ganrun.sweep.ledger import Ledger, Row
from ganrun.sweep.naming import digest

log = logging.getLogger(__name__)

KEPT = {
    "finished": "not trained again",
    "pruned": "not trained again",
    "failed": "left as they are; sweep.retry=true trains them again",
    "stopped": "they go on, unless the watchdog stopped them",
    "interrupted": "they go on from their last checkpoint",
    "running": "other processes are training them",
}
"""What is said of runs that have begun before."""
LOOK_EVERY_SECONDS = 1.0
"""How often runs that other processes train are looked at."""


class SweepError(GanrunError):
    """Some runs of a sweep did not end well."""


class LauncherError(GanrunError):
    """A launcher of another package gave up; its runs may have ended, or still be trained."""


class RunSweeper(Sweeper):
    """What ganrun's sweepers share: runs are planned in a ledger, and what has ended is not trained again.

    Args:
        params: key -> swept values that need not be typed.
    """

    def __init__(self, params: dict[str, str]) -> None:
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before :meth:`sweep`."""
        self.settings = config.sweep
        self.context = hydra_context
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.ledger = Ledger(Path(config.sweep.folder))

    def sweep(self, arguments: list[str]) -> None:
        """Train what is left to train.

        Args:
            arguments: what was typed.

        Raises:
            SweepError: some runs did not end well; it says which, and why.
        """
        typed = [*(f"{key}={values}" for key, values in self.params.items()), *arguments]
        overrides = OverridesParser.create(config_loader=self.context.config_loader).parse_overrides(typed)
        trouble = None
        with _logged(self.ledger.folder / "sweep.log"):
            try:
                rows = self.train_all(overrides)
            except LauncherError as error:
                trouble, rows = error, self.ledger.rows()
            except (KeyboardInterrupt, SystemExit):
                log.warning("the sweep was stopped; the same command goes on with it")
                raise
            finally:
                self.ledger.refresh()
            if trouble is None:
                self.tell_end(rows)
            else:
                _tell_end(self.ledger, rows, trouble)

    def train_all(self, overrides: list[Override]) -> list[Row]:
        """Plan runs and train them; their rows at the end."""
        raise NotImplementedError

    def tell_end(self, rows: Sequence[Row]) -> None:
        """Say what came of the sweep.

        Raises:
            SweepError: some runs did not end well.
        """
        _tell_end(self.ledger, rows, None)

    def plan(self, jobs: Sequence[Sequence[str]], swept: Iterable[str]) -> list[Planned]:
        """Enter jobs into the ledger.

        Args:
            jobs: overrides of every run.
            swept: keys that have several values.
        """
        rows = self.ledger.add(jobs, swept)
        by_name = {digest(job): job for job in jobs}
        return [Planned(row, [*by_name[digest(row.overrides)], f"run='{row.folder}'"]) for row in rows]

    def launch(self, runs: Iterable[Planned], ended: Callable[[Planned], object], batch: int | None = None) -> None:
        """Have runs trained.

        Args:
            runs: asked for the next one when there is room for it, where the launcher can.
            ended: called when a run has ended; what came of it stands in its folder.
            batch: how many at a time are handed to a launcher that waits for all of them; ``None``: all.

        Raises:
            LauncherError: the launcher of another package gave up.
        """
        from ganrun.sweep.table import Monitor  # imports rich

        with Monitor(self.ledger) as monitor:
            if isinstance(self.launcher, LocalLauncher):
                self.launcher.train(runs, ended, monitor)
                return
            waiting, begun = iter(runs), 0
            while some := list(islice(waiting, batch)):
                with monitor.watch(), _told_in_a_sentence(self.launcher):
                    self.launcher.launch([run.overrides for run in some], initial_job_idx=begun)
                begun += len(some)
                for run in some:
                    ended(run)

    def is_left(self, row: Row) -> bool:
        """Whether a run is to be trained."""
        return row.status != "running" and (not row.ended or (self.settings.retry and row.failed))

    def wipe(self, rows: Iterable[Row]) -> None:
        """Forget how earlier tries of runs that are left ended; what they have trained stays."""
        for row in rows:
            if row.status != "waiting" and self.is_left(row):
                RunFolder(row.folder).write_status("waiting", row.step)


class GridSweeper(RunSweeper):
    """All combinations of the swept values."""

    def train_all(self, overrides: list[Override]) -> list[Row]:
        """Plan the runs and train them; their rows at the end."""
        if intervals := [o.input_line for o in overrides if o.is_sweep_override() and not o.is_discrete_sweep()]:
            raise RunError(f"{intervals[0]} has no end of values. Search it with hydra/sweeper=optuna, or list some.")
        [jobs] = BasicSweeper.split_arguments(overrides, None)
        planned = self.plan(jobs, [override.key_or_group for override in overrides if override.is_sweep_override()])
        _tell_beginning(self.ledger, planned, self.settings.retry)
        tried: set[str] = set()
        waits = False
        while True:
            rows = [self.ledger.row(run.row) for run in planned]
            left = [run for run, row in zip(planned, rows, strict=True) if row.name not in tried and self.is_left(row)]
            busy = [row for row in rows if row.status == "running"]
            if left:
                self.wipe(self.ledger.row(run.row) for run in left)
                self.launch(self._prepared(left), ended=lambda run: None)
                tried |= {run.row.name for run in left if self.ledger.row(run.row).status != "running"}
            elif busy:
                if not waits:
                    log.info("waiting for %d runs that other processes train", len(busy))
                waits = True
                time.sleep(LOOK_EVERY_SECONDS)
            else:
                return rows

    def _prepared(self, runs: Iterable[Planned]) -> Iterator[Planned]:
        """Runs that are still left when their turn comes."""
        for run in runs:
            if self.ledger.holds_back(self.settings.on_error):
                return
            if self.is_left(self.ledger.row(run.row)):
                yield run


@contextmanager
def _told_in_a_sentence(launcher: Launcher) -> Iterator[None]:
    """Give what a launcher of another package raises as its last line, which says most."""
    try:
        yield
    except Exception as error:
        log.debug("the launcher's error", exc_info=True)
        lines = [line.strip(" -") for line in str(error).splitlines() if line.strip(" -")]
        gist = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        raise LauncherError(f"{type(launcher).__name__} gave up ({gist}).") from error


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Write the command, and what is said meanwhile, to the log of the sweep too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        handler.handle(log.makeRecord(log.name, logging.INFO, "", 0, shlex.join(sys.argv), (), None))
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


def _tell_beginning(ledger: Ledger, planned: Sequence[Planned], retry: bool) -> None:
    log.info("sweep of %d runs: %s", len(planned), ledger.folder)
    for status, count in Counter(run.row.status for run in planned if not (retry and run.row.failed)).items():
        if status in KEPT:
            log.info("%d %s: %s", count, status, KEPT[status])


def _tell_end(ledger: Ledger, rows: Sequence[Row], trouble: LauncherError | None) -> None:
    """Say what came of a sweep.

    Args:
        ledger: of the sweep.
        rows: its runs, as they are at the end.
        trouble: of the launcher.

    Raises:
        SweepError: some runs did not end well.
    """
    good = [row for row in rows if row.status in ("finished", "pruned")]
    bad = [row for row in rows if row.failed]
    left = Counter(row.status for row in rows if not row.ended and row.status != "running")
    told = [str(trouble)] if trouble else []
    if bad:
        told.append("1 run of the sweep failed:" if len(bad) == 1 else f"{len(bad)} runs of the sweep failed:")
        told += [f"{row.folder} ({row.status})\n    " + row.reason.replace("\n", "\n    ") for row in bad]
        told.append("Train them again, from where they were, by the same command with sweep.retry=true.")
    if left:
        counts = ", ".join(f"{count} {status}" for status, count in left.items())
        told.append(f"Not finished: {counts}. The same command goes on with them.")
    running = sum(row.status == "running" for row in rows)
    elsewhere = f" {running} running in other processes." if running else ""
    end = f"{len(good)} of {len(rows)} runs are finished.{elsewhere} Compare them: ganrun report {ledger.folder}"
    if told:
        raise SweepError("\n".join([*told, end]))
    log.info(end)
