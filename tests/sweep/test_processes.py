"""Runs in processes of their own, with small functions in place of training."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import wait_until

from ganrun.engine.folder import RunFolder
from ganrun.sweep import processes
from ganrun.sweep.processes import Job, train_all

ENTRY = "entries:act"


def state_of(folder):
    state = RunFolder(folder).state()
    return state.get("status"), state.get("step"), state.get("reason", "")


@pytest.fixture
def train(tmp_path):
    """``train("finish", "fail")``: the folders, named so, and in which order they ended."""

    def run(*actions, parallel=2, more=()):
        jobs = [Job(tmp_path / f"{i}_{action}", [action, str(tmp_path / f"{i}_{action}"), *more])
                for i, action in enumerate(actions)]  # fmt: skip
        ended = []
        train_all(jobs, parallel, ENTRY, look=lambda: None, ended=lambda job: ended.append(job.folder.name))
        return [job.folder for job in jobs], ended

    return run


def test_whatever_becomes_of_a_run_is_recorded_and_the_others_finish(train, capfd):
    actions = ("fail", "be_killed", "leave", "abort", "say_why", "finish")
    folders, ended = train(*actions)
    assert sorted(ended) == sorted(folder.name for folder in folders)
    failed, killed, left, aborted, told, finished = map(state_of, folders)
    assert failed[:2] == ("failed", 0)
    assert failed[2].endswith("ZeroDivisionError: a bug")
    assert "Traceback" in failed[2]
    assert killed == (
        "failed",
        5,
        "The process was killed by SIGKILL. Where nobody did it, the machine ran out of memory.",
    )
    assert left == ("failed", 0, "The process ended with exit code 3.")
    assert aborted[:2] == ("failed", 0)
    assert aborted[2].startswith("The process was ended by SIGABRT. Its last words:")
    assert "std::bad_alloc" in aborted[2]
    assert told == ("failed", 4, "the loss became nan")
    assert finished == ("finished", 7, "")
    assert "std::bad_alloc" in (folders[3] / "run.log").read_text()
    assert capfd.readouterr() == ("", "")  # the screen is the sweep's


def test_an_end_is_told_when_it_happens(tmp_path):
    """The second run cannot end before the first one's end was told."""
    first = Job(tmp_path / "first", ["fail", str(tmp_path / "first")])
    second = Job(tmp_path / "second", ["wait_for", str(tmp_path / "second"), str(tmp_path / "told")])
    ended = []

    def tell(job):
        ended.append((job.folder.name, state_of(job.folder)[0]))
        (tmp_path / "told").touch()

    train_all([second, first], 2, ENTRY, look=lambda: None, ended=tell)
    assert ended == [("first", "failed"), ("second", "finished")]


def test_only_so_many_are_trained_at_a_time_and_asked_for(tmp_path):
    log, asked, ended = tmp_path / "log", [], []

    def jobs():
        for number in range(5):
            asked.append(len(ended))
            yield Job(tmp_path / str(number), ["count", str(tmp_path / str(number)), str(log)])

    train_all(jobs(), 2, ENTRY, look=lambda: None, ended=ended.append)
    marks = log.read_text()
    running = [marks[:i].count("+") - marks[:i].count("-") for i in range(len(marks) + 1)]
    assert marks.count("+") == 5
    assert max(running) == 2
    assert asked[:2] == [0, 0]
    assert all(number - done <= 1 for number, done in enumerate(asked))  # a run is asked for when there is room for it


def test_cores_are_divided_and_a_run_sees_what_the_sweep_sees(train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARK", "set after the server has started")
    monkeypatch.setattr(processes, "usable_cores", lambda: 3)
    folders, _ = train("describe", "describe", parallel=2)
    for folder in folders:
        facts = json.loads((folder / "facts.json").read_text())
        assert facts == {"cores": 1, "cwd": str(tmp_path), "mark": "set after the server has started"}


def test_an_error_of_the_caller_leaves_no_run_behind(tmp_path):
    def jobs():
        yield Job(tmp_path / "run", ["train_until_asked", str(tmp_path / "run")])
        while state_of(tmp_path / "run")[0] != "running":
            time.sleep(0.01)
        raise OSError("the ledger is gone")

    with pytest.raises(OSError, match="the ledger is gone"):
        train_all(jobs(), 2, ENTRY, look=lambda: None, ended=lambda job: None)
    assert state_of(tmp_path / "run")[0] == "stopped"
    assert not RunFolder(tmp_path / "run").in_use()


SWEEP = """
import sys
from pathlib import Path
from ganrun.sweep import processes
from ganrun.sweep.processes import Job, train_all
processes.PRELOADED = []
jobs = [Job(Path(folder), ["train_until_asked", folder]) for folder in sys.argv[1:]]
try:
    train_all(jobs, 2, "entries:act", look=lambda: None, ended=lambda job: print(job.folder.name, flush=True))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def sweep(tmp_path):
    """A process that trains two of three runs at a time; both are training."""
    folders = [tmp_path / name for name in "abc"]
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    process = subprocess.Popen(
        [sys.executable, "-c", SWEEP, *map(str, folders)],
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_until(
        lambda: [state_of(folder)[0] for folder in folders[:2]] == ["running"] * 2, lambda: process.poll() is None
    )
    return process, folders


@pytest.mark.parametrize(
    ("send", "number", "code"),
    [
        (os.kill, signal.SIGTERM, 143),
        (os.kill, signal.SIGINT, 130),
        (os.killpg, signal.SIGTERM, 143),
        (os.killpg, signal.SIGINT, 130),
        (os.kill, signal.SIGUSR2, 140),
    ],
    ids=["SIGTERM", "SIGINT", "SIGTERM for all", "Ctrl-C", "warning of a cluster"],
)
def test_a_stopped_sweep_stops_its_runs_which_save(sweep, send, number, code):
    process, folders = sweep
    send(process.pid, number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == code, output
    assert [state_of(folder) for folder in folders] == [("stopped", 2, ""), ("stopped", 2, ""), (None, None, "")]
    assert not any(RunFolder(folder).in_use() for folder in folders)
    assert not folders[2].exists()


def test_runs_of_a_killed_sweep_stop_by_themselves_and_save(sweep):
    process, folders = sweep
    process.kill()
    process.communicate(timeout=30)
    wait_until(lambda: [state_of(folder)[0] for folder in folders[:2]] == ["stopped"] * 2)
    wait_until(lambda: not any(RunFolder(folder).in_use() for folder in folders))
    assert not folders[2].exists()
