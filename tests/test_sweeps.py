"""Whole sweeps from the command line, with real training: nothing is lost, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from ganrun.sweep.ledger import Ledger

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


class Sweep:
    """A sweep in processes that can all be found again.

    Args:
        folder: of the sweep.
        arguments: what is typed.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.mark = f"GANRUN_TEST_SWEEP={uuid.uuid4()}"
        name, _, value = self.mark.partition("=")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ganrun", "-m", *arguments, f"sweep.folder={folder}"],
            env=os.environ | {name: value, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self) -> str:
        """Wait for the end; what was printed."""
        output, _ = self.process.communicate(timeout=300)
        return output

    def kill(self) -> None:
        """SIGKILL for the sweep, its runs and their server; none lives to see another one's end."""
        everyone = [int(path.name) for path in Path("/proc").glob("[0-9]*") if self.mark in _environment(path)]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in everyone:
                os.kill(process, number)
        self.process.communicate(timeout=60)


def _environment(process: Path) -> str:
    try:
        return (process / "environ").read_text(errors="replace")
    except OSError:
        return ""


def lines_below(folder: Path) -> int:
    """Ticks that all runs have written."""
    return sum(len(path.read_text().splitlines()) for path in folder.glob("*/metrics.jsonl"))


def scores_below(folder: Path) -> dict[str, list[tuple[int, dict[str, float]]]]:
    """Run -> its scores, step by step."""
    return {
        path.parent.name: sorted((entry["step"], entry["scores"]) for entry in json.loads(path.read_text()))
        for path in folder.glob("*/evaluation.json")
    }


@pytest.mark.slow
def test_a_grid_that_is_killed_twice_ends_with_the_scores_of_one_that_is_not(tmp_path):
    whole = Sweep(tmp_path / "whole", *GRID)
    assert "4 of 4 runs are finished" in whole.finish()
    for _ in range(2):
        sweep = Sweep(tmp_path / "killed", *GRID)
        until = lines_below(tmp_path / "killed") + random.randint(1, 20)  # of 64 ticks and evaluations
        while sweep.process.poll() is None and lines_below(tmp_path / "killed") < until:
            time.sleep(0.02)
        sweep.kill()
        assert sweep.process.returncode == -signal.SIGKILL
    assert {row.status for row in Ledger(tmp_path / "killed").rows()} & {"interrupted", "running"}
    assert "4 of 4 runs are finished" in Sweep(tmp_path / "killed", *GRID).finish()
    assert scores_below(tmp_path / "killed") == scores_below(tmp_path / "whole")
    assert len(scores_below(tmp_path / "whole")) == 4
