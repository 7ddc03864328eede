"""What a run has to do with the search that it is a trial of: it tells its scores, and ends when it is hopeless."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import Trial

from ganrun.sweep.study import NAME, make, storage_in

if TYPE_CHECKING:
    from ganrun.engine.trainer import Trainer


class Reporter:
    """Helper of the trainer: tells a trial every score of its run, and ends the run where Optuna prunes the trial.

    Scores are told before a checkpoint of their step is written, and those that the trial knows already are not told
    again, so a run that goes on neither loses nor doubles one.

    Args:
        folder: of the search.
        number: of the trial.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.number = number

    def begin(self, trainer: Trainer) -> None:
        """Find the trial; tell it what it has missed, as one does that tries a failed run again."""
        from ganrun.engine import distributed  # imports torch

        self.local_work = distributed.local_work
        self.local_work(lambda: self._open(trainer))

    def after_step(self, trainer: Trainer) -> None:
        """Tell a new score; what has had all its steps is not pruned any more."""
        if trainer.step in trainer.scores and (reason := self.local_work(lambda: self._judge(trainer))):
            trainer.stop(reason, "pruned")

    def finish(self, trainer: Trainer) -> None:
        """Tell the last score."""
        self.local_work(lambda: self._tell(trainer))

    def _open(self, trainer: Trainer) -> None:
        # the sampler has nothing to do here, and this one does nothing when a trial is opened
        study = optuna.load_study(study_name=NAME, storage=storage_in(self.folder), sampler=RandomSampler())
        study.pruner = make(study.user_attrs["pruner"])
        trial = study.get_trials(deepcopy=False)[self.number]
        self.trial = Trial(study, trial._trial_id)
        self.told = set(trial.intermediate_values)
        self._tell(trainer)

    def _tell(self, trainer: Trainer) -> None:
        for step in sorted(trainer.scores.keys() - self.told):
            self.trial.report(trainer.scores[step], step)
            self.told.add(step)

    def _judge(self, trainer: Trainer) -> str:
        """Why the run should end here; empty where it should go on."""
        self._tell(trainer)
        if trainer.progress == 1 or not self.trial.should_prune():
            return ""
        score = f"{trainer.best['metric']} {trainer.scores[trainer.step]:.4g}"
        pruner = type(self.trial.study.pruner).__name__
        return f"pruned at step {trainer.step}: {score} is behind other trials ({pruner})"
