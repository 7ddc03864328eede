"""The command line: what is told, what is started, with which exit code."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from ganrun import cli
from ganrun import config as config_package
from ganrun.core.errors import DataError
from ganrun.engine.folder import RunFolder
from ganrun.sweep.ledger import Ledger


@pytest.fixture
def launch(monkeypatch):
    """Stands in for training; keeps what it was called with."""
    calls = []
    fake = SimpleNamespace(
        calls=calls,
        train=lambda config, folder, origin: calls.append((config, folder)),
        sample=lambda settings: calls.append(settings),
    )
    for module in ("launch", "sample"):
        monkeypatch.setattr(config_package, module, fake, raising=False)
        monkeypatch.setitem(sys.modules, f"ganrun.config.{module}", fake)
    return fake


def test_training_gets_the_final_configuration_and_the_run_folder(ganrun, launch, tmp_path):
    code, _, _ = ganrun("run=here", "optimizer.generator.lr=1e-4", "trainer.steps=1e3")
    ((config, folder),) = launch.calls
    assert code == 0
    assert folder == tmp_path / "here"
    assert config["optimizer"]["generator"]["lr"] == 1e-4
    assert config["trainer"]["steps"] == 1000


def test_a_run_folder_is_named_by_time_and_choices(ganrun, launch, tmp_path):
    ganrun("loss=hinge")
    ganrun("name=my label")
    first, second = (folder.relative_to(tmp_path) for _, folder in launch.calls)
    assert first.match("outputs/????-??-??/??-??-??-??????_dcgan_small_hinge")
    assert second.match("outputs/????-??-??/??-??-??-??????_my-label")


def test_everything_wrong_is_told_at_once_and_nothing_is_started(ganrun, launch, tmp_path):
    code, _, error = ganrun(
        "loss=wgna", "trainer.stepz=3", "+foo=1", "optimzer.generator.lr=1", "trainer.batch_size=abc", "seed"
    )
    assert code == 1
    assert error.startswith("6 problems in the configuration; nothing was started.")
    assert "loss=wgna: there is no such option. Did you mean wgan? Options: began, c_transform, ebgan" in error
    assert "trainer.stepz: trainer has no 'stepz'. Did you mean steps?" in error
    assert "foo: the configuration has no 'foo'" in error
    assert "the configuration has no 'optimzer'. Did you mean optimizer?" in error
    assert "trainer.batch_size: must be a whole number at least 1, not 'abc'." in error
    assert "'seed': is no override" in error
    assert "Traceback" not in error
    assert launch.calls == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["los=hinge"], "Did you mean loss?"),
        (["model=[dcgan,mlp]"], "takes one option"),
        (["+experiment=singan"], "Leave out the plus"),
        (["+seed=1"], "Leave out the plus: seed=1"),
        (["technique=[ttur,linear_dekay]"], "Did you mean linear_decay?"),
        (["loss=wgan,wgan_gp"], "Add -m"),
        (["dataset.subset=a b(c"], "cannot be read"),
        (["trainer.steps", "=", "3"], "without spaces around ="),
        (["+loss.discriminator_terms.gp.weight=5"], "has no _target_"),
        (["loss.discriminator_terms.gp.weight=5"], "loss.discriminator_terms has no 'gp'"),
        (["player.discriminator.ema.rampup=0.1"], "player.discriminator.ema is null and has no keys"),
        (["~model.generator.wdith"], "Did you mean width?"),
        (["~model.generator.width"], "model.generator.width: is missing"),
        (["++trainer.stepz=3"], "Did you mean steps?"),
        (["hydra.foo=1"], "Key 'foo' not in 'HydraConf'"),
        (["hydra/job_logging=loud"], "there is no such option"),
        (["model=cyclegan", "dataset=unpaired", "model.b_to_a.width=3"], "Change model.generator instead"),
        (["loss=wgan_gp", "model.discriminator.norm=batch"], "takes gradients of single samples"),
        (["dataset=ring", "model=dcgan"], "needs images, but dataset provides 2-D points"),
        (["dataset=single_image", "model=cgan"], "needs labels"),
        (["model.generator._target_=os.system"], "outside the packages that a run may build from"),
        (["run=."], "is not empty and holds no run"),
        (["--config-name", "x"], "--config-dir"),
        (["-m", "--cfg", "job"], "-m does not go with --cfg"),
        (["smaple", "run=x"], "There is no verb 'smaple'. Did you mean sample?"),
        (["sample"], "run: needs a value"),
        (["sample", "run=nowhere"], "nowhere holds no run"),
        (["sample", "run=nowhere", "conut=3", "step=newest"], "Did you mean count?"),
        (["-m", "run=x", "seed=0,1"], "run: names the folder of a single run. Name a sweep's with sweep.folder=PATH."),
        (["-m", "name=a,b"], "name: is the sweep's own and cannot be swept"),
        (["-m", "loss=hinge,hinqe"], "loss=hinqe: there is no such option. Did you mean hinge?"),
        (
            ["-m", "model=dcgan,r3gan", "model.discriminator.spectral=false,true"],
            "model.discriminator has no 'spectral'",
        ),
        (["-m", "seed=0,1", "+foo=1"], "has no 'foo'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_answered_by_one_message(ganrun, launch, tmp_path, arguments, told):
    (tmp_path / "mine.txt").write_text("")
    code, _, error = ganrun(*arguments)
    assert code == 1
    assert told in error
    assert "Traceback" not in error
    assert "HYDRA_FULL_ERROR" not in error
    assert launch.calls == []
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_wrong_option_makes_no_further_noise(ganrun):
    _, _, error = ganrun("dataset=unpared", "model=cyclegan", "dataset.split=test", "trainer.steps=0")
    assert "2 problems" in error
    assert "Did you mean unpaired?" in error
    assert "trainer.steps: must be a whole number at least 1" in error


def test_groups_of_ones_own_may_be_added(ganrun, launch, tmp_path):
    group = tmp_path / "more" / "technique"
    group.mkdir(parents=True)
    (group / "mine.yaml").write_text("# @package _global_\nseed: 5\n")
    assert ganrun("--config-dir", "more", "technique=[mine]")[0] == 0
    assert launch.calls[0][0]["seed"] == 5


def test_the_configuration_is_shown_even_when_values_are_wrong(ganrun):
    code, shown, _ = ganrun("--cfg", "job", "trainer.batch_size=abc", "-p", "trainer")
    assert code == 0
    assert "batch_size: abc" in shown
    assert ganrun("--cfg", "job", "trainer.stepz=1")[0] == 1


def test_info_and_version(ganrun):
    assert "loss/nonsaturating" in ganrun("--info", "defaults")[1]
    assert ganrun("--version")[1].startswith("ganrun 0.")


def test_a_mistake_found_while_training_is_told_and_logged(ganrun, launch, tmp_path):
    def train(config, folder, origin):
        raise DataError("The data are missing. Fetch them.")

    launch.train = train
    code, _, error = ganrun("run=here")
    assert code == 1
    assert error == "The data are missing. Fetch them.\n"
    assert "The data are missing" in (tmp_path / "here" / "run.log").read_text()


def test_a_bug_shows_where_it_is(ganrun, launch):
    def train(config, folder, origin):
        raise ZeroDivisionError("a bug")

    launch.train = train
    with pytest.raises(ZeroDivisionError, match="a bug"):
        ganrun("run=here")


def test_training_is_told_what_was_typed_and_which_options_were_chosen(ganrun, launch):
    origins = []
    launch.train = lambda config, folder, origin: origins.append(origin)
    ganrun("run=here", "dataset=ring", "seed=2")
    (origin,) = origins
    assert origin.overrides == ["run='here'", "dataset=ring", "seed=2"]
    assert origin.choices == {"model": "toy", "loss": "nonsaturating", "dataset": "ring"}


def test_an_interrupt_is_told_by_the_exit_code(ganrun, launch):
    def train(config, folder, origin):
        raise KeyboardInterrupt

    launch.train = train
    assert ganrun("run=here")[0] == 130


HERE = "hydra/launcher=basic"
"""Hydra's launcher that trains in this process, where training can be replaced."""


def test_the_rest_of_a_sweep_goes_on(ganrun, launch, tmp_path):
    seen = []

    def train(config, folder, origin):
        seen.append((config["seed"], config["model"]["discriminator"]["norm"]))
        if config["seed"] == 1:
            raise DataError("No data today.")
        if config["seed"] == 2:
            raise ZeroDivisionError("a bug")
        RunFolder(folder).write_status("finished", 1)

    launch.train = train
    sweep = ["-m", HERE, "loss=wgan_gp", "model.discriminator.norm=none,batch", "seed=0,1,2,3", "name=try it"]
    code, _, error = ganrun(*sweep)
    assert seen == [(0, "none"), (1, "none"), (2, "none"), (3, "none")]  # batch norm is refused in each of its jobs
    assert code == 1
    folder = tmp_path / "outputs/sweeps/try-it"
    rows = {row.name: row for row in Ledger(folder).rows()}
    assert [row.status for row in rows.values()] == ["finished", "failed", "failed", "finished", *["failed"] * 4]
    end = error[error.rindex("runs of the sweep failed") - 2 :]
    assert end.startswith("6 runs")
    assert "No data today." in end
    assert "ZeroDivisionError: a bug" in end
    assert end.count("takes gradients of single samples") == 4
    assert "2 of 8 runs are finished" in end
    _, mistake, bug, *_ = rows
    assert f"outputs/sweeps/try-it/{mistake} (failed)" in end
    assert "Traceback" in (folder / bug / "run.log").read_text()
    log = (folder / mistake / "run.log").read_text()
    assert "No data today." in log
    assert "Traceback" not in log
    seen.clear()
    assert ganrun(*sweep)[0] == 1
    assert seen == []  # what has ended is left
    assert ganrun(*sweep, "sweep.retry=true")[0] == 1
    assert seen == [(1, "none"), (2, "none")]


def test_a_sweep_without_failures_succeeds(ganrun, launch):
    launch.train = lambda config, folder, origin: RunFolder(folder).write_status("finished", 1)
    sweep = ["-m", HERE, "loss=glob(wgan_*p)", "technique=[ttur],[linear_decay]"]
    code, _, error = ganrun(*sweep)
    assert code == 0
    assert "4 of 4 runs are finished" in error
    assert "failed" not in error
    code, _, error = ganrun(*sweep)
    assert code == 0
    assert "4 finished: not trained again" in error


def test_a_larger_grid_trains_its_new_points_only(ganrun, launch, tmp_path):
    seen = []

    def train(config, folder, origin):
        seen.append(config["seed"])
        RunFolder(folder).write_status("finished", 1)

    launch.train = train
    assert ganrun("-m", HERE, "seed=0,1", "loss=hinge")[0] == 0
    assert ganrun("-m", HERE, "loss=hinge", "seed=0,1,2", "trainer.device=cpu")[0] == 0
    assert seen == [0, 1, 2]
    assert [path.name for path in (tmp_path / "outputs/sweeps").iterdir()] == ["loss=hinge,seed"]


def test_no_run_starts_once_one_has_failed_where_that_is_asked_for(ganrun, launch, tmp_path):
    seen = []

    def train(config, folder, origin):
        seen.append(config["seed"])
        raise DataError("No data today.")

    launch.train = train
    code, _, error = ganrun("-m", HERE, "seed=0,1,2", "sweep.on_error=stop", "sweep.folder=a=b,c/d")
    assert (code, seen) == (1, [0])
    assert "0 of 3 runs are finished" in error
    assert [row.status for row in Ledger(tmp_path / "a=b,c/d").rows()] == ["failed", "waiting", "waiting"]
    assert "Not finished: 2 waiting. The same command goes on with them." in error


@pytest.mark.parametrize(
    "typed",
    [
        ["seed=0,1", HERE, "-m"],
        ["-m", "seed=0,1", HERE],
        ["hydra.mode=MULTIRUN", "seed=0,1", HERE, "--config-dir", "."],
    ],
)
def test_options_may_stand_before_and_after_the_values(ganrun, launch, typed):
    launch.train = lambda config, folder, origin: RunFolder(folder).write_status("finished", 1)
    code, _, error = ganrun(*typed)
    assert code == 0, error
    assert "2 of 2 runs are finished" in error


def test_long_and_odd_sweep_values_make_usable_folders(ganrun, launch):
    def train(config, folder, origin):
        launch.calls.append((config, folder))
        RunFolder(folder).write_status("finished", 1)

    launch.train = train
    value = "x/" * 200
    code, _, _ = ganrun("-m", HERE, "dataset=image_folder", f"dataset.path={value},b/c", "dataset.size=32,64")
    assert code == 0
    folders = [folder for _, folder in launch.calls]
    assert len(set(folders)) == 4
    assert len({folder.parent for folder in folders}) == 1
    assert all(len(folder.name) < 120 for folder in folders)
    code, _, error = ganrun(f"run={folders[1]}", "seed=3")  # needs no quotes
    assert code == 0, error
    assert launch.calls[-1][1] == folders[1]


def test_run_folders_may_have_any_name(ganrun, launch, tmp_path):
    for name in ("a b", "it's", "x=1,y=[2]", "(1)", "2026", "true"):
        code, _, error = ganrun(f"run={name}")
        assert code == 0, error
        assert launch.calls[-1][1] == tmp_path / name
        assert launch.calls[-1][0]["run"] == name
    assert ganrun("run='quoted already'")[0] == 0
    assert launch.calls[-1][1] == tmp_path / "quoted already"


def test_sample_gets_its_settings(ganrun, launch, tmp_path):
    ganrun("run=here")
    (config, folder) = launch.calls.pop()
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
    code, _, error = ganrun("sample", "run=here", "count=4", "step=best", "truncation=0.7")
    assert code == 0, error
    (settings,) = launch.calls
    expected = {"run": "here", "count": 4, "truncation": 0.7, "files": "grid", "step": "best", "output": None}
    assert expected.items() <= settings.items()


def test_watch_shows_a_sweep_until_it_has_ended(ganrun, tmp_path):
    ledger = Ledger(tmp_path / "loss=wgan,seed")  # needs no quotes
    for number, row in enumerate(ledger.add([["loss=wgan", "seed=0"], ["loss=wgan", "seed=1"]], ["seed"])):
        RunFolder(row.folder).write_status(("finished", "failed")[number], 100)
    code, _, error = ganrun("watch", f"folder={ledger.folder}")
    assert code == 0
    assert error.startswith(f"{ledger.folder}: 1 failed, 1 finished, elapsed ")
    assert ganrun("watch", "folder=nowhere")[::2] == (
        1,
        "nowhere holds no sweep. Give folder=PATH the folder of one.\n",
    )
    assert "patience: must be a number above 0" in ganrun("watch", "folder=nowhere", "patience=0")[2]


def test_ranks_started_from_outside_must_name_the_folder(ganrun, launch, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, error = ganrun("trainer.devices=2")
    assert code == 1
    assert "run=PATH" in error
    assert ganrun("trainer.devices=2", "run=here")[0] == 0


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ganrun lo", {"loss=", "loss."}),
        ("ganrun loss=wgan_g", {"loss=wgan_gp"}),
        ("ganrun trainer.st", {"trainer.steps="}),
        ("ganrun -m model=dc", {"model=dcgan"}),
        ("ganrun sample cou", {"count="}),
    ],
)
def test_tab_completion(ganrun, monkeypatch, typed, expected):
    monkeypatch.setenv("COMP_LINE", typed)
    code, shown, _ = ganrun("-sc", "query=bash")
    assert code == 0
    assert expected <= set(shown.split())


def test_completion_can_be_installed(ganrun):
    assert "complete -o nospace" in ganrun("-sc", "install=bash")[1]


HEAVY = {
    *("IPython", "jinja2", "joblib", "matplotlib", "optuna", "pandas", "rich", "scipy", "sklearn"),
    *("tensorflow", "torch_fidelity", "torchmetrics", "torchvision", "transformers"),
}
"""What takes long to import, and neither starting nor training needs."""


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--help"], 0, "ganrun sample run=FOLDER"),
        (["sample", "--help"], 0, "truncation"),
        (["--cfg", "job"], 0, "trainer:"),
        (["loss=wgna", "trainer.steps=abc"], 1, "Did you mean wgan?"),
        (["loss=wgan_gp", "model.discriminator.norm=batch"], 1, "takes gradients of single samples"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_configuration_errors_do_not_import_torch(tmp_path, arguments, code, told):
    script = (
        "import sys\nfrom ganrun.cli import main\n"
        "try:\n    main()\nexcept SystemExit as leaving:\n"
        f"    heavy = {HEAVY | {'torch', 'numpy'}} & set(sys.modules)\n"
        "    sys.exit(f'imported {heavy}' if heavy else leaving.code)\n"
    )
    root = Path(cli.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert told in done.stdout + done.stderr
    assert "imported {" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_training_imports_what_it_needs(tmp_path):
    script = (
        "import sys\nfrom ganrun.cli import run\n"
        "assert run(sys.argv[1:]) == 0\n"
        f"heavy = {HEAVY} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    overrides = ["debug=smoke", "evaluation=none", "trainer.steps=1", f"run={tmp_path / 'run'}"]
    command = [sys.executable, "-c", script, *overrides]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
