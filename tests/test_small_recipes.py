"""Small recipes with classes or captions learn to draw what they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from test_runs import config_of

import ganrun
from ganrun.config import launch
from ganrun.config.origin import Origin
from ganrun.data.shapes import COLOURS, KINDS

STEPS = {"sagan_digits": 400, "biggan_digits": 400, "r3gan_digits": 300}


def scores(folder: Path, experiment: str, steps: int) -> dict[str, float]:
    evaluation = ["evaluation.samples=2500", "~evaluation.metrics.class_fid", "evaluation.every_steps=0"]
    run = [f"trainer.steps={steps}", "trainer.device=cpu", "trainer.picture_every_steps=0"]
    launch.train(config_of(f"experiment={experiment}", *evaluation, *run), folder, Origin())
    found: dict[str, float] = json.loads((folder / "evaluation.json").read_text())[-1]["scores"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("experiment", STEPS)
def test_fid_and_classification_accuracy_improve(tmp_path, experiment):
    before, after = (scores(tmp_path / str(steps), experiment, steps) for steps in (1, STEPS[experiment]))
    assert after["fid_classifier"] < 0.5 * before["fid_classifier"]
    assert after["classification_accuracy"] > before["classification_accuracy"] + 0.2


@pytest.mark.slow
def test_stackgan_paints_in_the_colour_of_the_text(tmp_path):
    """By chance 1/4 and 1/32. Measured: 0.61 and 0.10; after the recipe's own steps 0.94 and 0.30."""
    steps = ["trainer.steps=300", "evaluation.every_steps=0", "trainer.picture_every_steps=0", "trainer.device=cpu"]
    launch.train(config_of("experiment=stackgan_shapes", *steps), tmp_path, Origin())
    found = json.loads((tmp_path / "evaluation.json").read_text())[-1]["scores"]
    assert found["caption_retrieval"] > 0.06

    asked = torch.arange(192) % len(COLOURS)
    texts = [f"a {list(COLOURS)[colour]} {kind}" for kind in KINDS for colour in asked[:64].tolist()]
    images = ganrun.load(tmp_path).sample(192, condition=texts, seed=0)
    palette = torch.tensor(list(COLOURS.values()))[None, :, :, None, None] / 127.5 - 1
    nearest = (images[:, None] - palette).square().sum(2).argmin(1)
    is_coloured = images.amax(1) - images.amin(1) > 0.35
    shares = torch.stack([((nearest == colour) & is_coloured).sum((1, 2)) for colour in range(len(COLOURS))], dim=1)
    assert (shares.argmax(1) == asked).float().mean() > 0.45
