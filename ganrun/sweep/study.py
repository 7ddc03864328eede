"""The memory of a search: an Optuna study in a file of the sweep's folder, whoever is killed.

The file is a journal, to which the search and every run append what they have to say; nothing in it is ever changed.
"""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.utils import instantiate
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from ganrun.core.errors import RunError

FILE = "study.journal"
NAME = "search"
"""Of the study; the same in every folder, so that a folder may be moved."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


class _Lock(JournalFileOpenLock):
    """A lock that ends with the process which holds it; Optuna's own outlive theirs, and make others wait.

    A line that was cut when its writer died is removed before the next one is written, which would run into it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path

    def acquire(self) -> bool:
        """Wait for the lock."""
        self.held = self.path.with_name(".study.lock").open("w")
        fcntl.flock(self.held, fcntl.LOCK_EX)
        with self.path.open("rb+") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            if file.read() not in (b"", b"\n"):
                file.truncate(self.path.read_bytes().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        """Let others write."""
        self.held.close()


def storage_in(folder: Path) -> JournalStorage:
    """What the journal in ``folder`` holds; it is made when missing.

    Raises:
        RunError: the file is no journal.
    """
    path = folder / FILE
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_Lock(path)))
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{path} is no journal of a search. Choose another folder with sweep.folder=PATH.") from None


def make(node: dict[str, Any]) -> Any:
    """The sampler or pruner that a configuration names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of whole samplers, in older versions of single arguments
        return instantiate(node, _convert_="all")


def distribution(override: Override) -> BaseDistribution:
    """Where Optuna may look for a value.

    Args:
        override: with several values. An interval of floats, an interval of ints (``int(interval(1,8))``) and a range
            are numbers, tagged ``log`` on a logarithmic scale; anything else are choices, as they would be typed.

    Raises:
        RunError: nothing lies in there.
    """
    sweep: Any = override.value()
    log = "log" in sweep.tags
    try:
        if isinstance(sweep, IntervalSweep):
            return _numbers(sweep.start, sweep.end, log)
        if isinstance(sweep, RangeSweep):
            values = sorted(sweep.range())
            return _numbers(values[0], values[-1], log, step=abs(sweep.step))
        return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
    except (ValueError, IndexError) as error:
        raise RunError(
            f"{override.input_line} cannot be searched ({str(error).rstrip('.')}). Mend the values of that key."
        ) from None


def _numbers(low: Any, high: Any, log: bool, **step: Any) -> BaseDistribution:
    if isinstance(low, int):
        return IntDistribution(low, high, log=log, **step)
    return FloatDistribution(low, high, log=log, **step)


def anywhere(space: dict[str, BaseDistribution]) -> dict[str, Any]:
    """One point of a space."""
    return {key: where.choices[0] if hasattr(where, "choices") else where.low for key, where in space.items()}  # type: ignore[attr-defined]


def typed(params: dict[str, Any]) -> list[str]:
    """The overrides of a trial; floats are rounded to 6 digits, so that they can be read."""
    return [f"{key}={value:.6g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items()]


class Search:
    """Asks Optuna for trials, and tells it what came of them.

    Args:
        folder: of the sweep.
        space: key -> where to look for its values.
        directions: key of an objective -> ``minimise`` or ``maximise``.
        fixed: overrides that all runs share.
        sampler: configuration of Optuna's sampler; a ``seed`` that is ``None`` is filled in.
        pruner: configuration of Optuna's pruner.
        seed: of the search; with the number of a trial it decides all that is random about it, so that a search which
            goes on does not suggest again what it began with.

    Raises:
        RunError: the folder holds another search.
    """

    def __init__(
        self,
        folder: Path,
        space: dict[str, BaseDistribution],
        directions: dict[str, str],
        fixed: Sequence[str],
        sampler: dict[str, Any],
        pruner: dict[str, Any],
        seed: int,
    ) -> None:
        self.space = space
        self.sampler = sampler
        self.seed = seed
        self.study = optuna.create_study(
            storage=storage_in(folder),
            study_name=NAME,
            directions=[StudyDirection[direction.upper().replace("ISE", "IZE")] for direction in directions.values()],
            pruner=make(pruner),
            load_if_exists=True,
        )
        kinds = {key: _kind(where) for key, where in space.items()}
        self._same("objectives", [f"{what}: {direction}" for what, direction in directions.items()], folder)
        self._same("searched", kinds, folder)
        self._same("fixed", sorted(fixed), folder)
        self.study.set_user_attr("pruner", pruner)

    def _same(self, what: str, asked: Any, folder: Path) -> None:
        """Remember what makes trials comparable, or compare it with what is remembered."""
        known = self.study.user_attrs.get(what, asked)
        if known != asked:
            raise RunError(
                f"{folder} holds a search whose trials cannot be compared with these.\n"
                f"  - {what}: it has {known}, you asked for {asked}\n"
                "Go on with it by the same command, or begin another one in a new folder: sweep.folder=PATH."
            )
        self.study.set_user_attr(what, asked)

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """All trials, or those in some states, in order."""
        return self.study.get_trials(deepcopy=False, states=states or None)

    def pending(self) -> list[Trial]:
        """Trials that were asked for and have not been told an end, by a search that was stopped or killed."""
        return [self._suggest(self._asked(trial)) for trial in self.trials(TrialState.RUNNING)]

    def ask(self, params: dict[str, Any] | None = None) -> Trial:
        """A new trial.

        Args:
            params: its values; ``None``: what the sampler suggests.
        """
        if params is not None:
            self.study.enqueue_trial(params)
        self._prepare(len(self.trials()))
        return self._suggest(self.study.ask())

    def _asked(self, trial: FrozenTrial) -> Trial:
        self._prepare(trial.number)
        return Trial(self.study, trial._trial_id)  # there is no other way back to a trial of another process

    def _prepare(self, number: int) -> None:
        node = dict(self.sampler)
        if "seed" in node and node["seed"] is None:
            node["seed"] = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])
        self.study.sampler = make(node)

    def _suggest(self, trial: Trial) -> Trial:
        """Give every key a value; those that have one keep it, also where the search was killed between two of them."""
        for key, where in self.space.items():
            trial._suggest(key, where)  # as Study.ask does for a trial of its own
        return trial

    def tell(self, number: int, status: str, values: Sequence[float] | None) -> None:
        """How the run of a trial has ended.

        Args:
            number: of the trial.
            status: of its row in the ledger.
            values: of the objectives; ``None``: there are none.
        """
        if values is not None:
            self.study.tell(number, list(values))
        else:
            self.study.tell(number, state=TrialState.PRUNED if status == "pruned" else TrialState.FAIL)

    def best(self) -> list[FrozenTrial]:
        """The best trials: of one objective the best, of several those to which none is better in all of them."""
        return self.study.best_trials


def _kind(where: BaseDistribution) -> Any:
    """What Optuna demands to stay the same of a distribution: an interval may be moved, choices may not change."""
    if isinstance(where, CategoricalDistribution):
        return list(where.choices)
    return type(where).__name__ + (" (log)" if getattr(where, "log", False) else "")
