"""Whole sweeps from the command line, with real training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "kill_sweep.py"
GRID = [
    "dataset=ring",
    "model=toy",
    "loss=hinge,nonsaturating",
    "seed=0,1",
    "trainer.steps=60",
    "trainer.log_every_steps=5",
    "trainer.checkpoint_every_steps=10",
    "trainer.picture_every_steps=0",
    "evaluation.every_steps=20",
    "evaluation.samples=200",
    "hydra.launcher.jobs=2",
]


@pytest.mark.slow
def test_a_grid_that_is_killed_twice_ends_with_the_scores_of_one_that_is_not(tmp_path):
    process = subprocess.run(
        [sys.executable, SCRIPT, tmp_path, "--kills", "2", "--", *GRID],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stdout.count("killed after") == 2
    assert process.stdout.endswith("4 runs, 12 evaluations: every score is the same\n")
