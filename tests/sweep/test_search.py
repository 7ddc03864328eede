"""Searches: what is asked for, what is told, and how a search goes on after whatever happened to it."""

import fcntl
import json
import math
import multiprocessing as mp
import sys
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ganrun.config.paths import conf_folder, register_resolvers
from ganrun.config.validate import validate
from ganrun.core.errors import RunError
from ganrun.engine.folder import RunFolder
from ganrun.sweep import search as search_module
from ganrun.sweep.launcher import LocalLauncher
from ganrun.sweep.ledger import Ledger
from ganrun.sweep.study import FILE, NAME, Search, distribution, make, storage_in
from ganrun.sweep.sweeper import SweepError
from ganrun.sweep.trial import Reporter

RATE = "optimizer.generator.lr"
RATES = f"{RATE}=tag(log,interval(1e-5,1e-1))"
STEPS = "loss.critic_steps=range(1,3)"
SWEEPERS = conf_folder() / "hydra" / "sweeper"
COMMAND = ("-m", "hydra/sweeper=optuna", "sweep.folder=s", RATES)


def bowl(values: dict[str, str]) -> float:
    """Lowest, 0, at a learning rate of 1e-3."""
    return (math.log10(float(values[RATE])) + 3) ** 2


def trials(folder: str = "s") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=NAME, storage=storage_in(Path(folder))).trials


def states() -> list[str]:
    return [trial.state.name for trial in trials()]


def rates(stage) -> list[str]:
    return [values[RATE] for values in stage.trained]


def test_a_search_finds_the_bottom_of_a_bowl(ganrun, stage):
    stage.play = bowl
    code, _, told = ganrun(*COMMAND, "hydra.sweeper.trials=30", "seed=5")
    assert code == 0, told
    assert len(set(rates(stage))) == 30
    assert all(values["seed"] == "5" for values in stage.trained)
    assert [values["sweep.trial"] for values in stage.trained] == [str(number) for number in range(30)]
    assert [trial.value for trial in trials()] == pytest.approx([bowl(values) for values in stage.trained])
    best = min(trials(), key=lambda trial: trial.value)
    assert best.value < 0.05
    assert f"best: trial {best.number}, score {best.value:.4g}: {RATE}=" in told
    row = next(row for row in Ledger(Path("s")).rows() if row.name == best.user_attrs["run"])
    assert (row.status, row.best) == ("finished", best.value)
    assert f"{row.folder}\n" in told


def test_the_number_of_trials_is_a_total(search, stage):
    stage.play = bowl
    for asked, trained in ((4, 4), (4, 0), (6, 2), (3, 0)):
        stage.trained.clear()
        search(RATES, trials=asked)
        assert len(stage.trained) == trained
    assert len({trial.params[RATE] for trial in trials()}) == 6


@pytest.mark.parametrize("moment", ["while a run is trained", "before its end is told"])
def test_a_search_that_is_killed_goes_on_as_if_nothing_had_been(search, stage, composed, monkeypatch, moment):
    early = OmegaConf.to_container(composed.hydra.sweeper.sampler) | {"n_startup_trials": 2}
    stage.play = bowl
    search(RATES, trials=8, sampler=early, folder="whole")
    whole = rates(stage)
    stage.trained.clear()

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "while a run is trained":
            stage.play = lambda values: killed() if len(stage.trained) == 5 else bowl(values)
        else:
            tell = Search.tell
            patch.setattr(Search, "tell", lambda self, n, *end: killed() if n == 4 else tell(self, n, *end))
        with pytest.raises(KeyboardInterrupt):
            search(RATES, trials=8, sampler=early)
    assert rates(stage) == whole[:5]
    assert states() == ["COMPLETE"] * 4 + ["RUNNING"]
    stage.play = bowl
    search(RATES, trials=8, sampler=early)
    assert rates(stage)[5:] == (whole[4:] if moment == "while a run is trained" else whole[5:])
    assert [trial.value for trial in trials()] == [trial.value for trial in trials("whole")]


def test_a_trial_that_was_killed_between_two_of_its_values_gets_the_rest(search, stage):
    search(RATES, STEPS, trials=2, folder="whole")
    search(RATES, STEPS, trials=1)
    whole = Path("whole", FILE).read_bytes().splitlines(keepends=True)
    first = next(n for n, line in enumerate(whole) if json.loads(line).get("trial_id") == 1)
    Path("s", FILE).write_bytes(b"".join(whole[: first + 1]))
    assert [len(trial.params) for trial in trials()] == [2, 1]
    search(RATES, STEPS, trials=2)
    assert [len(trial.params) for trial in trials()] == [2, 2]
    assert [trial.params[RATE] for trial in trials()] == [trial.params[RATE] for trial in trials("whole")]
    assert states() == ["COMPLETE"] * 2


def test_a_line_that_was_cut_is_as_if_it_had_not_been_written(search, stage):
    search(RATES, trials=2)
    with Path("s", FILE).open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"x","stu')
    search(RATES, trials=4)
    assert states() == ["COMPLETE"] * 4
    for line in Path("s", FILE).read_bytes().splitlines():
        json.loads(line)


def test_what_is_no_journal_is_not_overwritten(search, stage):
    Path("s").mkdir()
    Path("s", FILE).write_text("my diary\nand more\n")
    with pytest.raises(RunError, match=r"study.journal is no journal of a search. Choose another folder"):
        search(RATES, trials=1)
    assert Path("s", FILE).read_text() == "my diary\nand more\n"


def _write(folder: Path, number: int) -> None:
    storage = storage_in(folder)
    for _ in range(20):
        storage.set_study_user_attr(0, str(number), "x" * 3000)


def test_many_processes_may_write_and_a_dead_one_holds_no_lock(search, stage, tmp_path):
    search(RATES, trials=1)
    context = mp.get_context("fork")
    processes = [context.Process(target=_write, args=(tmp_path / "s", number)) for number in range(4)]
    for process in processes:
        process.start()
    processes[0].kill()
    for process in processes:
        process.join()
    assert {"1", "2", "3"} <= storage_in(tmp_path / "s").get_study_user_attrs(0).keys()


def test_what_failed_is_told_and_the_search_goes_on(search, stage):
    stage.play = lambda values: "failed no data\ntoday" if len(stage.trained) in (2, 3) else bowl(values)
    told = search(RATES, trials=4)
    assert states() == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]
    assert "trial 1: today" in told
    assert "4 trials: 2 finished, 2 failed" in told
    search(RATES, trials=4)
    assert len(stage.trained) == 4
    stage.play = lambda values: "failed again" if len(stage.trained) == 5 else bowl(values)
    search(RATES, trials=4, retry=True)
    assert states()[4:] == ["FAIL", "COMPLETE"]
    search(RATES, trials=4, retry=True)
    assert states()[6:] == ["COMPLETE"]
    assert [trials()[n].params for n in (1, 2, 1)] == [trials()[n].params for n in (4, 5, 6)]
    search(RATES, trials=4, retry=True)
    assert len(stage.trained) == 7
    assert [row.status for row in Ledger(Path("s")).rows()] == ["finished"] * 4


def test_a_search_in_which_all_fails_is_a_failure(search, stage):
    stage.play = lambda values: "failed no data"
    with pytest.raises(SweepError, match="2 runs of the sweep failed"):
        search(RATES, trials=2)


def test_it_may_stop_at_the_first_failure(search, stage):
    stage.play = lambda values: "failed no data" if len(stage.trained) == 3 else bowl(values)
    with pytest.raises(SweepError, match="no data"):
        search(RATES, trials=9, on_error="stop")
    assert states() == ["COMPLETE", "COMPLETE", "FAIL"]


def test_what_was_pruned_or_stopped_by_the_watchdog_has_ended_and_what_was_stopped_as_asked_has_not(search, stage):
    ends = iter(["pruned at step 1", "stopped watchdog: mode_collapse", "stopped", 1.0])
    stage.play = lambda values: next(ends)
    search(RATES, trials=4)
    assert states() == ["PRUNED", "FAIL", "RUNNING", "COMPLETE"]
    stage.play = bowl
    search(RATES, trials=4)
    assert states() == ["PRUNED", "FAIL", "COMPLETE", "COMPLETE"]
    assert len(stage.trained) == 5
    assert rates(stage)[4] == rates(stage)[2]


def test_what_is_suggested_again_is_told_what_it_was_worth(search, stage):
    stage.play = lambda values: float(values["loss.critic_steps"])
    search(STEPS, trials=7)
    assert len(stage.trained) == 2
    assert [trial.value for trial in trials()] == [trial.params["loss.critic_steps"] for trial in trials()]


def test_trials_that_are_alike_and_run_at_once_share_a_run(search, stage, monkeypatch):
    def all_at_once(launcher, runs, ended, monitor):
        for run in list(runs):
            stage.train(run)
            ended(run)

    monkeypatch.setattr(LocalLauncher, "train", all_at_once)
    stage.play = lambda values: float(values["loss.critic_steps"])
    search(STEPS, trials=7)
    assert len(stage.trained) == 2
    assert states() == ["COMPLETE"] * 7


def test_a_launcher_that_waits_for_all_gets_batches(search, composed):
    batches = []
    other = SimpleNamespace(launch=lambda jobs, initial_job_idx: batches.append((initial_job_idx, len(jobs))))
    search(RATES, trials=5, batch=2, launcher=other)
    assert batches == [(0, 2), (2, 2), (4, 1)]
    assert states() == ["RUNNING"] * 5  # nothing was trained, so nothing is told
    assert composed.hydra.sweeper.batch == 1


def test_one_search_at_a_time(search, stage):
    Path("s").mkdir()
    with Path("s/.search.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match=r"another search is going on in s. Wait for it, stop it, or choose another"):
            search(RATES, trials=1)
    assert not stage.trained


def test_a_run_that_another_process_trains_is_waited_for(search, stage, monkeypatch):
    stage.play = lambda values: "stopped"
    search(RATES, trials=1)
    folder = RunFolder(Ledger(Path("s")).rows()[0].folder)
    with folder.locked():
        folder.write_status("running", 1)
        monkeypatch.setattr(search_module, "PATIENCE_SECONDS", 0.0)
        with pytest.raises(RunError, match=r"is in use: another process is training there. Wait for it, or stop it."):
            search(RATES, trials=1)
    stage.play = bowl
    search(RATES, trials=1)
    assert states() == ["COMPLETE"]


@pytest.mark.parametrize(
    ("overrides", "objectives", "told"),
    [
        ([RATES, "seed=1"], None, r"fixed: it has \[\], you asked for \['seed=1'\]"),
        ([RATES, "seed=1,2"], None, r"searched: it has \{.*'FloatDistribution \(log\)'\}, you asked for"),
        ([f"{RATE}=interval(1e-5,1e-1)"], None, r"you asked for \{'optimizer.generator.lr': 'FloatDistribution'\}"),
        ([RATES], {"score": "maximise"}, r"objectives: it has \['score: minimise'\], you asked for"),
    ],
)
def test_trials_of_one_study_can_be_compared(search, stage, overrides, objectives, told):
    search(RATES, trials=1)
    with pytest.raises(RunError, match=told):
        search(*overrides, trials=2, objectives=objectives or {"score": "auto"})
    assert len(stage.trained) == 1


def test_an_interval_and_the_sampler_may_change(search, stage):
    search(RATES, trials=2)
    sampler = {"_target_": "optuna.samplers.RandomSampler", "seed": 7}
    search(f"{RATE}=tag(log,interval(1e-2,1))", sampler=sampler, trials=4)
    assert all(float(rate) >= 1e-2 for rate in rates(stage)[2:])
    assert len(set(rates(stage)[2:])) == 1  # a seed that is given is used as it is


@pytest.mark.parametrize("path", sorted((SWEEPERS / "sampler").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_sampler_suggests_other_values_every_time(search, stage, path):
    sampler = OmegaConf.to_container(OmegaConf.load(path))
    stage.play = bowl
    for total in (3, 6):  # in two calls
        search(
            RATES, trials=total, sampler=sampler | ({"n_startup_trials": 2} if "n_startup_trials" in sampler else {})
        )
    assert len(set(rates(stage))) == 6


@pytest.mark.parametrize("path", sorted((SWEEPERS / "pruner").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_pruner_can_be_made(composed, path):
    config = OmegaConf.create(
        {"trainer": composed.trainer, "evaluation": composed.evaluation, "it": OmegaConf.load(path)}
    )
    node = OmegaConf.to_container(config, resolve=True)["it"]
    assert f"{type(make(node)).__module__.split('.')[0]}.pruners.{type(make(node)).__name__}" == node["_target_"]


@pytest.mark.parametrize(
    ("overrides", "settings", "told"),
    [
        (["seed=1"], {}, "there is nothing to search."),
        (["seed=1,2", "evaluation.best=null"], {}, "a search needs a score, and evaluation.best names no metric."),
        (["evaluation=quick,standard"], {}, "evaluation decides how runs are scored and cannot be searched."),
        (["seed=int(interval(5,1))"], {}, r"seed=int\(interval\(5,1\)\) cannot be searched \(.*low=5"),
        (["seed=1,2"], {"objectives": {"score": "auto", "seconds": "minimise"}}, "Add hydra/sweeper/pruner=none."),
        (["seed=1,2"], {"objectives": {"score": "up"}}, "objectives.score=up is no direction. Say minimise or"),
        (["seed=1,2"], {"objectives": {}}, "hydra.sweeper.objectives is empty."),
    ],
)
def test_mistakes_are_answered_before_anything_is_trained(search, stage, overrides, settings, told):
    with pytest.raises(RunError, match=told):
        search(*overrides, **settings)
    assert not stage.trained


def test_names_in_intervals_and_in_files_are_checked_too(ganrun, stage):
    code, _, told = ganrun("-m", "hydra/sweeper=optuna", "optimizer.generator.rate=interval(1,2)")
    assert code == 1
    assert "optimizer.generator has no 'rate'" in told
    code, _, told = ganrun("-m", "search=wgan_gp", "loss=hinge")
    assert code == 1
    assert "loss.discriminator_terms has no 'gradient_penalty'" in told


def test_without_optuna_it_says_what_to_install(ganrun, stage, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, told = ganrun(*COMMAND)
    assert code == 1
    assert told == "hydra/sweeper=optuna needs Optuna. Install it: pip install 'ganrun[search]'\n"
    assert ganrun("-m", "seed=1,2", "sweep.folder=grid")[0] == 0
    assert len(stage.trained) == 2


def test_a_grid_does_not_take_intervals(ganrun, stage):
    code, _, told = ganrun("-m", f"{RATE}=interval(1,2)")
    assert code == 1
    assert "Search it with hydra/sweeper=optuna, or list some." in told


def test_the_metric_says_which_way_is_better(search, stage):
    stage.play = bowl
    told = search(RATES, "evaluation.best=inception_score", trials=3)
    worst = max(trials(), key=lambda trial: trial.value)
    assert f"best: trial {worst.number}, " in told


def test_several_objectives_end_in_a_front(search, stage):
    scores = iter([3.0, 1.0, 2.0])
    stage.play = lambda values: next(scores)
    wanted = {"score": "auto", "seconds": "minimise", "wasserstein": "maximise"}
    told = search(RATES, objectives=wanted, pruner={"_target_": "optuna.pruners.NopPruner"}, trials=3)
    assert [trial.values for trial in trials()] == [[3.0, 12.0, 6.0], [1.0, 12.0, 2.0], [2.0, 12.0, 4.0]]
    assert [f"best: trial {n}, score {n % 3 if n else 3}" in told for n in range(3)] == [True, True, True]
    assert "score 3, seconds 12, wasserstein 6" in told
    assert all("sweep.trial" not in values for values in stage.trained)


def test_a_missing_score_is_a_failed_trial(search, stage):
    told = search(RATES, objectives={"kid": "minimise"}, pruner={"_target_": "optuna.pruners.NopPruner"}, trials=1)
    assert "trial 0: no score" in told
    assert states() == ["FAIL"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("k=interval(1,3)", FloatDistribution(1.0, 3.0)),
        ("k=tag(log,interval(1e-5,1e-3))", FloatDistribution(1e-5, 1e-3, log=True)),
        ("k=int(interval(1,3))", IntDistribution(1, 3)),
        ("k=tag(log,int(interval(1,64)))", IntDistribution(1, 64, log=True)),
        ("k=range(1,6)", IntDistribution(1, 5)),
        ("k=range(1,8,3)", IntDistribution(1, 7, step=3)),
        ("k=range(8,1,-3)", IntDistribution(2, 8, step=3)),
        ("k=range(0,0.5,0.25)", FloatDistribution(0.0, 0.25, step=0.25)),
        ("k=1,0.5,1", CategoricalDistribution(["1", "0.5"])),
        ("k=choice([r1],[r1,r2],'a b')", CategoricalDistribution(["[r1]", "[r1,r2]", "a\\ b"])),
    ],
)
def test_what_is_typed_is_what_is_searched(override, expected):
    [parsed] = OverridesParser.create().parse_overrides([override])
    assert distribution(parsed) == expected


class FakeTrainer:
    """As much of a trainer as a reporter looks at."""

    def __init__(self, scores: dict[int, float]) -> None:
        self.scores, self.step, self.progress = scores, max(scores, default=0), 0.5
        self.best = {"metric": "fid"}
        self.stopped: list[tuple[str, str]] = []

    def stop(self, reason: str, status: str) -> None:
        self.stopped.append((reason, status))


@pytest.fixture
def study(tmp_path):
    """A study with three finished trials, whose scores were 3, 2, 1 at steps 10, 20, 30, and one that has begun."""
    search = Search(
        folder=tmp_path,
        space={"x": FloatDistribution(0.0, 1.0)},
        directions={"score": "minimise"},
        fixed=[],
        sampler={"_target_": "optuna.samplers.RandomSampler", "seed": None},
        pruner={"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 3},
        seed=0,
    )
    for _ in range(3):
        trial = search.ask()
        for step in (10, 20, 30):
            trial.report(4 - step / 10, step)
        search.tell(trial.number, "finished", [1.0])
    search.ask()
    return SimpleNamespace(folder=tmp_path, reported=lambda: search.trials()[3].intermediate_values)


def follow(study, trainer: FakeTrainer, *scores: tuple[int, float]) -> Reporter:
    reporter = Reporter(study.folder, 3)
    reporter.begin(trainer)
    for step, score in scores:
        trainer.step, trainer.scores[step] = step, score
        reporter.after_step(trainer)
    return reporter


def test_a_run_that_is_behind_the_others_is_pruned(study):
    trainer = FakeTrainer({})
    follow(study, trainer, (10, 2.9), (20, 2.5))
    assert trainer.stopped == [("pruned at step 20: fid 2.5 is behind other trials (MedianPruner)", "pruned")]
    assert study.reported() == {10: 2.9, 20: 2.5}


def test_the_last_step_is_told_and_not_pruned(study):
    trainer = FakeTrainer({})
    trainer.progress = 1.0
    reporter = follow(study, trainer, (10, 99.0))
    trainer.scores[13] = 98.0
    reporter.finish(trainer)
    assert not trainer.stopped
    assert study.reported() == {10: 99.0, 13: 98.0}


@pytest.mark.filterwarnings("error")
def test_a_run_that_goes_on_neither_loses_nor_doubles_a_score(study):
    follow(study, FakeTrainer({}), (10, 2.0), (20, 1.5))
    follow(study, FakeTrainer({10: 2.0}), (20, 1.5), (30, 0.5))  # its checkpoint is from before step 20
    assert study.reported() == {10: 2.0, 20: 1.5, 30: 0.5}


def test_a_new_trial_of_an_old_run_is_told_what_there_was(study):
    follow(study, FakeTrainer({10: 2.0, 20: 1.5}))
    assert study.reported() == {10: 2.0, 20: 1.5}


SEARCHES = sorted(path.stem for path in (conf_folder() / "search").glob("*.yaml") if path.stem != "none")


@pytest.mark.parametrize("name", SEARCHES)
def test_every_ready_search_suggests_what_can_be_trained(name):
    register_resolvers()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("config", [f"search={name}"], return_hydra_config=True)
        params = OmegaConf.to_container(config.hydra.sweeper.params)
        parsed = OverridesParser.create().parse_overrides([f"{key}={values}" for key, values in params.items()])
        space = {override.key_or_group: distribution(override) for override in parsed}
        ends = {k: w.choices if isinstance(w, CategoricalDistribution) else (w.low, w.high) for k, w in space.items()}
        for number in range(max(map(len, ends.values()))):
            point = [f"{key}={values[number % len(values)]}" for key, values in ends.items()]
            job = OmegaConf.to_container(compose("config", [f"search={name}", *point]), resolve=True)
            validate(job)
            assert job["optimizer"]["generator"]["lr"] > 0
