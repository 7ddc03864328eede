"""``ganrun evaluate``: scores of trained runs, and of images that any program made."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import torch
from hydra import compose

from ganrun.config.build import build
from ganrun.config.launch import split_of
from ganrun.config.load import load_data, truncated
from ganrun.config.paths import OUTPUTS, conf_folder
from ganrun.config.preflight import quoted
from ganrun.config.runs import check_verb, find_runs, offer_saved, typed_values
from ganrun.config.trained import Trained, load_run
from ganrun.config.validate import plain
from ganrun.config.words import listing
from ganrun.core.errors import ConfigError, GanrunError, RunError
from ganrun.core.types import Dataset
from ganrun.engine.folder import RunFolder
from ganrun.engine.scores import FILE, Entry, read, remember, show_in_tensorboard, table
from ganrun.engine.seeding import fixed_seed
from ganrun.metrics.base import Evaluation, Supply
from ganrun.sampling.draws import supplies_of
from ganrun.sampling.read import ImageFiles

log = logging.getLogger(__name__)


def evaluate(settings: dict[str, Any]) -> Entry:
    """Score a run or a set of images; show the scores and remember them.

    Args:
        settings: values of ``conf/evaluate.yaml``, without ``runs``.

    Returns:
        The scores and how they were made.

    Raises:
        GanrunError: something that the user can mend.
    """
    entry = score(settings)
    sys.stdout.write(table([entry]))
    return entry


def evaluate_all(settings: dict[str, Any], overrides: list[str]) -> list[Entry]:
    """Score many runs; one that cannot be scored does not keep the others from it.

    Args:
        settings: values of ``conf/evaluate.yaml``.
        overrides: what was typed, to be applied to every run.

    Raises:
        RunError: some run could not be scored.
    """
    runs = find_runs(settings["runs"])
    entries, failed = [], []
    for number, run in enumerate(runs, start=1):
        log.info("%d/%d %s", number, len(runs), run)
        try:
            entries.append(score(settings_for(run, overrides)))
        except GanrunError as error:
            log.error("%s", error)
            failed.append(str(run))
    sys.stdout.write(table(entries))
    if failed:
        raise RunError(
            f"{len(failed)} of {len(runs)} runs could not be scored (why is said above): {', '.join(failed)}."
        )
    return entries


def score(settings: dict[str, Any]) -> Entry:
    """Score one run or one set of images, and remember the scores."""
    refuse_no_metrics(settings)
    read(_file(settings))  # what cannot be remembered is not computed
    return _score_images(settings) if settings["run"] is None else _score_run(settings)


def settings_for(run: Path, overrides: list[str]) -> dict[str, Any]:
    """What a command line for many runs means for one of them.

    Raises:
        ConfigError: its values do not fit this run.
    """
    offer_saved(run, ("evaluation", "dataset"), typed_values(overrides))
    mine = [override for override in overrides if not override.startswith("runs=")]
    settings = plain(compose("evaluate", [*mine, f"run={quoted(str(run))}"]))
    if problems := check_verb(settings, "EvaluateConfig"):
        raise ConfigError(problems)
    return settings


def _file(settings: dict[str, Any]) -> Path:
    """Where the scores are remembered."""
    return Path(settings["output"] or Path(settings["run"] or OUTPUTS) / FILE)


def refuse_no_metrics(settings: dict[str, Any]) -> None:
    """Tell which evaluations there are.

    Raises:
        RunError: the one that was chosen has no metrics.
    """
    if not settings["evaluation"]["metrics"]:
        options = sorted(path.stem for path in (conf_folder() / "evaluation").glob("*.yaml") if path.stem != "none")
        raise RunError(f"the evaluation has no metrics. Choose one with evaluation=NAME: {listing(options)}.")


def _score_run(settings: dict[str, Any]) -> Entry:
    run = Path(settings["run"])
    trained, evaluation = prepare(settings)
    entry = score_at(trained, evaluation, run, settings["truncation"])
    remember(entry, _file(settings))
    show_in_tensorboard(entry, run)
    return entry


def prepare(settings: dict[str, Any]) -> tuple[Trained, Evaluation]:
    """The run that ``settings`` name, and its evaluation without truncation.

    Raises:
        RunError: no such checkpoint, or a game whose samples cannot be scored.
    """
    folder = RunFolder(Path(settings["run"]))
    trained = load_run(folder.path, settings["step"], settings["weights"])
    dataset, game = load_data(settings["dataset"], trained.facts), trained.game
    if not game.scored:
        raise RunError(
            f"{folder.path}: {type(game).__name__} draws no samples that could be compared with the data. "
            "ganrun sample draws its pictures."
        )
    seed = trained.config["seed"] if settings["seed"] is None else settings["seed"]
    return trained, make_evaluation(settings, dataset, weights=trained.weights, truncation=None, seed=seed)


def score_at(trained: Trained, evaluation: Evaluation, run: Path, truncation: float | None) -> Entry:
    """Score a run with truncated latents; ``None``: with all."""
    game, evaluation.truncation = trained.game, truncation
    assert evaluation.seed is not None
    with (
        torch.no_grad(),
        truncated(game, truncation, trained.config),
        fixed_seed(evaluation.seed, "evaluation"),  # as during training
    ):
        return _entry(str(run), trained.step, evaluation, supplies_of(game, evaluation.dataset))


def _score_images(settings: dict[str, Any]) -> Entry:
    dataset = load_data(settings["dataset"], None)
    if dataset.facts.kind != "images":
        raise RunError(f"generated= names images, and the data are {dataset.facts.description}. Choose other data.")
    files = ImageFiles(settings["generated"], dataset.facts)
    evaluation = make_evaluation(settings, dataset, weights="unknown", truncation=None, seed=None)
    log.info("%d images in %s", len(files), settings["generated"])
    if len(files) < evaluation.samples:
        log.warning("only %d of the %d samples asked for: the stamp says so", len(files), evaluation.samples)
        evaluation.samples = len(files)
    device = dataset.examples(1).real.device
    entry = _entry(settings["generated"], None, evaluation, {"": Supply(lambda count: files.take(count, device))})
    remember(entry, _file(settings))
    return entry


def make_evaluation(
    settings: dict[str, Any], dataset: Dataset, weights: str, truncation: float | None, seed: int | None
) -> Evaluation:
    """The evaluation that ``settings`` describe, on given data."""
    built = build(settings["evaluation"])
    return Evaluation(
        metrics=built["metrics"],
        features=built["features"],
        dataset=dataset,
        samples=built["samples"],
        real=built["real"],
        batch_size=built["batch_size"],
        progress=True,
        split=split_of(settings["dataset"]),
        weights=weights,
        truncation=truncation,
        seed=seed,
    )


def _entry(subject: str, step: int | None, evaluation: Evaluation, supplies: dict[str, Supply]) -> Entry:
    scores = evaluation.run_all(supplies)
    if not scores:
        raise RunError(f"{subject}: no score could be had; why is said above.")
    return Entry(subject, step, evaluation.stamp(), scores, evaluation.directions())
