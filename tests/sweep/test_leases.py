"""Leases of GPUs, with devices that are only names: real processes, real locks."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ganrun.core.errors import RunError
from ganrun.sweep import leases
from ganrun.sweep.leases import choose, leased, visible_gpus

RUN = """
import glob, json, os, sys, time
from ganrun.sweep import leases
leases.POLL_SECONDS = 0.02
journal, count, bound, seconds, company = sys.argv[1], *map(float, sys.argv[2:])
with leases.leased(int(count), int(bound)) as gpus:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(gpus)
    entry = {"gpus": gpus, "process": os.getpid(), "from": time.monotonic()}
    open(journal + f".{os.getpid()}", "w").close()
    while time.monotonic() < entry["from"] + seconds or len(glob.glob(journal + ".*")) < company:
        time.sleep(0.01)
    entry["to"] = time.monotonic()
with open(journal, "a") as file:
    file.write(json.dumps(entry) + "\\n")
assert "torch" not in sys.modules
"""


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine with two GPUs, which nvidia-smi does not know, and leases of its own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "fake0,fake1")
    monkeypatch.setattr(leases, "POLL_SECONDS", 0.02)
    return tmp_path


@pytest.fixture
def start(machine):
    """``start(count, jobs_per_gpu, seconds, company)``: a process that leases GPUs and writes down when.

    It holds them at least for ``seconds``, and until as many as ``company`` have had a lease.
    """
    processes = []

    def begin(count: int, bound: int, seconds: float, company: int = 1) -> subprocess.Popen:
        path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-c", RUN, machine / "journal", *map(str, (count, bound, seconds, company))]
        processes.append(subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def held_by(machine: Path, process: subprocess.Popen) -> None:
    """Wait until ``process`` has its lease."""
    deadline = time.monotonic() + 30
    while not (machine / f"journal.{process.pid}").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def nvidia_smi(machine: Path, script: str) -> None:
    """Install one that runs this line of shell."""
    program = machine / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def most_at_once(intervals: list[tuple[float, float]]) -> int:
    """How many of the intervals overlap where most do."""
    return max(sum(begin <= at < end for begin, end in intervals) for at, _ in intervals)


@pytest.mark.parametrize("jobs_per_gpu", [1, 2])
def test_five_runs_on_two_gpus(machine, start, jobs_per_gpu):
    runs = [start(1, jobs_per_gpu, 0.3, company=2) for _ in range(5)]
    assert [run.wait(timeout=60) for run in runs] == [0] * 5
    entries = [json.loads(line) for line in (machine / "journal").read_text().splitlines()]
    assert len({entry["process"] for entry in entries}) == 5
    used = {gpu: [(e["from"], e["to"]) for e in entries if e["gpus"] == [gpu]] for gpu in ("fake0", "fake1")}
    assert sum(map(len, used.values())) == 5
    assert all(used.values())
    assert all(most_at_once(intervals) <= jobs_per_gpu for intervals in used.values())


def test_a_killed_run_gives_its_gpus_back_at_once(machine, start):
    run = start(2, 1, 600)
    held_by(machine, run)
    run.send_signal(signal.SIGKILL)
    run.wait()
    with leased(2, 1) as gpus:
        assert sorted(gpus) == ["fake0", "fake1"]


def test_runs_that_need_both_gpus_do_not_wait_for_each_other(machine, start):
    runs = [start(count, 1, 0.1) for count in (2, 1, 2, 1)]
    assert [run.wait(timeout=60) for run in runs] == [0] * 4
    entries = [json.loads(line) for line in (machine / "journal").read_text().splitlines()]
    for gpu in ("fake0", "fake1"):
        assert most_at_once([(entry["from"], entry["to"]) for entry in entries if gpu in entry["gpus"]]) == 1


def test_a_run_that_waits_says_so_once(machine, start, caplog, monkeypatch):
    run = start(2, 1, 600)
    held_by(machine, run)
    looks = iter(range(3))

    def pause(seconds: float) -> None:
        if next(looks) == 2:
            run.kill()
            run.wait()

    monkeypatch.setattr(leases, "time", SimpleNamespace(sleep=pause))
    with caplog.at_level(logging.INFO), leased(1, 1):
        assert next(looks, None) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"waiting for a GPU, jobs_per_gpu=1; those in use are held by process {run.pid}"
    ]


def test_the_variable_is_put_back():
    with pytest.raises(ZeroDivisionError), leased(1, 1):
        1 / 0  # noqa: B018
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "fake0,fake1"
    with leased(2, 1):  # nothing is held any more
        pass


def test_without_a_gpu_nothing_happens(monkeypatch):
    for value in ("", "-1", "NoDevFiles"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        with leased(1, 1) as gpus:
            assert gpus == []
            assert os.environ["CUDA_VISIBLE_DEVICES"] == value
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with leased(1, 1) as gpus:
        assert gpus == []
        assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_more_gpus_than_there_are_are_refused():
    with pytest.raises(RunError, match=r"3 GPUs are needed and 2 can be seen\. Lower trainer\.devices\."), leased(3, 1):
        pass


@pytest.mark.parametrize(
    ("bounds", "count", "bound", "taken"),
    [
        ({"a": [], "b": []}, 1, 1, ["a"]),
        ({"a": [2], "b": []}, 1, 2, ["b"]),  # the least used one
        ({"a": [3, 3], "b": [3]}, 2, 3, ["b", "a"]),
        ({"a": [1], "b": [2]}, 1, 2, ["b"]),  # the run on a wants to be alone
        ({"a": [1], "b": [2]}, 1, 1, None),  # ... and so does this one
        ({"a": [2, 2], "b": [2]}, 1, 9, ["b"]),
        ({"a": [1], "b": []}, 2, 1, None),  # all or nothing
    ],
)
def test_each_run_keeps_its_own_bound(bounds, count, bound, taken):
    assert choose(bounds, count, bound) == taken


def test_a_gpu_is_named_by_its_uuid(machine, monkeypatch):
    nvidia_smi(machine, "echo '0, GPU-8932f937'; echo '1, GPU-1d2e57aa'")
    for asked, seen in [
        ("0,1", ["GPU-8932f937", "GPU-1d2e57aa"]),
        ("1", ["GPU-1d2e57aa"]),
        ("GPU-1d, 0, 1", ["GPU-1d2e57aa", "GPU-8932f937"]),  # abbreviated; the same one twice
        ("1,-1,0", ["GPU-1d2e57aa"]),  # CUDA stops reading there
        ("MIG-5c9b", ["MIG-5c9b"]),
        ("", []),
    ]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
        assert visible_gpus() == seen
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpus() == ["GPU-8932f937", "GPU-1d2e57aa"]


def test_a_broken_nvidia_smi_is_none(machine, monkeypatch):
    nvidia_smi(machine, "echo Failed to initialize NVML; exit 9")
    assert visible_gpus() == ["fake0", "fake1"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpus() == []


def test_a_folder_of_somebody_else_is_refused(machine, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(RunError, match="ganrun-12345, where GPUs are leased, belongs to somebody"), leased(1, 1):
        pass
