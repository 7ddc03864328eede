"""Everything that trains gives the same losses when its steps are recorded, or says why they are not."""

from __future__ import annotations

import sys
from copy import deepcopy
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from test_combinations import IMAGES, LOSSES, MODELS, POINTS, TECHNIQUES, TINY, combinations, data, trainer_of
from test_runs import SMALL

from ganrun.config import launch
from ganrun.core.types import START, Batch, Dataset
from ganrun.engine import capture
from ganrun.engine.trainer import Trainer

sys.path.insert(0, str(Path(__file__).parent / "engine"))
from tape import Tapes

STEPS = 6
PLAYED = {"stackgan": 2, "singan": 3}
"""Stages of games that have several."""


class Told:
    """Helper that keeps what every step reports."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def begin(self, trainer: Trainer) -> None:
        pass

    finish = begin

    def after_step(self, trainer: Trainer) -> None:
        self.steps.append(trainer.stage.game.statistics.flush())


@pytest.fixture
def tapes(monkeypatch):
    tapes = Tapes()
    monkeypatch.setattr(capture, "graphs_on", lambda device, wish: None if wish == "never" else tapes)
    return tapes


def reports(config: dict[str, Any], dataset: Dataset, wish: str) -> list[dict[str, float]]:
    """What every step of a run reports."""
    config = deepcopy(config)
    config["trainer"] |= {"steps": STEPS, "capture": wish}
    image = dataset.examples(1).real if "single_image" in dataset.facts.provides else None
    game, told = launch.make_game(config, dataset.facts, image), Told()
    trainer = trainer_of(config, dataset)
    trainer.helpers = [told]
    trainer.fit(game)
    return told.steps


def assert_recorded_as_played(config: dict[str, Any], dataset: Dataset, tapes: Tapes, stages: int = 1) -> None:
    if "SingleImage" not in config["dataset"]["_target_"]:
        config["trainer"]["batch_size"] = 8  # also where a technique brings its own
    if problems := combinations.find_problems(config, "RunConfig"):
        pytest.skip(f"refused: {problems[0].cause}")
    played = reports(config, dataset, "never")
    tapes.replays = 0
    recorded = reports(config, dataset, "auto")
    assert len(recorded) == len(played) == stages * STEPS
    for ours, theirs in zip(recorded, played, strict=True):
        assert ours == pytest.approx(theirs, rel=3e-3, abs=1e-4)
    assert tapes.replays > 0


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_techniques_on_points(tapes, technique):
    if technique == "top_k":
        pytest.skip("takes another number of samples in every step here, so that no course comes back")
    assert_recorded_as_played(combinations.combine(POINTS, technique), data(tuple(POINTS)), tapes)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_on_points(tapes, loss):
    if loss == "wgan":
        pytest.skip("torch's RMSprop makes a tensor of a number in every step, though only on a CPU")
    assert_recorded_as_played(combinations.combine([*POINTS, f"loss={loss}"]), data(tuple(POINTS)), tapes)


def images_for(model: str) -> list[str]:
    """Images of the size that a model takes."""
    return [*IMAGES, "dataset.size=32"] if model == "ali" else IMAGES


QUICK = ["cgan", "infogan", "wgan_gp_resnet", "stylegan2"]


@pytest.mark.parametrize("model", [m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in MODELS])
def test_models_of_images(tapes, model):
    base = images_for(model)
    assert_recorded_as_played(combinations.combine([*base, *SMALL[model], f"model={model}"]), data(tuple(base)), tapes)


@pytest.mark.slow
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_techniques_on_images(tapes, technique):
    model = combinations.model_for(technique)
    config = combinations.combine([*IMAGES, *SMALL[model], f"model={model}"], technique)
    if technique != "top_k":
        assert_recorded_as_played(config, data(tuple(IMAGES)), tapes)


GOES_WITH = {
    "cyclegan": "another_domain",
    "ganilla": "another_domain",
    "nicegan": "another_domain",
    "gaugan": "maps",
    "gaugan_style": "maps",
    "pix2pix": "images",
    "stackgan": "texts",
}


@pytest.mark.slow
@pytest.mark.parametrize("model", [*GOES_WITH, "singan"])
def test_models_of_images_that_are_made_of_others(tapes, model):
    shapes = ["dataset=shapes", f"dataset.goes_with={GOES_WITH.get(model)}", "dataset.count=20"]
    base = [*(["dataset=single_image", "trainer.batch_size=1"] if model == "singan" else shapes), *TINY]
    config = combinations.combine([*base, *SMALL[model], f"model={model}"])
    assert_recorded_as_played(config, data(tuple(base)), tapes, PLAYED.get(model, 1))


def assert_nothing_is_made_on_the_host(config: dict[str, Any], dataset: Dataset) -> None:
    """Play a step's moves where tensors have no values, so that none of the CPU can hide among them.

    On a CPU a tensor that was made on the wrong device goes unnoticed, and on CUDA it would be an error.
    """
    if problems := combinations.find_problems(config, "RunConfig"):
        pytest.skip(f"refused: {problems[0].cause}")
    game = launch.make_game(config, dataset.facts, None)
    meta, first = torch.device("meta"), tuple(torch.arange(8) % max(count, 1) for count in dataset.facts.count)
    batch = dataset.fetch(first)
    condition = None if batch.condition is None else batch.condition.to(meta)
    batch = Batch(tuple(domain.to(meta) for domain in batch.domains), condition)
    (stage,) = game.stages()
    stage.game.to(meta).begin_step(START)
    players = {name: [p for m in modules for p in m.parameters()] for name, modules in game.players().items()}
    with capture.Inspector(meta) as inspector:
        for move in stage.game.play(repeat(batch)):
            for names, terms in move.items():
                parameters = [p for name in ((names,) if isinstance(names, str) else names) for p in players[name]]
                torch.stack(list(terms.values())).sum().backward(inputs=parameters, retain_graph=True)
    assert inspector.objection == ""


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_techniques_make_nothing_on_the_host(technique):
    if technique == "historical_averaging":
        pytest.skip("keeps the parameters themselves, which are others when a module moves to meta")
    model = combinations.model_for(technique)
    config = combinations.combine([*IMAGES, *SMALL[model], f"model={model}"], technique)
    assert_nothing_is_made_on_the_host(config, data(tuple(IMAGES)))


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_make_nothing_on_the_host(loss):
    model = combinations.model_for(loss)
    config = combinations.combine([*IMAGES, *SMALL[model], f"model={model}", f"loss={loss}"])
    assert_nothing_is_made_on_the_host(config, data(tuple(IMAGES)))


@pytest.mark.parametrize("model", [*MODELS, *(model for model in GOES_WITH if model != "stackgan")])
def test_models_make_nothing_on_the_host(model):
    shapes = ["dataset=shapes", f"dataset.goes_with={GOES_WITH.get(model)}", "dataset.count=20", *TINY]
    base = shapes if model in GOES_WITH else images_for(model)
    config = combinations.combine([*base, *SMALL[model], f"model={model}"])
    assert_nothing_is_made_on_the_host(config, data(tuple(base)))


def test_a_shared_batch_of_an_uneven_ensemble_is_not_recorded_and_says_so(tapes, caplog):
    config = combinations.combine(POINTS, "ensemble")
    config["model"]["generator"]["_copies_"] = 3
    assert len(reports(config, data(tuple(POINTS)), "auto")) == STEPS
    assert tapes.replays == 0
    assert "ensemble.py" in caplog.text
