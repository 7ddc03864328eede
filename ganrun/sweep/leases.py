"""Leases of this machine's GPUs: every run takes its own before CUDA is touched, whichever launcher started it.

A lease is a locked file, so the kernel takes it back from a process that dies, however it dies.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from ganrun.core.errors import RunError
from ganrun.sweep.naming import path_safe

log = logging.getLogger(__name__)

VARIABLE = "CUDA_VISIBLE_DEVICES"
NO_GPU = ("", "-1", "NoDevFiles")
"""Entries of the variable that are no GPU; CUDA reads the list up to the first of them."""

POLL_SECONDS = 0.5
SMI_SECONDS = 60.0
"""How long nvidia-smi may take; some seconds where the driver has to wake many GPUs."""


class Holder(NamedTuple):
    """A run that trains on a GPU.

    Args:
        bound: the most runs on the GPU that it can live with, itself included.
        process: its number.
    """

    bound: int
    process: int


@contextmanager
def leased(count: int, jobs_per_gpu: int) -> Iterator[list[str]]:
    """Hold GPUs inside the block, and let ``CUDA_VISIBLE_DEVICES`` name them; wait until they are free.

    All sweeps and launchers of one user on one machine share the leases. Where runs ask for different
    ``jobs_per_gpu``, each is kept: a run neither joins a GPU where it would be one too many for itself, nor one where
    it would be one too many for a run that is there. GPUs are taken all at once or not at all, so nobody waits while
    holding what another one needs. Those with the fewest runs are taken first; waiting runs are not served in order.

    Args:
        count: how many GPUs.
        jobs_per_gpu: the most runs that may train on each of them at a time, this one included.

    Yields:
        Their names; none, and nothing is changed, where no GPU is visible.

    Raises:
        RunError: fewer than ``count`` GPUs are visible.
    """
    gpus = visible_gpus()
    if not gpus:
        yield []
        return
    if len(gpus) < count:
        raise RunError(f"{count} GPUs are needed and {len(gpus)} can be seen. Lower trainer.devices.")
    with ExitStack() as held:
        taken = _wait_for(gpus, count, jobs_per_gpu, held)
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = ",".join(taken)
        try:
            yield taken
        finally:
            del os.environ[VARIABLE]
            if before is not None:
                os.environ[VARIABLE] = before


def visible_gpus() -> list[str]:
    """GPUs that this process may use: those of ``CUDA_VISIBLE_DEVICES`` where it is set, else all.

    A GPU is named by its UUID, since index 0 is another one in every job of a cluster. Indices count as nvidia-smi
    does; what nvidia-smi does not know, or all where it is missing, keeps the name that the variable gives it.
    """
    asked = os.environ.get(VARIABLE)
    if asked is None:
        return list(_uuids().values())
    entries = [entry.strip() for entry in asked.split(",")]
    entries = list(itertools.takewhile(lambda entry: entry not in NO_GPU, entries))
    known = _uuids() if entries else {}
    return list(dict.fromkeys(_name(entry, known) for entry in entries))


def _name(entry: str, known: dict[str, str]) -> str:
    """UUID of an index or of an abbreviated UUID."""
    return next((uuid for index, uuid in known.items() if index == entry or uuid.startswith(entry)), entry)


def _uuids() -> dict[str, str]:
    """Index -> UUID of every GPU, as nvidia-smi has them; empty without it."""
    command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SMI_SECONDS).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return {index.strip(): uuid.strip() for index, _, uuid in (line.partition(",") for line in answer.splitlines())}


def _wait_for(gpus: Sequence[str], count: int, bound: int, held: ExitStack) -> list[str]:
    """Take GPUs as soon as there are enough; ``held`` gives them back when it is closed."""
    folder = _folder()
    told = False
    while True:
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            holders = {gpu: _holders(folder, gpu) for gpu in gpus}
            taken = choose({gpu: [h.bound for h in holders[gpu].values()] for gpu in gpus}, count, bound)
            if taken is not None:
                for gpu in taken:
                    number = next(n for n in itertools.count() if n not in holders[gpu])
                    held.callback(_give_back, _occupy(_slot(folder, gpu, number), bound))
                return taken
        if not told:
            told = True
            processes = ", ".join(sorted({str(holder.process) for gpu in gpus for holder in holders[gpu].values()}))
            wanted = "a GPU" if count == 1 else f"{count} GPUs"
            log.info("waiting for %s, jobs_per_gpu=%d; those in use are held by process %s", wanted, bound, processes)
        time.sleep(POLL_SECONDS)


def choose(bounds: dict[str, list[int]], count: int, bound: int) -> list[str] | None:
    """The least used GPUs that one more run may join; ``None`` where there are fewer than ``count``.

    Args:
        bounds: GPU -> the ``jobs_per_gpu`` of each run that trains on it.
        count: how many are wanted.
        bound: the ``jobs_per_gpu`` of the run that wants them.
    """
    free = [gpu for gpu, others in bounds.items() if len(others) < min([bound, *others])]
    return sorted(free, key=lambda gpu: len(bounds[gpu]))[:count] if len(free) >= count else None


def _folder() -> Path:
    """Where the slots are; not ``$XDG_RUNTIME_DIR``, which a login and a cluster's job on one machine do not share."""
    folder = Path(tempfile.gettempdir()) / f"ganrun-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise RunError(f"{folder}, where GPUs are leased, belongs to somebody else. Set TMPDIR to another folder.")
    return folder


def _slot(folder: Path, gpu: str, number: int) -> Path:
    return folder / f"gpu-{path_safe(gpu)}.slot{number}"


def _holders(folder: Path, gpu: str) -> dict[int, Holder]:
    """Slot -> who trains on ``gpu`` in it."""
    found = {}
    for number in itertools.count():
        try:
            with _slot(folder, gpu, number).open() as file:
                if not _try_lock(file):
                    found[number] = Holder(*map(int, file.read().split()))
        except FileNotFoundError:
            break
    return found


def _occupy(slot: Path, bound: int) -> IO[str]:
    """Lock a slot that nobody holds."""
    file = slot.open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(f"{bound} {os.getpid()}")
    file.flush()
    return file


def _give_back(file: IO[str]) -> None:
    fcntl.flock(file, fcntl.LOCK_UN)  # closing alone would leave it to processes that were forked meanwhile
    file.close()


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
