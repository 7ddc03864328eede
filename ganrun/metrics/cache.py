"""What is computed once and kept on disk: classifiers and statistics of real data."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """``$GANRUN_CACHE``, or ``~/.cache/ganrun``."""
    return Path(os.environ.get("GANRUN_CACHE") or "~/.cache/ganrun").expanduser()


def remember(key: Sequence[object], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``make`` returned when it was first called under ``key``, on this machine.

    A file that cannot be read is made again, and a folder that cannot be written to only costs the memory: two
    processes may do the same work at the same time, but neither ever sees half a file.

    Args:
        key: its first element is readable and becomes part of the file name.
        make: returns tensors and plain values.
    """
    digest = hashlib.sha256(repr(tuple(key)).encode()).hexdigest()[:20]
    path = cache_folder() / "metrics" / f"{key[0]}_{digest}.pt"
    if path.is_file():
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            log.warning("%s cannot be read and is made again (%s)", path, type(error).__name__)
    value = make()
    try:
        _write(value, path)
    except OSError as error:
        log.warning("cannot keep %s for the next run: %s", path, error)
    return value


def _write(value: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}_")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            torch.save(value, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
