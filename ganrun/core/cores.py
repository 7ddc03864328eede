"""How many CPU cores a process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CORES = "GANRUN_CORES"
"""Environment variable: cores that a run may use at most; a sweep sets it for the runs that it trains at once."""


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use, at least 1: the least of its affinity, its quota and ``$GANRUN_CORES``.

    Args:
        root: of the file system, where the kernel tells about control groups.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get(CORES, "")
    limits = [allowed, *map(math.ceil, _quotas(root)), *([int(share)] if share.isdecimal() else [])]
    return max(1, min(limits))


def _quotas(root: Path) -> Iterator[float]:
    """What the control groups of this process allow, in seconds of CPU per second; a container's is one of them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = root / "sys/fs/cgroup" / ("cpu" if controllers else "") / path.lstrip("/")  # version 1 or 2
        while group != root:  # a limit holds for all groups below; from within a container the lowest may be hidden
            yield from _quota(group)
            group = group.parent


def _quota(group: Path) -> Iterator[float]:
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):  # version 2, version 1
        try:
            quota, period = " ".join((group / name).read_text() for name in names).split()
        except (OSError, ValueError):
            continue
        if quota not in ("max", "-1"):
            yield int(quota) / int(period)
