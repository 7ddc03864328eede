"""Searches with real runs: a hopeless one is pruned, and what was killed goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from optuna.distributions import FloatDistribution

from ganrun.config import launch
from ganrun.config.origin import Origin
from ganrun.config.paths import conf_folder, register_resolvers
from ganrun.config.validate import validate
from ganrun.sweep.ledger import Ledger
from ganrun.sweep.study import NAME, Search, storage_in

SMALL = [
    *("dataset=ring", "model.generator.widths=[16]", "model.discriminator.widths=[16]", "trainer.batch_size=16"),
    *("evaluation.samples=64", "evaluation.best=wasserstein", "evaluation.metrics.wasserstein.points=64"),
    *("evaluation.batch_size=64", "trainer.device=cpu", "trainer.picture_every_steps=0", "trainer.picture_samples=4"),
]


@pytest.fixture
def search(tmp_path):
    """A search with three trials that were good at step 2, and one that has begun."""
    search = Search(
        folder=tmp_path,
        space={"lr": FloatDistribution(0.0, 9.0)},
        directions={"score": "minimise"},
        fixed=[],
        sampler={"_target_": "optuna.samplers.RandomSampler", "seed": 0},
        pruner={"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 3},
        seed=0,
    )
    for _ in range(3):
        trial = search.ask()
        trial.report(0.1, 2)
        search.tell(trial.number, "finished", [0.1])
    search.ask()
    return search


def train(folder: Path, *overrides: str) -> float | None:
    register_resolvers()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", [*SMALL, *overrides]), resolve=True)
    validate(config)
    return launch.train(config, folder, Origin())


def test_a_hopeless_run_is_pruned_and_has_saved_everything(search, tmp_path):
    trial = [f"sweep.folder={tmp_path}", "sweep.trial=3", "evaluation.every_steps=2", "trainer.steps=6"]
    best = train(tmp_path / "run", *trial, "optimizer.generator.lr=9")
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["status"], status["step"], status["best"]["value"]) == ("pruned", 2, best)
    assert status["reason"] == f"pruned at step 2: wasserstein {best:.4g} is behind other trials (MedianPruner)"
    assert [path.stem for path in (tmp_path / "run" / "checkpoints").glob("*.pt")] == ["step_00000002"]
    assert search.trials()[3].intermediate_values == {2: best}
    assert train(tmp_path / "run", "evaluation.every_steps=2", "trainer.steps=6") is not None  # by hand it goes on
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "finished"
    assert search.trials()[3].intermediate_values == {2: best}


def test_every_score_is_told_also_that_of_the_end(search, tmp_path):
    trial = [f"sweep.folder={tmp_path}", "sweep.trial=3", "evaluation.every_steps=3", "trainer.steps=4"]
    train(tmp_path / "run", *trial, "optimizer.generator.lr=9")
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    written = {line["step"]: line["metric/wasserstein"] for line in lines if "metric/wasserstein" in line}
    assert search.trials()[3].intermediate_values == written
    assert list(written) == [3, 4]
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "finished"


def session(leader: int) -> list[int]:
    """Processes of a session; every process of a search is in its own."""
    processes = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            processes.append(int(stat.parent.name))
    return processes


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_search_killed_half_way_loses_nothing_and_doubles_nothing(tmp_path):
    sweep = tmp_path / "sweep"
    command = [
        *(sys.executable, "-m", "ganrun", "-m", "hydra/sweeper=optuna", f"sweep.folder={sweep}", *SMALL),
        *("optimizer.generator.lr=tag(log,interval(1e-5,1e-1))", "hydra.sweeper.trials=5", "hydra.launcher.jobs=2"),
        *("trainer.steps=60", "trainer.checkpoint_every_steps=5", "evaluation.every_steps=20"),
        *("hydra.sweeper.sampler.n_startup_trials=2", "hydra/sweeper/pruner=none"),
    ]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until = time.monotonic() + 300
    while not any(row.ended for row in Ledger(sweep).rows()) or not halfway(sweep):
        assert process.poll() is None, process.communicate()[0].decode()
        assert time.monotonic() < until
        time.sleep(0.02)
    for victim in session(process.pid):
        os.kill(victim, signal.SIGKILL)
    process.communicate()
    ended = {row.name for row in Ledger(sweep).rows() if row.ended}
    begun = {row.name for row in Ledger(sweep).rows() if list((row.folder / "checkpoints").glob("*.pt"))} - ended
    assert begun
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stderr
    rows = {row.name: row for row in Ledger(sweep).rows()}
    study = optuna.load_study(study_name=NAME, storage=storage_in(sweep))
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 5
    assert sorted(trial.user_attrs["run"] for trial in study.trials) == sorted(rows)
    for trial in study.trials:
        row = rows[trial.user_attrs["run"]]
        assert (row.status, row.step, row.best) == ("finished", 60, trial.value)
        assert list(trial.intermediate_values) == [20, 40, 60]
        assert ("going on from step" in (row.folder / "run.log").read_text()) == (row.name in begun)
    assert "5 trials: 5 finished" in output


def halfway(sweep: Path) -> bool:
    """Whether a run that has not ended has saved something."""
    return any(
        row.status == "running" and list((row.folder / "checkpoints").glob("*.pt")) for row in Ledger(sweep).rows()
    )
