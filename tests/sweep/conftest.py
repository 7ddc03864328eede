"""Searches in this process, with a launcher that knows at once what becomes of a run."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from ganrun.config.paths import conf_folder, register_resolvers
from ganrun.engine.folder import RunFolder
from ganrun.sweep.launcher import LocalLauncher, Planned
from ganrun.sweep.ledger import Ledger
from ganrun.sweep.search import OptunaSweeper


class Stage:
    """What the launcher does instead of training.

    Attributes:
        play: ends a run; what it returns is recorded as the best value of the metric.
        trained: overrides of the runs that were handed over, in order.
    """

    def __init__(self) -> None:
        self.play: Callable[[dict[str, str]], Any] = lambda values: 0.0
        self.trained: list[dict[str, str]] = []

    def train(self, run: Planned) -> None:
        values = dict(override.split("=", 1) for override in run.overrides)
        self.trained.append(values)
        folder = RunFolder(run.row.folder)
        folder.path.mkdir(exist_ok=True)
        best = self.play(values)
        if isinstance(best, str):
            status, _, reason = best.partition(" ")
            folder.write_status(status, 1, reason)
            return
        lines = [{"step": 20, "speed/steps_per_second": 2.0}, {"step": 30, "speed/steps_per_second": 5.0}]
        lines.append({"step": 30, "metric/wasserstein": 2 * best})
        (folder.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        folder.write_status("finished", 30, best={"step": 30, "metric": "fid", "value": best})


@pytest.fixture
def stage(monkeypatch):
    """Stands in for the processes of the local launcher."""
    stage = Stage()

    def train(launcher, runs, ended, monitor):
        for run in runs:
            stage.train(run)
            ended(run)

    monkeypatch.setattr(LocalLauncher, "train", train)
    return stage


@pytest.fixture(scope="session")
def composed() -> DictConfig:
    """The configuration of a search, with Hydra's own section."""
    register_resolvers()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("config", ["hydra/sweeper=optuna"], return_hydra_config=True)


@pytest.fixture
def search(stage, composed, monkeypatch, tmp_path, caplog):
    """``search("lr=interval(0,1)", trials=5)`` as Hydra would have it, without composing anew; what was told."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)

    def load(config: DictConfig, overrides: list[str]) -> DictConfig:
        job = OmegaConf.create({"evaluation": OmegaConf.to_container(composed.evaluation)})
        job.merge_with_dotlist([override for override in overrides if override.startswith("evaluation.")])
        return job

    def command(
        *arguments: str,
        folder: str = "s",
        retry: bool = False,
        on_error: str = "continue",
        launcher: Any = None,
        **settings: Any,
    ) -> str:
        given = OmegaConf.to_container(composed.hydra.sweeper)
        given = {key: value for key, value in given.items() if key in OptunaSweeper.__init__.__annotations__}
        sweeper = OptunaSweeper(**(given | {"batch": 1} | settings))
        sweeper.settings = SimpleNamespace(retry=retry, on_error=on_error)
        sweeper.config = composed
        sweeper.context = SimpleNamespace(config_loader=SimpleNamespace(load_sweep_config=load))
        sweeper.launcher = launcher or LocalLauncher(jobs=1)
        sweeper.ledger = Ledger(Path(folder))
        caplog.clear()
        sweeper.sweep(list(arguments))
        return caplog.text

    return command
