"""Decoded images on disk: made once, verified whenever they are opened, shared by all processes of a machine."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ganrun.core.errors import DataError
from ganrun.core.files import cache_folder, write_text

log = logging.getLogger(__name__)

FILES = ("cache.json", "images.npy", "labels.npy")
VERIFIED = "verified.json"
SETTLED_SECONDS = 2.0
"""Age from which a file's time tells whether it has been written to since: clocks of file systems are coarse."""

_VERSION = 1  # raise it when decoding changes, so that older caches are not taken for new ones

Block = tuple[np.ndarray, np.ndarray | None]
"""Consecutive images ``[n, H, W, C]`` uint8 and their labels ``[n]`` int64, or ``None``."""


@dataclass(frozen=True)
class Decoded:
    """One domain of decoded images.

    Args:
        images: ``[N, H, W, C]`` uint8.
        labels: ``[N]`` int64, or ``None``.
        digest: sha256 of both.
    """

    images: np.ndarray
    labels: np.ndarray | None
    digest: str

    @classmethod
    def of(cls, images: np.ndarray, labels: np.ndarray | None) -> Decoded:
        """Images that are already in memory."""
        digest = hashlib.sha256(np.ascontiguousarray(images).data)
        digest.update(b"" if labels is None else labels.tobytes())
        return cls(images, labels, digest.hexdigest())


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one process of this machine at a time into the block; the others wait.

    Raises:
        DataError: the cache folder cannot be written.
    """
    path = cache_folder() / "data" / f"{name}.lock"
    with _readable_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed, also by a crash
        yield


def cached(name: str, settings: dict[str, Any], produce: Callable[[], Iterable[Block]]) -> Decoded:
    """What ``produce`` yields, from the disk if it has been decoded before.

    A cache is hashed as a whole when it has been made, and once more when it is used for the first time later; from
    then on only if a file of it has changed.

    Args:
        name: start of the folder's name.
        settings: everything that the result depends on: the state of the source and how it is decoded.
        produce: yields the blocks in order; called only when the cache lacks them or is damaged.

    Raises:
        DataError: ``produce`` yields nothing, the disk is full or the cache folder cannot be written.
    """
    key = hashlib.sha256(json.dumps([_VERSION, settings], sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_folder() / "data" / f"{name}-{key}"
    found = _load(folder)
    if found is None:
        with locked(folder.name):
            found = _load(folder)  # another process may have been faster
            if found is None:
                _build(folder, produce)
                found = _load(folder)
    if found is None:
        raise DataError(
            f"{folder} was written but cannot be read back. Check the disk, or set GANRUN_CACHE to another."
        )
    return found


def _load(folder: Path) -> Decoded | None:
    if not folder.is_dir():
        return None
    try:
        expected = json.loads((folder / "cache.json").read_text())["digest"]
        # Mapped, private to the process: the kernel shares the pages and torch accepts the array as writable.
        images = np.load(folder / "images.npy", mmap_mode="c")
        labels = np.load(folder / "labels.npy") if (folder / "labels.npy").exists() else None
        stamps = _stamps(folder)
        if stamps == _verified(folder):
            return Decoded(images, labels, expected)
        decoded = Decoded.of(images, labels)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        decoded = None
    if decoded is None or decoded.digest != expected:
        log.warning("the cache %s is damaged; it will be made again", folder)
        return None
    if all(time.time() - changed / 1e9 > SETTLED_SECONDS for _, changed in stamps.values()):
        with contextlib.suppress(OSError):  # it may belong to somebody else
            write_text(folder / VERIFIED, json.dumps(stamps))
    return decoded


def _stamps(folder: Path) -> dict[str, list[int]]:
    """Size of each file, and when it was last changed in nanoseconds: the kernel's time, which no program can set."""
    states = {path.name: path.stat() for path in sorted(folder.iterdir()) if path.name in FILES}
    return {name: [state.st_size, state.st_ctime_ns] for name, state in states.items()}


def _verified(folder: Path) -> Any:
    """How the files were when they were last read as a whole and found to be what was decoded."""
    try:
        return json.loads((folder / VERIFIED).read_text())
    except (OSError, ValueError):
        return None


def _build(folder: Path, produce: Callable[[], Iterable[Block]]) -> None:
    for leftover in folder.parent.glob(f".{folder.name}.*"):  # of a process that was killed while it held the lock
        shutil.rmtree(leftover, ignore_errors=True)
    with _readable_errors(folder):
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _write(staging, produce())
            shutil.rmtree(folder, ignore_errors=True)
            staging.replace(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _write(folder: Path, blocks: Iterable[Block]) -> None:
    count, shape, digest = 0, None, hashlib.sha256()
    all_labels = []
    # Appended with write(), not through a memory map: on a full disk a map kills the process with a bus error.
    with (folder / "images.npy").open("wb") as file:
        for images, labels in blocks:
            if shape is None:
                shape = images.shape[1:]
                _header(file, 0, shape)
            if len(images) == 0:
                continue
            data = np.ascontiguousarray(images).data
            file.write(data)
            digest.update(data)
            count += len(images)
            if labels is not None:
                all_labels.append(labels)
        if shape is None or count == 0:
            raise DataError("No readable image was found. Check dataset.path.")
        file.seek(0)
        _header(file, count, shape)
        file.flush()
        os.fsync(file.fileno())
    if all_labels:
        labels = np.concatenate(all_labels)
        digest.update(labels.tobytes())
        np.save(folder / "labels.npy", labels)
    (folder / "cache.json").write_text(json.dumps({"digest": digest.hexdigest()}))


def _header(file: BinaryIO, count: int, shape: tuple[int, ...]) -> None:
    # numpy pads the header for a growing first axis, so writing it again with the final count fits in place.
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)})


@contextmanager
def _readable_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            cause = f"The disk is full: the decoded images do not fit into {path.parent}."
            remedy = "Free some space, or set the environment variable GANRUN_CACHE to a folder on another disk."
        else:
            cause = f"The cache {path} cannot be written ({error.strerror or error})."
            remedy = "Set the environment variable GANRUN_CACHE to a folder that you may write to."
        raise DataError(f"{cause} {remedy}") from error
