"""Threads and memory of a process that trains on a CPU."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ganrun
from ganrun.core.cores import CORES
from ganrun.engine import cpu


@pytest.fixture
def processor(monkeypatch):
    """``processor(16, chosen=8)``: 16 cores, of which torch chose 8 by itself; what it is told is in ``["told"]``."""
    state = {"chosen": 0, "told": None}
    for name in ("OMP_NUM_THREADS", "LOCAL_WORLD_SIZE", CORES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: state["chosen"])
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: state.update(told=threads))
    monkeypatch.setattr(cpu, "keep_memory", lambda: None)

    def make(cores, chosen):
        monkeypatch.setattr(cpu, "usable_cores", lambda: cores)
        state["chosen"] = chosen
        return state

    return make


@pytest.mark.parametrize(
    ("cores", "chosen", "processes", "expected"),
    [
        (16, 16, None, 16),
        (16, 16, "4", 4),
        (16, 8, "4", 2),  # torch counts physical cores
        (3, 16, "2", 1),  # a quota
        (2, 2, "4", 1),
        (64, 4, None, 4),
    ],
)
def test_processes_share_the_cores(processor, monkeypatch, cores, chosen, processes, expected):
    state = processor(cores, chosen)
    if processes is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    cpu.prepare(torch.device("cpu"), None)
    assert state["told"] == expected


def test_what_the_user_says_stands(processor, monkeypatch):
    state = processor(2, 5)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    cpu.prepare(torch.device("cpu"), None)
    assert state["told"] == 5
    cpu.prepare(torch.device("cpu"), 7)
    assert state["told"] == 7


def test_beside_a_gpu_only_a_sweep_divides(processor, monkeypatch):
    state = processor(4, 16)
    cpu.prepare(torch.device("cuda"), None)
    assert state["told"] is None
    monkeypatch.setenv(CORES, "4")
    cpu.prepare(torch.device("cuda"), None)
    assert state["told"] == 4


FAULTS = """
import resource, torch
from ganrun.engine.cpu import keep_memory
print(keep_memory())
def work():
    blocks = [torch.zeros(2**20 + i) for i in range(16)]  # 64 MiB
work(), work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment):
    """Whether memory was kept, and page faults of five times 64 MiB."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    plain["PYTHONPATH"] = str(Path(ganrun.__file__).parents[1])
    command = [sys.executable, "-c", FAULTS]
    done = subprocess.run(command, env=plain | environment, capture_output=True, text=True, check=True)
    kept, count = done.stdout.split()
    return kept == "True", int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_memory_is_kept_for_the_next_step():
    kept, count = faults()
    assert kept
    assert count < 10_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
@pytest.mark.parametrize(
    "environment",
    [
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        pytest.param({"MALLOC_MMAP_THRESHOLD_": "131072"}, marks=pytest.mark.slow),
        pytest.param({"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}, marks=pytest.mark.slow),
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_what_the_user_says_about_memory_stands(environment):
    kept, count = faults(**environment)
    assert not kept
    assert count > 50_000  # given back, and asked for again page by page


def test_other_systems_are_left_alone(monkeypatch):
    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown, raising=False)
    assert cpu.keep_memory() is False
