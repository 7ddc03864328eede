"""Scores during training, and the best checkpoint."""

from __future__ import annotations

import logging
from typing import Any

from ganrun.core.errors import RunError
from ganrun.engine import distributed
from ganrun.engine.logbook import Logbook
from ganrun.engine.scores import FILE, Entry, remember
from ganrun.engine.settings import EvaluationSettings
from ganrun.engine.trainer import Trainer
from ganrun.metrics.base import Evaluation
from ganrun.sampling.draws import supplies_of

log = logging.getLogger(__name__)


class Evaluator:
    """Helper that scores the averaged generator, without touching training.

    Args:
        settings: how often, on how many samples, with which metrics.
        split: part of the data that the run is trained on.
        logbook: where the scores are written.
    """

    def __init__(self, settings: EvaluationSettings, split: str, logbook: Logbook) -> None:
        self.settings = settings
        self.split = split
        self.logbook = logbook

    def begin(self, trainer: Trainer) -> None:
        """Make the feature extractor ready; say so if the game has nothing that the metrics could score."""
        self.active = bool(self.settings.metrics) and trainer.game.scored
        if self.settings.metrics and not self.active:
            log.info("no scores: %s draws no samples that could be compared with the data", type(trainer.game).__name__)
        if not self.active:
            return
        self.evaluation = Evaluation(
            metrics=self.settings.metrics,
            features=self.settings.features,
            dataset=trainer.dataset,
            samples=self.settings.samples,
            real=self.settings.real,
            batch_size=self.settings.batch_size,
            progress=distributed.is_main(),
            split=self.split,
            weights="ema" if any(player.average for player in trainer.players.values()) else "raw",
            truncation=None,
            seed=trainer.seed,
        )
        distributed.local_work(self.evaluation.prepare)

    def after_step(self, trainer: Trainer) -> None:
        """Score when it is time."""
        if self.active and self.settings.every_steps and trainer.step % self.settings.every_steps == 0:
            self.score(trainer)

    def finish(self, trainer: Trainer) -> None:
        """Score the last state."""
        every = self.settings.every_steps
        if self.active and (not every or trainer.step % every):
            self.score(trainer)

    def score(self, trainer: Trainer) -> None:
        """Compute every metric from a fixed seed; remember the best step."""
        scores = distributed.local_work(lambda: self._scores(trainer))
        if not scores:
            return
        self.logbook.add_scalars({f"metric/{name}": value for name, value in scores.items()}, trainer.step)
        log.info("step %d  %s", trainer.step, "  ".join(f"{name} {value:.4g}" for name, value in scores.items()))
        self._remember_best(trainer, scores)

    def _scores(self, trainer: Trainer) -> dict[str, float]:
        with trainer.sampling("evaluation"):
            scores = self.evaluation.run_all(supplies_of(trainer.game, trainer.dataset))
        if scores:
            path, of = str(self.logbook.folder.path), self.evaluation
            self._keep(Entry(path, trainer.step, of.stamp(), scores, of.directions()))
        return scores

    def _keep(self, entry: Entry) -> None:
        try:
            remember(entry, self.logbook.folder.path / FILE)
        except RunError as error:  # no reason to end a run
            log.warning("%s", error)

    def _remember_best(self, trainer: Trainer, scores: dict[str, float]) -> None:
        name = self.settings.best
        tag = self.evaluation.tag(name) if name is not None and distributed.is_main() else None
        tag = distributed.local_work(lambda: tag)
        if name is None or tag not in scores:
            return
        trainer.scores[trainer.step] = scores[tag]
        sign = 1.0 if self.settings.metrics[name].lower_is_better else -1.0
        best: dict[str, Any] = trainer.best
        if best.get("metric") != tag or sign * scores[tag] < sign * best["value"]:
            trainer.best = {"step": trainer.step, "metric": tag, "value": scores[tag]}
        self.logbook.add_scalars({f"metric/best_{tag}": trainer.best["value"]}, trainer.step)
