"""Small class-conditional recipes learn to draw what they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_runs import config_of

from ganrun.config import launch
from ganrun.config.origin import Origin

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
