"""What a tick says of the process."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ganrun.engine.logbook import peak_memory_gib

CPU = torch.device("cpu")


def high_water_gib() -> float:
    """The kernel's own record of this process, which knows nothing of what its parent held."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs Linux")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 2**20


def test_peak_memory_on_a_cpu_is_the_largest_resident_memory():
    before = peak_memory_gib(CPU)
    held = np.ones(2**26, dtype=np.uint8)  # 64 MiB, touched
    while high_water_gib() < before + 0.05:  # where earlier tests, or a parent, held more
        held = np.concatenate([held, held])
    del held
    assert peak_memory_gib(CPU) >= before + 0.05, "a peak stays"
    assert peak_memory_gib(CPU) == pytest.approx(high_water_gib(), rel=0.02)
