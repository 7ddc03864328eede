"""The sweeper that searches: Optuna says which run is worth training next. Hydra calls it.

The published plugin (``hydra-optuna-sweeper``) cannot prune, nor go on with what was killed; this is the thinnest thing
on Optuna's own interface that can.
"""

from __future__ import annotations

import fcntl
import logging
import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_class
from omegaconf import DictConfig

from ganrun.core.cores import usable_cores
from ganrun.core.errors import RunError
from ganrun.sweep.launcher import Planned
from ganrun.sweep.ledger import Row
from ganrun.sweep.naming import identity
from ganrun.sweep.progress import Progress
from ganrun.sweep.sweeper import RunSweeper

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
"""How long a run of a search that was killed may take to notice that, and to stop."""


class OptunaSweeper(RunSweeper):
    """Trains the runs that Optuna suggests.

    Args:
        params: key -> swept values that need not be typed.
        trials: how many there are in the end, those of earlier calls included.
        objectives: what is wanted of a run -> ``minimise``, ``maximise`` or, for the score, ``auto``. ``score``: best
            value of the metric that selects the best checkpoint; ``seconds``: of training; others: tags of last scores.
        seed: of the search.
        sampler: configuration of Optuna's sampler.
        pruner: configuration of Optuna's pruner.
        batch: runs handed at once to a launcher that waits for all of them; below 1: as many as there are CPUs.
    """

    def __init__(
        self,
        params: dict[str, str],
        trials: int,
        objectives: dict[str, str],
        seed: int,
        sampler: dict[str, Any],
        pruner: dict[str, Any],
        batch: int,
    ) -> None:
        super().__init__(params)
        self.trials = trials
        self.objectives = objectives
        self.seed = seed
        self.sampler = sampler
        self.pruner = pruner
        self.batch = batch if batch > 0 else usable_cores()

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before :meth:`sweep`.

        Raises:
            RunError: Optuna is not installed.
        """
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        try:
            import optuna  # noqa: F401
        except ModuleNotFoundError:
            raise RunError("hydra/sweeper=optuna needs Optuna. Install it: pip install 'ganrun[search]'") from None
        self.config: DictConfig = config

    def train_all(self, overrides: list[Override]) -> list[Row]:
        """Ask for trials and train them, until there are as many as wanted."""
        from ganrun.sweep.study import Search, distribution

        newest = {override.get_key_element(): override for override in overrides}
        searched = {key: override for key, override in newest.items() if override.is_sweep_override()}
        if not searched:
            raise RunError("there is nothing to search. Give a key several values: KEY=tag(log,interval(1e-5,1e-3)).")
        [[self.fixed]] = BasicSweeper.split_arguments([o for k, o in newest.items() if k not in searched], None)
        space = {key: distribution(override) for key, override in searched.items()}
        self.swept = [override.key_or_group for override in searched.values()]
        with _alone(self.ledger.folder):
            self.search = Search(
                folder=self.ledger.folder,
                space=space,
                directions=self._directions(space),
                fixed=identity(self.fixed),
                sampler=self.sampler,
                pruner=self.pruner,
                seed=self.seed,
            )
            self.begun: dict[Path, list[Trial]] = {}
            self.wipe(self.ledger.rows())
            self.launch(self._runs(), self._tell_trials, self.batch)
        return self.ledger.rows()

    def tell_end(self, rows: Sequence[Row]) -> None:
        """Say which trials were best; that some failed is part of a search, unless none is left.

        Raises:
            SweepError: every trial failed, or one did and ``sweep.on_error=stop``.
        """
        best = self.search.best()
        failed = [row for row in rows if row.failed]
        if not best or (failed and self.settings.on_error == "stop"):
            super().tell_end(rows)
            return
        ends = Counter(row.status for row in rows)
        log.info("%d trials: %s", len(self.search.trials()), ", ".join(f"{n} {status}" for status, n in ends.items()))
        for row in failed:
            log.warning("failed: %s: %s", row.folder, row.reason.splitlines()[-1])
        for trial in best:
            values = self._shown(trial.values)
            log.info("best: trial %d, %s: %s", trial.number, values, " ".join(typed(trial.params)))
            log.info("    %s", self.ledger.folder / trial.user_attrs["run"])
        log.info("Compare them: ganrun report %s", self.ledger.folder)

    def _directions(self, space: dict[str, BaseDistribution]) -> dict[str, str]:
        """Objective -> ``minimise`` or ``maximise``.

        Raises:
            RunError: they cannot be had, or not together with the pruner.
        """
        from ganrun.sweep.study import anywhere

        config = self.context.config_loader.load_sweep_config(self.config, [*self.fixed, *typed(anywhere(space))])
        directions = dict(self.objectives)
        if directions.get("score") == "auto":
            directions["score"] = _direction(config.evaluation)
        for what, direction in directions.items():
            if direction not in ("minimise", "maximise"):
                raise RunError(
                    f"hydra.sweeper.objectives.{what}={direction} is no direction. Say minimise or maximise."
                )
        if not directions:
            raise RunError("hydra.sweeper.objectives is empty. Leave it out, or name what is wanted of a run.")
        if list(directions) != ["score"] and not self.pruner["_target_"].endswith(".NopPruner"):
            raise RunError(
                "Trials are pruned by the score, so it must be the only objective. Add hydra/sweeper/pruner=none."
            )
        rulers = [key for key in self.swept if re.match(r"evaluation\b|dataset$", key)]
        if rulers:
            raise RunError(f"{rulers[0]} decides how runs are scored and cannot be searched. Give it one value.")
        return directions

    def _runs(self) -> Iterator[Planned]:
        """Runs of trials, asked for when there is room for one."""
        for trial in self._trials():
            [run] = self.plan([[*self.fixed, *typed(trial.params)]], self.swept)
            trial.set_user_attr("run", run.row.name)
            if run.row.folder in self.begun:  # suggested twice, as happens where there are few choices
                self.begun[run.row.folder].append(trial)
                continue
            row = self._undisturbed(run.row)
            if not self.is_left(row):
                self._tell(trial, row)
                continue
            self.wipe([row])
            self.begun[row.folder] = [trial]
            reports = [f"sweep.trial={trial.number}"] if list(self.objectives) == ["score"] else []
            yield Planned(row, [*run.overrides, *reports])

    def _trials(self) -> Iterator[Trial]:
        """Those of earlier calls that have not ended, failed ones that are to be tried again, new ones."""
        trials = self.search.trials()
        retried = [trial for trial in trials if self.settings.retry and trial.state.name == "FAIL"]
        again = {trial.user_attrs.get("run"): trial.params for trial in retried}
        left = self.trials - len(trials) + len(retried)
        log.info("search of %d trials, %d of them new: %s", self.trials, max(left, 0), self.ledger.folder)
        yield from self.search.pending()
        for params in islice(chain(again.values(), repeat(None)), max(left, 0)):
            if self.ledger.holds_back(self.settings.on_error):
                return
            yield self.search.ask(params)

    def _undisturbed(self, row: Row) -> Row:
        """A row whose run no other process trains.

        Raises:
            RunError: one does, and does not stop.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        while (row := self.ledger.row(row)).status == "running":
            if time.monotonic() > until:
                raise RunError(f"{row.folder} is in use: another process is training there. Wait for it, or stop it.")
            time.sleep(0.5)
        return row

    def _tell_trials(self, run: Planned) -> None:
        row = self.ledger.row(run.row)
        for trial in self.begun.pop(row.folder):
            self._tell(trial, row)

    def _tell(self, trial: Trial, row: Row) -> None:
        """Tell what came of a trial; one that was stopped is left to the next call."""
        if not row.ended:
            return
        values = self._values(row) if row.status == "finished" else None
        self.search.tell(trial.number, row.status, values)
        told = row.reason.splitlines()[-1] if row.reason else "no score" if values is None else self._shown(values)
        log.info("trial %d: %s: %s", trial.number, told, " ".join(typed(trial.params)))

    def _values(self, row: Row) -> list[float] | None:
        """What the objectives are worth; ``None`` where one is missing or no number."""
        progress = Progress(row.folder)
        progress.look()
        last = progress.scores | {"seconds": progress.seconds} | ({} if row.best is None else {"score": row.best})
        values = [last.get(what, math.nan) for what in self.objectives]
        return None if any(map(math.isnan, values)) else values

    def _shown(self, values: Sequence[float]) -> str:
        return ", ".join(f"{what} {value:.4g}" for what, value in zip(self.objectives, values, strict=True))


def typed(params: dict[str, Any]) -> list[str]:
    """The overrides of a trial; floats are rounded to 6 digits, so that they can be read."""
    return [f"{key}={value:.6g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items()]


def _direction(evaluation: DictConfig) -> str:
    """What the metric that selects the best checkpoint wants.

    Raises:
        RunError: there is none.
    """
    metric = evaluation.metrics.get(evaluation.best) if evaluation.best is not None else None
    if metric is None:
        raise RunError(
            "a search needs a score, and evaluation.best names no metric. Choose one of evaluation.metrics, or an "
            "evaluation that has some."
        )
    kind: Any = get_class(metric._target_)
    return "minimise" if kind.lower_is_better else "maximise"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's search for this process.

    Raises:
        RunError: another process is searching.
    """
    with (folder / ".search.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(
                f"another search is going on in {folder}. Wait for it, stop it, or choose another folder with "
                "sweep.folder=PATH."
            ) from None
        yield
