"""What is computed once and kept on disk: classifiers and statistics of real data."""

from __future__ import annotations

import fcntl
import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ganrun.core.files import cache_folder, write_atomically

log = logging.getLogger(__name__)


def remember(key: Sequence[object], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``make`` returned when it was first called under ``key``, on this machine.

    When several processes want it at once, one makes it and the others wait. A file that cannot be read is made again;
    where the folder cannot be written to, everyone makes it anew.

    Args:
        key: its first element is readable and becomes part of the file name.
        make: returns tensors and plain values.
    """
    digest = hashlib.sha256(repr(tuple(key)).encode()).hexdigest()[:20]
    path = cache_folder() / "metrics" / f"{key[0]}_{digest}.pt"
    found = _read(path)
    if found is None:
        with _locked(path.with_suffix(".lock")):
            found = _read(path)  # another process may have been faster
            if found is None:
                found = make()
                _keep(found, path)
    return found


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        value: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        log.warning("%s cannot be read and is made again (%s)", path, type(error).__name__)
        return None
    return value


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError:  # a folder that cannot be written to; said when the value is to be kept
        yield
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another process that makes %s", path.with_suffix(".pt"))
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed, also by a crash
        except OSError:  # a file system without locks
            log.debug("%s cannot be locked", path)
        yield


def _keep(value: dict[str, Any], path: Path) -> None:
    try:
        write_atomically(path, lambda file: torch.save(value, file))
    except (OSError, RuntimeError) as error:
        log.warning("cannot keep %s for the next run: %s", path, error)
