"""Whole runs on a CUDA device: recorded steps, resuming, streamed data, precision, checkpoints.

pytest -m gpu tests/test_gpu_runs.py
"""

from __future__ import annotations

import json
import logging
from itertools import pairwise

import pytest
import torch
from test_runs import SMALL, game_overrides, play, two_domains  # noqa: F401  (fixtures)

from ganrun.data.storage import Storage
from ganrun.engine.checkpoint import read_checkpoint

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CUDA = [
    "trainer.device=cuda",
    "trainer.precision=fp32",
    "trainer.batch_size=8",
    "evaluation=none",
    "watchdog.action=none",
]
STYLEGAN2 = ["loss.discriminator_terms.r1.every_steps=3", "loss.generator_terms.path_length.every_steps=4"]
GAMES = {
    "dcgan": ["dcgan"],
    "schedules": ["dcgan", "technique=[linear_decay,ema]", "player.discriminator.max_grad_norm=1.0"],
    "augmented": ["dcgan", "technique=[ada,lecam]"],
    "accumulated": ["dcgan", "trainer.accumulate=2"],
    "sngan": ["sngan", "loss=hinge", "loss.critic_steps=5"],
    "wgan_gp": ["wgan_gp_resnet", "loss=wgan_gp"],
    "infogan": ["infogan"],
    "cyclegan": ["cyclegan"],
    "stylegan2": ["stylegan2", "technique=[lazy_r1,path_length]", *STYLEGAN2],
}


@pytest.fixture(autouse=True)
def repeatable(monkeypatch):
    """The same algorithms whenever the same is computed, as far as there are such; no trials of which is fastest."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr("ganrun.engine.precision.set_cuda_modes", lambda tf32: None)


@pytest.fixture
def replays(monkeypatch):
    """How often a CUDA graph was played, in a list with an entry each time."""
    played = []
    replay = torch.cuda.CUDAGraph.replay

    def counted(graph):
        played.append(graph)
        return replay(graph)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", counted)
    return played


@pytest.fixture
def train(tmp_path, game_overrides):  # noqa: F811
    """``train(name, game, overrides)``: the folder of a run, and what it logged in every step."""

    def run(name, game, *overrides, steps=12):
        model, *more = GAMES[game]
        batch = ["trainer.batch_size=1"] if game == "cyclegan" else []
        folder = tmp_path / name
        given = [*game_overrides(model), *CUDA, *batch, *more, f"trainer.steps={steps}", *overrides]
        play(folder, *given)
        return folder, logged(folder)

    return run


def logged(folder):
    """Step -> what a run logged of its losses and gradients."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kept = ("loss/", "gradient_norm/", "information/")
    losses = {row["step"]: {tag: v for tag, v in row.items() if tag.startswith(kept)} for row in rows}
    return {step: row for step, row in losses.items() if row}


def assert_alike(one, other, rtol=1e-3, atol=1e-4):
    assert one.keys() == other.keys()
    for step, row in one.items():
        assert row.keys() == other[step].keys(), step
        for tag, value in row.items():
            assert value == pytest.approx(other[step][tag], rel=rtol, abs=atol), f"{tag} in step {step}"


def checkpoint(folder, step):
    return read_checkpoint(next((folder / "checkpoints").glob(f"step_*{step}.pt")))


def weights(state):
    return {name: tensor for name, tensor in state["game"].items() if tensor.is_floating_point()}


@pytest.mark.parametrize("game", GAMES)
def test_recorded_steps_have_the_losses_of_steps_as_usual(train, replays, caplog, game):
    _, usual = train("usual", game, "trainer.capture=never")
    assert not replays
    with caplog.at_level(logging.WARNING):
        _, recorded = train("recorded", game, "trainer.capture=auto")
    assert "not recorded" not in caplog.text
    assert len(replays) >= 4
    assert len(usual) == 12
    assert_alike(recorded, usual)
    generator = [tag for tag in usual[1] if tag.startswith("loss/generator/")]
    assert all(one[generator[0]] != other[generator[0]] for one, other in pairwise(recorded.values()))


def test_lazy_terms_are_in_the_same_steps(train):
    _, usual = train("usual", "stylegan2", "trainer.capture=never", steps=16)
    _, recorded = train("recorded", "stylegan2", "trainer.capture=auto", steps=16)
    for tag in ("loss/discriminator/r1", "loss/generator/path_length"):
        steps = [{step for step, row in run.items() if row.get(tag)} for run in (usual, recorded)]
        assert steps[0] == steps[1]
        assert 0 < len(steps[0]) < 16


@pytest.mark.parametrize("game", ["dcgan", "wgan_gp", "stylegan2"])
def test_a_resumed_run_goes_on_as_if_nothing_had_been(train, game):
    whole_folder, whole = train("whole", game)
    train("resumed", game, steps=7)
    resumed_folder, resumed = train("resumed", game)
    assert_alike(resumed, whole)
    one, other = (checkpoint(folder, 12) for folder in (resumed_folder, whole_folder))
    assert one["position"] == other["position"]
    torch.testing.assert_close(weights(one), weights(other), rtol=1e-2, atol=1e-3)


def test_streamed_images_are_those_held_on_the_device(train, monkeypatch):
    _, held = train("held", "dcgan")
    monkeypatch.setattr("ganrun.data.storage._SHARE", 0.0)
    gather, streams = Storage.gather, []
    monkeypatch.setattr(Storage, "gather", lambda self, *rows: streams.append(self.streamed) or gather(self, *rows))
    _, streamed = train("streamed", "dcgan")
    assert_alike(streamed, held)
    assert streams
    assert all(streams)


def test_bf16_starts_where_float32_starts(train):
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this card has no units for bf16")
    _, exact = train("fp32", "dcgan")
    _, rough = train("bf16", "dcgan", "trainer.precision=bf16")
    for tag, value in exact[1].items():
        if tag.startswith("loss/"):
            assert rough[1][tag] == pytest.approx(value, rel=0.05, abs=0.02), tag
    assert rough[1] != exact[1]
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in rough.values())


def test_a_checkpoint_is_of_its_step_though_training_goes_on(train):
    """It is written while later steps change the weights that it was taken from."""
    longer, _ = train("longer", "dcgan", "trainer.checkpoint_every_steps=4", steps=12)
    shorter, _ = train("shorter", "dcgan", steps=4)
    one, other = checkpoint(longer, 4), checkpoint(shorter, 4)
    assert one["step"] == other["step"] == 4
    torch.testing.assert_close(weights(one), weights(other), rtol=1e-3, atol=1e-5)
    assert all(tensor.device.type == "cpu" for tensor in one["game"].values())
