"""Sweeps with real training in processes of their own: failures, several sweeps at once, plugins."""

import json
import os
import signal
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.slow


def steps_of(folder):
    """Steps of the lines of a run's log of scalars."""
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_failures_are_told_at_once_and_are_retried_when_asked(sweep):
    grid = ["optimizer.generator.lr=1e-3,1e30", "seed=0,1", "trainer.steps=400", "hydra.launcher.jobs=2"]
    command = sweep(*grid)
    good, killed = "optimizer.generator.lr=0.001,seed=0", "optimizer.generator.lr=0.001,seed=1"
    bad = ["optimizer.generator.lr=1e+30,seed=0", "optimizer.generator.lr=1e+30,seed=1"]
    command.wait_for_steps(killed)
    os.kill(command.trainer(killed), signal.SIGKILL)
    command.wait_until(lambda: "killed by SIGKILL" in command.printed())  # while others are being trained
    [folder] = command.folder.glob(f"{killed}*")
    assert f"{folder}/run.log" in command.printed()
    reached = max(int(path.stem.removeprefix("step_")) for path in folder.glob("checkpoints/step_*.pt"))
    command.wait_until(lambda: "became nan" in command.printed())
    assert command.finish() == 1
    assert command.status() == {good: "finished", killed: "failed", **dict.fromkeys(bad, "failed")}
    end = command.printed()[command.printed().rindex("3 runs of the sweep failed:") :]
    assert end.count("became nan") + end.count("became inf") == 2
    assert "1 of 4 runs are finished." in end
    again = sweep(*grid)
    assert again.finish() == 1
    assert again.status() == command.status()  # nothing is tried again unless asked for
    again = sweep(*grid, "sweep.retry=true")
    assert again.finish() == 1
    assert again.status() == {good: "finished", killed: "finished", **dict.fromkeys(bad, "failed")}
    log = (folder / "run.log").read_text()
    assert f"going on from step {reached} of" in log
    assert steps_of(folder) == sorted(set(steps_of(folder)))
    assert steps_of(folder)[-1] == 400


def test_a_run_that_asks_for_more_memory_than_there_is_hurts_no_other(sweep):
    command = sweep("trainer.batch_size=64,1000000000000", "trainer.steps=20", "hydra.launcher.jobs=2")
    assert command.finish() == 1
    assert command.status() == {"trainer.batch_size=64": "finished", "trainer.batch_size=1000000000000": "failed"}
    assert "memory" in command.printed()[command.printed().rindex("1 run of the sweep failed:") :]


def test_two_sweeps_in_one_folder_train_every_run_once(sweep, tmp_path):
    first = sweep("seed=0,1,2", "trainer.steps=200", "hydra.launcher.jobs=2")
    second = sweep("seed=3,2,1", "trainer.steps=200", "hydra.launcher.jobs=2")
    assert (first.finish(), second.finish()) == (0, 0), first.printed() + second.printed()
    assert first.status() == dict.fromkeys(("seed=0", "seed=1", "seed=2", "seed=3"), "finished")
    for folder in first.folder.glob("seed=*"):
        assert (folder / "run.log").read_text().count("new run:") == 1
        assert "going on" not in (folder / "run.log").read_text()
        assert steps_of(folder) == sorted(set(steps_of(folder)))
        assert steps_of(folder)[-1] == 200
    assert (first.folder / "ledger.csv").read_text().count("finished") == 4


def test_no_run_starts_once_one_has_failed_where_that_is_asked_for(sweep):
    grid = ["optimizer.generator.lr=1e30,1e-3", "trainer.steps=20", "sweep.on_error=stop"]
    command = sweep(*grid)
    assert command.finish() == 1
    assert list(command.status().values()) == ["failed", "waiting"]
    assert "Not finished: 1 waiting." in command.printed()
    assert not list(command.folder.glob("*lr=0.001*"))


PLUGIN = """
from torch import Tensor
from torch.nn.functional import relu
from ganrun.losses.base import AdversarialLoss

class Mine(AdversarialLoss):
    def discriminator_real(self, score: Tensor) -> Tensor:
        return relu(1 - score)

    def discriminator_fake(self, score: Tensor) -> Tensor:
        return relu(1 + score)

    def generator_fake(self, score: Tensor) -> Tensor:
        return -score
"""
YAML = """
defaults:
  - /objective@_here_
  - _self_
adversarial: {_target_: my_gans.mine.Mine}
"""


@pytest.mark.parametrize("launcher", ["local", "joblib"])
@pytest.mark.parametrize("place", ["--config-dir", "hydra.searchpath"])
def test_configuration_and_code_of_your_own_reach_the_runs(sweep, tmp_path, launcher, place):
    if launcher == "joblib" and find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        pytest.skip("needs pip install 'ganrun[joblib]'")
    (tmp_path / "my_conf/loss").mkdir(parents=True)
    (tmp_path / "my_conf/loss/mine.yaml").write_text(YAML)
    (tmp_path / "code/my_gans").mkdir(parents=True)
    (tmp_path / "code/my_gans/__init__.py").touch()
    (tmp_path / "code/my_gans/mine.py").write_text(PLUGIN)
    typed = ["--config-dir", "my_conf"] if place == "--config-dir" else [f"{place}=[file://{tmp_path}/my_conf]"]
    environment = {"GANRUN_PLUGINS": "my_gans", "PYTHONPATH": f"{tmp_path}/code"}
    command = sweep("loss=mine,hinge", "trainer.steps=4", f"hydra/launcher={launcher}", options=typed, **environment)
    assert command.finish() == 0, command.printed()
    assert command.status() == {"loss=mine": "finished", "loss=hinge": "finished"}
