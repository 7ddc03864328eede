"""Every pair of loss, technique and model either trains or is refused before training, with the reason."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from test_runs import SMALL, two_domains  # noqa: F401  (fixture)

from ganrun.config import launch
from ganrun.config.build import build
from ganrun.config.validate import plain
from ganrun.core.errors import ConfigError, Problem
from ganrun.core.types import Dataset
from ganrun.engine.settings import TrainerSettings
from ganrun.engine.trainer import Trainer

_spec = importlib.util.spec_from_file_location("combinations", Path(__file__).parents[1] / "scripts/combinations.py")
assert _spec is not None
assert _spec.loader is not None
combinations = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(combinations)

TINY = ["evaluation=none", "trainer.batch_size=8", "trainer.steps=2", "trainer.device=cpu", "trainer.precision=fp32"]
POINTS = ["dataset=ring", *SMALL["toy"], *TINY]
IMAGES = ["dataset=digits", "dataset.size=8", "dataset.subset=40", *TINY]
LOSSES = combinations.options("loss")
TECHNIQUES = combinations.options("technique")
MODELS = [name for name in combinations.options("model") if name not in combinations.OWN_DATA]
TRANSLATORS = [name for name, data in combinations.OWN_DATA.items() if data == "unpaired"]


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@cache
def data(overrides: tuple[str, ...]) -> Dataset:
    return build(plain(combinations.composed(*overrides))["dataset"])


def trainer_of(config: dict[str, Any], dataset: Dataset) -> Trainer:
    return Trainer(
        settings=TrainerSettings(**config["trainer"]),
        seed=0,
        dataset=dataset,
        optimizers=launch.make_optimizers(config),
        players=launch.make_player_settings(config),
        helpers=[],
    )


def play(config: dict[str, Any], dataset: Dataset) -> list[Problem]:
    """Two steps, with finite losses; or the reasons why not."""
    config["trainer"]["batch_size"] = 8  # also where a technique brings its own
    if problems := combinations.find_problems(config, "RunConfig"):
        return problems
    try:
        game = launch.make_game(config, dataset.facts, None)
    except ConfigError as error:  # what only the data can tell; still before training
        return error.problems
    trainer_of(config, dataset).fit(game)
    means = game.statistics.flush()  # raises where a value is not finite
    assert any(tag.startswith("loss/") and "discriminator" in tag for tag in means)
    assert all(torch.isfinite(parameter).all() for parameter in game.parameters())
    return []


def assert_trains_or_is_refused(
    overrides: Sequence[str], *techniques: str, dataset: Sequence[str] | None = None
) -> list[Problem]:
    dataset = dataset or (POINTS if "dataset=ring" in overrides else IMAGES)
    problems = play(combinations.combine(overrides, *techniques), data(tuple(dataset)))
    assert len({problem.cause for problem in problems}) <= 3, problems  # a sentence for each reason
    return problems


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_by_technique_on_points(loss):
    for technique in TECHNIQUES:
        assert_trains_or_is_refused([*POINTS, f"loss={loss}"], technique)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_loss_by_technique_on_images(loss):
    for technique in TECHNIQUES:
        model = combinations.model_for(loss)
        assert_trains_or_is_refused([*IMAGES, *SMALL[model], f"model={model}", f"loss={loss}"], technique)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_model_by_technique(model):
    for technique in TECHNIQUES:
        assert_trains_or_is_refused([*IMAGES, *SMALL[model], f"model={model}"], technique)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_model_by_loss(model):
    for loss in LOSSES:
        assert_trains_or_is_refused([*IMAGES, *SMALL[model], f"model={model}", f"loss={loss}"])


@pytest.fixture
def domains(two_domains):  # noqa: F811
    return ["dataset=unpaired", f"dataset.path={two_domains}", "dataset.size=32", *TINY]


@pytest.mark.slow
@pytest.mark.parametrize("model", TRANSLATORS)
def test_translator_by_loss_and_technique(model, domains):
    base = [*domains, *SMALL[model], f"model={model}"]
    for loss in LOSSES:
        assert_trains_or_is_refused([*base, f"loss={loss}"], dataset=domains)
    for technique in TECHNIQUES:
        assert_trains_or_is_refused(base, technique, dataset=domains)


PICTURE = ["dataset=single_image", *TINY, "trainer.batch_size=1", *SMALL["singan"]]


@pytest.mark.parametrize("loss", LOSSES)
def test_singan_by_loss(loss):
    """Refused is what needs labels, an energy or one score for a whole image."""
    config = combinations.combine([*PICTURE, f"loss={loss}"])
    problems = combinations.find_problems(config, "RunConfig")
    of_whole_images = ("c_transform", "gan_qp", "gngan", "grangan")
    assert bool(problems) == (loss in ("began", "ebgan", "matching_aware", *of_whole_images)), problems
    if problems:
        assert ("patches" in problems[0].cause) == (loss in of_whole_images)
        return
    combinations.resolve_auto(config)
    dataset = data(tuple(PICTURE))
    game = launch.make_game(config, dataset.facts, dataset.examples(1).real)
    trainer_of(config, dataset).fit(game)
    assert all(torch.isfinite(parameter).all() for parameter in game.parameters())


LOSSES_OF_PATCHES = ("minimax", "nonsaturating", "lsgan", "hinge", "wgan", "wgan_gp", "wgan_div", "fgan", "rpgan")
LOSSES_OF_WHOLE_SAMPLES = ("gan_qp", "c_transform", "gngan", "grangan", "ebgan", "began")


@pytest.mark.parametrize("loss", [*LOSSES_OF_PATCHES, *LOSSES_OF_WHOLE_SAMPLES])
def test_losses_of_patches_train_translators_and_others_are_refused(domains, loss):
    base = [*domains, *SMALL["cyclegan"], "model=cyclegan", f"loss={loss}"]
    assert (assert_trains_or_is_refused(base, dataset=domains) == []) == (loss in LOSSES_OF_PATCHES)


@pytest.mark.parametrize(
    "technique", ["diffaugment", "ada", "instance_noise", "r1", "gradient_penalty", "spectral_norm", "lecam"]
)
def test_techniques_that_translators_are_trained_with(domains, technique):
    assert not assert_trains_or_is_refused([*domains, *SMALL["cyclegan"], "model=cyclegan"], technique, dataset=domains)


@pytest.mark.slow
def test_technique_by_technique():
    for index, one in enumerate(TECHNIQUES):
        for other in TECHNIQUES[index + 1 :]:
            assert_trains_or_is_refused(POINTS, one, other)


def test_patches_are_merged_as_hydra_merges_them():
    two = TECHNIQUES[0], TECHNIQUES[-1]
    through_hydra = plain(combinations.composed(*POINTS, f"technique=[{','.join(two)}]"))
    assert combinations.combine(POINTS, *two) == through_hydra


@pytest.mark.slow
def test_the_page_is_what_the_code_says():
    """If it is not: python scripts/combinations.py."""
    assert combinations.PAGE.read_text() == combinations.page()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("choice", [*(f"loss={loss}" for loss in LOSSES), *TECHNIQUES])
def test_a_step_on_cuda_does_not_wait_for_the_device(choice):
    loss = choice.removeprefix("loss=") if choice.startswith("loss=") else "nonsaturating"
    model = combinations.model_for(choice.removeprefix("loss="))
    base = [*IMAGES, *SMALL[model], f"model={model}", f"loss={loss}"]
    config = combinations.combine(base, *([] if "=" in choice else [choice]))
    config["trainer"] |= {"device": "cuda", "batch_size": 8, "capture": "never"}
    dataset = data(tuple(IMAGES))
    trainer, game = trainer_of(config, dataset), launch.make_game(config, dataset.facts, None)
    trainer.fit(game)  # lazy initialisation may synchronise
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.play_step(game)
    finally:
        torch.cuda.set_sync_debug_mode("default")
