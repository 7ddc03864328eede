"""LAPGAN through configuration and engine: sizes, losses of single levels, precision, latents, learning."""

from __future__ import annotations

import json

import pytest
import torch
from test_runs import config_of, game_overrides, play, two_domains  # noqa: F401  (fixtures)

import ganrun
from ganrun.config import launch
from ganrun.config.load import load_game
from ganrun.config.origin import Origin
from ganrun.core.errors import ConfigError, RunError


def test_sizes_that_cannot_be_halved_are_refused(tmp_path, game_overrides):  # noqa: F811
    overrides = [*game_overrides("lapgan"), "dataset.size=18", "model.levels=3"]
    with pytest.raises(
        ConfigError, match=r"model: LAPGAN .* 18 pixels are not divisible by 4.* model.levels=\[5,9,18\]"
    ):
        launch.train(config_of(*overrides), tmp_path, Origin())
    assert not list(tmp_path.glob("checkpoints/*"))
    with pytest.raises(ConfigError, match=r"model: two convolutions of kernel 5 .* there is one of 8"):
        launch.train(config_of(*game_overrides("lapgan"), "model.discriminator.kernel=5"), tmp_path, Origin())
    assert play(tmp_path, *overrides[:-1], "model.levels=[5,9,18]", "trainer.steps=1")["step"] == 1


def test_one_level_may_have_a_loss_of_its_own(tmp_path, game_overrides):  # noqa: F811
    play(tmp_path, *game_overrides("lapgan"), "+loss@model.objectives.5=logistic_r1", "trainer.steps=1")
    logged = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert {tag for tag in logged if tag.startswith("loss/discriminator/r1")} == {"loss/discriminator/r1_5"}


def test_networks_of_levels_compute_in_bf16_on_demand(tmp_path, game_overrides):  # noqa: F811
    state = play(tmp_path / "bf16", *game_overrides("lapgan"), "trainer.precision=bf16", "trainer.steps=2")
    assert all(value.dtype != torch.bfloat16 for value in state["game"].values())
    game = load_game(state, None, "raw", "cpu")
    for level in game.levels:
        for network in (level.generator, level.discriminator):
            assert hasattr(network.forward, "__wrapped__")
    state["config"]["trainer"]["precision"] = "fp32"
    whole = load_game(state, None, "raw", "cpu")
    z = game.latent(4, game.device)
    assert 0 < (game.decode(z) - whole.decode(z)).abs().max() < 0.05


def test_latents_classes_and_truncation(tmp_path, game_overrides):  # noqa: F811
    play(tmp_path, *game_overrides("lapgan"), "model.conditional=true", "trainer.steps=1")
    loaded = ganrun.load(tmp_path)
    z = loaded.latents(3, seed=0)
    assert z.shape == (3, 8 + 64)
    assert torch.allclose(loaded.at(z, 4), loaded.sample(3, condition=4, seed=0), atol=1e-5)
    assert not torch.allclose(loaded.at(z, 4), loaded.at(z, 5), atol=1e-5)
    with pytest.raises(RunError, match="Truncation draws normal latents again, and this run's are of kind Uniform"):
        loaded.sample(2, truncation=0.5)


@pytest.mark.slow
def test_samples_come_closer_to_the_data(tmp_path):
    scores = []
    for steps in (1, 400):
        data = ["dataset=digits", "dataset.size=16", "model.levels=2", "trainer.picture_every_steps=0"]
        folder, run = tmp_path / str(steps), ["trainer.device=cpu", f"trainer.steps={steps}"]
        launch.train(config_of("experiment=lapgan_mnist", *data, *run), folder, Origin())
        scores.append(json.loads((folder / "evaluation.json").read_text())[-1]["scores"]["fid_classifier"])
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = next(line for line in reversed(logged) if "residual/std_fake_16" in line)
    assert 0.5 < last["residual/std_fake_16"] / last["residual/std_real_16"] < 2
    assert scores[1] < 0.7 * scores[0]
