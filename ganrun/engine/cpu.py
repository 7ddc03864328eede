"""What training on a CPU asks of the machine: a share of its cores, and memory that stays."""

from __future__ import annotations

import ctypes
import os

import torch

from ganrun.core.cores import CORES, usable_cores

M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
"""Of ``malloc.h``."""


def prepare(device: torch.device, threads: int | None) -> None:
    """Make the process ready to train.

    Args:
        device: where; beside a GPU torch keeps its threads unless a number is asked for.
        threads: how many torch shall take; ``None``: :func:`share_of_cores` on a CPU, and in a sweep.
    """
    if threads is None and (device.type == "cpu" or CORES in os.environ):
        threads = share_of_cores()
    if threads is not None:
        torch.set_num_threads(threads)
    if device.type == "cpu":
        keep_memory()


def share_of_cores() -> int:
    """Threads for this one of ``$LOCAL_WORLD_SIZE`` processes: those that together take too many wait for each other.

    ``$OMP_NUM_THREADS`` decides where it is set. Otherwise torch's choice, which knows physical cores but no quotas,
    is the most that is taken.
    """
    chosen = torch.get_num_threads()
    if "OMP_NUM_THREADS" in os.environ:
        return chosen
    return max(1, min(chosen, usable_cores()) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def keep_memory() -> bool:
    """Let glibc keep freed memory for the next step: by default it hands large blocks back to the system at once.

    Every step would be given them anew, zeroed page by page. What the environment says about either threshold stands.
    Elsewhere than on glibc nothing happens, and nothing that matters where another allocator has been preloaded.

    Returns:
        Whether memory is kept from now on.
    """
    said = " ".join(name for name in os.environ if name.startswith("MALLOC_")).lower()
    said += os.environ.get("GLIBC_TUNABLES", "")
    if "trim_threshold" in said or "mmap_threshold" in said:
        return False
    try:
        os.confstr("CS_GNU_LIBC_VERSION")
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError, ValueError):
        return False
    # smaller blocks come from the heap, which is never trimmed; older versions of glibc refuse more than 32 MiB
    kept = mallopt(M_MMAP_THRESHOLD, 1 << 30) or mallopt(M_MMAP_THRESHOLD, 1 << 25)
    return bool(kept and mallopt(M_TRIM_THRESHOLD, -1))
