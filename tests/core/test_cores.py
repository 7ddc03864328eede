"""Cores that a process may use, as affinity, quotas and the sweep say."""

import os

import pytest

from ganrun.core import cores
from ganrun.core.cores import usable_cores


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """``machine(16, "0::/job", {"sys/fs/cgroup/job/cpu.max": "200000 100000"})``: the cores of such a machine."""

    def make(affinity, groups, files):
        monkeypatch.delenv(cores.CORES, raising=False)
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(affinity)), raising=False)
        for name, text in {"proc/self/cgroup": groups, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return usable_cores(tmp_path)

    return make


VERSION_2 = [
    ("0::/", {"sys/fs/cgroup/cpu.max": "200000 100000"}, 2),  # inside a container
    ("0::/", {"sys/fs/cgroup/cpu.max": "max 100000"}, 16),
    ("0::/", {"sys/fs/cgroup/cpu.max": "150000 100000"}, 2),  # a part of a core is used by a thread, too
    ("0::/", {"sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
    ("0::/", {"sys/fs/cgroup/cpu.max": "6400000 100000"}, 16),
    ("0::/", {"sys/fs/cgroup/cpu.max": "nonsense"}, 16),
    ("0::/a/b", {"sys/fs/cgroup/a/b/cpu.max": "max 100000", "sys/fs/cgroup/a/cpu.max": "300000 100000"}, 3),
    ("0::/a/b", {"sys/fs/cgroup/a/b/cpu.max": "100000 50000", "sys/fs/cgroup/a/cpu.max": "300000 100000"}, 2),
    ("0::/", {}, 16),
]
VERSION_1 = [
    ("3:cpu,cpuacct:/docker/1f", {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000"}, 4),  # its own path is hidden
    ("3:cpuacct,cpu:/job", {"sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "250000"}, 3),
    ("3:cpu:/job", {"sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1"}, 16),
    ("3:cpuset:/job\n0::/", {"sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "100000"}, 16),
]


@pytest.mark.parametrize(("groups", "files", "expected"), VERSION_2)
def test_the_quota_of_version_2(machine, groups, files, expected):
    assert machine(16, groups, files) == expected


@pytest.mark.parametrize(("groups", "files", "expected"), VERSION_1)
def test_the_quota_of_version_1(machine, groups, files, expected):
    periods = {name.replace("quota", "period"): "100000" for name in files}
    assert machine(16, groups, files | periods) == expected


def test_affinity_counts_too(machine):
    assert machine(3, "0::/", {"sys/fs/cgroup/cpu.max": "800000 100000"}) == 3


def test_a_system_without_control_groups(tmp_path, monkeypatch):
    monkeypatch.delenv(cores.CORES, raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert usable_cores(tmp_path) == 8
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1


@pytest.mark.parametrize(("share", "expected"), [("2", 2), ("64", 6), ("0", 1), ("", 6), ("many", 6)])
def test_a_sweep_says_what_a_run_may_use(tmp_path, monkeypatch, share, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    monkeypatch.setenv(cores.CORES, share)
    assert usable_cores(tmp_path) == expected
