"""Launchers of other packages, for real: what becomes of the runs, whatever happens to the processes."""

import os
import re
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from commands import wait_until

from ganrun.config.extras import EXTRAS

pytestmark = pytest.mark.slow

LONG = "trainer.steps=100000"


def needs(option):
    """Skip where the launcher's package is not installed."""
    extra, module = EXTRAS["hydra/launcher"][option]
    return pytest.mark.skipif(find_spec(module) is None, reason=f"needs pip install 'ganrun[{extra}]'")


JOBLIB = pytest.param(["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], marks=needs("joblib"), id="joblib")
SLURM_LOCAL = pytest.param(
    ["hydra/launcher=slurm_local", "hydra.launcher.jobs=2"], marks=needs("slurm_local"), id="slurm_local"
)
RAY = pytest.param(["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"], marks=needs("ray"), id="ray")


@pytest.mark.parametrize("launcher", [JOBLIB, SLURM_LOCAL, RAY])
def test_a_failed_and_a_killed_run_hurt_no_other(sweep, launcher):
    """Not the pool that their jobs belong to either: runs that wait are trained by it."""
    command = sweep("optimizer.generator.lr=1e-3,-1", "seed=0,1", "trainer.steps=1000", *launcher)
    command.wait_for_steps("optimizer.generator.lr=0.001,seed=0")
    os.kill(command.trainer("optimizer.generator.lr=0.001,seed=0"), signal.SIGKILL)
    assert command.finish() == 1
    assert command.status() == {
        "optimizer.generator.lr=0.001,seed=0": "failed",
        "optimizer.generator.lr=0.001,seed=1": "finished",
        "optimizer.generator.lr=-1,seed=0": "failed",
        "optimizer.generator.lr=-1,seed=1": "failed",
    }
    end = command.printed()
    end = end[end.rindex("3 runs of the sweep failed:") :]
    assert "killed by SIGKILL" in end
    assert end.count("optimizer.generator.lr: must be a number above 0, not -1.") == 2
    assert "1 of 4 runs are finished." in end


@pytest.mark.parametrize("launcher", [JOBLIB, SLURM_LOCAL, RAY])
def test_ctrl_c_stops_all_and_the_same_command_goes_on(sweep, launcher):
    command = sweep("seed=0,1", LONG, *launcher)
    command.wait_for_steps("seed=0", "seed=1")
    os.killpg(command.process.pid, signal.SIGINT)
    assert command.finish() == 130
    assert "the same command goes on with it" in command.printed()
    wait_until(lambda: "running" not in command.status().values())
    assert set(command.status().values()) <= {"stopped", "interrupted"}
    again = sweep("seed=0,1", LONG, *launcher)
    again.wait_until(lambda: "running" in again.status().values())
    log = next(again.folder.glob("seed=0*/run.log"))
    again.wait_until(lambda: "going on from step" in log.read_text())


@pytest.mark.parametrize(
    ("launcher", "worker", "error"),
    [
        pytest.param(
            *JOBLIB.values, "LokyProcess", "JoblibLauncher gave up (TerminatedWorkerError", marks=JOBLIB.marks
        ),
        pytest.param(*SLURM_LOCAL.values, "core._submit", "SubmititLauncher gave up (Un", marks=SLURM_LOCAL.marks),
        pytest.param(*RAY.values, "ray::_run_job", "RayLauncher gave up (WorkerCrashedError", marks=RAY.marks),
    ],
    ids=["joblib", "slurm_local", "ray"],
)
def test_a_killed_worker_is_told_and_its_run_saves(sweep, launcher, worker, error):
    command = sweep("seed=0,1", LONG, *launcher)
    command.wait_for_steps("seed=0", "seed=1")
    os.kill(command.wait_for_process(worker), signal.SIGKILL)
    assert command.finish() == 1
    end = command.printed()
    assert error in end
    assert "Traceback" not in end
    assert re.search(r"Not finished: .*The same command goes on with them\.|running in other processes", end)
    wait_until(lambda: set(command.status().values()) & {"stopped", "interrupted"})


@pytest.mark.parametrize("launcher", [JOBLIB, RAY])
def test_runs_of_a_killed_sweep_stop_and_save(sweep, launcher):
    command = sweep("seed=0,1", LONG, *launcher)
    command.wait_for_steps("seed=0", "seed=1")
    command.process.kill()
    command.process.wait()
    wait_until(lambda: command.status() == {"seed=0": "stopped", "seed=1": "stopped"})


@needs("joblib")
def test_a_run_inside_joblib_may_train_with_several_processes(sweep):
    command = sweep("seed=0,1", "trainer.steps=4", "trainer.devices=2", "hydra/launcher=joblib")
    assert command.finish() == 0, command.printed()
    assert command.status() == {"seed=0": "finished", "seed=1": "finished"}


@pytest.fixture
def cluster(tmp_path):
    """Environment of a machine with SLURM's commands."""
    home = tmp_path / "slurm"
    home.mkdir()
    for name in ("sbatch", "srun", "sacct", "scontrol"):
        (home / name).symlink_to(Path(__file__).parent / "slurm" / "slurm")
    return {"PATH": f"{home}{os.pathsep}{os.environ['PATH']}", "FAKE_SLURM": str(home)}


@needs("slurm")
def test_a_job_that_nears_its_time_limit_saves_and_is_queued_again(sweep, cluster, tmp_path):
    """The cluster's commands are stand-ins; submitit, its signals and the runs are real."""
    mine = ["hydra/launcher=slurm", "hydra.launcher.partition=gpu", "hydra.launcher.timeout_min=90"]
    command = sweep("seed=0,1", "trainer.steps=400", "trainer.checkpoint_every_steps=100000", *mine, **cluster)
    command.wait_until(lambda: len(list(command.folder.glob("*/metrics.jsonl"))) == 2)
    os.kill(command.wait_for_process("submitit.core._submit"), signal.SIGUSR2)
    assert command.finish() == 0, command.printed()
    assert command.status() == {"seed=0": "finished", "seed=1": "finished"}
    [line] = (tmp_path / "slurm/requeued").read_text().splitlines()
    assert re.fullmatch(r"requeue 17_[01]", line)
    [log] = [path for path in command.folder.glob("*/run.log") if "going on from step" in path.read_text()]
    assert "stopping after this step and saving" in log.read_text()
    script = (tmp_path / "slurm/script").read_text()
    options = dict(re.findall(r"#SBATCH --([\w-]+)=(.*)", script))
    expected = {
        "array": "0-1%2",
        "cpus-per-task": "4",
        "gpus-per-node": "1",
        "job-name": "ganrun",
        "mem": "16GB",
        "nodes": "1",
        "ntasks-per-node": "1",
        "open-mode": "append",
        "partition": "gpu",
        "signal": "USR2@120",
        "time": "90",
    }
    assert expected.items() <= options.items()
    assert options["output"].startswith(str(command.folder / ".submitit"))


@needs("slurm")
def test_a_queue_that_refuses_is_told(sweep, cluster, tmp_path):
    (tmp_path / "slurm/sbatch").unlink()
    (tmp_path / "slurm/sbatch").write_text(
        "#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpu' >&2\nexit 1\n"
    )
    (tmp_path / "slurm/sbatch").chmod(0o755)
    command = sweep("seed=0,1", LONG, "hydra/launcher=slurm", **cluster)
    assert command.finish() == 1
    assert "invalid partition specified: gpu" in command.printed()
    assert "Not finished: 2 waiting. The same command goes on with them." in command.printed()
    assert "Traceback" not in command.printed()


@needs("slurm")
def test_jobs_of_slurm_local_see_the_gpus_that_the_sweep_sees(sweep, tmp_path):
    """submitit alone hides them all."""
    seen = {}
    for visible in ("1,3", None):
        environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        command = sweep(
            "seed=0", LONG, "trainer.device=cpu", "hydra/launcher=slurm_local", name=f"of_{visible}", **environment
        )
        job = command.wait_for_process("submitit.core._submit")
        variables = Path(f"/proc/{job}/environ").read_text().split("\0")
        seen[visible] = [v.partition("=")[2] for v in variables if v.startswith("CUDA_VISIBLE_DEVICES=")]
        command.kill()
    assert seen == {"1,3": ["1,3"], None: []}
