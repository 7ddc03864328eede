"""Where ganrun keeps what it makes once, and how files are written so that a crash leaves the old or the new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def cache_folder() -> Path:
    """``$GANRUN_CACHE``, or ``~/.cache/ganrun``."""
    return Path(os.environ.get("GANRUN_CACHE") or "~/.cache/ganrun").expanduser()


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replace ``path`` by what ``write`` puts into a file; a reader never sees half of it.

    Args:
        path: its folder is made when missing.
        write: is given the open file.

    Raises:
        OSError: the file cannot be written; ``path`` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except RuntimeError as error:  # torch's writer hides the system's error behind its own
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text``, atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))
